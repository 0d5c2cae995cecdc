"""The repair of a script: mend what crashes, mend what is wrong for sure, search, confirm by real runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from netmend.agents.confirm import LEAST_GAIN, SEEDS
from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.claim import Shown, confirmed
from netmend.agents.script_repair.cost import (
    AGAIN,
    AT_ONCE,
    CONFIRMING,
    CUT_SECONDS,
    LEAST_TURNS,
    OPEN,
    SEARCH_SECONDS,
    WHOLE_SECONDS,
    Length,
    due,
    may_try,
    planned_updates,
    told,
    turns,
)
from netmend.agents.script_repair.faults import faults, is_better
from netmend.agents.script_repair.hunks import Step, explained
from netmend.agents.script_repair.runs import ENDED_WELL, LOWEST, RealRuns, Texts, score_of
from netmend.agents.script_repair.search import (
    Candidate,
    Write,
    best_patch,
    common,
    found_by_policy,
    without_one,
)
from netmend.agents.script_repair.stage import Stage
from netmend.env.errors import NetmendError
from netmend.env.findings import Finding
from netmend.env.script.check import unjudged
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.record import Record
from netmend.env.script.rules import findings as script_findings
from netmend.env.script.source import EditRefused
from netmend.repair_actions import CATALOGUE

SHORT = 3
"""Updates of a run for what the recorder sees of the loop."""
LEAST_EPOCH, MOST_EPOCH = 12, 400
"""Updates of a run for the rows of an epoch, and for how long an update takes."""
GOOD = 0.98
"""A score behind which nothing is searched for."""
TRIALS = 5


class CannotRunError(NetmendError):
    """The script could not be run far enough for anything to be seen of its training."""


@dataclass
class ScriptRepairer:
    """Repairs one script.

    Attributes:
        runs: of the script.
        method: the policy that searches on its lift.
        keep: what must not be touched.
        trials: most trials of the search.
        whole: whether every run goes to its end, however long.
        more: whether a search may add to answers that are good alone.
        tell: is told what is done, in a line.
    """

    runs: RealRuns
    method: PolicyMethod
    keep: tuple[str, ...] = ()
    trials: int = TRIALS
    whole: bool = False
    more: bool = False
    tell: Callable[[str], None] = lambda _: None

    def repair(self) -> ScriptRepair:
        """Repair it.

        Raises:
            CannotRunError: it shows nothing of a training.
        """
        begun = time.monotonic()
        first = self._stage({})
        record = first.record
        reason = unjudged(record) or _why_not(record)
        if reason:
            raise CannotRunError(f"{self.runs.script}: {reason}")
        self._notes: list[str] = list(record.opaque)
        if self.runs.unfit:
            self._notes.append(
                f"what may change what the error means is left out: {', '.join(self.runs.unfit)}"
            )
        steps: list[Step] = []
        base = stage = self._mended(first, steps)
        if stage.record.crash is None:
            stage = self._plan(stage, steps)
            record = record if stage.texts else stage.record  # of more updates
            base = stage
        self.runs.planned = self.runs.count
        if stage.record.crash is None:
            base = self._answered(stage, steps)
            stage = self._searched(base, steps)
        findings = tuple(script_findings(record))
        return self._result(first, findings, base, stage, steps, time.monotonic() - begun)

    def _stage(self, texts: Texts, updates: int = SHORT) -> Stage:
        return self._as_stage(texts, self.runs.capture(texts, updates))

    def _as_stage(self, texts: Texts, record: Record) -> Stage:
        found = lift(record)
        lifted, reasons = (found, ()) if isinstance(found, Lifted) else (None, found.reasons)
        keep = self.keep if record.crash else (*self.keep, *self.runs.unfit)
        return Stage(self.runs.script.parent, texts, record, lifted, reasons, keep)

    # What is wrong for sure

    def _mended(self, stage: Stage, steps: list[Step], updates: int = SHORT) -> Stage:
        """The script behind the edits that answer its crashes and faults, as far as they help."""
        failed: set[tuple[str, ...]] = set()
        while True:
            answers = (
                (finding, texts, names)
                for finding in faults(stage.record)
                for names, texts in self._answers(stage, finding)
                if (finding.name, finding.place, *names) not in failed
            )
            for finding, texts, names in answers:
                if not may_try(self.runs.short - 1, self.runs.seconds):
                    self._notes.append("not all that answers a finding was tried: it takes too long")
                    return stage
                self.tell(f"tries {', '.join(names)}: {finding.text}")
                after = self._stage(texts, updates)
                if is_better(stage, after, finding):
                    steps.append(Step("mend", finding.text, names, stage.texts, texts))
                    stage = after
                    break
                failed.add((finding.name, finding.place, *names))
            else:
                return stage

    def _answers(self, stage: Stage, finding: Finding) -> Iterator[tuple[tuple[str, ...], Texts]]:
        """The repair actions that answer a finding and can be written."""
        for name in finding.edits:
            if name in CATALOGUE:
                try:
                    yield (name,), stage.answered((name,))
                except EditRefused as refused:
                    if finding.severity == "fault":
                        self._notes.append(f"{name}: {refused}")

    # How long runs are

    def _plan(self, stage: Stage, steps: list[Step]) -> Stage:
        """Decide how long real runs are and what scores them; the script as such a run shows it.

        Faults that the second epoch shows are mended on the way.
        """
        start = stage.record
        rounds = start.loops[-1].rounds if start.loops else None
        trained = start.seconds - start.imports
        slowest = max(trained, 1e-3) / max(start.updates, 1)
        most = max(LEAST_EPOCH, min(MOST_EPOCH, int(WHOLE_SECONDS / slowest)))
        updates = min(max((rounds or 0) + SHORT, LEAST_EPOCH), most)
        stage = self._stage(stage.texts, updates)
        pace = stage.record
        stage = self._mended(stage, steps, updates)
        extra = pace.updates - start.updates
        update = max(pace.seconds - pace.imports - trained, 0.0) / extra if extra > 0 else 0.0
        begun = pace.imports + trained  # a first run imports what is there for the next ones
        planned = planned_updates(pace)
        total = None if planned is None else begun + update * planned
        if self.whole or total is None or total <= WHOLE_SECONDS:
            if total is not None and total > WHOLE_SECONDS:
                self.tell(f"a whole run takes about {told(total)}")
            limited = total is None and not self.whole
            while (whole := self._tried_whole(stage.texts, limited=limited)) is not None and whole.crash:
                crashed = self._as_stage(stage.texts, whole)  # behind what shorter runs reach
                stage = self._mended(crashed, steps, whole.updates + SHORT)
                if stage.record.crash is not None:
                    return stage
            if whole is not None:
                self._settle(Length(None, whole.seconds, planned or whole.updates, whole.seconds))
                return self._scored(stage)
        updates = max(SHORT, int(CUT_SECONDS / update)) if update else MOST_EPOCH
        self._settle(Length(updates, begun + updates * update, planned, total))
        return self._scored(stage)

    def _tried_whole(self, texts: Texts, *, limited: bool) -> Record | None:
        """A whole run, which may crash; None where it takes too long."""
        record = self.runs.run(texts, cpu=2 * WHOLE_SECONDS if limited else inf)
        if record.ending in ENDED_WELL or record.crash is not None:
            return record
        if not limited:
            self._notes.append(f"a whole run did not end well, so runs are cut: {record.message}")
        return None

    def _settle(self, length: Length) -> None:
        """Runs are that long; say what they cost."""
        runs = self.runs
        runs.length, runs.due = length, inf if self.whole else due(length)
        runs.turns = min(runs.turns, max(LEAST_TURNS, turns(length.seconds, runs.left)))
        cost = told(SEARCH_SECONDS + runs.turns * length.seconds)
        most = AT_ONCE * runs.turns
        self.tell(f"{length} of {length.seconds:.1f} s each, {AT_ONCE} at once, at most {most}: up to {cost}")

    def _scored(self, stage: Stage) -> Stage:
        """Decide where the score comes from; the script as a run of that length shows it."""
        record = self.runs.run(stage.texts)
        if record.score is None or record.score.source == "prequential":
            trains = next((loader for loader in record.loaders if loader.trains and loader.made), None)
            if trains is not None:
                self.runs.withhold = trains.made
        return self._as_stage(stage.texts, record) if record.ending in ENDED_WELL else stage

    # What is not wrong for sure

    def _answered(self, stage: Stage, steps: list[Step]) -> Stage:
        """The script behind the edits that its findings name, as far as real runs show that they help."""
        tried: set[tuple[str, ...]] = set()
        while self._is_open(stage):
            answers = self._warned(stage, tried)
            candidates = [Candidate(names, texts) for names, (_, texts) in answers.items()]
            if candidates:
                self.tell("tries what the findings name, by runs that are scored")
            best = self._best(stage, stage.answered, candidates, self._reserve(steps))
            if best is None:
                return stage
            tried |= answers.keys()
            for name in best.actions:
                why, texts = answers[(name,)]
                steps.append(Step("answer", why, (name,), stage.texts, texts, self.runs.tried))
            stage = self._as_stage(best.texts, self.runs.run(best.texts))
        return stage

    def _warned(
        self, stage: Stage, tried: Container[tuple[str, ...]]
    ) -> dict[tuple[str, ...], tuple[str, Texts]]:
        """What answers the findings of a stage, each alone and then the likeliest together, and why."""
        found: dict[tuple[str, ...], tuple[str, Texts]] = {}
        likeliest: list[str] = []
        for finding in script_findings(stage.record):
            if finding.sure != "possible":
                answers = [own for own in self._answers(stage, finding) if own[0] not in tried]
                for names, texts in answers:
                    found.setdefault(names, (finding.text, texts))
                likeliest += [name for names, _ in answers[:1] for name in names if name not in likeliest]
        if len(likeliest) > 1:
            with suppress(EditRefused):
                found[tuple(likeliest)] = "", stage.answered(likeliest)
        return found

    def _searched(self, stage: Stage, steps: list[Step]) -> Stage:
        """The script behind the best patch of a search that real runs show to help."""
        if not self._is_open(stage):
            return stage
        reserve = self._reserve(steps)
        if self.runs.turns <= reserve:
            self._notes.append("nothing is searched for: that takes too long")
            return stage
        for candidates in self._candidates(stage):
            best = self._best(stage, stage.patched, candidates, reserve)
            if best is not None:
                why, tried = stage.told(best.actions), self.runs.tried
                steps.append(Step("search", why, best.actions, stage.texts, best.texts, tried))
                return replace(stage, texts=best.texts, record=self.runs.run(best.texts))
        return stage

    def _candidates(self, stage: Stage) -> Iterator[list[Candidate]]:
        """What the policy finds, then the commonest edits."""
        if stage.lifted is None:
            self._notes.append(f"the policy did not search: {'; '.join(stage.reasons)}")
        else:
            self.tell("searches: the policy repairs the script as a program")
            yield found_by_policy(stage, self.method, self.trials)
        yield common(stage)

    def _is_open(self, stage: Stage) -> bool:
        """Whether there is a score that can be better."""
        if {"two optimizers", "several losses"} <= set(stage.record.opaque) and self.runs.plan.metric is None:
            self._notes.append("networks that work against each other have no score: --metric names one")
            return False
        score = score_of(self.runs.run(stage.texts))
        return score is None or not GOOD <= score <= 1  # a printed figure may be of any size

    def _reserve(self, steps: Sequence[Step]) -> int:
        """Turns that are kept for what confirms the answer."""
        reserve = CONFIRMING + (AGAIN if steps else 0)
        free = self.runs.turns - LEAST_TURNS - reserve
        return reserve + next((turns for turns in OPEN if turns <= free), 0)

    def _best(
        self, stage: Stage, write: Write, candidates: Sequence[Candidate], reserve: int
    ) -> Candidate | None:
        """The best of some patches that real runs show to help, minimised; None where none does."""
        own, runs = self.runs.run(stage.texts), self.runs
        score = score_of(own)
        candidates = candidates[: AT_ONCE * max(runs.turns - reserve, 0)]
        needed = min(reserve, CONFIRMING + AGAIN)  # more seeds are run only where there is time
        records = runs.tried_in_time([candidate.texts for candidate in candidates], needed)
        if len(records) < len(candidates):
            self._notes.append("not all patches were run: that takes too long")
        candidates = candidates[: len(records)]
        best = best_patch(candidates, records, own, LOWEST if score is None else score + LEAST_GAIN)
        return None if best is None else self._minimised(write, *best, reserve)

    def _minimised(self, write: Write, best: Candidate, seen: Record, reserve: int) -> Candidate:
        """The patch without the actions that it does as well without, while there are turns for that."""
        score = score_of(seen)
        least = LOWEST if score is None else score - LEAST_GAIN
        while len(best.actions) > 1:
            free = min(self.runs.turns, turns(seen.seconds, self.runs.left)) - reserve
            shorter = without_one(write, best)[: AT_ONCE * max(free, 0)]
            records = self.runs.run_all([(candidate.texts, 0) for candidate in shorter])
            found = best_patch(shorter, records, seen, least)
            if found is None:
                break
            best = found[0]
        return best

    # The answer

    def _result(
        self,
        first: Stage,
        findings: tuple[Finding, ...],
        base: Stage,
        stage: Stage,
        steps: list[Step],
        seconds: float,
    ) -> ScriptRepair:
        """Confirm the answer; ``base`` is the script in front of what the search added."""
        shown, said, further = Shown(), list[str](), ""
        added = len(steps) > 1 and stage.texts != base.texts
        if steps:
            shown, said = self._confirmed(first, stage, spare=AGAIN if added else 0)
        if added:
            alone, of_it = self._confirmed(first, base, "tries it without what the search added")
            if not shown.adds_to(alone, more=self.more):
                if shown.adds_to(alone, more=True):
                    further = f"further edits of a search reach {shown.reached:.3f}"
                steps, stage, shown, said = steps[:-1], base, alone, of_it
        claim = shown.claim(is_mended=any(step.kind == "mend" for step in steps))
        texts = stage.texts if claim != "none" else {}
        left = faults(self.runs.run(texts)) if claim == "repair" else ()
        original = first.project.texts
        return ScriptRepair(
            first=first.record,
            findings=findings,
            steps=tuple(steps),
            diff=explained(original, texts, steps, folder_here(self.runs.script)) if texts else "",
            texts=texts,
            before=shown.figures[0],
            after=shown.figures[1],
            gain=shown.gain,
            kind=shown.kind,
            ended=shown.ran,
            length=self.runs.length,
            claim="gain" if left else claim,
            left=left,
            further=further,
            notes=tuple(dict.fromkeys([*self._notes, *said])),
            runs=self.runs.count,
            short=self.runs.short,
            seconds=seconds,
        )

    def _confirmed(
        self, first: Stage, last: Stage, why: str = "confirms the answer", spare: int = 0
    ) -> tuple[Shown, list[str]]:
        """Fresh runs of the script as it was and as it is now, with turns to spare, and notes on them."""
        self.tell(f"{why} with {SEEDS} fresh seeds")
        return confirmed(self.runs, first.texts, last.texts, spare)


def folder_here(script: Path) -> str:
    """A script's folder as a diff names it: from where the command runs; empty where it lies elsewhere."""
    folder, here = script.resolve().parent, Path.cwd()
    return f"{folder.relative_to(here).as_posix()}/" if here in folder.parents else ""


def _why_not(record: Record) -> str:
    """Why a script that can be judged cannot be repaired; empty where it can."""
    if record.crash is not None or (record.updates and record.ending in ENDED_WELL):
        return ""
    if record.ending in ENDED_WELL:
        return "no optimizer made a step"
    return f"it could not be run for {SHORT} updates ({record.ending}): {record.message}"

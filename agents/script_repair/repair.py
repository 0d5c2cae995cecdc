"""The repair of a script: mend what crashes, mend what is wrong for sure, search, confirm by real runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from netmend.agents.confirm import LEAST_GAIN, SEEDS
from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair.claim import Claim, Shown, confirmed
from netmend.agents.script_repair.cost import (
    AGAIN,
    AT_ONCE,
    CONFIRMING,
    CUT_SECONDS,
    LEAST_TURNS,
    SEARCH_SECONDS,
    WHOLE_SECONDS,
    Length,
    due,
    may_try,
    told,
    turns,
)
from netmend.agents.script_repair.hunks import Step, explained
from netmend.agents.script_repair.runs import ENDED_WELL, LOWEST, RealRuns, Texts, comparable, score_of
from netmend.agents.script_repair.search import Candidate, common, found_by_policy, without_one
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


@dataclass(frozen=True, kw_only=True)
class ScriptRepair:
    """What came of the repair of a script.

    Attributes:
        first: record of a short run of the script as it is.
        findings: in that run, the worst first.
        steps: parts of the repair in their order.
        diff: of the script, as ``git apply`` takes it; empty where nothing is offered.
        texts: new text of the files that change, by path.
        before, after: scores of the fresh runs by seed, None for a run that did not end well.
        kind: of the score, and where it is from; empty where there is none.
        ended: whether the fresh runs before went to their end.
        length: of the real runs.
        claim: ``repair`` where it now runs and learns, or gains what a fresh run would find again; ``gain``
            where it does and a fault still stands in it; ``mended`` where what is wrong for sure was mended
            and the score is no worse; else ``none``.
        left: faults that still stand in an answer that gains.
        notes: what could not be done, by name.
        runs: of the script that are scored; short: others; seconds: wall time of the repair.
    """

    first: Record
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    diff: str
    texts: Texts
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]
    kind: str
    ended: bool
    length: Length
    claim: Claim
    left: tuple[Finding, ...]
    notes: tuple[str, ...]
    runs: int
    short: int
    seconds: float


@dataclass
class ScriptRepairer:
    """Repairs one script.

    Attributes:
        runs: of the script.
        method: the policy that searches on its lift.
        keep: what must not be touched.
        trials: most trials of the search.
        whole: whether every run goes to its end, however long.
        tell: is told what is done, in a line.
    """

    runs: RealRuns
    method: PolicyMethod
    keep: tuple[str, ...] = ()
    trials: int = TRIALS
    whole: bool = False
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
        findings = tuple(script_findings(record))
        self._notes: list[str] = list(record.opaque)
        steps: list[Step] = []
        stage = self._mended(first, steps)
        self._wrong = bool(_faults(stage.record))
        if stage.record.crash is None:
            stage = self._searched(self._plan(stage), steps)
        return self._result(first, findings, stage, steps, time.monotonic() - begun)

    def _stage(self, texts: Texts, updates: int = SHORT) -> Stage:
        record = self.runs.capture(texts, updates)
        found = lift(record)
        lifted, reasons = (found, ()) if isinstance(found, Lifted) else (None, found.reasons)
        return Stage(self.runs.script.parent, texts, record, lifted, reasons, self.keep)

    # What is wrong for sure

    def _mended(self, stage: Stage, steps: list[Step]) -> Stage:
        """The script behind the edits that answer its crashes and faults, as far as they help."""
        failed: set[tuple[str, ...]] = set()
        while True:
            answers = (
                (finding, texts, names)
                for finding in _faults(stage.record)
                for names, texts in self._answers(stage, finding)
                if (finding.name, finding.place, *names) not in failed
            )
            for finding, texts, names in answers:
                if not may_try(self.runs.short - 1, self.runs.seconds):
                    self._notes.append("not all that answers a finding was tried: it takes too long")
                    return stage
                self.tell(f"tries {', '.join(names)}: {finding.text}")
                after = self._stage(texts)
                if _is_better(stage.record, after.record, finding):
                    steps.append(Step(finding.text, names, stage.texts, texts, is_mend=True))
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
                    yield (name,), stage.answered(name)
                except EditRefused as refused:
                    self._notes.append(f"{name}: {refused}")

    # The search

    def _plan(self, stage: Stage) -> Stage:
        """Decide how long real runs are and what scores them; the script as an epoch of it shows it."""
        start = stage.record
        rounds = start.loops[-1].rounds if start.loops else None
        trained = start.seconds - start.imports
        slowest = max(trained, 1e-3) / max(start.updates, 1)
        most = max(LEAST_EPOCH, min(MOST_EPOCH, int(WHOLE_SECONDS / slowest)))
        seen = self._stage(stage.texts, min(max(rounds or 0, LEAST_EPOCH), most))
        pace = seen.record
        extra = pace.updates - start.updates
        update = max(pace.seconds - pace.imports - trained, 0.0) / extra if extra > 0 else 0.0
        begun = pace.imports + trained  # a first run imports what is there for the next ones
        planned = planned_updates(pace)
        total = None if planned is None else begun + update * planned
        if self.whole or total is None or total <= WHOLE_SECONDS:
            if total is not None and total > WHOLE_SECONDS:
                self.tell(f"a whole run takes about {told(total)}")
            whole = self._tried_whole(stage.texts, limited=total is None and not self.whole)
            if whole is not None:
                self._settle(Length(None, whole.seconds, planned or whole.updates, whole.seconds))
                return self._scored(seen)
        updates = max(SHORT, int(CUT_SECONDS / update)) if update else MOST_EPOCH
        self._settle(Length(updates, begun + updates * update, planned, total))
        return self._scored(seen)

    def _tried_whole(self, texts: Texts, *, limited: bool) -> Record | None:
        """A whole run, None where it takes too long."""
        record = self.runs.run(texts, cpu=2 * WHOLE_SECONDS if limited else inf)
        if record.ending in ENDED_WELL:
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
        """Decide where the score comes from."""
        record = self.runs.run(stage.texts)
        if record.score is None or record.score.source == "prequential":
            trains = next((loader for loader in record.loaders if loader.trains and loader.made), None)
            if trains is not None:
                self.runs.withhold = trains.made
        return stage

    def _searched(self, stage: Stage, steps: list[Step]) -> Stage:
        """The script behind the best patch that real runs show to help."""
        if {"two optimizers", "several losses"} <= set(stage.record.opaque) and self.runs.plan.metric is None:
            self._notes.append("networks that work against each other have no score: --metric names one")
            return stage
        own = self.runs.run(stage.texts)
        score = score_of(own)
        if score is not None and GOOD <= score <= 1:  # a printed figure may be of any size
            return stage
        reserve = CONFIRMING + (AGAIN if steps else 0)
        if self.runs.turns <= reserve:
            self._notes.append("nothing is searched for: that takes too long")
            return stage
        if self.runs.turns > LEAST_TURNS + reserve:
            reserve += CONFIRMING  # of a gain that is open
        candidates = self._candidates(stage)[: AT_ONCE * (self.runs.turns - reserve)]
        limit = max(self.runs.left / (1 + reserve), 2 * self.runs.length.seconds)  # can be confirmed in time
        records = self.runs.run_all([(candidate.texts, 0) for candidate in candidates], cpu=limit)
        best = best_patch(candidates, records, own, LOWEST if score is None else score + LEAST_GAIN)
        if best is None:
            return stage
        answer = self._minimised(stage, *best, reserve)
        steps.append(Step(stage.told(answer.actions), answer.actions, stage.texts, answer.texts))
        return replace(stage, texts=answer.texts, record=self.runs.run(answer.texts))

    def _candidates(self, stage: Stage) -> list[Candidate]:
        if stage.lifted is None:
            self._notes.append(f"the policy did not search: {'; '.join(stage.reasons)}")
            return common(stage)
        self.tell("searches: the policy repairs the script as a program")
        return found_by_policy(stage, self.method, self.trials) or common(stage)

    def _minimised(self, stage: Stage, best: Candidate, seen: Record, reserve: int) -> Candidate:
        """The patch without the actions that it does as well without, while there are turns for that."""
        score = score_of(seen)
        least = LOWEST if score is None else score - LEAST_GAIN
        while len(best.actions) > 1:
            free = min(self.runs.turns, turns(seen.seconds, self.runs.left)) - reserve
            shorter = without_one(stage, best)[: AT_ONCE * max(free, 0)]
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
        stage: Stage,
        steps: list[Step],
        seconds: float,
    ) -> ScriptRepair:
        mends = [step for step in steps if step.is_mend]
        searched = 0 < len(mends) < len(steps)
        shown, claim = Shown(), Shown().claim(is_mended=False)
        if steps:
            shown = self._confirmed(first, stage, spare=AGAIN if searched else 0)
            claim = shown.claim(is_mended=bool(mends))
        if searched:
            mended = replace(stage, texts=mends[-1].after)
            alone = self._confirmed(first, mended, "tries the mends alone")
            if not shown.adds_to(alone):
                steps, stage, shown, claim = mends, mended, alone, alone.claim(is_mended=True)
        texts = stage.texts if claim != "none" else {}
        left = _faults(self._stage(texts).record) if claim == "repair" and self._wrong else ()
        original = first.project.texts
        return ScriptRepair(
            first=first.record,
            findings=findings,
            steps=tuple(steps),
            diff=explained(original, texts, steps, folder_here(self.runs.script)) if texts else "",
            texts=texts,
            before=shown.before,
            after=shown.after,
            kind=shown.kind,
            ended=shown.ran,
            length=self.runs.length,
            claim="gain" if left else claim,
            left=left,
            notes=tuple(dict.fromkeys(self._notes)),
            runs=self.runs.count,
            short=self.runs.short,
            seconds=seconds,
        )

    def _confirmed(
        self, first: Stage, last: Stage, why: str = "confirms the answer", spare: int = 0
    ) -> Shown:
        """Fresh runs of the script as it was and as it is now, with so many turns to spare."""
        self.tell(f"{why} with {SEEDS} fresh seeds")
        shown, notes = confirmed(self.runs, first.texts, last.texts, spare)
        self._notes.extend(notes)
        return shown


def _faults(record: Record) -> tuple[Finding, ...]:
    """What is wrong for sure."""
    return tuple(finding for finding in script_findings(record) if finding.severity == "fault")


def best_patch(
    candidates: Sequence[Candidate], records: Sequence[Record], own: Record, least: float
) -> tuple[Candidate, Record] | None:
    """The smallest patch whose run is about as good as the best, with that run; None where none will do.

    Args:
        candidates: that were run.
        records: of their runs.
        own: record of the script without them, which a score has to be comparable with.
        least: score that is good enough.
    """
    scored = [
        (score, candidate, record)
        for candidate, record in zip(candidates, records, strict=True)
        if comparable(own, record) and (score := score_of(record)) is not None and score >= least
    ]
    if not scored:
        return None
    enough = max(score for score, *_ in scored) - LEAST_GAIN
    close = [entry for entry in scored if entry[0] >= enough]
    return min(close, key=lambda entry: (len(entry[1].actions), -entry[0]))[1:]


def folder_here(script: Path) -> str:
    """A script's folder as a diff names it: from where the command runs; empty where it lies elsewhere."""
    folder, here = script.resolve().parent, Path.cwd()
    return f"{folder.relative_to(here).as_posix()}/" if here in folder.parents else ""


def planned_updates(record: Record) -> int | None:
    """Updates of a whole run by its loops, None where one does not say its rounds or a framework holds it."""
    total = 1
    for loop in record.loops:
        if loop.rounds is None or loop.kind == "epochs":
            return None
        total *= loop.rounds
    return total if record.loops else None


def _is_better(before: Record, after: Record, finding: Finding) -> bool:
    """Whether an edit has answered a finding and brought nothing worse."""
    if before.crash is not None:
        if after.crash is None:
            return after.ending in ENDED_WELL
        where = (before.crash.site, before.crash.operation) != (after.crash.site, after.crash.operation)
        return (where or after.updates > before.updates) and len(after.operations) >= len(before.operations)
    if after.crash is not None or after.ending not in ENDED_WELL:
        return False
    faults, old = _faults(after), len(_faults(before))
    return len(faults) < old and all(own.name != finding.name or own.place != finding.place for own in faults)


def _why_not(record: Record) -> str:
    """Why a script that can be judged cannot be repaired; empty where it can."""
    if record.crash is not None or (record.updates and record.ending in ENDED_WELL):
        return ""
    if record.ending in ENDED_WELL:
        return "no optimizer made a step"
    return f"it could not be run for {SHORT} updates ({record.ending}): {record.message}"

"""The repair of a script: mend what crashes, mend what is wrong for sure, search, confirm by real runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from netmend.agents.confirm import FRESH, LEAST_GAIN, SEEDS, may_be_claimed
from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair.hunks import Step, explained
from netmend.agents.script_repair.runs import ENDED_WELL, Length, RealRuns, Texts, comparable, score_of
from netmend.agents.script_repair.search import Candidate, common, found_by_policy
from netmend.agents.script_repair.stage import Stage
from netmend.env.errors import NetmendError
from netmend.env.findings import Finding
from netmend.env.script.check import unjudged
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.record import Record
from netmend.env.script.rules import findings as script_findings
from netmend.env.script.source import EditRefused
from netmend.repair_actions import CATALOGUE

Claim = Literal["repair", "mended", "none"]
SHORT = 3
"""Updates of a run for what the recorder sees of the loop."""
LEAST_EPOCH, MOST_EPOCH = 12, 400
"""Updates of a run for the rows of an epoch, and for how long an update takes."""
WHOLE_SECONDS, CUT_SECONDS = 20.0, 10.0
"""A run that takes longer is cut to the other."""
MOST_RUNS = 20
"""Real runs that a repair makes at most: candidates, what minimises them, and what confirms."""
GOOD = 0.98
"""A score behind which nothing is searched for."""
MOST_MENDS = 8
"""Edits that mend crashes and faults, one after another."""
TRIALS = 5


class CannotRunError(NetmendError):
    """The script could not be run far enough for anything to be seen of its training."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What fresh runs showed of a script as it was and as it is now.

    Attributes:
        before, after: scores by seed, None for a run without one.
        kind: of the score, and where it is from.
        ran, runs: whether every run ended well, before and now.
        fits: whether the scores measure the same thing.
    """

    before: tuple[float | None, ...] = ()
    after: tuple[float | None, ...] = ()
    kind: str = ""
    ran: bool = False
    runs: bool = False
    fits: bool = True

    def claim(self, *, is_mended: bool) -> Claim:
        """What may be said of the answer; ``is_mended``: something that is wrong for sure is gone."""
        mended: Claim = "mended" if is_mended else "none"
        new = [score for score in self.after if score is not None]
        old = [score for score in self.before if score is not None]
        if not self.runs:
            return "none"
        if not self.fits or len(new) < len(self.after):
            return mended
        if len(old) < len(self.before):  # it crashed, or what it gave was no number
            return "repair" if min(new) >= LEAST_GAIN else mended
        gains = [late - early for early, late in zip(old, new, strict=True)]
        apart = min(new) >= max(old) + LEAST_GAIN  # every fresh run after beats every one before
        if apart or may_be_claimed(gains):
            return "repair"
        return mended if sum(gains) / len(gains) > -LEAST_GAIN else "none"


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
        claim: ``repair`` where it now runs and learns, or gains what a fresh run would find again;
            ``mended`` where what is wrong for sure was mended and the score is no worse; else ``none``.
        notes: what could not be done, by name.
        runs: of the script, all together; seconds: wall time of the repair.
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
    notes: tuple[str, ...]
    runs: int
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
        if stage.record.crash is None:
            stage = self._searched(self._plan(stage), steps)
        return self._result(first, findings, stage, steps, time.monotonic() - begun)

    def _stage(self, texts: Texts, updates: int = SHORT) -> Stage:
        record = self.runs.capture(texts, updates)
        found = lift(record)
        if isinstance(found, Lifted):
            return Stage(self.runs.script.parent, texts, record, found)
        return Stage(self.runs.script.parent, texts, record, None, found.reasons)

    # What is wrong for sure

    def _mended(self, stage: Stage, steps: list[Step]) -> Stage:
        """The script behind the edits that answer its crashes and faults, as far as they help."""
        failed: set[tuple[str, ...]] = set()
        for _ in range(MOST_MENDS):
            answers = (
                (finding, texts, names)
                for finding in script_findings(stage.record)
                if finding.severity == "fault"
                for names, texts in self._answers(stage, finding)
                if (finding.name, finding.place, *names) not in failed
            )
            for finding, texts, names in answers:
                self.tell(f"tries {', '.join(names)}: {finding.text}")
                after = self._stage(texts)
                if _is_better(stage.record, after.record, finding):
                    steps.append(Step(finding.text, names, stage.texts, texts, is_mend=True))
                    stage = after
                    break
                failed.add((finding.name, finding.place, *names))
            else:
                return stage
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
        rounds = stage.record.loops[-1].rounds if stage.record.loops else None
        seen = self._stage(stage.texts, min(max(rounds or 0, LEAST_EPOCH), MOST_EPOCH))
        start, pace = stage.record, seen.record
        extra = pace.updates - start.updates
        update = max(pace.seconds - start.seconds, 0.0) / extra if extra > 0 else 0.0
        planned = planned_updates(pace)
        expected = start.seconds + update * (planned or 0)
        if self.whole or planned is None or expected <= WHOLE_SECONDS:
            whole = self._tried_whole(stage.texts, limited=planned is None and not self.whole)
            if whole is not None:
                self.runs.length = Length(None, whole.seconds, planned or whole.updates)
                return self._scored(seen)
        updates = max(SHORT, int(CUT_SECONDS / update)) if update else MOST_EPOCH
        self.runs.length = Length(updates, start.seconds + updates * update, planned)
        return self._scored(seen)

    def _tried_whole(self, texts: Texts, *, limited: bool) -> Record | None:
        """A whole run, None where it takes too long."""
        plan = self.runs.plan
        if limited:
            self.runs.plan = replace(plan, cpu=min(plan.cpu, 2 * WHOLE_SECONDS))
        record = self.runs.run(texts)
        self.runs.plan = plan
        return record if record.ending in ENDED_WELL else None

    def _scored(self, stage: Stage) -> Stage:
        """Decide where the score comes from, and say what a run costs."""
        record = self.runs.run(stage.texts)
        if record.score is None or record.score.source == "prequential":
            trains = next((loader for loader in record.loaders if loader.trains and loader.made), None)
            if trains is not None:
                self.runs.withhold = trains.made
        length = self.runs.length
        self.tell(f"{length} of {length.seconds:.1f} s each, at most {MOST_RUNS} of them")
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
        candidates = self._candidates(stage)
        records = self.runs.run_all([(candidate.texts, 0) for candidate in candidates])
        scored = [
            (found, candidate)
            for candidate, record in zip(candidates, records, strict=True)
            if comparable(own, record) and (found := score_of(record)) is not None
        ]
        best = max(scored, key=lambda entry: entry[0], default=None)
        if best is None or (score is not None and best[0] < score + LEAST_GAIN):
            return stage
        answer = self._minimised(stage, best[1], best[0])
        steps.append(Step(stage.told(answer.actions), answer.actions, stage.texts, answer.texts))
        return replace(stage, texts=answer.texts, record=self.runs.run(answer.texts))

    def _candidates(self, stage: Stage) -> list[Candidate]:
        if stage.lifted is None:
            self._notes += [f"no program can say it: {reason}" for reason in stage.reasons]
            return common(stage, self.keep)
        self.tell("searches on the program that the script is")
        found = found_by_policy(stage, self.method, self.keep, self.trials)
        return found or common(stage, self.keep)

    def _minimised(self, stage: Stage, best: Candidate, score: float) -> Candidate:
        """The patch without the actions that it does as well without."""
        for name in best.actions:
            names = tuple(other for other in best.actions if other != name)
            if not names:
                break
            try:
                texts = stage.patched(names)
            except EditRefused:
                continue
            left = score_of(self.runs.run(texts))
            if left is not None and left >= score - LEAST_GAIN:
                best = Candidate(names, texts)
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
        shown, claim = Shown(), Shown().claim(is_mended=False)
        if steps:
            shown = self._confirmed(first, stage)
            claim = shown.claim(is_mended=any(step.is_mend for step in steps))
        mends = [step for step in steps if step.is_mend]
        if claim == "none" and 0 < len(mends) < len(steps):  # what is wrong for sure is mended anyway
            steps, stage = mends, replace(stage, texts=mends[-1].after)
            shown = self._confirmed(first, stage)
            claim = shown.claim(is_mended=True)
        texts = stage.texts if claim != "none" else {}
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
            claim=claim,
            notes=tuple(dict.fromkeys(self._notes)),
            runs=self.runs.count,
            seconds=seconds,
        )

    def _confirmed(self, first: Stage, last: Stage) -> Shown:
        """Fresh runs of the script as it was and as it is now."""
        seeds = range(FRESH, FRESH + SEEDS)
        self.tell(f"confirms the answer with {SEEDS} fresh seeds")
        before, after = self.runs.pairs(first.texts, last.texts, seeds)
        fits = all(comparable(old, new) for old, new in zip(before, after, strict=True))
        if not fits:
            self._notes.append("the scores before and after do not measure the same thing")
        kinds = {f"{own.score.kind} ({own.score.source})" for own in after if own.score is not None}
        return Shown(
            before=tuple(map(score_of, before)),
            after=tuple(map(score_of, after)),
            kind=", ".join(sorted(kinds)),
            ran=all(own.ending in ENDED_WELL for own in before),
            runs=all(own.ending in ENDED_WELL for own in after),
            fits=fits,
        )


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
    faults = [own for own in script_findings(after) if own.severity == "fault"]
    old = sum(own.severity == "fault" for own in script_findings(before))
    return len(faults) < old and all(own.name != finding.name or own.place != finding.place for own in faults)


def _why_not(record: Record) -> str:
    """Why a script that can be judged cannot be repaired; empty where it can."""
    if record.crash is not None or (record.updates and record.ending in ENDED_WELL):
        return ""
    if record.ending in ENDED_WELL:
        return "no optimizer made a step"
    return f"it could not be run for {SHORT} updates ({record.ending}): {record.message}"

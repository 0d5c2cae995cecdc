"""Whether bugs show what they are recorded for: the faulty program its symptom, the fix its gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netmend.env.bugs.bug import Bug, Score, Verdict
from netmend.env.bugs.killing import (
    LEAST_EFFECT,
    LEAST_HARM,
    SIGNIFICANCE,
    Skills,
    cohens_d,
    rank_test,
    score,
    signed_rank_test,
    skills_of,
    vargha_delaney,
)
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.training.trial import Budget, Status, Trainer, Trial, TrialRequest, answered

HOLDS: frozenset[Verdict] = frozenset({"reproduced", "no gain, as recorded"})
"""Verdicts on a bug that is as it was recorded."""
NO_GAIN = frozenset({"false", "loss only"})
"""``Bug.fix_helps`` of the fixes that are recorded to change nothing in the task's metric."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the trials of one bug showed.

    Attributes:
        bug: the bug.
        verdict: whether it is as recorded.
        reason: why not, empty where it is.
        status: of the faulty program's trials, the commonest.
        crash_phase: where the faulty program crashed, empty where it did not.
        faulty, fixed: skills over the seeds; None where there were no trials.
        p: of the one-sided rank test that the fix is better, on the validation part.
        signed_rank: p of the one-sided Wilcoxon signed-rank test, seed by seed, on the hold-out part: the
            test of ICST 2023.
        a12: Vargha and Delaney's effect size of the fix, on the hold-out part.
        seconds: longest trial.
    """

    bug: Bug
    verdict: Verdict
    reason: str = ""
    status: str = ""
    crash_phase: str = ""
    faulty: Score | None = None
    fixed: Score | None = None
    p: float | None = None
    signed_rank: float | None = None
    a12: float | None = None
    seconds: float = 0.0


def verify(
    bugs: Sequence[Bug],
    trainer: Trainer,
    budget: Budget,
    seeds: Sequence[int],
    report: Callable[[Verified], None] = lambda _: None,
) -> list[Verified]:
    """Train the faulty program and the published fix of every bug with every seed.

    Args:
        bugs: to be verified.
        trainer: who trains.
        budget: of a trial, where the bug has none of its own.
        seeds: of the trials, at least 5.
        report: is told of each bug when it is done.

    Returns:
        one result per bug, in their order; a bug whose data are missing is one of them.

    Raises:
        NetmendError: a trial says nothing.
    """
    results = []
    for bug in bugs:
        results.append(_verify(bug, trainer, bug.budget or budget, seeds))
        report(results[-1])
    return results


def _verify(bug: Bug, trainer: Trainer, budget: Budget, seeds: Sequence[int]) -> Verified:
    try:
        load_dataset(bug.program.data.dataset)
    except NetmendError as error:
        return Verified(bug=bug, verdict="not loaded", reason=str(error))
    if bug.fixed is None:
        return Verified(bug=bug, verdict="not reproduced", reason="there is no published fix to compare with")
    requests = [
        TrialRequest(program=program, budget=budget, seed=seed, holdout=True, metric=bug.task_metric)
        for program in (bug.program, bug.fixed)
        for seed in seeds
    ]
    trials = answered(trainer.run(requests))
    return judge(bug, trials[: len(seeds)], trials[len(seeds) :])


def judge(bug: Bug, faulty: Sequence[Trial], fixed: Sequence[Trial]) -> Verified:
    """The verdict on a bug from the trials of its two programs, one of each per seed."""
    bad, good = skills_of(faulty), skills_of(fixed)
    p = rank_test(good.validation, bad.validation)
    verdict, reason = _verdict(bug, faulty, fixed, bad, good, p)
    if reason and bug.not_reproduced:
        reason = f"{reason}; {bug.not_reproduced}"
    statuses = [trial.status for trial in faulty]
    crash = faulty[0].symptoms.crash
    return Verified(
        bug=bug,
        verdict=verdict,
        reason=reason,
        status=str(max(statuses, key=statuses.count)),
        crash_phase="" if crash is None else crash.phase,
        faulty=score(bad),
        fixed=score(good),
        p=p,
        signed_rank=signed_rank_test(good.holdout, bad.holdout),
        a12=vargha_delaney(good.holdout, bad.holdout),
        seconds=max(trial.seconds for trial in (*faulty, *fixed)),
    )


def _verdict(
    bug: Bug, faulty: Sequence[Trial], fixed: Sequence[Trial], bad: Skills, good: Skills, p: float
) -> tuple[Verdict, str]:
    failed = [trial for trial in fixed if trial.status is not Status.OK]
    if bug.kind == "crash":
        sound = [trial for trial in faulty if trial.status is not Status.CRASHED]
        if sound:
            return "not reproduced", f"the faulty program does not crash: {sound[0].status}"
        phase = faulty[0].symptoms.crash.phase if faulty[0].symptoms.crash else ""
        if bug.crash_phase and phase != bug.crash_phase:
            return "not reproduced", f"it crashes in the phase {phase}, recorded is {bug.crash_phase}"
        if failed:
            return "not reproduced", f"the published fix fails: {failed[0].message}"
        return "reproduced", ""
    gain = sum(good.validation) / len(good.validation) - sum(bad.validation) / len(bad.validation)
    effect = cohens_d(good.validation, bad.validation)
    helps = p < SIGNIFICANCE and effect >= LEAST_EFFECT and gain >= LEAST_HARM
    if bug.fix_helps in NO_GAIN and not failed:
        clear = f"the fix gains {gain:+.2f}, recorded is no gain"
        return ("not reproduced", clear) if helps else ("no gain, as recorded", "")
    if helps:
        return "reproduced", ""
    why = f"the published fix gains {gain:+.2f} (p = {p:.2g})"
    return "not reproduced", f"{why}; {failed[0].status} in {len(failed)} seeds" if failed else why

"""What came of one repair: every program it tried, and which of them is its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from netmend.agents.methods import Proposal
from netmend.agents.minimise import TOLERANCE
from netmend.env.bugs.bug import Bug
from netmend.env.program.changes import replaced
from netmend.env.reward import Rules
from netmend.env.training.trial import SKILL_FLOOR, Status, Trial

COLUMNS = (
    "bug",
    "split",
    "method",
    "seed",
    "trial",
    "status",
    "validation",
    "holdout",
    "improvement_rate",
    "fixed",
    "edits",
    "patch",
    "work",
    "seconds",
    "sure",
    "known",
)
"""Columns of ``results.csv``."""

PATCH_SEPARATOR = ";"
WORTH = Rules.part_price
"""Validation skill that a larger patch has to gain over a smaller one: the environment's price of a part."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One program that a repair tried, and its trial.

    Attributes:
        sure: how sure the method was after it that the best so far is as good as the published fix, from 0 to
            1; None where it does not say.
        known: trials of the repair, the faulty program's aside, that its choice may have depended on.
    """

    proposal: Proposal
    trial: Trial
    sure: float | None = None
    known: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One repair of one bug by one method with one seed.

    Attributes:
        attempts: in order; the first is the faulty program itself, whose trial is free.
        searched: trials of the repair itself; those after them minimised its patch.
        tolerance: validation skill that the minimised patch may lose.
        minimise: whether the patch was to be minimised.
        failure: why the method could not go on; its best program until then stands. Empty where it could.
        left: what minimising left of the patch, and its trial; None where nothing was minimised.
    """

    bug: Bug
    method: str
    seed: int
    attempts: tuple[Attempt, ...]
    searched: int
    tolerance: float = TOLERANCE
    minimise: bool = True
    failure: str = ""
    left: Attempt | None = None

    @property
    def trials(self) -> int:
        """Trials charged: the repair's and those that minimised its patch."""
        return len(self.attempts) - 1

    @property
    def work(self) -> float:
        """Work of the trials charged, in millions of multiply-accumulates."""
        return sum(attempt.trial.work for attempt in self.attempts[1:])

    def answer(self, trials: int) -> Attempt:
        """After so many trials: the best by validation skill, or one as good that replaces less."""
        return smallest(self.attempts[: min(trials, self.searched) + 1], WORTH)

    def answer_within(self, work: float) -> Attempt:
        """As ``answer``, once the trials of the repair took that much work."""
        spent = accumulate(attempt.trial.work for attempt in self.attempts[1 : self.searched + 1])
        return self.answer(sum(total <= work for total in spent))

    @property
    def found(self) -> Attempt:
        """The answer before the patch was minimised."""
        return self.answer(self.searched)

    @property
    def sure(self) -> float | None:
        """How sure the method was in the end that what it found fixes the bug; None where it does not say."""
        return self.attempts[self.searched].sure

    @property
    def minimised(self) -> Attempt:
        """The answer after minimising: the smallest patch as good as the best.

        Where nothing is minimised, as where a patch is not made of actions, it is the patch as found.
        """
        if not (self.minimise and self.found.proposal.by_actions):
            return self.found
        tried = self.attempts if self.left is None else (*self.attempts, self.left)
        return smallest(tried, self.tolerance)

    def fixed(self, attempt: Attempt) -> bool | None:
        """Whether a program's hold-out skill reaches the published fix's; None where either is unknown."""
        holdout = holdout_skill(attempt.trial)
        return None if holdout is None else self.bug.is_fixed(holdout)

    def improvement_rate(self, attempt: Attempt) -> float | None:
        """Improvement rate of a program on the hold-out part; None where it is unknown."""
        holdout = holdout_skill(attempt.trial)
        return None if holdout is None else self.bug.improvement_rate(holdout)


def holdout_skill(trial: Trial) -> float | None:
    """Skill on the hold-out part; that of a trial without predictions is the least there is."""
    return SKILL_FLOOR if trial.holdout is None and trial.status is not Status.OK else trial.holdout


def best(attempts: Sequence[Attempt]) -> Attempt:
    """The best by validation skill; of equals the one that replaces least, then the earliest.

    The first attempt is that of the faulty program.
    """
    return max(attempts, key=lambda attempt: (attempt.trial.skill, *_smallness(attempts[0], attempt)))


def smallest(attempts: Sequence[Attempt], tolerance: float) -> Attempt:
    """Of those with a validation skill of the best's less the tolerance the one that replaces least.

    Of equals the one with fewer edits, then the best. The first attempt is that of the faulty program.
    """
    least = max(attempt.trial.skill for attempt in attempts) - tolerance
    enough = [attempt for attempt in attempts if attempt.trial.skill >= least]
    return max(enough, key=lambda attempt: (*_smallness(attempts[0], attempt), attempt.trial.skill))


def _smallness(faulty: Attempt, attempt: Attempt) -> tuple[int, int]:
    """How little of the faulty program an attempt replaces, and with how few edits: larger is less."""
    parts = replaced(faulty.proposal.program, attempt.proposal.program)
    return -parts, -len(attempt.proposal.patch)


def change(outcome: Outcome, number: int) -> str:
    """What an attempt changed: edits added to an earlier one, or left out of the best while minimising."""
    patch = outcome.attempts[number].proposal.patch
    if not patch:
        return "as it was" if number == 0 else "no edit"
    if number > outcome.searched:
        left_out = Counter(outcome.found.proposal.patch) - Counter(patch)
        return f"without {' and '.join(left_out.elements())}"
    earlier = {attempt.proposal.patch for attempt in outcome.attempts[:number]}
    known = max(length for length in range(len(patch)) if patch[:length] in earlier)
    return f"+ {' + '.join(patch[known:])}"


def by_method(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each method, in the order in which the methods first come."""
    own: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        own.setdefault(outcome.method, []).append(outcome)
    return own


def rows(outcome: Outcome) -> list[dict[str, object]]:
    """One row of ``results.csv`` for each attempt: that program's own results, not the best so far's."""
    return [
        {
            "bug": outcome.bug.id,
            "split": outcome.bug.split,
            "method": outcome.method,
            "seed": outcome.seed,
            "trial": number,
            "status": attempt.trial.status.value,
            "validation": _number(attempt.trial.skill),
            "holdout": _number(holdout_skill(attempt.trial)),
            "improvement_rate": _number(outcome.improvement_rate(attempt)),
            "fixed": _truth(outcome.fixed(attempt)),
            "edits": len(attempt.proposal.patch),
            "patch": PATCH_SEPARATOR.join(attempt.proposal.patch),
            "work": _number(attempt.trial.work),
            "seconds": _number(attempt.trial.seconds),
            "sure": _number(attempt.sure),
            "known": attempt.known,
        }
        for number, attempt in enumerate(outcome.attempts)
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _truth(value: bool | None) -> str:
    return "" if value is None else str(value).lower()

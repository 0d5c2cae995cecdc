"""Repairs that a method could not finish: it is not installed, it crashed, or it hung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netmend.agents.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What one method failed of, for one reason.

    Attributes:
        method: its name.
        reason: in its own words, or the type and message of an error.
        failed: repairs that ended so.
        repairs: all repairs that it had to do.
        cases: bug, seed and trials before it failed, one line for each repair; empty where it never began.
    """

    method: str
    reason: str
    failed: int
    repairs: int
    cases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.method}: failed in {self.failed} of {self.repairs} repairs: {self.reason}"


def failures(outcomes: Sequence[Outcome], missing: Mapping[str, str], repairs: int) -> tuple[Failure, ...]:
    """All failures, by method and reason.

    Args:
        outcomes: of the methods that could be built.
        missing: methods that could not, and why.
        repairs: of each method.
    """
    grouped: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.failure:
            case = f"{outcome.bug.id}, seed {outcome.seed}, after {outcome.searched} trials"
            grouped.setdefault((outcome.method, outcome.failure), []).append(case)
    absent = (
        Failure(method=method, reason=reason, failed=repairs, repairs=repairs)
        for method, reason in missing.items()
    )
    ended = (
        Failure(method=method, reason=reason, failed=len(cases), repairs=repairs, cases=tuple(cases))
        for (method, reason), cases in grouped.items()
    )
    return (*absent, *ended)


def never_began(outcomes: Sequence[Outcome]) -> bool:
    """Whether a method failed in all of its repairs before it had tried anything: it shows nothing then."""
    return all(outcome.failure and not outcome.searched for outcome in outcomes)

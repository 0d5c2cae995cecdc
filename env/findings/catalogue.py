"""Every heuristic, in the order of its findings: likely causes before what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from netmend.env.data.dataset import Dataset
from netmend.env.findings import choices, crashes, data, settings, targets, training
from netmend.env.findings.finding import SEVERITIES, Case, Finding, Heuristic, is_one
from netmend.env.program import Program
from netmend.env.training.trial import Trial

CATALOGUE: tuple[Heuristic[Case], ...] = (
    *crashes.HEURISTICS,
    *data.HEURISTICS,
    *settings.HEURISTICS,
    *targets.HEURISTICS,
    *training.CAUSES,
    *choices.HEURISTICS,
    *training.EFFECTS,
)
FAULTS: tuple[Heuristic[Case], ...] = tuple(one for one in CATALOGUE if one.severity == "fault")
"""They look at the program and its data; but for what only a training shows of a crash, not at a trial."""

ONE_ANSWER: tuple[Heuristic[Case], ...] = tuple(one for one in FAULTS if is_one(one.edits))
"""The faults that one repair action answers and no other."""


@lru_cache(maxsize=4096)
def only_answers(program: Program, dataset: Dataset) -> frozenset[str]:
    """Names of the repair actions that are the only answer to a fault which stands in a program or its data.

    Nothing is trained: what is looked at are the settings of the program and the inputs of its data. Of a
    program that crashes, or can't be tried, nothing is said here.
    """
    case = Case(program, dataset)
    if case.problems or case.is_crash:
        return frozenset()
    return frozenset(one.edits[0] for one in ONE_ANSWER if any(True for _ in one.look(case)))


def faults(program: Program, dataset: Dataset) -> tuple[Finding, ...]:
    """The findings of severity ``fault`` that stand in a program and its data; nothing is trained.

    Args:
        program: the program.
        dataset: its data.
    """
    return _found(FAULTS, Case(program, dataset))


def findings(program: Program, dataset: Dataset, trial: Trial) -> tuple[Finding, ...]:
    """What is wrong with a program, the likeliest cause first and faults before warnings.

    A program that crashes has the finding of its crash only, and one that is out of the limits of ``check``
    no findings but these.

    Args:
        program: the program.
        dataset: its data.
        trial: one of its trials.
    """
    case = Case(program, dataset, trial)
    return _found(CATALOGUE, case)


def _found(heuristics: Iterable[Heuristic[Case]], case: Case) -> tuple[Finding, ...]:
    if case.problems:
        heuristics = (crashes.INVALID,)
    elif case.is_crash:
        heuristics = crashes.HEURISTICS
    found = [finding for heuristic in heuristics for finding in heuristic.findings(case)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))

"""Every heuristic, in the order of its findings: likely causes before what follows from them."""

from __future__ import annotations

from collections.abc import Iterable

from netmend.env.data.dataset import Dataset
from netmend.env.findings import settings
from netmend.env.findings.finding import SEVERITIES, Case, Finding, Heuristic
from netmend.env.program import Program
from netmend.env.training.trial import Trial

STATIC: tuple[Heuristic, ...] = settings.HEURISTICS
"""Heuristics that look at the program and its data, not at a trial."""


def faults(program: Program, dataset: Dataset) -> tuple[Finding, ...]:
    """The findings of severity ``fault`` that stand in a program and its data; nothing is trained.

    Args:
        program: one that ``check`` lets pass.
        dataset: its data.
    """
    case = Case(program, dataset)
    return _ranked([heuristic for heuristic in STATIC if heuristic.severity == "fault"], case)


def findings(program: Program, dataset: Dataset, trial: Trial) -> tuple[Finding, ...]:
    """What is wrong with a program, the likeliest cause first and faults before warnings.

    Args:
        program: one that ``check`` lets pass.
        dataset: its data.
        trial: one of its trials.
    """
    return _ranked(STATIC, Case(program, dataset, trial))


def _ranked(heuristics: Iterable[Heuristic], case: Case) -> tuple[Finding, ...]:
    found = [finding for heuristic in heuristics for finding in heuristic.findings(case)]
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))

"""How far the catalogue and the real bugs cover the fix patterns of the ICSE 2020 study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.repair_actions import CATALOGUE, PATTERNS, successors

SHARES: dict[str, tuple[float, float]] = {
    "data_dimension": (18.8, 7.5),
    "neural_connection": (17.8, 14.1),
    "data_type": (14.1, 13.0),
    "layer_dimension": (9.7, 15.6),
    "loss_function": (6.2, 3.7),
    "versioning": (6.2, 17.6),
    "iterations": (5.3, 4.3),
    "add_layer": (4.7, 5.8),
    "change_neural_architecture": (4.7, 5.2),
    "api_contract": (3.1, 1.2),
    "activation": (2.8, 3.2),
    "monitor": (2.8, 2.6),
    "data_wrangling": (2.5, 6.1),
    "optimizer": (0.6, 0.3),
    "accuracy_metric": (0.6, 0.0),
}
"""Per cent of the fixes on Stack Overflow and on GitHub, by pattern (Islam et al., ICSE 2020)."""


@dataclass(frozen=True, kw_only=True)
class PatternCoverage:
    """One fix pattern.

    Attributes:
        pattern: its name.
        stack_overflow, github: per cent of the study's fixes.
        actions: actions of the catalogue.
        edits: their kinds of edit, whatever the site.
        working: kinds of edit that are legal for at least one of the bugs that were looked at.
        bugs: how many of those bugs have the pattern in their published fix.
    """

    pattern: str
    stack_overflow: float
    github: float
    actions: int
    edits: int
    working: int
    bugs: int


def cover(bugs: Sequence[Bug]) -> list[PatternCoverage]:
    """Coverage by pattern, in the order of the study's shares."""
    legal = _legal_actions(bugs)
    rows = []
    for pattern in sorted(PATTERNS, key=lambda name: -sum(SHARES[name])):
        actions = [action for action in CATALOGUE.values() if action.pattern == pattern]
        rows.append(
            PatternCoverage(
                pattern=pattern,
                stack_overflow=SHARES[pattern][0],
                github=SHARES[pattern][1],
                actions=len(actions),
                edits=len({action.edit for action in actions}),
                working=len({action.edit for action in actions if action.name in legal}),
                bugs=sum(pattern in fix_patterns(bug) for bug in bugs),
            )
        )
    return rows


def fix_patterns(bug: Bug) -> frozenset[str]:
    """Fix patterns of a bug's published fix, by their names here."""
    return frozenset(name.lower().replace(" ", "_") for name in bug.fix_patterns)


def _legal_actions(bugs: Sequence[Bug]) -> frozenset[str]:
    """Names of the actions that are legal for the faulty program of some bug."""
    left = tuple(CATALOGUE.values())
    for program in dict.fromkeys(bug.program for bug in bugs):
        try:
            task = load_dataset(program.data.dataset).task
        except NetmendError:
            continue
        after = successors(left, program, task)
        left = tuple(action for action, allowed in zip(left, after.legal, strict=True) if not allowed)
    return frozenset(CATALOGUE).difference(action.name for action in left)

"""Bugs: suites of faulty programs, and the mutation operators that make them."""

from netmend.env.bugs.bug import SPLITS, Bug, Score, Split, Spread, Suite, fixed_threshold
from netmend.env.bugs.loading import load_bug, load_suite, suite_names

__all__ = [
    "SPLITS",
    "Bug",
    "Score",
    "Split",
    "Spread",
    "Suite",
    "fixed_threshold",
    "load_bug",
    "load_suite",
    "suite_names",
]

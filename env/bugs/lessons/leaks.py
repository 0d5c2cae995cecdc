"""What a teacher may show: no dataset and no program that a policy is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

from netmend.env.bugs.bases import BASES, LARGE_BASES
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import load_suite, suite_names
from netmend.env.data.built_in import BUILT_IN
from netmend.env.data.views import pack_of
from netmend.env.program import Program

Pair: TypeAlias = tuple[str, tuple[str, ...]]
"""A dataset and an architecture: the kinds of the layers in their order, whatever their sizes."""

TOO_HARD = frozenset({"signs", "tokens_6_64_6"})
"""Datasets of training bugs of which a short training learns too little, whatever the program."""


def pair_of(program: Program) -> Pair:
    """Dataset and architecture of a program; all views of a data pack are one dataset."""
    return pack_of(program.data.dataset), tuple(layer.name for layer in program.layers)


def is_judged(program: Program) -> bool:
    """Whether a bug or a base program that is no training one has the same dataset and architecture.

    Where not, the program is none of theirs either, nor one of their mutants in a suite.
    """
    return pair_of(program) in _judged_pairs()


def training_datasets(without: Sequence[Bug] = ()) -> tuple[str, ...]:
    """Built-in datasets to draw programs for: those of training bases, and those that no one is judged on.

    Truth tables, all of whose rows are in every part, and what is ``TOO_HARD`` are not among them.

    Args:
        without: bugs whose datasets are left out; see ``apart_from`` of ``netmend.env.bugs.loading``.
    """
    own = {base.program.data.dataset for base in BASES.values() if base.split == "train"}
    judged = {dataset for dataset, _ in _judged_pairs()}
    theirs = {pack_of(bug.program.data.dataset) for bug in without} | TOO_HARD
    return tuple(
        name
        for name, source in BUILT_IN.items()
        if (name in own or name not in judged) and name not in theirs and not source.own_rows
    )


@cache
def _judged_pairs() -> frozenset[Pair]:
    """Of the bugs of every suite in the package, of their fixes, and of the bases behind them."""
    bases = (*BASES.values(), *LARGE_BASES.values())
    programs = [base.program for base in bases if base.split != "train"]
    for bug in (bug for name in suite_names() for bug in load_suite(name).bugs):
        if bug.split != "train":
            programs += [bug.program] if bug.fixed is None else [bug.program, bug.fixed]
    return frozenset(map(pair_of, programs))

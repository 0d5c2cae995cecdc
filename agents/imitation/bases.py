"""The good programs whose mutants are lessons: those of the package for training, and drawn ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from numpy.random import Generator

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.lessons import LessonBase, improved, is_judged, kept, make_bases, training_datasets
from netmend.env.bugs.loading import apart_from, without_missing_packs
from netmend.env.bugs.variants import draw_variants
from netmend.env.data import load_dataset
from netmend.env.program import Program
from netmend.env.training.trial import Budget, Trainer

VARIANTS, SEED = 8, 8
"""Variants of each base of the package, and the seed that they are drawn with."""


def good_programs(
    rng: Generator, trainer: Trainer, budget: Budget, drawn: int, without: Sequence[Bug] = ()
) -> list[LessonBase]:
    """Programs that learn, none of which a policy is judged by.

    Args:
        rng: of the drawn programs.
        trainer: trains all of them.
        budget: of each trial.
        drawn: how many are drawn, beside the training bases of the package and their variants.
        without: bugs on whose datasets there are none.
    """
    own = improved(kept(_packaged(without), trainer, budget), trainer, budget)
    if drawn:
        own += islice(make_bases(rng, trainer, budget, training_datasets(without)), drawn)
    return own


def _packaged(without: Sequence[Bug]) -> Iterator[tuple[str, Program]]:
    """The package's bases of the training split whose data are here, with their variants."""
    bases = [Bug(id=name, program=base.program) for name, base in BASES.items() if base.split == "train"]
    for bug in apart_from(without_missing_packs(bases)[0], without):
        task = load_dataset(bug.program.data.dataset).task
        programs = (bug.program, *draw_variants(bug.id, bug.program, task, VARIANTS, SEED))
        yield from ((bug.id, program) for program in programs if not is_judged(program))

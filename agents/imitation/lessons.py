"""Lessons: mutants of good programs of the training split, each with the trial that shows its symptoms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.bugs.loading import apart_from, without_missing_packs
from netmend.env.bugs.making import LEAST_SKILL
from netmend.env.bugs.mutation import Mutant, mutate
from netmend.env.bugs.operators import CRASHING, EITHER, OPERATORS, SILENT
from netmend.env.bugs.variants import draw_variants
from netmend.env.data import load_dataset
from netmend.env.program import Program, Task
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest, answered

VARIANTS, CHUNK, SEEDS = 8, 128, 4
HARM = 0.05
"""Skill that a mutant has to lose to be a lesson."""
FAULTS = (0.45, 0.37, 0.18)
"""Shares of mutants with one, two and three faults."""


@dataclass(frozen=True)
class Lesson:
    """A faulty program and the good one behind it.

    Attributes:
        program: the faulty one.
        original: the good program that it was made from.
        target: what the teacher leads to: the original, or what trials showed to be better.
        trial: of the faulty program with ``seed``.
        seed: of its trials.
        goal: skill of the target.
        operators: names of the operators that made the faults.
        base: name of the original.
    """

    program: Program
    original: Program
    target: Program
    trial: Trial
    seed: int
    goal: float
    operators: tuple[str, ...]
    base: str


def training_bases(without: Suite | None) -> dict[str, Program]:
    """Good programs of the training split whose data are here, but those on the datasets of a suite."""
    programs = {name: base.program for name, base in BASES.items() if base.split == "train"}
    bugs, _ = without_missing_packs([Bug(id=name, program=own) for name, own in programs.items()])
    return {bug.id: bug.program for bug in (bugs if without is None else apart_from(bugs, without.bugs))}


def draw_lessons(
    bases: Mapping[str, Program], trainer: Trainer, rng: Generator, count: int, budget: Budget
) -> Iterator[Lesson]:
    """Mutants of the bases and of their variants that do harm, one trial each, in chunks."""
    good = list(_good(bases, trainer, budget))
    return islice(_endless(good, trainer, rng, budget), count)


def _good(
    bases: Mapping[str, Program], trainer: Trainer, budget: Budget
) -> Iterator[tuple[str, Program, float]]:
    """Bases and variants that learn, with their names and skill."""
    drawn = [
        (name, program)
        for name, base in bases.items()
        for program in (base, *draw_variants(name, base, _task(base), VARIANTS, 8))
    ]
    asked = [TrialRequest(program=program, budget=budget, seed=0) for _, program in drawn]
    for (name, program), trial in zip(drawn, answered(trainer.run(asked)), strict=True):
        if trial.skill >= LEAST_SKILL.get(_task(program).kind, 0.0):
            yield name, program, trial.skill


def _endless(
    good: list[tuple[str, Program, float]], trainer: Trainer, rng: Generator, budget: Budget
) -> Iterator[Lesson]:
    while True:
        drawn = [
            (*own, mutant, int(rng.integers(SEEDS))) for own, mutant in islice(_mutants(good, rng), CHUNK)
        ]
        asked = [TrialRequest(program=mutant.program, budget=budget, seed=seed) for *_, mutant, seed in drawn]
        for (base, program, goal, mutant, seed), trial in zip(drawn, trainer.run(asked), strict=True):
            if trial.skill < goal - HARM and not trial.says_nothing:
                yield Lesson(mutant.program, program, program, trial, seed, goal, mutant.operators, base)


def _mutants(
    good: list[tuple[str, Program, float]], rng: Generator
) -> Iterator[tuple[tuple[str, Program, float], Mutant]]:
    families = (EITHER, CRASHING, EITHER + SILENT)
    while True:
        own = good[int(rng.integers(len(good)))]
        family = families[int(rng.choice(3, p=(0.6, 0.25, 0.15)))]
        first = rng.choice(family, 1)
        rest = rng.choice(EITHER + SILENT, int(rng.choice(3, p=FAULTS)))
        names = np.unique(np.concatenate((first, rest)))
        mutant = mutate(own[1], _task(own[1]), [OPERATORS[name] for name in names], rng)
        if mutant is not None:
            yield own, mutant


def _task(program: Program) -> Task:
    return load_dataset(program.data.dataset).task

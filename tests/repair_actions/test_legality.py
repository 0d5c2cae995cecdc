"""Legality found part by part is legality as it is defined."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from netmend.env.program import Dense, Embedding, Prep, Program, Task
from netmend.env.program.checks import check
from netmend.env.program.shapes import ShapeError, infer_shapes
from netmend.env.reward import capped
from netmend.env.training.trial import Budget
from netmend.repair_actions import RepairAction, select, successors
from netmend.repair_actions.effective import effective

Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])
FIELDS = tuple(field.name for field in fields(Program))


def faults(program: Program, task: Task) -> tuple[bool, bool]:
    try:
        infer_shapes(program.layers, task)
    except ShapeError:
        return bool(check(program, task)), True
    return bool(check(program, task)), False


def by_definition(action: RepairAction, program: Program, task: Task) -> Program | None:
    """A changed program that a training notices, with no fault that was not there before."""
    result, before = action.apply(program, task), faults(program, task)
    noticed = any(effective(name, program, task) != effective(name, result, task) for name in FIELDS)
    if result == program or not (noticed or any(before)):
        return None
    return None if any(new > old for new, old in zip(faults(result, task), before, strict=True)) else result


def walk(program: Program, task: Task, rng: np.random.Generator, steps: int) -> list[Program]:
    """Programs on a walk of random legal actions."""
    met = [program]
    for _ in range(steps):
        legal = [after for after in successors(ALL, met[-1], task) if after is not None]
        met.append(legal[rng.integers(len(legal))])
    return met


BREAKING = [
    lambda program: program,
    lambda program: replace(program, batch_size=0),
    lambda program: replace(program, epochs=800),
    lambda program: replace(program, layers=(*program.layers, Dense(units=4096), Dense(units=4096))),
    lambda program: replace(program, layers=(Embedding(units=4), *program.layers)),
    lambda program: replace(program, data=replace(program.data, prep=(Prep(kind="min_max_target"),))),
]


@pytest.mark.parametrize("breaking", BREAKING)
def test_successors_are_those_of_the_definition(corpus: Corpus, breaking) -> None:
    rng = np.random.default_rng(0)
    for program, task in corpus.values():
        for met in walk(breaking(program), task, rng, steps=3):
            expected = [by_definition(action, met, task) for action in ALL]
            after = successors(ALL, met, task)
            assert list(after) == expected
            assert after.legal == tuple(result is not None for result in expected)


class Watched(Program):
    """A program that notes which of its fields are read."""

    def __getattribute__(self, name: str) -> object:
        if name in FIELDS:
            READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
def test_an_action_reads_what_it_says(action: RepairAction, corpus: Corpus) -> None:
    READ.clear()
    for program, task in corpus.values():
        watched = object.__new__(Watched)
        watched.__dict__.update(program.__dict__)
        action.apply(watched, task)
    assert set(action.reads) >= READ


def test_reaching_finds_the_programs_that_a_budget_cannot_tell_apart(corpus: Corpus) -> None:
    rng = np.random.default_rng(1)
    found = 0
    for program, task in corpus.values():
        for start in (program, replace(program, epochs=40)):
            met = walk(start, task, rng, steps=4)
            for here in met:
                after = successors(ALL, here, task)
                for target in met:
                    expected = [
                        number
                        for number, result in enumerate(after)
                        if result is not None and capped(result, Budget()) == capped(target, Budget())
                    ]
                    assert sorted(after.reaching(target, Budget().epochs)) == expected
                    found += len(expected)
    assert found > 100

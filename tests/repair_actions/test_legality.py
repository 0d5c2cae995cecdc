"""Legality found part by part is legality as it is defined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from netmend.env.program import (
    PHASES,
    Crash,
    Dense,
    Dropout,
    Embedding,
    Loop,
    Optimizer,
    Prep,
    Program,
    Shared,
    Skip,
    Task,
    check,
    find_crash,
)
from netmend.env.reward import capped
from netmend.env.training.trial import Budget
from netmend.repair_actions import RepairAction, select, successors
from netmend.repair_actions.effective import effective

Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])
FIELDS = tuple(field.name for field in fields(Program))
EARLY = ("data", "build", "forward")


def by_definition(action: RepairAction, program: Program, task: Task) -> Program | None:
    """A changed program that a training notices, or whose crash is another one, with no new fault."""
    result = action.apply(program, task)
    if result == program:
        return None
    if check(program, task):
        return result
    old, new = find_crash(program, task), find_crash(result, task)
    if check(result, task) or comes_before(new, old):
        return None
    if old is not None and old.phase != "predict":
        return result if new is None or not new.looks_like(old) else None
    noticed = any(effective(name, program, task) != effective(name, result, task) for name in FIELDS)
    return result if noticed else None


def comes_before(new: Crash | None, old: Crash | None) -> bool:
    if new is None:
        return False
    return new.phase in EARLY if old is None else PHASES.index(new.phase) < PHASES.index(old.phase)


def walk(program: Program, task: Task, rng: np.random.Generator, steps: int) -> list[Program]:
    """Programs on a walk of random legal actions."""
    met = [program]
    for _ in range(steps):
        legal = [after for after in successors(ALL, met[-1], task) if after is not None]
        if not legal:
            break
        met.append(legal[rng.integers(len(legal))])
    return met


def prepared(program: Program, *steps: Prep, **data: object) -> Program:
    return replace(program, data=replace(program.data, prep=steps, **data))  # type: ignore[arg-type]


def first(program: Program, **changes: object) -> Program:
    layers = (replace(program.layers[0], **changes), *program.layers[1:])  # type: ignore[arg-type]
    return replace(program, layers=layers)


BREAKING: list[Callable[[Program], Program]] = [
    lambda program: program,
    lambda program: replace(program, batch_size=0),
    lambda program: replace(program, epochs=80_000),
    lambda program: replace(program, layers=(*program.layers, Dense(units=4096), Dense(units=4096))),
    lambda program: replace(program, layers=(Embedding(units=4), *program.layers)),
    lambda program: replace(program, layers=(*program.layers, Dense(units=3, inputs=7))),
    lambda program: replace(program, layers=(*program.layers, Shared(), Skip(back=1))),
    lambda program: replace(program, layers=(Dropout(rate=0.0), Skip(back=1), *program.layers)),
    lambda program: replace(program, input=(5, 5)),
    lambda program: replace(program, loop=Loop(loss_graph=False)),
    lambda program: replace(program, loop=Loop(predict="row", training_mode=False)),
    lambda program: replace(program, loop=Loop(optimized="hidden")),
    lambda program: replace(program, api="torch_0"),
    lambda program: replace(program, api="keras_2", optimizer=Optimizer(kind="adagrad", lr=0.01)),
    lambda program: replace(program, loss="sparse_categorical_crossentropy"),
    lambda program: prepared(program, Prep(kind="min_max_target")),
    lambda program: prepared(program, Prep(kind="add_axis")),
    lambda program: prepared(program, Prep(kind="drop_axis")),
    lambda program: prepared(program, Prep(kind="add_axis_target")),
    lambda program: prepared(program, Prep(kind="shift_target", factor=1.0)),
    lambda program: prepared(program, input_type="int64"),
    lambda program: prepared(program, label_type="int64"),
    lambda program: prepared(program, input_type="list", labels="one_hot"),
]


@pytest.mark.parametrize("number", range(len(BREAKING)))
def test_successors_are_those_of_the_definition(corpus: Corpus, number: int) -> None:
    rng = np.random.default_rng(number)
    for program, task in list(corpus.values())[number % 5 :: 5]:
        for met in walk(BREAKING[number](program), task, rng, steps=3):
            expected = [by_definition(action, met, task) for action in ALL]
            after = successors(ALL, met, task)
            assert list(after) == expected
            assert after.legal == tuple(result is not None for result in expected)


def test_an_action_changes_only_what_it_says_that_it_reads(corpus: Corpus) -> None:
    for action in ALL:
        for program, task in corpus.values():
            result = action.apply(program, task)
            changes = {name for name in FIELDS if getattr(result, name) != getattr(program, name)}
            assert changes <= set(action.reads), action.name


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

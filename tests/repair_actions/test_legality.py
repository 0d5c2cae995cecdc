"""What is legal is legal by the definition, worked out here without anything that is remembered."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import numpy as np
import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import suite_names
from netmend.env.data import load_dataset
from netmend.env.errors import DataError
from netmend.env.program import (
    PHASES,
    BatchNorm,
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
    checks,
    crashes,
    find_crash,
    infer_shapes,
    part,
    prepared_task,
    shapes,
)
from netmend.env.reward import capped
from netmend.env.training.trial import Budget
from netmend.repair_actions import CATALOGUE, edited, effective, select, successors

Plain = Callable[[Program, Task], list[Program | None]]
Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])
FIELDS = tuple(field.name for field in fields(Program))
MEMOS = [
    (module, name)
    for module in (checks, crashes, effective, part, shapes)
    for name, value in vars(module).items()
    if hasattr(value, "cache_info")
]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Plain:
    """``by_definition`` of every action, with nothing remembered."""

    def without_memory(program: Program, task: Task) -> list[Program | None]:
        with monkeypatch.context() as patch:
            for module, name in MEMOS:
                patch.setattr(module, name, getattr(module, name).__wrapped__)
            return by_definition(program, task)

    return without_memory


def fresh(program: Program) -> Program:
    """An equal program that remembers nothing about itself."""
    copy: Program = pickle.loads(pickle.dumps(program))
    return copy


def by_definition(program: Program, task: Task) -> list[Program | None]:
    """What each action makes of a program, None where it is not legal."""
    problems = check(fresh(program), task)
    old = None if problems else find_crash(program, task)
    read = None if problems else reading(program, task)
    after = [action.apply(fresh(program), task) for action in ALL]
    if problems:
        return [result if result != program else None for result in after]
    return [
        result
        if result != program
        and not check(fresh(result), task)
        and may_crash(program, old, result, find_crash(result, task), task)
        and (not trains(old) or reading(result, task) != read)
        else None
        for result in after
    ]


def reading(program: Program, task: Task) -> list[object]:
    return [effective.effective(name, program, task) for name in FIELDS]


def trains(crash: Crash | None) -> bool:
    return crash is None or crash.phase == "predict"


def may_crash(program: Program, old: Crash | None, result: Program, new: Crash | None, task: Task) -> bool:
    """Whether a crash is none, or another and not an earlier one; with the same output, another target."""
    if new is None:
        return True
    if old is not None and PHASES.index(new.phase) < PHASES.index(old.phase):
        return False
    if old is not None and (trains(old) or not crashes.same_place(old, program, new, result)):
        return True
    asks_for_others = old is None or new.expected != old.expected
    return asks_for_others and new.phase == "loss" and output(program, task) == output(result, task)


def output(program: Program, task: Task) -> object:
    row = program.input or prepared_task(program, task).input_shape
    return infer_shapes(program.layers, replace(task, input_shape=row))[-1]


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
def test_successors_are_those_of_the_definition(corpus: Corpus, plain: Plain, number: int) -> None:
    rng = np.random.default_rng(number)
    for program, task in list(corpus.values())[number % 5 :: 5]:
        for met in walk(BREAKING[number](program), task, rng, steps=3):
            assert_same(met, task, plain)


def assert_same(program: Program, task: Task, plain: Plain) -> None:
    expected, after = plain(program, task), successors(ALL, program, task)
    assert list(after) == expected
    assert after.legal == tuple(result is not None for result in expected)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_successors_of_many_programs_are_those_of_the_definition(plain: Plain) -> None:
    rng = np.random.default_rng(0)
    pairs = 0
    for number, (program, task) in enumerate(suite_programs()):
        for met in walk(BREAKING[number % len(BREAKING)](program), task, rng, steps=2):
            assert_same(met, task, plain)
            pairs += len(ALL)
    assert pairs > 25_000


def suite_programs() -> Iterator[tuple[Program, Task]]:
    """Faulty programs and published fixes of every suite whose data are there."""
    for name in suite_names():
        for bug in load_suite(name).bugs:
            yield from bug_programs(bug)


def bug_programs(bug: Bug) -> Iterator[tuple[Program, Task]]:
    for program in (bug.program, bug.fixed):
        if program is not None:
            try:
                yield program, load_dataset(program.data.dataset).task
            except DataError:
                return


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
                        if result is not None
                        and capped(result, Budget().epochs) == capped(target, Budget().epochs)
                    ]
                    assert sorted(after.reaching(target, Budget().epochs)) == expected
                    found += len(expected)
    assert found > 100


def test_normalisation_learns_where_only_the_hidden_layers_are_optimized(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    normalised = replace(
        program, layers=(BatchNorm(), program.layers[-1]), loop=Loop(optimized="hidden"), epochs=3
    )
    assert find_crash(normalised, task) is None
    for name in (
        "api_contract/optimize_all@program",
        "add_layer/dense_64@output",
        "optimizer/lr_0.1@program",
    ):
        assert edited(CATALOGUE[name], normalised, task) is not None, name


def test_the_same_crash_with_other_numbers_is_no_progress(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    layers = (*program.layers[:2], replace(program.layers[2], inputs=2048))  # type: ignore[arg-type]
    crashing = replace(program, layers=layers)
    crash = find_crash(crashing, task)
    assert crash is not None
    assert (crash.phase, crash.kind, crash.layer) == ("forward", "size", 2)
    for name in ("layer_dimension/units_x4@hidden", "layer_dimension/units_x2@hidden"):
        assert CATALOGUE[name].apply(crashing, task) != crashing
        assert edited(CATALOGUE[name], crashing, task) is None, name
    assert edited(CATALOGUE["layer_dimension/fit_inputs@output"], crashing, task) is not None


def test_what_is_right_by_value_alone_is_not_taken_for_checked(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    equal = replace(program, epochs=True, layers=(replace(program.layers[0], bias=1), *program.layers[1:]))
    once = replace(program, epochs=1)
    assert equal == once
    assert check(once, task) == []
    assert check(equal, task) != []
    assert check(once, task) == []

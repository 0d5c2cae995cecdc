"""The linter's part of the recipes: a program that crashes is made to run without a trial."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.program import (
    Attention,
    Conv2d,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Task,
    check,
    find_crash,
)
from netmend.repair_actions import edited, select, successors
from netmend.repair_actions.effective import effective
from netmend.repair_actions.legality import FIELDS
from netmend.repair_actions.mend import MEND, mending, only_remedy, reach
from netmend.repair_actions.patch import applied
from netmend.repair_actions.recipes import default_actions, rewrite_actions

ALL = select(["*"])
IMAGES = Task(dataset="digits_images", kind="classification", input_shape=(1, 8, 8), outputs=10)
CRASHES = [bug for bug in load_suite("crashes-v1").bugs if bug.split == "validation"]


def test_a_program_that_runs_is_left_alone() -> None:
    program = Program(
        data=Data(dataset="digits_images", labels="one_hot"),
        layers=(Dense(units=4), Dense(units=10)),
        loss="mse",
        optimizer=Optimizer(),
    )
    (name,) = mending(program, IMAGES)
    runs = applied(program, IMAGES, [name])
    assert find_crash(runs, IMAGES) is None
    assert mending(runs, IMAGES) == ()


@pytest.mark.parametrize("bug", CRASHES, ids=lambda bug: bug.id)
def test_every_crash_is_gone_or_further_on(bug: Bug) -> None:
    task = load_dataset(bug.program.data.dataset).task
    program = applied(bug.program, task, mending(bug.program, task))
    assert check(program, task) == []
    assert find_crash(program, task) is None


@pytest.mark.parametrize("recipe", [default_actions, rewrite_actions])
def test_the_recipes_leave_no_crash(recipe: object) -> None:
    assert callable(recipe)
    for bug in CRASHES:
        task = load_dataset(bug.program.data.dataset).task
        program = applied(bug.program, task, recipe(bug.program, task))
        assert find_crash(program, task) is None, bug.id


CRASHING: dict[str, tuple[Program, Task, str]] = {
    "a flattened size that is wrong": (
        Program(
            data=Data(dataset="digits_images"),
            layers=(
                Conv2d(filters=16, padding="same", inputs=1),
                Pool(),
                Conv2d(filters=32, padding="same", inputs=16),
                Pool(),
                Flatten(),
                Dense(units=64, activation="relu", inputs=2048),
                Dense(units=10, inputs=64),
            ),
            loss="cross_entropy",
            optimizer=Optimizer(),
        ),
        IMAGES,
        "layer_dimension/fit_inputs@all",
    ),
    "a vocabulary that is too small": (
        Program(
            data=Data(dataset="texts"),
            layers=(Embedding(units=16, inputs=20), Recurrent(cell="lstm", units=32), Dense(units=2)),
            loss="cross_entropy",
            optimizer=Optimizer(),
        ),
        Task(dataset="texts", kind="classification", input_shape=(12,), outputs=2, vocabulary=21),
        "layer_dimension/vocabulary@inputs",
    ),
    "too few positions": (
        Program(
            data=Data(dataset="texts"),
            layers=(Embedding(units=16), Position(steps=8), Attention(heads=2), GlobalPool(), Dense(units=2)),
            loss="cross_entropy",
            optimizer=Optimizer(),
        ),
        Task(dataset="texts", kind="classification", input_shape=(12,), outputs=2, vocabulary=21),
        "layer_dimension/vocabulary@inputs",
    ),
    "targets with an axis too many": (
        Program(
            data=Data(dataset="rows", labels="value", prep=(Prep(kind="add_axis_target"),)),
            layers=(Dense(units=1),),
            loss="mse",
            optimizer=Optimizer(),
        ),
        Task(dataset="rows", kind="regression", input_shape=(2,), outputs=1),
        "data_dimension/drop_axis@targets",
    ),
}


@pytest.mark.parametrize("name", CRASHING)
def test_the_only_remedy_of_a_crash_is_known_without_a_trial(name: str) -> None:
    program, task, wanted = CRASHING[name]
    remedy = only_remedy(ALL, program, task)
    assert remedy is not None
    assert remedy.name == wanted
    assert mending(program, task) == (wanted,)
    assert find_crash(remedy.apply(program, task), task) is None


def test_heads_that_do_not_divide_the_features_are_fitted_rather_than_anything_replaced() -> None:
    program, task, _ = CRASHING["too few positions"]
    uneven = replace(program, layers=(program.layers[0], Attention(heads=3), *program.layers[3:]))
    assert mending(uneven, task) == ("layer_dimension/fit_heads@all",)
    mended = MEND.apply(uneven, task)
    assert mended.layers[1] == Attention(heads=2)
    assert find_crash(mended, task) is None


def test_without_the_action_there_is_no_remedy_or_another_one() -> None:
    program, task, wanted = CRASHING["a vocabulary that is too small"]
    others = tuple(action for action in ALL if action.name != wanted)
    other = only_remedy(others, program, task)
    assert other is None or other.name != wanted
    assert only_remedy((), program, task) is None


def test_a_remedy_is_the_only_way_past_the_crash_or_the_only_change_of_what_is_declared() -> None:
    found = {True: 0, False: 0}
    for bug in CRASHES:
        program, task = bug.program, load_dataset(bug.program.data.dataset).task
        if find_crash(program, task) is None:
            continue
        here = reach(program, task)
        after = dict(zip(ALL, successors(ALL, program, task), strict=True))
        past = [p for a, p in after.items() if p is not None and a is not MEND and reach(p, task) > here]
        ways = {tuple(effective(name, way, task) for name in FIELDS) for way in past}
        remedy = only_remedy(ALL, program, task)
        if len(ways) == 1:
            assert remedy is not None, bug.id
        if remedy is not None:
            assert after[remedy] in past
            assert len(ways) == 1 or after[remedy].layers != program.layers, bug.id
        found[remedy is not None] += 1
    assert min(found.values()) > 3


def test_where_rows_have_other_axes_than_declared_nothing_is_forced() -> None:
    """The declared shape may be wrong, or the order of the axes of the rows."""
    program = Program(
        data=Data(dataset="digits_images"),
        layers=(Conv2d(filters=4), Flatten(), Dense(units=10)),
        loss="cross_entropy",
        optimizer=Optimizer(),
        input=(8, 8, 1),
    )
    assert find_crash(program, IMAGES) is not None
    assert only_remedy(ALL, program, IMAGES) is None


def test_a_program_that_runs_or_is_invalid_has_no_remedy() -> None:
    program, task, wanted = CRASHING["a flattened size that is wrong"]
    assert only_remedy(ALL, applied(program, task, [wanted]), task) is None
    assert only_remedy(ALL, replace(program, batch_size=0), task) is None
    assert mending(replace(program, batch_size=0), task) == ()


@pytest.mark.parametrize("bug", CRASHES, ids=lambda bug: bug.id)
def test_the_action_applies_every_mend_at_once_and_names_its_edits(bug: Bug) -> None:
    task = load_dataset(bug.program.data.dataset).task
    names = MEND.patch(bug.program, task)
    assert names == mending(bug.program, task)
    assert MEND.name not in names
    after = edited(MEND, bug.program, task)
    if find_crash(bug.program, task) is None:
        assert after is None
    else:
        assert after == applied(bug.program, task, names)

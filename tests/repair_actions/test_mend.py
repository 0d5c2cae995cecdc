"""The linter's part of the recipes: a program that crashes is made to run without a trial."""

from __future__ import annotations

import pytest

from netmend.agents.baselines.defaults import applied, default_actions
from netmend.agents.baselines.rewrite import rewrite_actions
from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.program import Data, Dense, Optimizer, Program, Task, check, find_crash
from netmend.repair_actions.mend import mending

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

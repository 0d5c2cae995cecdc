"""The search for short sequences of actions that do what a published fix does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netmend.env.bugs.bug import Bug, Score, Spread
from netmend.env.bugs.reach import distance, goal_of, reach, replay_patch
from netmend.env.program import Data, Dense, Flatten, Optimizer, Program, Task, find_crash
from netmend.env.training.trial import Budget, Trainer
from netmend.repair_actions import CATALOGUE

IMAGES = Task(dataset="digits_images", kind="classification", input_shape=(1, 8, 8), outputs=10)
ACTIONS = tuple(CATALOGUE.values())
FIXED = Program(
    data=Data(dataset="digits_images", labels="one_hot"),
    layers=(Flatten(), Dense(units=32, activation="relu"), Dense(units=10, activation="softmax")),
    loss="categorical_crossentropy",
    optimizer=Optimizer(lr=0.01),
)
CRASHING = Program(
    data=Data(dataset="digits_images", labels="one_hot"),
    layers=(Dense(units=32, activation="relu"), Dense(units=7, activation="softmax")),
    loss="categorical_crossentropy",
    optimizer=Optimizer(lr=0.01),
)
SCORE = Spread(mean=0.9, sd=0.01, seeds=8)


def bug(program: Program, fixed: Program | None = FIXED) -> Bug:
    score = Score(validation=SCORE, holdout=SCORE)
    return Bug(id="x", program=program, fixed=fixed, fixed_score=score if fixed else None)


def skill(program: Program) -> float:
    """Good only where the program runs and its learning rate is the fix's."""
    if find_crash(program, IMAGES) is not None:
        return -0.25
    return 0.9 if program.optimizer.lr == 0.01 else 0.2


def test_a_crash_of_two_faults_is_reached_in_two_actions(trainer_of: Callable[..., Trainer]) -> None:
    found = reach(bug(CRASHING), IMAGES, ACTIONS, trainer_of(skill), Budget(), range(5))
    assert found.holds
    assert len(found.patch) == 2
    repaired = replay_patch(bug(CRASHING), IMAGES, ACTIONS, found.patch)
    assert repaired is not None
    assert skill(repaired) == 0.9


def test_what_no_action_reaches_is_said_so_with_the_best_that_was_seen(
    trainer_of: Callable[..., Trainer],
) -> None:
    found = reach(bug(CRASHING), IMAGES, ACTIONS, trainer_of(lambda _: 0.85), Budget(), range(5), most=1)
    assert not found.holds
    assert found.patch == ()
    assert found.skill == pytest.approx(0.854)
    assert found.goal == pytest.approx(0.88)


def test_a_lucky_seed_does_not_count(trainer_of: Callable[..., Trainer]) -> None:
    trainer = trainer_of(lambda _: 0.0)
    lucky = trainer._trial
    trainer._trial = lambda request: lucky(  # type: ignore[attr-defined]
        request
    ).__class__(status=lucky(request).status, skill=0.95 if request.seed == 0 else 0.1, holdout=0.1)
    assert not reach(bug(CRASHING), IMAGES, ACTIONS, trainer, Budget(), range(5), most=1).holds


def test_a_patch_that_is_not_legal_gives_no_program() -> None:
    legal = "layer_dimension/task_units@output"
    assert replay_patch(bug(CRASHING), IMAGES, ACTIONS, [legal, legal]) is None
    assert replay_patch(bug(CRASHING), IMAGES, ACTIONS, ["no/such@action"]) is None
    assert replay_patch(bug(CRASHING), IMAGES, ACTIONS, []) == CRASHING


def test_distance_counts_fields_and_layers() -> None:
    assert distance(FIXED, FIXED) == 0
    assert distance(CRASHING, FIXED) == 1.5  # a layer is missing, another has other units
    assert distance(CRASHING, FIXED) == distance(FIXED, CRASHING)


def test_a_bug_without_a_measured_fix_has_no_goal() -> None:
    with pytest.raises(ValueError, match="no measured score"):
        goal_of(bug(CRASHING, fixed=None))

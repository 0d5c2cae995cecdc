from __future__ import annotations

import zlib
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from netmend.agents.imitation.distance import Distance
from netmend.agents.imitation.labels import CANONICAL, LEAST, labels
from netmend.agents.verbs.opening import build_trainer
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.mutation import mutate
from netmend.env.bugs.operators import CRASHING, OPERATORS
from netmend.env.errors import DataError
from netmend.env.program import Dense, Optimizer, Program, find_crash
from netmend.env.training.trial import Budget, TrialRequest
from netmend.repair_actions.recipes import RECIPES, WITH_RECIPES
from tests.agents.imitation.conftest import ACTIONS, BASE, begun, task_of

NO_WAY_BACK = {"lrh", "xwi"}
"""Operators of which no edit undoes some mutations: convolutions left out, windows that only pad to fit."""


def good_programs() -> dict[str, Program]:
    found = {}
    for name, base in BASES.items():
        try:
            task_of(base.program)
        except DataError:
            continue
        found[name] = base.program
    return found


def led(program: Program, good: Program, rng: np.random.Generator) -> tuple[list[float], Program]:
    """Follow the labels until they say *go*; the distances on the way, and where it leads."""
    episode, distance = begun(program), Distance(good, task_of(good), 12)
    ways = [distance(program)]
    for _ in range(9):
        right = labels(episode, distance)
        assert not (right & ~episode.mask()).any()
        if right[-1] or not right.any():
            break
        episode.tell(episode.request(int(rng.choice(np.flatnonzero(right)))))
        ways.append(distance(episode.pending))
    return ways, episode.pending


@pytest.mark.parametrize("name", good_programs())
def test_a_good_program_is_no_distance_from_itself(name: str) -> None:
    good = BASES[name].program
    assert Distance(good, task_of(good), 12)(good) == 0
    assert not labels(begun(good), Distance(good, task_of(good), 12)).any()


@pytest.mark.parametrize("name", OPERATORS)
def test_the_labels_lead_back_from_every_operator(name: str) -> None:
    """Every step brings the program nearer, and nothing that an edit can mend is left."""
    rng, tried = np.random.default_rng(zlib.crc32(name.encode())), 0
    for base in rng.permutation(sorted(good_programs())):
        good = BASES[base].program
        mutant = mutate(good, task_of(good), [OPERATORS[name]], rng) if tried < 3 else None
        if mutant is None:
            continue
        tried += 1
        ways, end = led(mutant.program, good, rng)
        assert all(after <= before - LEAST for before, after in pairwise(ways))
        assert find_crash(end, task_of(good)) is None
        if name not in NO_WAY_BACK:
            assert ways[-1] < 0.7, (base, mutant.description, ways)
    assert tried


def test_a_crash_is_further_than_what_trains() -> None:
    rng, good = np.random.default_rng(0), BASES[BASE].program
    distance = Distance(good, task_of(good), 12)
    for name in CRASHING:
        mutant = mutate(good, task_of(good), [OPERATORS[name]], rng)
        if mutant is not None:
            assert distance.crash(mutant.program) > 1
            assert distance(mutant.program) > 1


@pytest.mark.parametrize(
    ("optimizer", "at_most"),
    [
        (Optimizer(kind="nadam", lr=0.005), 0.2),
        (Optimizer(kind="sgd", lr=0.05, momentum=0.9), 0.2),
        (Optimizer(kind="adam", lr=0.02), 0.2),
    ],
)
def test_another_optimizer_with_a_rate_that_suits_it_is_near(optimizer: Optimizer, at_most: float) -> None:
    good = replace(BASES[BASE].program, optimizer=Optimizer(lr=0.01))
    distance = Distance(good, task_of(good), 12)
    assert 0 < distance(replace(good, optimizer=optimizer)) <= at_most
    assert distance(replace(good, optimizer=replace(optimizer, lr=1e-6))) > 2


def test_wider_is_nearly_as_good_and_narrower_is_not() -> None:
    good = BASES[BASE].program
    first = good.layers[0]
    assert isinstance(first, Dense)
    distance = Distance(good, task_of(good), 12)
    wider, narrower = (
        distance(replace(good, layers=(replace(first, units=units), *good.layers[1:])))
        for units in (first.units * 4, max(1, first.units // 8))
    )
    assert wider < LEAST < 1 < narrower


def test_no_recipe_is_right_and_one_of_several_twins_is() -> None:
    good = BASES[BASE].program
    slow = replace(good, optimizer=Optimizer(kind="sgd", lr=1e-6))
    right = labels(begun(slow), Distance(good, task_of(good), 12))
    names = {ACTIONS[number].name for number in np.flatnonzero(right)}
    assert names
    assert names <= CANONICAL
    assert not names & set(RECIPES)
    assert set(WITH_RECIPES) >= CANONICAL


def test_go_is_right_once_nothing_brings_it_nearer() -> None:
    good = BASES[BASE].program
    episode = begun(replace(good, optimizer=Optimizer(lr=1e-7)))
    distance = Distance(good, task_of(good), 12)
    assert not labels(episode, distance)[-1]
    episode.tell(episode.request(int(labels(episode, distance).argmax())))
    assert np.flatnonzero(labels(episode, distance)).tolist() == [episode.stop]


@pytest.mark.parametrize("name", ["hlr", "ach", "xop"])
def test_the_program_at_the_end_learns_as_the_good_one(name: str) -> None:
    rng, good = np.random.default_rng(1), BASES[BASE].program
    mutant = mutate(good, task_of(good), [OPERATORS[name]], rng)
    assert mutant is not None
    _, end = led(mutant.program, good, rng)
    trainer = build_trainer(workers=0)
    asked = [TrialRequest(program=program, budget=Budget(), seed=0) for program in (good, end)]
    best, reached = (trial.skill for trial in trainer.run(asked))
    assert reached > best - 0.1

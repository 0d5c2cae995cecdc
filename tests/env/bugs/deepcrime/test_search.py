"""Searches with a trainer that follows a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.deepcrime.search import Found, search
from netmend.env.bugs.deepcrime.table import DEEPCRIME
from netmend.env.errors import NetmendError
from netmend.env.program import Dense, Program
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

GOOD = replace(BASES["moons_elu"].program, epochs=12, patience=8)
SEEDS = range(10)


class RuleTrainer:
    """0.9 for a good program and 0.3 for a bad one, with a little spread; remembers how it was called."""

    def __init__(self, is_bad: Callable[[Program], bool]) -> None:
        self.is_bad = is_bad
        self.calls: list[list[TrialRequest]] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.calls.append(list(requests))
        return [self._trial(request) for request in requests]

    def close(self) -> None:
        pass

    def _trial(self, request: TrialRequest) -> Trial:
        skill = (0.3 if self.is_bad(request.program) else 0.9) + 0.002 * (request.seed % 5)
        return Trial(status=Status.OK, skill=1.0, holdout=skill)


def found_by(trainer: RuleTrainer, *names: str, good: Program = GOOD) -> list[Found]:
    return list(search(good, [DEEPCRIME[name] for name in names], trainer, Budget(), SEEDS).found)


def killing_value(found: Found) -> float:
    assert found.killing is not None
    assert found.killing.mutation.value is not None
    return found.killing.mutation.value


def percent(program: Program) -> float:
    return sum(damage.percent for damage in program.data.damage)


@pytest.mark.parametrize("name", ["tcl", "trd", "tud", "tan", "tco"])
@pytest.mark.parametrize("threshold", [1.0, 17.0, 50.0, 83.0, 98.5])
def test_a_binary_search_ends_at_the_mildest_damage_that_is_killed(name: str, threshold: float) -> None:
    (found,) = found_by(RuleTrainer(lambda program: percent(program) >= threshold), name)
    assert threshold <= killing_value(found) <= threshold + 5
    spared = [one.mutation.value or 0.0 for one in found.tested if not one.killed]
    assert killing_value(found) - max(spared, default=0.0) <= 5


@pytest.mark.parametrize("threshold", [1, 2, 5, 11])
def test_whole_numbers_end_at_the_exact_one(threshold: int) -> None:
    (found,) = found_by(RuleTrainer(lambda program: program.epochs <= threshold), "hne")
    assert killing_value(found) == threshold
    (found,) = found_by(RuleTrainer(lambda program: (program.patience or 9) <= min(threshold, 7)), "rcp")
    assert killing_value(found) == min(threshold, 7)


@pytest.mark.parametrize("share", [0.0015, 0.2, 0.97])
def test_learning_rates_end_within_a_hundredth_of_the_good_one(share: float) -> None:
    lr = GOOD.optimizer.lr
    (found,) = found_by(RuleTrainer(lambda program: program.optimizer.lr <= share * lr), "hlr")
    assert 0 <= share * lr - killing_value(found) <= 0.0101 * lr


def test_nothing_is_bisected_where_the_strongest_is_not_killed() -> None:
    trainer = RuleTrainer(lambda program: False)
    (found,) = found_by(trainer, "tcl")
    assert [one.mutation.value for one in found.tested] == [100.0]
    assert found.killing is None
    assert len(trainer.calls) == 1


def test_an_exhaustive_search_trains_everything_and_names_the_mildest() -> None:
    def is_bad(program: Program) -> bool:
        return any(isinstance(one, Dense) and one.kernel_init == "zeros" for one in program.layers)

    trainer = RuleTrainer(is_bad)
    wci, arm = found_by(trainer, "wci", "arm")
    assert len(wci.tested) == 3 * 13 - 3
    assert [one.mutation.description for one in wci.killed] == [
        f"weights of layer {i} initialised with zeros" for i in range(3)
    ]
    assert wci.killing in wci.killed
    assert len(arm.tested) == 2
    assert arm.killing is None


def test_all_searches_share_each_call_of_the_trainer() -> None:
    trainer = RuleTrainer(lambda program: percent(program) > 0 or program.epochs < 12)
    found = found_by(trainer, *DEEPCRIME)
    first, *rounds = trainer.calls
    assert len(first) == len(SEEDS) * (
        1 + sum(1 if one.operator.search == "binary" else len(one.tested) for one in found if one.tested)
    )
    assert len(rounds) == 4, "20 values of damage halved; fewer than one for each search"
    assert len(rounds[0]) == len(SEEDS) * 6
    assert {request.seed for request in first} == set(SEEDS)
    assert all(request.program != GOOD for own in rounds for request in own)


def test_an_operator_that_is_not_applicable_trains_nothing() -> None:
    trainer = RuleTrainer(lambda program: False)
    found = found_by(trainer, "rcp", "vrm", good=replace(GOOD, patience=None))
    assert [one.tested for one in found] == [(), ()]
    assert [one.killing for one in found] == [None, None]
    assert len(trainer.calls[0]) == len(SEEDS)


def test_a_program_that_cannot_be_trained_is_refused() -> None:
    crashing = replace(GOOD, layers=(*GOOD.layers[:-1], Dense(units=5, inputs=3)))
    for bad in (replace(GOOD, epochs=0), crashing):
        with pytest.raises(NetmendError, match="good program"):
            search(bad, [DEEPCRIME["tcl"]], RuleTrainer(lambda program: False), Budget(), SEEDS)

"""A person's own program is trained whole where that takes seconds; what is cut is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.agents import length
from netmend.agents.length import (
    CONFIRM_SECONDS,
    LEAST,
    LONGER,
    TRIAL_SECONDS,
    full_budget,
    is_whole,
    told,
    trial_budget,
)
from netmend.env.data import Dataset, load_dataset
from netmend.env.program import BatchNorm, Data, Dense, Optimizer, Prep, Program
from netmend.env.training.trial import Budget
from netmend.repair_actions.mend import MEND

XOR = Program(
    data=Data(dataset="xor_table"),
    layers=(Dense(units=20, activation="relu"), Dense(units=1)),
    loss="mae",
    optimizer=Optimizer(kind="sgd", lr=0.03),
    batch_size=4,
    epochs=6000,
)
DIGITS = Program(
    data=Data(dataset="digits", prep=(Prep(kind="standardize"),)),
    layers=(Dense(units=64, activation="relu"), Dense(units=10)),
    loss="cross_entropy",
    optimizer=Optimizer(lr=0.001),
    batch_size=32,
    epochs=10,
)
LONG = replace(DIGITS, epochs=400)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture
def price(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets what an update costs, in seconds."""

    def set_price(seconds: float) -> None:
        monkeypatch.setattr(
            length, "expected_seconds", lambda _program, _task, _rows, updates, _held: seconds * updates
        )

    return set_price


def test_a_truth_table_is_trained_for_its_six_thousand_epochs() -> None:
    data = load_dataset("xor_table")
    budget = trial_budget(XOR, data)
    assert is_whole(XOR, data, budget)
    assert told(XOR, data, budget) == "all 4 rows and all 6,000 epochs"
    assert not is_whole(XOR, data, Budget())
    assert told(XOR, data, Budget()) == "all 4 rows and 12 of 6,000 epochs"


def test_edits_that_lengthen_or_split_the_batches_find_room(
    digits: Dataset, price: Callable[[float], None]
) -> None:
    price(0.001)
    budget = trial_budget(DIGITS, digits)
    assert budget.samples == len(digits.train)
    assert budget.epochs == LONGER * DIGITS.epochs
    for edited in (replace(DIGITS, epochs=LONGER * DIGITS.epochs), replace(DIGITS, batch_size=4)):
        assert is_whole(edited, digits, budget)
    price(0.008)
    assert DIGITS.epochs < trial_budget(DIGITS, digits).epochs < LONGER * DIGITS.epochs


def test_a_long_program_loses_epochs_first_and_rows_only_then(
    digits: Dataset, price: Callable[[float], None]
) -> None:
    price(0.001)
    rows = len(digits.train)
    fewer = trial_budget(LONG, digits)
    assert (fewer.samples, LEAST.epochs <= fewer.epochs < LONG.epochs) == (rows, True)
    assert fewer.epochs * -(-rows // LONG.batch_size) * 0.001 <= TRIAL_SECONDS
    assert told(LONG, digits, fewer) == f"all {rows:,} rows and {fewer.epochs} of 400 epochs"
    slow = replace(LONG, batch_size=1)
    least = trial_budget(slow, digits)
    assert (least.epochs, LEAST.samples < least.samples < rows) == (LEAST.epochs, True)
    assert told(slow, digits, least) == f"{least.samples} of {rows:,} rows and 12 of 400 epochs"
    price(0.1)
    short = trial_budget(slow, digits)
    assert (short.samples, short.epochs) == (LEAST.samples, LEAST.epochs)
    assert 1 <= short.updates * 0.1 <= TRIAL_SECONDS


def test_a_crash_is_planned_as_what_its_remedy_makes_of_it(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(DIGITS, layers=(Dense(units=64, activation="relu", inputs=5), Dense(units=10)))
    assert trial_budget(wrong, digits) == trial_budget(DIGITS, digits)
    monkeypatch.setattr(length, "MEND", replace(MEND, apply=lambda program, _task: program))
    assert trial_budget(wrong, digits) == LEAST
    assert full_budget((wrong,), digits) == LEAST
    assert told(wrong, digits, LEAST) == "256 of 997 rows and all 10 epochs"


def test_a_confirmation_trains_both_programs_in_full_where_that_is_affordable(
    digits: Dataset, price: Callable[[float], None]
) -> None:
    price(0.001)
    longer = replace(DIGITS, epochs=90, batch_size=16)
    budget = full_budget((DIGITS, longer), digits)
    assert is_whole(DIGITS, digits, budget)
    assert is_whole(longer, digits, budget)
    assert is_whole(LONG, digits, full_budget((DIGITS, LONG), digits))
    longest = replace(DIGITS, epochs=4000)
    cut = full_budget((DIGITS, longest), digits)
    assert not is_whole(longest, digits, cut)
    assert trial_budget(longest, digits).epochs < cut.epochs
    assert cut.updates * 0.001 <= CONFIRM_SECONDS


def test_a_row_that_batch_normalisation_cannot_take_is_no_cut(digits: Dataset) -> None:
    rows = len(digits.train)
    odd = replace(DIGITS, layers=(DIGITS.layers[0], BatchNorm(), DIGITS.layers[1]), batch_size=rows - 1)
    assert is_whole(odd, digits, trial_budget(odd, digits))


def test_a_limit_of_work_cuts_and_a_plan_never_does_that(digits: Dataset) -> None:
    wide = replace(DIGITS, layers=(Dense(units=4000, activation="relu"), Dense(units=10)), epochs=100)
    assert not is_whole(wide, digits, replace(full_budget((DIGITS,), digits), epochs=100, work=10.0))


def test_a_plan_has_the_work_that_its_epochs_need(digits: Dataset, price: Callable[[float], None]) -> None:
    price(1e-6)
    wide = replace(DIGITS, layers=(Dense(units=4000, activation="relu"), Dense(units=10)), epochs=900)
    for budget in (trial_budget(wide, digits), full_budget((DIGITS, wide), digits)):
        assert budget.work > LEAST.work
        assert is_whole(wide, digits, budget)

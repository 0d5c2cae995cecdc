"""What every search has to do, and from which result on its model is used."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.agents.methods import MethodError
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.searches import SEARCHES, Search
from netmend.agents.peers.space import Parameter, Question, Seen, Space, Suggestion, values_at
from netmend.env.program.hyperparameters import Value

SMALL = (
    Parameter(name="lr", faulty=0.1, low=1e-6, high=10.0),
    Parameter(name="loss", faulty="mse", choices=("mse", "mae", "hinge")),
    Parameter(name="batch_size", faulty=16, choices=(16, 32, 64)),
)
FIRST_FROM_MODEL = {"random_search": None, "tpe": 10, "bohb": 2 * (len(SMALL) + 1), "hebo": 1 + len(SMALL)}
"""Results with which the model is used first; with fewer a search is blind."""


@pytest.fixture(scope="module")
def pool() -> Iterator[SuggestionPool]:
    """Every search, and those of the module ``watched_searches``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        module = importlib.import_module("watched_searches")
        watched = {
            "bohb_by_steps": replace(SEARCHES["bohb"], suggest=module.bohb_by_steps),
            "hebo_fits": replace(SEARCHES["hebo"], suggest=module.hebo_fits),
            "threads": Search(suggest=module.threads),
        }
        with SuggestionPool(1, searches=SEARCHES | watched) as opened:
            yield opened


def _installed(pool: SuggestionPool, name: str) -> None:
    try:
        pool.release(name)
    except MethodError as error:
        pytest.skip(str(error))


def _seen(parameters: tuple[Parameter, ...], count: int) -> tuple[Seen, ...]:
    """Results of random values; a third of them are the finite worst value."""
    rng = np.random.default_rng(5)
    seen = []
    for number in range(count):
        values = {
            p.name: p.choices[int(rng.integers(len(p.choices)))]
            if p.choices
            else float(rng.uniform(p.low, p.high))
            for p in parameters
        }
        loss = 0.25 if number % 3 == 0 else -abs(float(values["lr"]) - 3) / 10
        seen.append(Seen(values=values, loss=loss))
    return tuple(seen)


def _suggestion(pool: SuggestionPool, name: str, count: int, seed: int = 0) -> Suggestion:
    question = Question(parameters=SMALL, seen=_seen(SMALL, count), seed=seed)
    return pool.ask(name, question).wait()


@pytest.mark.parametrize("name", SEARCHES)
def test_suggestions_are_in_the_space_and_repeatable(
    pool: SuggestionPool, name: str, allows: Callable[[Parameter, Value], bool]
) -> None:
    _installed(pool, name)
    for count in (1, 2 if name == "hebo" else 12):  # HEBO's model takes seconds: it has a test of its own
        first, again = (_suggestion(pool, name, count) for _ in range(2))
        assert first.values == again.values
        assert first.from_model == again.from_model
        assert first.values.keys() == {p.name for p in SMALL}
        assert all(allows(p, first.values[p.name]) for p in SMALL)
    others = {str(_suggestion(pool, name, 1, seed).values) for seed in range(4)}
    assert len(others) == 4


@pytest.mark.parametrize("name", SEARCHES)
def test_a_blind_search_goes_by_the_number_of_results_alone(pool: SuggestionPool, name: str) -> None:
    """A repair asks for what is blind before the trials are there."""
    _installed(pool, name)
    blind = pool.blind(name, len(SMALL))
    assert blind == (FIRST_FROM_MODEL[name] or math.inf)
    seen = _seen(SMALL, int(min(blind, 12)) - 1)
    others = tuple(replace(own, values=seen[0].values, loss=0.0) for own in seen)
    questions = [Question(parameters=SMALL, seen=own, seed=0) for own in (seen, others)]
    first, second = (pool.ask(name, question).wait() for question in questions)
    assert first.values == second.values
    assert not first.from_model


@pytest.mark.parametrize("name", SEARCHES)
def test_the_model_is_used_from_its_own_number_of_results_on(pool: SuggestionPool, name: str) -> None:
    _installed(pool, name)
    first = FIRST_FROM_MODEL[name]
    before = 12 if first is None else first - 1
    assert not any(_suggestion(pool, name, before, seed).from_model for seed in range(4))
    if name == "hebo":
        return  # the test of its fits sees it: a model takes seconds
    if first is not None:  # BOHB stays random for a third, so not every seed shows it
        assert any(_suggestion(pool, name, first, seed).from_model for seed in range(6))


def test_bohb_stays_random_for_a_third(pool: SuggestionPool) -> None:
    _installed(pool, "bohb")
    picks = [_suggestion(pool, "bohb", 16, seed).from_model for seed in range(40)]
    assert 0.45 < np.mean(picks) < 0.88


def test_hebo_begins_with_a_sequence_that_does_not_repeat(pool: SuggestionPool) -> None:
    _installed(pool, "hebo")
    rates = [float(_suggestion(pool, "hebo", count).values["lr"]) for count in (1, 2, 3)]
    assert len(set(rates)) == 3


def test_bohb_is_replayed_as_its_own_master_feeds_it(pool: SuggestionPool) -> None:
    _installed(pool, "bohb")
    for seed in range(6):
        replayed, stepwise = (_suggestion(pool, name, 14, seed) for name in ("bohb", "bohb_by_steps"))
        assert replayed.values == stepwise.values
        assert replayed.from_model == stepwise.from_model


def test_hebo_fits_its_papers_surrogate_to_transformed_losses(pool: SuggestionPool) -> None:
    """HEBO would go on without a word where the transformation of the losses fails."""
    _installed(pool, "hebo")
    count = FIRST_FROM_MODEL["hebo"]
    suggestion = _suggestion(pool, "hebo_fits", count)
    assert suggestion.from_model
    fitted = suggestion.values
    assert fitted["warp"] == 1
    assert fitted["mean"] == pytest.approx(0.0, abs=1e-4)
    assert fitted["deviation"] == pytest.approx((count / (count - 1)) ** 0.5, abs=1e-3)


def test_hebo_that_finds_nothing_new_does_not_claim_its_model(
    pool: SuggestionPool, allows: Callable[[Parameter, Value], bool]
) -> None:
    _installed(pool, "hebo")
    losses = ("mse", "mae", "hinge")
    parameters = (
        Parameter(name="loss", faulty="mse", choices=losses),
        Parameter(name="epochs", faulty=1, choices=(1,)),
    )
    seen = tuple(Seen(values={"loss": name, "epochs": 1}, loss=len(name)) for name in losses)
    found = pool.ask("hebo", Question(parameters=parameters, seen=seen, seed=0)).wait()
    assert not found.from_model
    assert all(allows(p, found.values[p.name]) for p in parameters)


@pytest.mark.parametrize("name", [name for name in SEARCHES if name != "hebo"])  # HEBO: the test before
def test_a_value_without_another_one_is_kept(pool: SuggestionPool, name: str) -> None:
    """Epochs of a program that has one epoch may have no other number."""
    _installed(pool, name)
    parameters = (SMALL[0], Parameter(name="epochs", faulty=1, choices=(1,)))
    question = Question(parameters=parameters, seen=_seen(parameters, 12), seed=0)
    assert pool.ask(name, question).wait().values["epochs"] == 1


def test_numbers_come_back_into_their_interval() -> None:
    single = {"lr": np.float32(1e-6), "loss": 1, "batch_size": "2"}
    assert values_at(SMALL, single) == {"lr": 1e-6, "loss": "mae", "batch_size": 64}
    assert values_at(SMALL, single | {"lr": 10.000001})["lr"] == 10.0


def test_workers_have_one_thread_each(pool: SuggestionPool) -> None:
    found = _suggestion(pool, "threads", 1).values
    assert int(found["libraries"]) > 1
    assert (found["most"], found["torch"]) == (1, 1)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_real_space_of_many_values(
    pool: SuggestionPool, name: str, space: Space, allows: Callable[[Parameter, Value], bool]
) -> None:
    _installed(pool, name)
    seen = (Seen(values=space.faulty, loss=0.0),)
    found = pool.ask(name, Question(parameters=space.parameters, seen=seen, seed=1)).wait()
    assert all(allows(p, found.values[p.name]) for p in space.parameters)
    assert space.to_program(found.values) != space.program

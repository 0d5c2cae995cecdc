"""What is claimed must be found again; simulated, because a thousand confirmations take hours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from netmend.agents.confirm import LEAST_GAIN, SEEDS, Confirmation, Pair, confirm, may_be_claimed
from netmend.env.bugs.bug import Bug
from netmend.env.training.trial import Budget, Status, Trainer, Trial, TrialRequest

RUNS = 4000


def false_claims(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[int, int]:
    """Claims on rows of six gains, and how many of them three fresh gains do not confirm."""
    claimed = np.array([claims(gains) for gains in first.tolist()])
    return int(claimed.sum()), int((claimed & (second[:, :SEEDS].mean(axis=1) < LEAST_GAIN)).sum())


def claims(gains: list[float]) -> bool:
    """As ``confirm`` does: three gains, and three more where there is a gain that these leave open."""
    some = gains[:SEEDS]
    return may_be_claimed(some) or (np.mean(some) >= LEAST_GAIN and may_be_claimed(gains))


@pytest.mark.parametrize("spread", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("gain", [0.0, 0.02, 0.1, 0.3, 1.0])
def test_one_in_a_hundred_at_most_is_a_false_claim_whatever_gain_and_spread_are(
    gain: float, spread: float
) -> None:
    rng = np.random.default_rng(0)
    _, lost = false_claims(*rng.normal(gain, spread, (2, RUNS, 2 * SEEDS)))
    assert lost <= 0.01 * RUNS + 3 * np.sqrt(0.01 * RUNS)


def test_one_claim_in_a_hundred_at_most_is_false_where_gains_are_mixed() -> None:
    """A third gains nothing, a third a little, a third much; the spread is exponential, the tails heavy."""
    rng = np.random.default_rng(0)
    gain = rng.choice([0.0, 0.1, 0.8], (RUNS, 1))
    spread = rng.exponential(0.05, (RUNS, 1))
    first, second = gain + spread * rng.standard_t(4, (2, RUNS, 2 * SEEDS))
    claimed, lost = false_claims(first, second)
    assert claimed > RUNS / 3
    assert lost <= 0.01 * claimed


def test_a_large_steady_gain_is_claimed_and_luck_is_not() -> None:
    assert may_be_claimed((0.5, 0.55, 0.48))
    assert may_be_claimed((1.2, 0.9, 1.25))
    assert not may_be_claimed((0.44, 0.46, 0.78))
    assert may_be_claimed((0.44, 0.46, 0.78, 0.5, 0.41, 0.6))
    assert not may_be_claimed((0.5, 0.0, 0.6))
    assert not may_be_claimed((0.02, 0.02, 0.02))
    assert not may_be_claimed((0.0, 0.0, 0.0))


def test_the_seeds_are_fresh_and_both_programs_are_scored_on_the_holdout_part(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    assert two_fault_bug.fixed is not None
    pairs = [
        Pair(
            before=two_fault_bug.program,
            after=two_fault_bug.fixed,
            budget=Budget(seeds=3),
            seed=s,
            run=r,
            metric="f1",
        )
        for s in (0, 1, 7)
        for r in (0, 1)
    ]
    seeds = [seed for pair in pairs for seed in pair.seeds]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) > 100_000
    (fresh,) = confirm(pairs[:1], scripted_trainer)
    requests: list[TrialRequest] = scripted_trainer.requests  # type: ignore[attr-defined]
    assert len(requests) == 2 * SEEDS
    assert all(request.holdout and request.budget.seeds == 1 for request in requests)
    assert {request.metric for request in requests} == {"f1"}
    assert fresh.gains == pytest.approx((0.8, 0.8, 0.8))
    assert fresh.holds
    assert fresh.shows


def test_what_the_machine_ended_confirms_nothing() -> None:
    good = tuple(Trial(status=Status.OK, skill=0.9, holdout=0.9) for _ in range(SEEDS))
    crashed = tuple(Trial(status=Status.CRASHED) for _ in range(SEEDS))
    assert Confirmation(before=crashed, after=good).holds
    ended = (replace(crashed[0], status=Status.HUNG), *crashed[1:])
    assert not Confirmation(before=ended, after=good).holds
    assert not Confirmation(before=ended, after=good).shows


class ByTurns:
    """Trials of programs whose skill depends on the seed."""

    def __init__(self, skills: dict[str, list[float]]) -> None:
        self.skills, self.requests = skills, list[TrialRequest]()

    def run(self, requests: list[TrialRequest]) -> list[Trial]:
        self.requests += requests
        found = [
            self.skills[own.program.loss][own.seed % len(self.skills[own.program.loss])] for own in requests
        ]
        return [Trial(status=Status.OK, skill=skill, holdout=skill) for skill in found]


@pytest.mark.parametrize(
    ("before", "seeds", "holds"),
    [
        ([0.1] * 6, 3, True),
        ([0.53, 0.51, 0.18, 0.5, 0.4, 0.2], 6, True),
        ([0.53, 0.93, 0.18, 0.93, 0.93, 0.93], 6, False),
        ([0.97] * 6, 3, False),
    ],
)
def test_a_gain_that_three_seeds_leave_open_gets_three_more(
    two_fault_bug: Bug, before: list[float], seeds: int, holds: bool
) -> None:
    faulty, good = replace(two_fault_bug.program, loss="mse"), replace(two_fault_bug.program, loss="mae")
    pair = Pair(before=faulty, after=good, budget=Budget(), seed=0)
    trainer = ByTurns({"mse": np.roll(before, pair.seeds[0] % 6).tolist(), "mae": [0.96]})
    told = list[tuple[int, int]]()
    (found,) = confirm([pair], trainer, lambda *count: told.append(count))  # type: ignore[arg-type]
    assert len(trainer.requests) == len(set(trainer.requests)) == 2 * seeds
    assert found.gains == pytest.approx([0.96 - skill for skill in before[:seeds]])
    assert found.holds == holds
    assert told[-1] == (2 * seeds, 2 * seeds)
    trainer.requests.clear()
    confirm([replace(pair, run=1)], trainer)
    assert len(trainer.requests) == 2 * SEEDS  # whether a claim was true is asked once

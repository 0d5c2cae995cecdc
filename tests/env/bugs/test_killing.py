"""When a mutant counts as killed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from netmend.env.bugs.killing import (
    Skills,
    cohens_d,
    is_harmful,
    is_killed,
    measure,
    score,
    signed_rank_test,
    vargha_delaney,
)
from netmend.env.program import Program
from netmend.env.training.trial import SKILL_FLOOR, Budget, Trainer


def _skills(mean: float, sd: float, n: int = 10, holdout: float | None = None) -> Skills:
    wave = sd * np.sqrt(2) * np.sin(np.arange(n) * 2 * np.pi / n)
    other = mean if holdout is None else holdout
    return Skills(validation=tuple(mean + wave), holdout=tuple(other + wave))


GOOD = _skills(0.9, 0.02)


@pytest.mark.parametrize(
    ("faulty", "killed"),
    [
        (_skills(0.3, 0.1), True),
        (_skills(0.7, 0.05), True),
        (_skills(0.9, 0.02), False),
        (_skills(0.97, 0.01), False),
        (_skills(0.87, 0.01), False),
        (_skills(0.7, 0.3), False),
        (_skills(0.3, 0.05, holdout=0.89), False),
        (_skills(-0.25, 0.0), True),
    ],
    ids=["far", "near", "same", "better", "within the spread", "unsteady", "validation only", "crash"],
)
def test_killed(faulty: Skills, killed: bool) -> None:
    assert is_killed(faulty, GOOD) is killed


def test_a_crash_is_killed_by_a_fix_that_never_varies() -> None:
    crash = Skills(validation=(SKILL_FLOOR,) * 5, holdout=(SKILL_FLOOR,) * 5)
    perfect = Skills(validation=(1.0,) * 8, holdout=(1.0,) * 8)
    assert is_killed(crash, perfect)
    assert not is_killed(crash, crash)
    assert not is_killed(perfect, perfect)


def test_a_kill_needs_seeds() -> None:
    with pytest.raises(ValueError, match="5 seeds"):
        is_killed(_skills(0.1, 0.01, n=4), GOOD)
    assert is_killed(_skills(0.1, 0.01, n=5), GOOD)
    assert is_harmful(_skills(0.1, 0.01, n=3), score(GOOD))


def test_cohens_d() -> None:
    assert cohens_d((2.0, 4.0), (1.0, 3.0)) == pytest.approx(1 / math.sqrt(2))
    assert cohens_d((1.0, 1.0), (0.0, 0.0)) == math.inf
    assert cohens_d((1.0, 1.0), (1.0, 1.0)) == 0.0


def test_measure_keeps_programs_and_seeds_apart(
    mlp_program: Program, regression_program: Program, trainer_of: Callable[..., Trainer]
) -> None:
    trainer = trainer_of(lambda program: 0.5 if program == mlp_program else 0.1)
    first, second = measure(trainer, [mlp_program, regression_program], Budget(), (0, 1, 2))
    assert first.validation == pytest.approx((0.5, 0.502, 0.504))
    assert second.holdout == pytest.approx((0.1, 0.102, 0.104))


def test_the_signed_rank_test_goes_seed_by_seed() -> None:
    worse = tuple(float(x) for x in range(10))
    better = tuple(x + 0.01 * (i + 1) for i, x in enumerate(worse))
    assert signed_rank_test(better, worse) == pytest.approx(2.0**-10)
    assert signed_rank_test(worse, better) > 0.99
    assert signed_rank_test(worse, worse) == 1.0
    assert signed_rank_test(better[:4], worse[:4]) > 0.05


def test_vargha_delaney() -> None:
    assert vargha_delaney((2.0, 3.0), (0.0, 1.0)) == 1.0
    assert vargha_delaney((1.0,), (1.0,)) == 0.5
    assert vargha_delaney((0.0, 2.0), (1.0, 1.0, 2.0)) == pytest.approx((0 + 2.5) / 6)

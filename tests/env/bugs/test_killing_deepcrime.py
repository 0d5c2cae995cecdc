from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import linregress, norm

from netmend.env.bugs.killing import TESTS, Test, is_killed_deepcrime, p_value

GOOD = (0.90, 0.91, 0.92, 0.90, 0.93, 0.91, 0.90, 0.92, 0.91, 0.90)


def shifted(by: float) -> tuple[float, ...]:
    return tuple(value + by for value in reversed(GOOD))


@pytest.mark.parametrize("test", TESTS)
def test_a_clear_loss_kills_and_a_gain_or_nothing_does_not(test: Test) -> None:
    assert is_killed_deepcrime(GOOD, shifted(-0.05), test)
    assert not is_killed_deepcrime(GOOD, shifted(0.05), test)
    assert not is_killed_deepcrime(GOOD, shifted(0.0), test)
    assert not is_killed_deepcrime(GOOD, GOOD, test)


def test_p_is_that_of_a_wald_test_of_the_coefficient_of_a_linear_model() -> None:
    mutant = shifted(-0.008)
    line = linregress([0.0] * 10 + [1.0] * 10, GOOD + mutant)
    assert p_value(GOOD, mutant) == pytest.approx(2 * norm.sf(abs(line.slope / line.stderr)))
    assert p_value(GOOD, mutant) < line.pvalue, "the t test is a little stricter"


def test_a_significant_but_small_effect_does_not_kill() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=200)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    good, mutant = tuple(noise.tolist()), tuple((noise[::-1] - 0.4).tolist())
    assert p_value(good, mutant) < 0.05
    assert not is_killed_deepcrime(good, mutant)


@pytest.mark.parametrize("test", TESTS)
def test_samples_that_do_not_vary(test: Test) -> None:
    assert p_value((0.5,) * 10, (0.5,) * 10, test) == 1.0
    assert is_killed_deepcrime((0.9,) * 10, (-0.25,) * 10, test)
    assert not is_killed_deepcrime((-0.25,) * 10, (0.9,) * 10, test)


def test_pairs_that_are_equal_do_not_disturb_the_signed_ranks() -> None:
    mutant = (*GOOD[:5], *(value - 0.1 for value in GOOD[5:]))
    assert 0 < p_value(GOOD, mutant, "wilcoxon") < 0.1


@pytest.mark.parametrize("sizes", [(10, 9), (1, 1), (0, 0)])
def test_samples_that_cannot_be_compared_are_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{sizes[0]} and {sizes[1]} trainings"):
        p_value(GOOD[: sizes[0]], GOOD[: sizes[1]])

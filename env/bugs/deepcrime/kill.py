"""DeepCrime's rule of when a mutant is killed; that of the suites (``killing.py``) is stricter."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.stats import norm, wilcoxon

from netmend.env.bugs.killing import LEAST_EFFECT, SIGNIFICANCE, Sample, cohens_d

Test = Literal["glm", "wilcoxon"]
TESTS: tuple[Test, ...] = get_args(Test)


def is_killed_deepcrime(original: Sample, mutant: Sample, test: Test = "glm") -> bool:
    """Whether a mutant is significantly worse: p < 0.05, and Cohen's d of at least 0.5.

    After ``stats.py`` of DeepCrime. Its direction depends on the task, because it compares accuracies or
    errors; skill is better where it is larger, whatever the task.

    Args:
        original: skill of the good program, one value per training.
        mutant: the same of the mutant, with the same seeds.
        test: ``glm`` is DeepCrime's default.

    Raises:
        ValueError: there are less than two trainings, or not as many of one as of the other.
    """
    return p_value(original, mutant, test) < SIGNIFICANCE and cohens_d(original, mutant) >= LEAST_EFFECT


def p_value(original: Sample, mutant: Sample, test: Test = "glm") -> float:
    """Two-sided p of a test of two samples of the same size; 1 where all values are the same."""
    if len(original) != len(mutant) or len(original) < 2:
        raise ValueError(f"{len(original)} and {len(mutant)} trainings: expected as many of each, at least 2")
    if original == mutant or len({*original, *mutant}) == 1:
        return 1.0
    return _glm(original, mutant) if test == "glm" else float(wilcoxon(original, mutant).pvalue)


def _glm(original: Sample, mutant: Sample) -> float:
    """p of the coefficient of "is a mutant" in a generalised linear model of the skill.

    DeepCrime takes ``statsmodels.GLM`` with its default family, the Gaussian one with identity link. With one
    binary predictor its coefficient is the difference of the means, its dispersion the pooled variance, and
    its p that of a Wald test: the statistic of a linear regression, read off a normal distribution.
    """
    size = len(original)
    gap = float(np.mean(mutant) - np.mean(original))
    dispersion = float(np.var(original, ddof=1) + np.var(mutant, ddof=1)) / 2
    if dispersion == 0:
        return 0.0
    return float(2 * norm.sf(abs(gap) / np.sqrt(dispersion * 2 / size)))

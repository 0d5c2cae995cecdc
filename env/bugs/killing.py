"""When a mutant counts as killed: DeepCrime's rule, and the stricter one of the suites, with a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy

from netmend.env.bugs.bug import Score, Spread, fixed_threshold
from netmend.env.program import Program
from netmend.env.program.names import ClassMetric
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest, answered

SIGNIFICANCE = 0.05
LEAST_EFFECT = 0.5
"""Cohen's d; both bounds are DeepCrime's (ISSTA 2021)."""
LEAST_HARM = 0.05
"""Mean skill that the faults must cost: below it an improvement rate is a ratio of noise."""
FEWEST_SEEDS = 5
"""Fewer could not tell faults from chance. The suites take 8 where a bug is for judging, not for training."""

Sample = tuple[float, ...]
Test = Literal["glm", "wilcoxon"]
TESTS: tuple[Test, ...] = get_args(Test)
"""Of DeepCrime's rule."""


@dataclass(frozen=True, kw_only=True)
class Skills:
    """Skill of one program by seed, on the validation and on the hold-out part."""

    validation: Sample
    holdout: Sample


def measure(
    trainer: Trainer,
    programs: Sequence[Program],
    budget: Budget,
    seeds: Sequence[int],
    metric: ClassMetric | None = None,
) -> list[Skills]:
    """Train every program with every seed, in one call of the trainer; ``metric`` as of a request."""
    requests = [
        TrialRequest(program=program, budget=budget, seed=seed, holdout=True, metric=metric)
        for program in programs
        for seed in seeds
    ]
    trials = answered(trainer.run(requests))
    return [skills_of(trials[i : i + len(seeds)]) for i in range(0, len(trials), len(seeds))]


def skills_of(trials: Sequence[Trial]) -> Skills:
    """Skills of the trials of one program, one per seed."""
    return Skills(validation=tuple(t.skill for t in trials), holdout=tuple(_holdout(t) for t in trials))


def score(skills: Skills) -> Score:
    """Mean and spread of both samples."""
    return Score(validation=spread(skills.validation), holdout=spread(skills.holdout))


def spread(sample: Sample) -> Spread:
    """Mean and standard deviation of a sample, to four digits, as they are written to files."""
    deviation = float(np.std(sample, ddof=1)) if len(sample) > 1 else 0.0
    return Spread(mean=round(float(np.mean(sample)), 4), sd=round(deviation, 4), seeds=len(sample))


def cohens_d(better: Sample, worse: Sample) -> float:
    """Difference of the means in pooled standard deviations; infinite where neither sample varies."""
    gap = float(np.mean(better) - np.mean(worse))
    pooled = float(np.sqrt((np.var(better, ddof=1) + np.var(worse, ddof=1)) / 2))
    return gap / pooled if pooled > 0 else float(np.sign(gap)) * float("inf") if gap else 0.0


def rank_test(better: Sample, worse: Sample) -> float:
    """p of the one-sided Mann-Whitney test; 1 where all values are the same."""
    if len({*better, *worse}) == 1:
        return 1.0
    return float(scipy.stats.mannwhitneyu(worse, better, alternative="less").pvalue)


def signed_rank_test(better: Sample, worse: Sample) -> float:
    """p of the one-sided Wilcoxon signed-rank test over the same seeds; 1 where all pairs are the same.

    With n seeds no p is below 2 to the power of -n: fewer than five are never significant.
    """
    if better == worse:
        return 1.0
    return float(scipy.stats.wilcoxon(better, worse, alternative="greater").pvalue)


def vargha_delaney(better: Sample, worse: Sample) -> float:
    """A12: probability that a value of the one sample is larger than one of the other, ties by half.

    0.5 is no difference; 0.56, 0.64 and 0.71 begin a small, a medium and a large one (Vargha, Delaney 2000).
    """
    wins = np.subtract.outer(np.asarray(better), np.asarray(worse))
    return float(np.mean((wins > 0) + 0.5 * (wins == 0)))


def is_killed(faulty: Skills, fixed: Skills) -> bool:
    """Whether the faults do harm that shows, on both parts.

    At least 5 seeds, a one-sided rank test with p < 0.05, Cohen's d of at least 0.5, and the faulty program's
    mean plus one deviation below what counts as fixed. Raises ValueError for fewer seeds.
    """
    pairs = ((faulty.validation, fixed.validation), (faulty.holdout, fixed.holdout))
    if min(len(sample) for pair in pairs for sample in pair) < FEWEST_SEEDS:
        raise ValueError(f"a kill needs at least {FEWEST_SEEDS} seeds on each side")
    return all(_is_worse(*pair) for pair in pairs) and is_harmful(faulty, score(fixed))


def is_harmful(faulty: Skills, fixed: Score) -> bool:
    """Whether the mean plus one deviation misses what counts as fixed, on both parts, and harm is done.

    The cheap part of the test, used alone to screen candidates.
    """
    pairs = ((faulty.validation, fixed.validation), (faulty.holdout, fixed.holdout))
    return all(_misses(spread(sample), good) for sample, good in pairs)


def reaches_fix(skills: Skills, fixed: Score) -> bool:
    """Whether the mean counts as fixed on the hold-out part."""
    return spread(skills.holdout).mean >= fixed_threshold(fixed.holdout)


def _misses(faulty: Spread, fixed: Spread) -> bool:
    return faulty.mean + faulty.sd < fixed_threshold(fixed) and fixed.mean - faulty.mean >= LEAST_HARM


def _is_worse(faulty: Sample, fixed: Sample) -> bool:
    return rank_test(fixed, faulty) < SIGNIFICANCE and cohens_d(fixed, faulty) >= LEAST_EFFECT


def _holdout(trial: Trial) -> float:
    return trial.skill if trial.holdout is None else trial.holdout


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
    return _glm(original, mutant) if test == "glm" else float(scipy.stats.wilcoxon(original, mutant).pvalue)


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
    return float(2 * scipy.stats.norm.sf(abs(gap) / np.sqrt(dispersion * 2 / size)))

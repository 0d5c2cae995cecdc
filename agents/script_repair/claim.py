"""What may be said of the repair of a script, from fresh runs before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

import scipy

from netmend.agents.check_page import SOURCES
from netmend.agents.confirm import FRESH, LEAST_GAIN, SEEDS, may_be_claimed
from netmend.agents.script_repair.cost import CONFIRMING, turns
from netmend.agents.script_repair.runs import (
    ENDED_WELL,
    LOWEST,
    RealRuns,
    Texts,
    chance_of,
    comparable,
    figure_of,
    is_error,
    score_of,
)
from netmend.env.bugs.making import LEAST_SKILL
from netmend.env.script.record import Record, Score

LEAST_SHARE = 0.1
"""Of the gain of what answers the findings, that a search has to add to it."""
LEAST_MORE = 0.1
"""What a search has to add to answers that are good alone, and at least as much as they gained."""
MOST_SEEDS = 4 * SEEDS
"""Of runs that confirm an answer whose gain stays open."""
BY_RANKS = 0.002
"""Probability of such ranks, or better ones, where an answer changes nothing: of 6 and 6, all after above all
before."""
TIE = 1e-9
"""What rounding may take from a gain of ``LEAST_GAIN``."""
Claim = Literal["repair", "gain", "mended", "none"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What fresh runs showed of a script as it was and as it is now.

    Attributes:
        before, after: scores by seed, None for a run without one; figures: what was printed for them, by
            seed and in that order.
        own: score of the script as it is now with the seeds of its author; chance: that of one answer for
            all rows.
        kind: of the score, and where it is from.
        ran, runs: whether every run ended well, before and now.
        fits: whether the scores measure the same thing.
    """

    before: tuple[float | None, ...] = ()
    after: tuple[float | None, ...] = ()
    figures: tuple[tuple[float | None, ...], tuple[float | None, ...]] = ((), ())
    own: float | None = None
    chance: float = 0.0
    kind: str = ""
    ran: bool = False
    runs: bool = False
    fits: bool = True

    def claim(self, *, is_mended: bool) -> Claim:
        """What may be said of the answer; ``is_mended``: something that is wrong for sure is gone."""
        if not self.runs:
            return "none"
        if self._holds:
            return "repair"
        return "mended" if is_mended and not (self._compares and self._gain <= -LEAST_GAIN) else "none"

    @property
    def mean(self) -> float:
        """Of the scores after."""
        return fmean(_known(self.after))

    @property
    def reached(self) -> float:
        """Mean of the figures after."""
        return fmean(_known(self.figures[1]))

    @property
    def gain(self) -> float | None:
        """Mean of the scores after less that before; None where they do not compare."""
        return self._gain if self._compares else None

    @property
    def is_open(self) -> bool:
        """Whether there is a gain that more seeds may show to hold."""
        return self._learns and self._gain >= LEAST_GAIN and not self._holds

    def adds_to(self, smaller: Shown, *, more: bool) -> bool:
        """Whether the answer is worth its further edits, beside a smaller one to the same script.

        Args:
            smaller: what answers the findings alone.
            more: whether a gain is worth them where the smaller one is good already.
        """
        own, other = self.claim(is_mended=True), smaller.claim(is_mended=True)
        if "none" in (own, other):
            return own != "none"
        new, old = _known(self.after), _known(smaller.after)
        if len(new) < len(self.after) or len(old) < len(smaller.after):
            return len(new) > len(old)
        gain = fmean(old) - fmean(smaller._old)
        least = max(LEAST_MORE, gain) if smaller._is_good and not more else LEAST_SHARE * gain
        return fmean(new) - fmean(old) >= max(LEAST_GAIN, least)

    @property
    def _is_good(self) -> bool:
        """Whether a gain holds, and what is reached would be good for a program of a suite."""
        chance = max(self.chance, 0.0)  # nobody knows that of a printed figure
        task = "regression" if self.kind.startswith("r2") else "classification"
        return self._holds and LEAST_SKILL[task] * (1 - chance) <= self.mean - chance <= 1 - chance

    @property
    def _holds(self) -> bool:
        """Whether the gain may be claimed: at most 1 in 100 of answers that change nothing get so far.

        Scores may vary evenly, or be either good or bad by chance. Against the first, a fresh run has to be
        expected to find the gain again. Against the second, runs after have to beat those before.
        Three and three would do so 1 time in 64 where good and bad are as frequent; so the run with the
        script's own seeds, which is there already, has to beat them too: p^3 (1 - p)^4 is at most 1 in 119.
        Of more seeds that is asked of the ranks (Mann and Whitney 1947). Their gains count up to the
        median: seeds with which the script was worse than usual say nothing against its repair.
        """
        if not self._learns or self.own is None:
            return False
        new, gains = _known(self.after), self._gains
        if len(new) == SEEDS:
            return min(*new, self.own) >= max(self._old) + LEAST_GAIN and may_be_claimed(gains)
        usual, late = median(gains), [score - LEAST_GAIN for score in new]
        counted = [min(gain, usual) for gain in gains]
        return may_be_claimed(counted) and _by_ranks(late, self._old) <= BY_RANKS

    @property
    def _learns(self) -> bool:
        """Whether every run after is better than one answer for all rows."""
        least = self.chance + LEAST_GAIN * (None in self.before)
        return self.runs and self._compares and min(_known(self.after)) > least

    @property
    def _compares(self) -> bool:
        return self.fits and bool(self.after) and None not in self.after

    @property
    def _old(self) -> list[float]:
        return [LOWEST if score is None else score for score in self.before]

    @property
    def _gains(self) -> list[float]:
        return [late - early for early, late in zip(self._old, _known(self.after), strict=True)]

    @property
    def _gain(self) -> float:
        return fmean(self._gains)


def confirmed(
    runs: RealRuns, first: Texts, last: Texts, spare: int, count: int = SEEDS
) -> tuple[Shown, list[str]]:
    """Run a script with fresh seeds, with twice as many as long as these leave a gain open and there is time.

    Seeds that change nothing are no further evidence, however many they are.

    Args:
        runs: of the script.
        first, last: what is new in its files as it was and as it is now.
        spare: turns that are needed for something else.
        count: of the seeds.

    Returns:
        What the runs showed, and what has to be said of them.
    """
    before, after = runs.pairs(first, last, range(FRESH, FRESH + count))
    kinds = {_kind(own.score) for own in after if own.score is not None}
    shown = Shown(
        before=tuple(map(score_of, before)),
        after=tuple(map(score_of, after)),
        figures=(tuple(map(figure_of, before)), tuple(map(figure_of, after))),
        own=score_of(runs.run(last)),
        chance=chance_of(runs.run(last)),
        kind="; ".join(sorted(kinds)),
        ran=all(own.ending in ENDED_WELL for own in before),
        runs=all(own.ending in ENDED_WELL for own in after),
        fits=all(comparable(old, new) for old, new in zip(before, after, strict=True)),
    )
    notes, repeat = [], [_repeat(own) for own in (before, after)]
    if shown.is_open:
        slowest = max(record.seconds for record in (*before, *after))
        more = CONFIRMING * count // SEEDS
        is_time = min(runs.turns, turns(slowest, runs.left)) >= more + spare
        if count < MOST_SEEDS and is_time and not all(repeat):
            return confirmed(runs, first, last, spare, 2 * count)
        notes.append("the gain is small against the spread of the seeds, so it is not claimed")
    if any(score is not None and score <= shown.chance for score in shown.after):
        notes.append("one answer for all rows has as good a score as the script now")
    if not shown.fits:
        notes.append("the scores before and after do not measure the same thing")
    if any(repeat):
        notes.append("fresh seeds change nothing: all runs have the same losses")
    return shown, notes


def _by_ranks(late: Sequence[float], early: Sequence[float]) -> float:
    """Probability that the late are so far above the early, or farther, where both vary alike."""
    late = [score + TIE for score in late]
    return float(scipy.stats.mannwhitneyu(late, early, alternative="greater", method="exact").pvalue)


def _repeat(records: Sequence[Record]) -> bool:
    """Whether runs repeat each other, though their seeds differ."""
    return bool(records[0].losses) and len({repr(record.losses) for record in records}) == 1


def _kind(score: Score) -> str:
    """Of a score, and where it is from; of a printed one also in which direction it is better."""
    better = f", {'less' if is_error(score) else 'more'} is better" if score.source == "printed" else ""
    return f"{score.kind}, {SOURCES[score.source]}{better}"


def _known(scores: Sequence[float | None]) -> list[float]:
    return [score for score in scores if score is not None]

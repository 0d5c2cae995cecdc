"""What may be said of the repair of a script, from fresh runs before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from netmend.agents.confirm import LEAST_GAIN, may_be_claimed

Claim = Literal["repair", "mended", "none"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What fresh runs showed of a script as it was and as it is now.

    Attributes:
        before, after: scores by seed, None for a run without one.
        kind: of the score, and where it is from.
        ran, runs: whether every run ended well, before and now.
        fits: whether the scores measure the same thing.
    """

    before: tuple[float | None, ...] = ()
    after: tuple[float | None, ...] = ()
    kind: str = ""
    ran: bool = False
    runs: bool = False
    fits: bool = True

    def claim(self, *, is_mended: bool) -> Claim:
        """What may be said of the answer; ``is_mended``: something that is wrong for sure is gone."""
        mended: Claim = "mended" if is_mended else "none"
        new, old = _known(self.after), _known(self.before)
        if not self.runs:
            return "none"
        if not self.fits or len(new) < len(self.after):
            return mended
        if len(old) < len(self.before):  # it crashed, or what it gave was no number
            return "repair" if min(new) >= LEAST_GAIN else mended
        gains = [late - early for early, late in zip(old, new, strict=True)]
        apart = min(new) >= max(old) + LEAST_GAIN  # every fresh run after beats every one before
        if apart or may_be_claimed(gains):
            return "repair"
        return mended if sum(gains) / len(gains) > -LEAST_GAIN else "none"

    def adds_to(self, smaller: Shown) -> bool:
        """Whether the answer is worth its further edits, beside what is wrong for sure mended alone."""
        own, other = self.claim(is_mended=True), smaller.claim(is_mended=True)
        if "none" in (own, other):
            return own != "none"
        new, old = _known(self.after), _known(smaller.after)
        if len(new) < len(self.after) or len(old) < len(smaller.after):
            return len(new) > len(old)
        return fmean(new) - fmean(old) >= LEAST_GAIN


def _known(scores: Sequence[float | None]) -> list[float]:
    return [score for score in scores if score is not None]

"""How sure a policy is: that a bug is fixed, and that a further trial would gain anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.program.fields import shown

Values: TypeAlias = NDArray[np.float64]
Truths: TypeAlias = NDArray[np.bool_]
Curve: TypeAlias = Mapping[str, float]
"""Weight of each fact and of the constant: a logistic curve."""

CONSTANT, SLOTS = "constant", ("best_skill", "gain", "trials_left")
FACTS = (CONSTANT, *SLOTS)
"""What a curve weighs: 1, and slots of an observation after a trial.

Cross-fitted, nothing else made it better: how likely the policy would stop or has gone, the number of edits,
whether the last ones were taken back or crashed.
"""
BINS = 10
"""Of probability, in a calibration error."""
MOST_WEIGHT = 1000.0
"""Of a curve's weights, either way: facts are about as large as 1, and nobody is surer than that."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Two logistic curves over what is known after a trial, fitted to repairs of validation bugs.

    Attributes:
        fixed: of the probability that the best program so far is as good as the published fix.
        gain: of the probability that a further trial of the repair finds a better one.
        end: a repair ends where that is below this bound.
    """

    fixed: Curve
    gain: Curve
    end: float

    def is_fixed(self, facts: Values) -> Values:
        """Probabilities, shape ``(n,)``, that the bugs are fixed, for facts of shape ``(n, len(FACTS))``."""
        return likely(facts, weights(self.fixed))

    def ends(self, facts: Values) -> Truths:
        """Whether nothing more is to be gained, shape ``(n,)``."""
        return np.asarray(likely(facts, weights(self.gain)) < self.end)

    def plain(self) -> dict[str, object]:
        """As it stands in a policy's description."""
        return asdict(self)


def facts_of(observations: NDArray[np.float32], slots: Sequence[str]) -> Values:
    """Facts, shape ``(n, len(FACTS))``, of observations after a trial, shape ``(n, len(slots))``."""
    places = [slots.index(name) for name in SLOTS]
    return np.column_stack((np.ones(len(observations)), observations[:, places])).astype(np.float64)


def weights(curve: Curve) -> Values:
    """A curve's weights in the order of the facts."""
    return np.array([curve[name] for name in FACTS])


def likely(facts: Values, weight: Values) -> Values:
    """The logistic curve at facts: probabilities, shape ``(n,)``."""
    return np.asarray(1 / (1 + np.exp(-np.clip(facts @ weight, -50, 50))))


def calibration_error(sure: Values, fixed: Values | Truths) -> float:
    """Expected calibration error: mean difference, over bins of probability, to the share that is true.

    Ten bins of equal width, weighted by what is in them (Guo et al. 2017). Both have shape ``(n,)``.
    """
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, sure - fixed, BINS)).sum() / len(sure))


def problem_of(plain: object) -> str:
    """What is wrong with a confidence as it was read, empty where it is as ``plain`` writes it."""
    if not isinstance(plain, dict) or plain.keys() != {"fixed", "gain", "end"}:
        return f"{shown(plain)} is not a mapping of fixed, gain and end"
    for name in ("fixed", "gain"):
        curve = plain[name]
        if not isinstance(curve, dict) or curve.keys() != {*FACTS}:
            return f"{name}: {shown(curve)} is not a weight for each of {', '.join(FACTS)}"
        odd = [value for value in curve.values() if not _is_number(value, MOST_WEIGHT)]
        if odd:
            return f"{name}: {shown(odd[0])} is not a number from {-MOST_WEIGHT:g} to {MOST_WEIGHT:g}"
    end = plain["end"]
    return "" if _is_number(end, 1) and end >= 0 else f"end: {shown(end)} is not a number from 0 to 1"


def _is_number(value: object, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= most

"""A learning rate that falls when the validation loss no longer does: Keras' ``ReduceLROnPlateau``."""

from __future__ import annotations

import math

from netmend.env.program import Schedule
from netmend.env.training.optimizers import Rate

LEAST_DROP = 1e-4
"""How much lower a loss must be to count as better (Keras' ``min_delta``)."""


class Plateau:
    """Multiplies a rate by the schedule's ``gamma`` after ``patience`` epochs that were no better.

    Attributes:
        best: lowest loss so far.
        waited: epochs since then, or since the rate last fell.
    """

    def __init__(self, schedule: Schedule, rate: Rate) -> None:
        self.best, self.waited = math.inf, 0
        self._schedule, self._rate = schedule, rate

    def __call__(self, held_loss: float) -> None:
        """Take the validation loss of the epoch that has just ended."""
        if held_loss < self.best - LEAST_DROP:
            self.best, self.waited = held_loss, 0
            return
        self.waited += 1
        if self.waited >= self._schedule.patience and self._rate.value > self._schedule.floor:
            self._rate.value = max(self._rate.value * self._schedule.gamma, self._schedule.floor)
            self.waited = 0

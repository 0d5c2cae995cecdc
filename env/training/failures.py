"""How a training can fail: raised inside this package only, and turned into the status of a trial."""

from __future__ import annotations

from netmend.env.training.trial import Status


class TrialFailure(Exception):  # noqa: N818 - an outcome of a training, not a mistake of netmend
    """The training cannot go on; carries the status and the readable reason of its trial."""

    status = Status.CRASHED


class CrashError(TrialFailure):
    """A framework would raise here: shapes, labels or types do not fit."""


class DivergedError(TrialFailure):
    """The loss or a weight is no longer a finite number."""

    status = Status.DIVERGED


class TooMuchWorkError(TrialFailure):
    """Not one update fits the work of the budget."""

    status = Status.TOO_MUCH_WORK

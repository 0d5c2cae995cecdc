"""How far a verb is and how long the rest takes: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from netmend.env.training.trial import Trainer, Trial, TrialRequest

NARROW = 8
"""Columns of a bar, so that its figures have room on a screen of 80."""
PARTS, LEAST_PART = 8, 64
"""Parts in which a long call of a trainer is told, and least trainings of each: workers wait in between."""
RoundProgress: TypeAlias = Callable[[int, int, int], None]
"""Told after each round of trials: repairs that have ended, all repairs, trials so far."""


@dataclass(kw_only=True)
class Totals:
    """What a training has done so far, kills and resumes included.

    Attributes:
        updates: of the policy.
        steps: of the environment.
        episodes: repairs that ended.
        trials: asked for, those from the store included.
        stored: trials that the store answered.
        seconds: wall time.
    """

    updates: int = 0
    steps: int = 0
    episodes: int = 0
    trials: int = 0
    stored: int = 0
    seconds: float = 0.0


class ProgressView(Protocol):
    """Shows how far a training is."""

    def show(self, totals: Totals, scalars: Mapping[str, float]) -> None:
        """Tell about an update."""
        ...

    def close(self) -> None:
        """Leave the screen in order."""
        ...


def make_progress(console: Console, steps: int, update_size: int) -> ProgressView:
    """A bar of ``steps`` on a terminal, lines elsewhere."""
    return Bar(console, steps) if console.is_terminal else Lines(console, steps, update_size)


def _figures(form: str) -> TextColumn:
    """A column that takes the room that is left, and is cut off where that is too little."""
    return TextColumn(form, table_column=Column(ratio=1, no_wrap=True))


class Bar:
    """A progress bar over environment steps."""

    def __init__(self, console: Console, steps: int) -> None:
        columns = (BarColumn(NARROW), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
        self._bar = Progress(*columns, _figures("{task.description}"), console=console, expand=True)
        self._task = self._bar.add_task("", total=steps)
        self._bar.start()

    def show(self, totals: Totals, scalars: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=totals.steps, description=describe(scalars))

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.stop()


class Lines:
    """One line per update."""

    def __init__(
        self, console: Console, steps: int, update_size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._steps, self._size = console, steps, update_size
        self._clock, self._begun = clock, clock()
        self._shown = 0

    def show(self, totals: Totals, scalars: Mapping[str, float]) -> None:
        """Print the line."""
        self._shown += 1
        updates = math.ceil(self._steps / self._size)
        done = f"update {totals.updates}/{updates}  step {totals.steps}/{self._steps}"
        left = time_left(self._clock() - self._begun, self._shown, updates - totals.updates)
        self._console.print(_joined(done, describe(scalars), left), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing to do."""


class StageProgress:
    """How far a stage without environment steps is, and how long its part still takes.

    A bar on a terminal, one line each time elsewhere. A part begins where the one before it ended, or where
    nothing of it is done.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._label, self._begun, self._last = "", clock(), clock()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(NARROW),
            MofNCompleteColumn(),
            _figures("{task.fields[figures]}"),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, figures="")
        self._bar.start()

    def show(self, label: str, done: int, count: int, figures: str) -> None:
        """Tell how many of how many are done in a part, and what came of it or what comes next."""
        now = self._clock()
        if label != self._label:
            self._label, self._begun = label, self._last
        if not done:
            self._begun = now
        self._last = now
        left = time_left(now - self._begun, done, count - done)
        if self._console.is_terminal:
            told = _joined(left, figures)  # a narrow screen cuts off its end
            self._bar.update(self._task, description=label, completed=done, total=count, figures=told)
        else:
            self.say(_joined(f"{label} {done}/{count}", figures, left))

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Leave the screen in order."""
        self._bar.stop()


class ToldTrainer:
    """A trainer that says how many trainings of a call are done, and how long the others take.

    Args:
        trainer: who trains; the caller closes it.
        tell: is told after each part of a call.
    """

    def __init__(self, trainer: Trainer, tell: StageProgress) -> None:
        self._trainer, self._tell = trainer, tell

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train all of them, part by part."""
        trials: list[Trial] = []
        size = max(LEAST_PART, math.ceil(len(requests) / PARTS))
        for first in range(0, len(requests), size):
            self._tell.show("trainings", first, len(requests), "")
            trials += self._trainer.run(requests[first : first + size])
        if requests:
            self._tell.show("trainings", len(requests), len(requests), "")
        return trials

    def close(self) -> None:
        """Close the trainer."""
        self._trainer.close()


@contextmanager
def make_round_progress(console: Console) -> Iterator[RoundProgress]:
    """Progress of an evaluation, told after each round: ended repairs, all repairs, trials so far."""
    begun = time.monotonic()

    def told(ended: int, repairs: int, trials: int) -> None:
        left = time_left(time.monotonic() - begun, ended, repairs - ended)
        console.print(_joined(f"repairs {ended}/{repairs}", f"trials {trials}", left), highlight=False)

    if not console.is_terminal:
        yield told
        return
    words = TextColumn("repairs"), TimeRemainingColumn(), TextColumn("{task.description}")
    with Progress(BarColumn(NARROW), MofNCompleteColumn(), *words, console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda ended, repairs, trials: bar.update(
            task, completed=ended, total=repairs, description=f"{trials} trials"
        )


def time_left(seconds: float, done: int, missing: int) -> str:
    """How long what is missing takes, if it takes as long as what was done in so many seconds.

    Empty where nothing is done yet.
    """
    if not done:
        return ""
    left = math.ceil(seconds / done * missing)
    return f"{left // 60}:{left % 60:02d} left"


def _joined(*told: str) -> str:
    return "  ".join(filter(None, told))


def describe(scalars: Mapping[str, float]) -> str:
    """The figures that matter most, as far as they are known."""
    parts = (
        ("return", "at_a_glance/return", "{:+.3f}"),
        ("fixed", "repair/training/fixed", "{:.0%}"),
        ("validation", "repair/validation/fixed", "{:.0%}"),
        ("trials/s", "at_a_glance/trials_per_second", "{:.0f}"),
        ("stored", "at_a_glance/from_store", "{:.0%}"),
    )
    return "  ".join(f"{label} {form.format(scalars[tag])}" for label, tag, form in parts if tag in scalars)

"""The picture of the study: mean improvement rate after each trial, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netmend.agents.estimates import Estimate
from netmend.agents.study.measures import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

STYLES = ("-", "--", "-.", ":")
"""Taken in turns, so that lines can be told apart without colours."""
MOST_BANDS = 4
"""Lines up to which each has its interval around it; beyond that bands would hide one another."""


def plot_rates(points: Sequence[Point], path: Path) -> bool:
    """Write the picture as PNG; around each line, or at its end, its 95 % bootstrap interval over bugs.

    Args:
        points: by number of trials.
        path: of the file; nothing is written where no improvement rate is known.

    Returns:
        whether a picture was written.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lines = {name: line for name in _methods(points) if (line := _line(points, name))}
    if not lines:
        return False
    figure = Figure(figsize=(9, 5), layout="constrained")  # pyplot would look for a screen
    axes = figure.subplots()
    for number, (name, line) in enumerate(lines.items()):
        style = STYLES[number // 10 % len(STYLES)] if len(lines) > 10 else STYLES[number % len(STYLES)]
        (drawn,) = axes.plot([at for at, _ in line], [found.value for _, found in line], style, label=name)
        if len(lines) <= MOST_BANDS:
            _band(axes, line, drawn.get_color())
        else:
            _bar(axes, line, drawn.get_color(), shift=0.012 * points[-1].at * (number + 1))
    axes.grid(visible=True, alpha=0.3)
    axes.set(xlabel="trials", ylabel="mean improvement rate, hold-out part")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside right upper")
    figure.savefig(path, format="png", dpi=120)
    return True


def _band(axes: Axes, line: Sequence[tuple[int, Estimate]], colour: ColorType) -> None:
    low, high = ([getattr(found, end) for _, found in line] for end in ("low", "high"))
    axes.fill_between([at for at, _ in line], low, high, color=colour, alpha=0.12, linewidth=0)


def _bar(axes: Axes, line: Sequence[tuple[int, Estimate]], colour: ColorType, shift: float) -> None:
    """The interval after the last trial, beside those of the other lines."""
    at, found = line[-1]
    axes.vlines(at + shift, found.low, found.high, color=colour, linewidth=1.5)
    axes.plot(at + shift, found.value, ".", color=colour)


def _methods(points: Sequence[Point]) -> list[str]:
    return list(points[0].rates) if points else []


def _line(points: Sequence[Point], name: str) -> list[tuple[int, Estimate]]:
    return [(point.at, found) for point in points if (found := point.rates.get(name)) is not None]

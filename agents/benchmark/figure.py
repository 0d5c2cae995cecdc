"""The picture of the benchmark: mean improvement rate after each trial, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from netmend.agents.benchmark.curves import Point
from netmend.agents.estimates import Estimate

STYLES = ("-", "--", "-.", ":")
"""Taken in turns, so that lines can be told apart without colours."""


def plot_rates(points: Sequence[Point], path: Path) -> bool:
    """Write the picture as PNG; around each line its 95 % bootstrap interval over bugs.

    Args:
        points: by number of trials.
        path: of the file; nothing is written where no improvement rate is known.

    Returns:
        whether a picture was written.

    Raises:
        OSError: it cannot be written.
    """
    lines = {name: line for name in _methods(points) if (line := _line(points, name))}
    if not lines:
        return False
    figure = Figure(figsize=(8, 5), layout="constrained")  # pyplot would look for a screen
    axes = figure.subplots()
    for number, (name, line) in enumerate(lines.items()):
        trials = [at for at, _ in line]
        style = STYLES[number // 10 % len(STYLES)] if len(lines) > 10 else STYLES[number % len(STYLES)]
        (drawn,) = axes.plot(trials, [found.value for _, found in line], style, label=name)
        axes.fill_between(
            trials,
            [found.low for _, found in line],
            [found.high for _, found in line],
            color=drawn.get_color(),
            alpha=0.12,
            linewidth=0,
        )
    axes.grid(visible=True, alpha=0.3)
    axes.set(xlabel="trials", ylabel="mean improvement rate, hold-out part", xlim=(0, points[-1].at))
    axes.legend()
    figure.savefig(path, format="png", dpi=120)
    return True


def _methods(points: Sequence[Point]) -> list[str]:
    return list(points[0].rates) if points else []


def _line(points: Sequence[Point], name: str) -> list[tuple[int, Estimate]]:
    return [(point.at, found) for point in points if (found := point.rates.get(name)) is not None]

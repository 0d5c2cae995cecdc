"""The picture of the growth: time per trial against the number of programs, both logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

Points = Sequence[tuple[float, ...]]


def plot_growth(points: Points, exponent: float, path: Path) -> None:
    """Write the picture as PNG.

    Args:
        points: (programs, seconds per trial).
        exponent: of the time of a call against the number of its programs, for the title.
        path: of the file.

    Raises:
        OSError: it cannot be written.
    """
    # A figure of its own: pyplot would keep it, and look for a screen.
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.loglog([count for count, _ in points], [1000 * seconds for _, seconds in points], "o-")
    axes.set_xscale("log", base=2)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.set(
        title=f"time of a call ~ programs^{exponent:.2f}",
        xlabel="programs in one call",
        ylabel="milliseconds per trial",
    )
    figure.savefig(path, format="png", dpi=120)

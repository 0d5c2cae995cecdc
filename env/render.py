"""A repair for people: as text, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from netmend.env.episode import Episode
from netmend.env.errors import UnknownNameError
from netmend.env.history import STOP, Step

RENDER_MODES = ("ansi", "human", "rgb_array")
Frame = str | NDArray[np.uint8]

_SIZE, _DPI = (9.0, 4.0), 100
_LINES, _LETTERS = 22, 74
"""What fits on the right half of a picture."""


def check_mode(mode: str | None) -> None:
    """Refuse a render mode that there is not. Raises UnknownNameError."""
    if mode is not None and mode not in RENDER_MODES:
        raise UnknownNameError("render_mode", mode, RENDER_MODES)


def frame(episode: Episode, mode: str | None) -> Frame | None:
    """What ``render()`` gives: text for ``ansi``, a picture for ``rgb_array``, else nothing."""
    if mode == "ansi":
        return trace(episode)
    return picture(episode) if mode == "rgb_array" else None


def tell_news(episodes: Sequence[Episode], mode: str | None) -> None:
    """Print what each repair did last, where the mode is ``human``."""
    if mode != "human":
        return
    for number, episode in enumerate(episodes):
        lines = trace(episode).splitlines()[len(episode.steps) :]
        for line in lines if episode.done else lines[:1]:
            print(line if len(episodes) == 1 else f"[{number}] {line}")


def trace(episode: Episode) -> str:
    """A repair as readable lines, one per step."""
    patch = " + ".join(episode.best_patch) or "no edit"
    return "\n".join(
        [
            f"{episode.bug.id}: faulty program, skill {episode.faulty_skill:.3f}",
            *(f"{number}. {_in_words(step)}" for number, step in enumerate(episode.steps, start=1)),
            f"best skill {episode.best_trial.skill:.3f} with {patch}",
        ]
    )


def picture(episode: Episode) -> NDArray[np.uint8]:
    """Scores by epoch of the best program and of the one that stands, beside the repair in words.

    Returns:
        red, green and blue, shape ``(400, 900, 3)``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.06, 0.12, 0.38, 0.8))
    for name, trial, colour in (("best", episode.best_trial, "C0"), ("stands", episode.trial, "C1")):
        for part, curve, style in (
            ("training", trial.curves.train_score, "--"),
            ("validation", trial.curves.validation_score, "-"),
        ):
            axes.plot(range(1, len(curve) + 1), curve, style, color=colour, label=f"{name}, {part}")
    axes.set(xlabel="epoch", title="score")
    axes.legend(fontsize=7)
    lines = [line[:_LETTERS] for line in trace(episode).splitlines()]
    if len(lines) > _LINES:
        lines = [lines[0], "...", *lines[2 - _LINES :]]
    words = "\n".join(lines)
    figure.text(0.47, 0.92, words, family="monospace", fontsize=7, va="top", parse_math=False)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _in_words(step: Step) -> str:
    if step.action == STOP:
        return STOP
    if step.pending:
        return f"{step.action}: pending"
    if not step.legal:
        return f"{step.action}: not legal here, reward {step.reward:+.3f}"
    if step.skill is None:
        return f"{step.action}: {step.status}"
    back = "" if step.kept else ", taken back"
    return f"{step.action}: {step.status}, skill {step.skill:.3f}, reward {step.reward:+.3f}{back}"

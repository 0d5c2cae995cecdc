"""What a training writes for TensorBoard: its tags, their layout, and pictures of repairs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import Image, Logger, TensorBoardOutputFormat
from torch.utils.tensorboard.writer import SummaryWriter

from netmend.agents.outcome import Outcome
from netmend.agents.statistics import GLANCE, Validation, validation_scalars

DROPPED = frozenset({"train/clip_fraction", "train/clip_range", "train/clip_range_vf"})
"""Tags of Stable-Baselines3 that stay the same, or say what another one says."""
LAYOUT = {
    "At a glance": {
        "fixed share of the validation bugs after 1, 2 and 5 trials": [
            "Multiline",
            [f"{GLANCE}/fixed_at_.*"],
        ],
        "return": ["Multiline", [f"{GLANCE}/return"]],
        "trials per second": ["Multiline", [f"{GLANCE}/trials_per_second"]],
        "share of the trials from the store": ["Multiline", [f"{GLANCE}/from_store"]],
        "use of fix patterns": ["Multiline", ["patterns/.*"]],
    },
    "Imitation": {
        "share of right actions": ["Multiline", ["imitation/.*accuracy"]],
        "fixed share of the validation bugs": ["Multiline", ["imitation/fixed"]],
        "loss": ["Multiline", ["imitation/loss"]],
    },
}
"""Of the custom scalars: what a person wants to see first."""
METRICS = (*(f"{GLANCE}/fixed_at_{count}" for count in (1, 2, 5)), f"{GLANCE}/return")
"""What hyper-parameters are compared by; each run counts with its last value."""
SIZE, DOTS = (6.0, 3.4), 100
"""Of a picture: inches, and dots in an inch."""


class TensorBoard(TensorBoardOutputFormat):
    """Stable-Baselines3's writer; a resumed run hides what the killed one wrote after its last checkpoint."""

    def __init__(self, folder: Path, steps_done: int) -> None:
        super().__init__(str(folder))
        if steps_done:
            self.writer.close()
            self.writer = SummaryWriter(log_dir=str(folder), purge_step=steps_done + 1)
        self.writer.add_custom_scalars(LAYOUT)

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Write values by tag, but for those that nobody needs."""
        for key in DROPPED & key_values.keys():
            del key_values[key], key_excluded[key]
        super().write(key_values, key_excluded, step)


def tensorboard_logger(folder: Path, steps_done: int) -> Logger:
    """Logger of a training that writes for TensorBoard alone."""
    return Logger(folder=str(folder), output_formats=[TensorBoard(folder, steps_done)])


@contextmanager
def quiet_writers() -> Iterator[None]:
    """No traceback of a thread that keeps its error for others, as TensorBoard's does on a full disk."""
    usual = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if getattr(failed.thread, "exception", None) is not failed.exc_value:
            usual(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = usual


def write_end(folder: Path, steps: int, validation: Validation, outcomes: Sequence[Outcome]) -> None:
    """Write what the final policy does to the validation bugs, and the curves of repairs as pictures.

    It stands one step behind the last update, where a run that is prolonged hides it.
    """
    logger = tensorboard_logger(folder, steps)
    for tag, value in validation_scalars(validation).items():
        logger.record(tag, value)
    for outcome in outcomes:
        picture = drawn(outcome)
        if picture is not None:
            logger.record(f"curves/{outcome.bug.id}", Image(picture, "HWC"))
    logger.dump(steps + 1)
    logger.close()


def drawn(outcome: Outcome) -> NDArray[np.uint8] | None:
    """Scores by epoch of the faulty and the repaired program, shape (height, width, 3).

    None where neither trial has a curve.
    """
    before, after = outcome.attempts[0].trial, outcome.found.trial
    if not any(trial.curves.train_score or trial.curves.validation_score for trial in (before, after)):
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    for name, trial, colour in (("faulty", before, "tab:red"), ("repaired", after, "tab:blue")):
        for part, style in (("train", ":"), ("validation", "-")):
            scores = getattr(trial.curves, f"{part}_score")
            if scores:
                axes.plot(range(1, len(scores) + 1), scores, style, color=colour, label=f"{name}, {part}")
    axes.set(xlabel="epoch", ylabel="score")
    axes.set_title(f"{outcome.bug.id}: skill {before.skill:.2f} before, {after.skill:.2f} after")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]

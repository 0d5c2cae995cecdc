"""The rows of ``netmend bench engine``: what each measures and what it shall reach.

``eager`` is the plain eager PyTorch loop, ``loop`` netmend's own one-by-one loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from netmend.env.errors import NetmendError, UnknownNameError


@dataclass(frozen=True)
class RowSpec:
    """One row.

    Attributes:
        what: what is measured, in words.
        target: what it shall reach, in words.
        on_gpu: whether it needs a GPU.
    """

    what: str
    target: str
    on_gpu: bool = False


ROWS: dict[str, RowSpec] = {
    "one_shape": RowSpec(
        "dense programs of one shape and batch size, mixed in everything else, one core",
        "at least 12 times the eager loop",
    ),
    "mixed_shape": RowSpec(
        "dense programs mixed in shape too, one core",
        "at least 10 times the eager loop",
    ),
    "training_run": RowSpec(
        "programs of a training run of the agent, as they come, two cores",
        "at least 5 times `loop`",
    ),
    "conv_recurrent": RowSpec(
        "convolutional and recurrent programs, two cores",
        "at least 8 times one core's eager loop",
    ),
    "alone": RowSpec("one program alone, one core", "as much per trial as in a call of many"),
    "seeds": RowSpec("trainings of one program, one core", "as many times one seed"),
    "dense_gpu": RowSpec(
        "dense programs of one shape on a GPU, several workers",
        "measured",
        on_gpu=True,
    ),
    "conv_gpu": RowSpec(
        "small convolutional programs on a GPU, several workers",
        "measured",
        on_gpu=True,
    ),
    "environment": RowSpec(
        "environment steps with stored trials, 64 environments, one core", "at least 5,000 steps/s"
    ),
}


def chosen_rows(names: list[str] | None, device: str) -> list[str]:
    """The rows to measure, in the table's order; None = all that the device can run.

    Raises:
        UnknownNameError: there is no such row.
        NetmendError: no row is named, or a row needs a GPU and the device is the CPU.
    """
    on_cpu = device == "cpu"
    if names is None:
        return [name for name, row in ROWS.items() if not (row.on_gpu and on_cpu)]
    if not names:
        raise NetmendError("rows: name at least one; without rows= all are measured")
    for name in names:
        if name not in ROWS:
            raise UnknownNameError("row", name, ROWS)
        if ROWS[name].on_gpu and on_cpu:
            raise NetmendError(f"rows: {name} needs a GPU; say device=cuda too")
    return [name for name in ROWS if name in names]

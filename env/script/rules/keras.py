"""What a crash of Keras says of the labels."""

from __future__ import annotations

from netmend.env.script.record import Record

_SHAPES = "Arguments `target` and `output` must have the same shape"
_IDS, _ROWS = "sparse_categorical_crossentropy", "categorical_crossentropy"
_UNITS = ("layer_dimension/task_units@output", "neural_connection/replace_head@output")


def label_crash(record: Record) -> tuple[str, tuple[str, ...]] | None:
    """Why labels and outputs of a Keras model do not fit, and what answers it; None where that is not it."""
    crash, loss = record.crash, record.loss
    if crash is None or loss is None or record.framework != "keras" or _SHAPES not in crash.message:
        return None
    labels, outputs = loss.target, loss.output.shape
    width = outputs[-1] if len(outputs) > 1 else 1
    single = len(labels.shape) < 2 or labels.shape[-1] == 1
    if loss.kind == _IDS and labels.shape == outputs and width > 1:
        text = f"the labels are rows of {width} numbers, one for each class, and {_IDS} takes class ids"
        return text, (f"loss_function/{_ROWS}@program",)
    if single and width > 1 and labels.whole and labels.low >= 0:
        text = (
            f"the labels are class ids from {labels.low:g} to {labels.high:g}, and {loss.kind} takes rows of"
        )
        fits = labels.high < width
        return f"{text} {width} numbers", (f"loss_function/{_IDS}@program",) if fits else _UNITS
    return f"outputs of shape {outputs} meet labels of shape {labels.shape}", _UNITS

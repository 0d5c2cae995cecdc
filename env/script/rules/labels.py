"""What a crash of Keras or of a Hugging Face ``Trainer`` says of the labels."""

from __future__ import annotations

from netmend.env.script.record import Record
from netmend.env.script.rules.reading import facts
from netmend.env.script.site import Site
from netmend.env.script.unnamed import UNNAMED, is_headless

_SHAPES = "Arguments `target` and `output` must have the same shape"
_IDS, _ROWS = "sparse_categorical_crossentropy", "categorical_crossentropy"
_UNITS = ("layer_dimension/task_units@output", "neural_connection/replace_head@output")


def label_crash(record: Record) -> tuple[str, tuple[str, ...], Site | None] | None:
    """Why a model has no use for its labels, what answers it, and where; None where that is not it."""
    if record.crash is not None and "did not return a loss from the inputs" in record.crash.message:
        return _unnamed(record)
    found = _of_keras(record)
    return None if found is None else (*found, None)


def _unnamed(record: Record) -> tuple[str, tuple[str, ...], Site | None]:
    if record.crash is not None and is_headless(record.crash.message):
        return (
            "the model gives hidden states and no loss: it has no head, as AutoModelFor... classes have",
            (),
            None,
        )
    text = "the model gives a loss where a row has `labels`, and it got none"
    own = next(facts(record, UNNAMED), None)
    if own is None:
        return text, (), None
    return f"{text}: they are its `{own.text}`", ("api_contract/loss_graph@program",), own.site


def _of_keras(record: Record) -> tuple[str, tuple[str, ...]] | None:
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

"""Crashes: which tensor or layer does not fit, which number would be right, and what answers it.

A crash is certain, since it happened. What is right is said only where shapes, types or the message leave no
doubt about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod

from netmend.env.findings.crashes import ANSWERS
from netmend.env.findings.finding import Finder, Sight
from netmend.env.script.record import Array, Crashed, Record
from netmend.env.script.rules.labels import label_crash
from netmend.env.script.rules.reading import Rule, chosen, cut, fitting_losses
from netmend.env.script.site import Site

CRASHES: list[Rule] = []
fault = Finder("fault", CRASHES)
_FIT = ("layer_dimension/fit_inputs@all", "layer_dimension/input_from_data@program", "layer_dimension/fit_*")
_BATCH_AXIS = ("data_dimension/batch_axis@program",)
_LOSS_GRAPH = ("api_contract/loss_graph@program",)
_LOSS_TYPE = ("data_type/loss_type@targets",)
_INPUT_TYPE = ("data_type/first_layer_type@inputs",)
_TYPES = re.compile(r"dtype|scalar type|[Ii]nput type|can't be cast|not implemented for|type Float can't")
_IN_GRADIENT = "Found dtype"
NO_TENSOR = "not numpy.ndarray"
"""Part of the message of a layer that is given an array."""
_LOSS = re.compile(r"loss|cross_entropy|kl_div", re.IGNORECASE)


@dataclass(frozen=True)
class _Cause:
    """Why a crash happened: words, the number that is wrong or right, what answers it, and where."""

    text: str
    value: float = 1.0
    edits: tuple[str, ...] = ()
    site: Site | None = None


_Reader = Callable[[Crashed], _Cause | None]


@fault("the script crashes{where}: {cause}")
def crash(record: Record) -> Iterator[Sight]:
    """The crash of the script. It is sound: it happened."""
    found = record.crash
    if found is None:
        return
    nameless = not found.operands or _IN_GRADIENT in found.message  # of Keras, or of a backward pass
    if nameless and record.loss is not None:
        found = replace(found, operands=(record.loss.output, record.loss.target))
    cause = (
        _cut(record, found)
        or _labels(record)
        or _cause(found)
        or _Cause(f"{found.error}: {_first_line(found.message)}", edits=_unread(found))
    )
    kind = record.modules.get(found.module or "")
    layer = f" in layer {found.module}{f' ({kind})' if kind else ''}" if found.module else ""
    updates = f" after {record.updates} update{'s' * (record.updates > 1)}" if record.updates else ""
    site = found.made if set(cause.edits) & set(_FIT) else None
    yield Sight(
        value=cause.value,
        place=found.module or "",
        words={"where": layer + updates, "cause": cause.text},
        edits=cause.edits,
        site=cause.site or site or found.site,
    )


def _labels(record: Record) -> _Cause | None:
    found = label_crash(record)
    return None if found is None else _Cause(found[0], edits=found[1], site=found[2])


def _cut(record: Record, crash: Crashed) -> _Cause | None:
    """A loss without a gradient graph, where it is known what has cut that off."""
    found, loss = chosen(record), record.loss
    given, targets = _pair(crash) if loss is None else (loss.output, loss.target)
    off = "does not require grad" in crash.message
    at_loss = bool(_LOSS.search(crash.operation)) and given is not None and given.whole
    if found is not None and targets is not None and (off or at_loss):
        by = f"{found[0].kind} lets no gradient through; the outputs that it chooses from belong in the loss"
        losses = fitting_losses(found[1], targets)
        return _Cause(f"the loss has no gradient graph: {by}", edits=losses, site=found[0].called)
    if not off:
        return None
    edits: tuple[str, ...] = _LOSS_GRAPH
    one, site = cut(record), record.evaluated
    if one is not None:
        by, site = f"{one.kind} lets no gradient through", one.called
        if one.kind not in ("detach", "data"):
            edits = ("loss_function/cross_entropy@program", "loss_function/*")
    elif crash.frozen and record.updates:
        by = "all that the optimizer was given is frozen by now; a new layer has to be made after that"
        edits, site = (), None
    elif record.forward is None and record.evaluated is not None:
        by = "gradients are off while the network runs, as under no_grad"
    elif record.operations and not any(operation.trainable for operation in record.operations):
        by, site = "all weights of the network are frozen", record.forward
    else:
        return None
    return _Cause(f"the loss has no gradient graph: {by}", edits=edits, site=site)


def is_of_training(crash: Crashed) -> bool:
    """Whether it is an error of PyTorch, or one that is known to be of a training."""
    return bool(crash.operation) or _cause(crash) is not None


def _cause(crash: Crashed) -> _Cause | None:
    return next((cause for read in _READERS if (cause := read(crash))), None)


def _linear(crash: Crashed) -> _Cause | None:
    """A dense layer that gets another number of features than it was made for."""
    if (
        crash.operation.lower() not in ("linear", "addmm")
        or "shapes cannot be multiplied" not in crash.message
    ):
        return None
    rows, weight = _pair(crash)
    if rows is None or weight is None or len(weight.shape) != 2 or not rows.shape:
        return None
    wanted, given = weight.shape[1], rows.shape[-1]
    if len(rows.shape) > 2 and prod(rows.shape[1:]) == wanted:
        text = f"in_features is {wanted} and the rows are {_by(rows.shape[1:])}, not flattened"
        return _Cause(text, float(wanted), ("add_layer/flatten@program",))
    text = f"in_features is {wanted}, but {given} features come in: {given} is right here"
    return _Cause(text, float(given), _FIT)


def _embedding(crash: Crashed) -> _Cause | None:
    """An index that the table of an embedding does not have."""
    if crash.operation.lower() != "embedding":
        return None
    ids = next((one for one in crash.operands if _is_whole(one)), None)
    table = next((one for one in crash.operands if len(one.shape) == 2 and not _is_whole(one)), None)
    if ids is None:
        text = "an embedding takes whole numbers, and its inputs are " + crash.operands[0].dtype
        return _Cause(text, edits=_INPUT_TYPE) if crash.operands else None
    if table is None:
        return None
    if ids.low < 0:
        return _Cause(f"the ids go down to {ids.low:.0f}, and a table starts at 0", ids.low)
    if ids.high >= table.shape[0]:
        text = (
            f"the ids go up to {ids.high:.0f}, and the table has {table.shape[0]} rows (0 to"
            f" {table.shape[0] - 1}): it needs at least {ids.high + 1:.0f}"
        )
        return _Cause(text, ids.high + 1, ("layer_dimension/vocabulary@inputs",))
    return None


def _convolution(crash: Crashed) -> _Cause | None:
    """A convolution that gets other channels or axes than it was made for, or pictures that are too small."""
    if not crash.operation.lower().startswith("conv"):
        return None
    if "size can't be greater than actual input size" in crash.message:
        text = f"its kernel is larger than the picture that comes in ({_first_line(crash.message)})"
        return _Cause(text, edits=("layer_dimension/fit_windows@all", "layer_dimension/padding_same@all"))
    rows, weight = _pair(crash)
    if rows is None or weight is None or len(weight.shape) < 3:
        return None
    axes, shape = len(weight.shape), rows.shape
    channels = re.search(r"expected input\S* to have (\d+) channels", crash.message)
    wanted = int(channels.group(1)) if channels else weight.shape[1]
    if len(shape) < axes:
        text = f"it takes {axes} axes (rows, channels, ...), but {_by(shape)} comes in"
        return _Cause(text, float(axes), ("data_dimension/add_axis@inputs", "add_layer/reshape@program"))
    if len(shape) == axes and shape[1] != wanted:
        last = shape[-1] == wanted
        told = ": the channels stand last" if last else f": {shape[1]} is right here"
        edits = ("data_dimension/channels_first@inputs",) if last else _FIT
        return _Cause(f"it takes {wanted} channels, but {_by(shape)} comes in{told}", float(shape[1]), edits)
    return None


def _declared(crash: Crashed) -> _Cause | None:
    """A recurrent layer or a normalisation whose declared size is not what comes in."""
    patterns = (
        r"input\.size\(-1\) must be equal to input_size\. Expected (\d+), got (\d+)",
        r"running_mean should contain (?P<given>\d+) elements not (?P<wanted>\d+)",
        r"normalized_shape=\[(\d+)\].*?got input of size\s*\[.*?(\d+)\]",
    )
    for pattern in patterns:
        found = re.search(pattern, crash.message)
        if found:
            named = found.groupdict()
            wanted, given = (named["wanted"], named["given"]) if named else found.groups()
            text = f"it was made for {wanted} features, but {given} come in: {given} is right here"
            return _Cause(text, float(given), _FIT)
    return None


def _loss_shape(crash: Crashed) -> _Cause | None:
    """Outputs and targets that do not fit together."""
    if not _LOSS.search(crash.operation):
        return None
    output, target = _pair(crash)
    if output is None or target is None or _TYPES.search(crash.message):
        return None
    given, wanted = output.shape, target.shape
    name = crash.operation.lower().replace("_", "")
    categorical = name.startswith(("crossentropy", "nllloss"))
    if "multi-target not supported" in crash.message:
        single = wanted[1:] == (1,)
        text = f"the labels are {_by(wanted)}; class ids are one number for each row"
        edit = "data_dimension/drop_axis@targets" if single else "data_dimension/index@targets"
        return _Cause(text, edits=(edit,))
    if categorical:
        if len(given) > 1 and _is_whole(target) and (target.high >= given[1] or target.low < 0):
            return _label_range(target, given[1])
        if given and wanted and given[0] != wanted[0]:
            text = f"{given[0]} rows of outputs meet {wanted[0]} labels: a view or flatten mixes up the rows"
            return _Cause(
                text, float(given[0]), ("layer_dimension/fit_reshape@all", *ANSWERS["loss", "size"])
            )
    if given != wanted:
        text = f"outputs {_by(given)} meet targets {_by(wanted)}"
        if prod(given) == prod(wanted):
            edit = "add_axis" if len(given) > len(wanted) else "drop_axis"
            return _Cause(text, edits=(f"data_dimension/{edit}@targets",))
        return _Cause(text, edits=ANSWERS["loss", "size"])
    return None


def _label_range(target: Array, outputs: int) -> _Cause:
    seen = f"the labels go from {target.low:.0f} to {target.high:.0f}"
    text = f"{seen}, and {outputs} outputs are for 0 to {outputs - 1}"
    if target.low >= 1 and target.high == outputs:
        shifted = ("data_wrangling/remove_prep@targets", "layer_dimension/task_units@output")
        return _Cause(f"{text}: the labels start at 1", target.high, shifted)
    edits = ("layer_dimension/task_units@output",) if target.low >= 0 else ANSWERS["loss", "label"]
    return _Cause(text, target.high, edits)


def _loss_range(crash: Crashed) -> _Cause | None:
    """A binary cross-entropy that gets something else than probabilities."""
    side = re.search(r"all elements of (input|target) should be between 0 and 1", crash.message)
    if side is None:
        return None
    output, target = _pair(crash)
    if side.group(1) == "input":
        seen = f" ({output.low:.3g} to {output.high:.3g})" if output else ""
        text = f"the loss takes probabilities, and the outputs are none{seen}: no sigmoid in front of it"
        edits = ("loss_function/bce_with_logits@program", "activation/sigmoid@output")
        return _Cause(text, output.high if output else 1.0, edits)
    seen = f" from {target.low:.3g} to {target.high:.3g}" if target else " beyond that"
    text = f"binary cross-entropy takes targets from 0 to 1, and they go{seen}"
    whole = target is not None and target.whole and target.distinct <= _CLASSES
    edits = (
        "loss_function/cross_entropy@program" if whole else "loss_function/mse@program",
        "loss_function/*",
    )
    return _Cause(text, target.high if target else 1.0, edits)


_CLASSES = 50
"""Whole numbers that differ, up to which targets are taken for classes."""


def _type(crash: Crashed) -> _Cause | None:
    """Types that do not go together."""
    if NO_TENSOR in crash.message:
        text = "the network is given an array of numpy, and takes tensors"
        return _Cause(text, edits=_INPUT_TYPE, site=crash.applied)
    if not _TYPES.search(crash.message):
        return None
    at_loss = bool(_LOSS.search(crash.operation)) or _IN_GRADIENT in crash.message
    first, second = _pair(crash) if at_loss else _unlike(crash)
    seen = ""
    if first is not None and second is not None:
        sides = ("outputs", "targets") if at_loss else ("inputs", "weights")
        seen = f": {sides[0]} of {first.dtype}, {sides[1]} of {second.dtype}"
    text = f"types do not go together{seen} ({_first_line(crash.message)})"
    return _Cause(text, edits=_LOSS_TYPE if at_loss else _INPUT_TYPE, site=None if at_loss else crash.applied)


def _unlike(crash: Crashed) -> tuple[Array | None, Array | None]:
    """What a layer was given, and what it has of another type."""
    first, *others = crash.operands or (None,)
    return first, next((one for one in others if one and first and one.dtype != first.dtype), None)


_MESSAGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "does not require grad and does not have a grad_fn",
        "the loss has no gradient graph: something on its way was detached, or computed without gradients",
        _LOSS_GRAPH,
    ),
    (
        "'float' object has no attribute 'backward'",
        "the loss is a plain number: item() or float() has taken its gradient graph",
        _LOSS_GRAPH,
    ),
    (
        "Expected floating point type for target with class probabilities",
        "rows of labels have to be floats, or class ids in their place",
        ("data_type/loss_type@targets", "data_dimension/index@targets"),
    ),
    (
        "got an empty parameter list",
        "the optimizer gets no parameters: the network's layers are not registered, as in a plain list",
        ("api_contract/optimize_all@program",),
    ),
    (
        "backward through the graph a second time",
        "the graph of an earlier update is used again: a state or a loss is carried on without detach()",
        _LOSS_GRAPH,
    ),
    (
        "modified by an inplace operation",
        "a value that the gradient needs is overwritten in place",
        _LOSS_GRAPH,
    ),
    (
        "grad can be implicitly created only for scalar outputs",
        "the loss is one number for each row, not one in all",
        ("loss_function/mean_reduction@program",),
    ),
    (
        "Expected more than 1 value per channel when training",
        "batch normalisation gets a batch of one row, whose deviation is 0; drop_last=True leaves it out",
        ("iterations/batch_*",),
    ),
    (
        "is invalid for input of size",
        "a view does not have as many values as it gets",
        ("layer_dimension/fit_reshape@all", "add_layer/flatten@program"),
    ),
    (
        "must be divisible by num_heads",
        "the features in front of the attention cannot be shared out among its heads",
        ("layer_dimension/fit_heads@all",),
    ),
)
"""Part of the message, what it means, and what answers it."""


def _message(crash: Crashed) -> _Cause | None:
    for part, text, edits in _MESSAGES:
        if part in crash.message:
            return _Cause(f"{text} ({_first_line(crash.message)})", edits=edits)
    return None


_STATE = re.compile(r"Expected hidden(?:\[0\])? size \((\d+), (\d+), \d+\), got \[\1, (\d+), \d+\]")


def _state(crash: Crashed) -> _Cause | None:
    """A state of a recurrent layer for as many rows as there are, where it takes the steps for rows."""
    found, shape = _STATE.search(crash.message), crash.operands[0].shape if crash.operands else ()
    if found is None or len(shape) != 3 or sorted(shape[:2]) != sorted(map(int, found.groups()[1:])):
        return None
    text = f"{crash.operation} takes {found[2]} rows of {_by(shape)}, and its state is for {found[3]}"
    return _Cause(f"{text}: batch_first says which axis is theirs", 1.0, _BATCH_AXIS, crash.made)


_READERS: tuple[_Reader, ...] = (
    _state,
    _message,
    _linear,
    _embedding,
    _convolution,
    _declared,
    _loss_range,
    _loss_shape,
    _type,
)


def _unread(crash: Crashed) -> tuple[str, ...]:
    """What may answer a crash of torch that no reader knows."""
    if not crash.operation:
        return ()
    return ANSWERS["loss" if _LOSS.search(crash.operation) else "forward", "size"]


def _pair(crash: Crashed) -> tuple[Array | None, Array | None]:
    first, second, *_ = (*crash.operands, None, None)
    return first, second


def _is_whole(array: Array) -> bool:
    return array.dtype.startswith(("int", "uint"))


def _by(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _first_line(message: str) -> str:
    line = message.strip().split("\n")[0]
    return line if len(line) <= 120 else f"{line[:117]}..."

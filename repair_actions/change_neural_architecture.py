"""Change neural architecture: a standard network or head, one layer fewer, other recurrent cells."""

from __future__ import annotations

from functools import partial

from netmend.env.program import (
    Attention,
    Convolution,
    Dense,
    Detach,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Pool,
    Position,
    Program,
    Recurrent,
    Task,
)
from netmend.env.program.sites import block_end, hidden_layers, output_layer
from netmend.repair_actions.action import RepairAction, set_layers
from netmend.repair_actions.network import (
    convolution_over,
    layer_inputs,
    output_places,
    spliced,
    taking_any_input,
    with_layers,
)

_HEAD = (Dense(units=64, activation="relu"), Dense(units=64, activation="relu"))
_REMOVED = Dense | Convolution | Attention
_FILTERS = (16, 32)
_CELLS = 32
_ATTENTION = Attention(heads=4, width=2 * _CELLS, norm="before")


def _standard_head(program: Program, _task: Task) -> Program:
    """Two standard layers from the first dense layer behind convolutions, cells and pools to the output."""
    output = output_layer(program)
    if output is None or not isinstance(program.layers[output], Dense):
        return program
    start = output
    for index in range(output - 1, -1, -1):
        layer = program.layers[index]
        if not (layer.belongs or layer.reaches_back or isinstance(layer, Dense | Detach)):
            break
        start = index if isinstance(layer, Dense) else start
    return _rebuilt(program, start, output, _HEAD)


def _remove_last_hidden(program: Program, _task: Task) -> Program:
    hidden = hidden_layers(program)
    if not hidden or not isinstance(program.layers[hidden[-1]], _REMOVED):
        return program
    end = block_end(program, hidden[-1])
    while program.layers[end].reaches_back:
        end += 1
    return _rebuilt(program, hidden[-1], end, ())


def _convolutional(program: Program, task: Task) -> Program:
    """For rows that are sequences, images or volumes."""
    output, shapes = output_layer(program), layer_inputs(program, task)
    kind = convolution_over(len(shapes[0]), task) if shapes else None
    if output is None or kind is None:
        return program
    network: list[Layer] = []
    for filters in _FILTERS:
        network += [kind(filters=filters, padding="same", activation="relu"), Pool()]
    return _rebuilt(program, 0, output, (*network, Flatten(), _HEAD[0]))


def _recurrent(program: Program, task: Task) -> Program:
    """For rows that are sequences or texts."""
    cells = Recurrent(cell="gru", units=_CELLS, return_sequences=_is_for_each_step(program, task))
    return _of_steps(program, task, (), (cells,))


def _transformer(program: Program, task: Task) -> Program:
    """For rows that are sequences or texts."""
    pooled = () if _is_for_each_step(program, task) else (GlobalPool(),)
    features = (Dense(units=_CELLS),)
    return _of_steps(program, task, features, (Position(), _ATTENTION, _ATTENTION, *pooled))


def _is_for_each_step(program: Program, task: Task) -> bool:
    """Whether there is an output at every step, flattened behind it: it needs features at every step."""
    shapes = layer_inputs(program, task)
    return bool(shapes) and output_places(program, task) == shapes[0][-1] > 1


def _of_steps(
    program: Program, task: Task, features: tuple[Layer, ...], network: tuple[Layer, ...]
) -> Program:
    """Another network in front of the output, behind features of a sequence or an embedding of a text."""
    output, shapes = output_layer(program), layer_inputs(program, task)
    if output is None or not shapes:
        return program
    if len(shapes[0]) == 2:
        return _rebuilt(program, 0, output, (*features, *network))
    if task.vocabulary > 0 and len(shapes[0]) == 1:
        return _rebuilt(program, 0, output, (Embedding(units=_CELLS), *network))
    return program


def _rebuilt(program: Program, start: int, stop: int, new: tuple[Layer, ...]) -> Program:
    """With other layers from ``start`` to ``stop``; the next one takes what comes."""
    layers = spliced(program.layers, start, stop, *new)
    return with_layers(program, taking_any_input(layers, start + len(new)))


_action = partial(RepairAction, "change_neural_architecture")


ACTIONS: tuple[RepairAction, ...] = (
    _action(
        "mlp_64_64",
        "hidden",
        "two dense layers of 64 relu units in place of the hidden layers between features and output",
        _standard_head,
    ),
    _action(
        "remove_last",
        "hidden",
        "without the last hidden layer, dense, convolution or attention",
        _remove_last_hidden,
    ),
    _action("gru", "hidden", "GRU cells in every recurrent layer", partial(set_layers, cell="gru")),
    _action("lstm", "hidden", "LSTM cells in every recurrent layer", partial(set_layers, cell="lstm")),
    _action(
        "bidirectional",
        "hidden",
        "every recurrent layer forwards and backwards",
        partial(set_layers, bidirectional=True),
    ),
    _action(
        "cnn_16_32",
        "hidden",
        "convolutions of 16 and 32 filters, each pooled, and 64 relu units in front of the output",
        _convolutional,
    ),
    _action(
        f"gru_{_CELLS}",
        "hidden",
        f"{_CELLS} GRU cells in front of the output, an embedding before them where the rows are texts",
        _recurrent,
    ),
    _action(
        f"transformer_{_CELLS}",
        "hidden",
        f"a transformer of two blocks on {_CELLS} features, of an embedding where the rows are texts",
        _transformer,
    ),
)

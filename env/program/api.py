"""Programs written for another release: what their names and defaults mean on the current one.

A source that leaves a value out takes the default of the release that runs it, and a name that a release has
removed is an error there. A program at an old level is such a source: its fields hold what its author meant,
``resolved`` gives what the current release makes of them.

Levels:
    keras_1: ``nb_epoch``, ``output_dim``, ``border_mode``: names that are gone. Crashes when it is built.
    keras_2: values that equal the old default were left out. Adadelta's and Adagrad's old rates (1.0, 0.01)
        become 0.001, and the momentum of a batch normalisation is read in PyTorch's convention, where it is
        the share of the new value and not of the old one.
    tensorflow_1: ``random_normal`` and ``truncated_normal`` were the functions whose default deviation is 1.
    torch_0: ``loss.data[0]`` and ``Variable``: names that are gone. Crashes at the first loss.
    torch_1: softmax without an axis, which on sequences runs over the batch (on vectors and images over the
        features, as it should).
"""

from __future__ import annotations

from collections.abc import Callable

from netmend.env.program.kinds import OLD_RATES, OPTIMIZER_KINDS
from netmend.env.program.layers import BatchNorm, Layer, Weighted
from netmend.env.program.names import ApiLevel, InitialiserName, LossName
from netmend.env.program.part import changed
from netmend.env.program.schema import Program

REMOVED_NAMES: dict[ApiLevel, str] = {
    "keras_1": "fit() got an unexpected keyword argument 'nb_epoch'; it is called 'epochs' since Keras 2",
    "torch_0": "invalid index of a 0-dim tensor: loss.data[0] is loss.item() since PyTorch 0.4",
}
"""Levels whose names the current release does not know, and what it says."""

RENAMED: dict[ApiLevel, ApiLevel] = {"keras_1": "keras_2", "torch_0": "torch_1"}
"""The level of the same source with today's names: its defaults are still the old ones."""

WIDE: tuple[InitialiserName, ...] = ("random_normal", "truncated_normal")
"""Initialisers whose deviation was 1 in TensorFlow 1."""


def resolved(program: Program) -> Program:
    """The program of the current level that does what the current release makes of this one.

    A level whose names are gone keeps its level (it crashes), and ``torch_1`` keeps it where there is a
    softmax in front of the output. ``sparse_categorical_crossentropy`` on class ids becomes the categorical
    one on one-hot labels, which is the same number for outputs in 0..1 (Keras clips before it normalises).
    """
    program = _RESOLVERS.get(program.api, _same)(program)
    if program.loss == SPARSE and program.data.labels == "index":
        program = changed(
            program, loss="categorical_crossentropy", data=changed(program.data, labels="one_hot")
        )
    return program


SPARSE: LossName = "sparse_categorical_crossentropy"


def _same(program: Program) -> Program:
    return program


def _keras_2(program: Program) -> Program:
    optimizer = program.optimizer
    if OLD_RATES.get(optimizer.kind) == optimizer.lr:
        optimizer = changed(optimizer, lr=OPTIMIZER_KINDS[optimizer.kind].keras_lr)
    layers = tuple(map(_other_momentum, program.layers))
    return changed(program, optimizer=optimizer, layers=layers, api="current")


def _other_momentum(layer: Layer) -> Layer:
    return changed(layer, momentum=1 - layer.momentum) if isinstance(layer, BatchNorm) else layer


def _tensorflow_1(program: Program) -> Program:
    return changed(program, layers=tuple(map(_wide, program.layers)), api="current")


def _wide(layer: Layer) -> Layer:
    if not isinstance(layer, Weighted):
        return layer
    if layer.kernel_init in WIDE:
        layer = changed(layer, kernel_init="standard_normal")
    return changed(layer, bias_init="standard_normal") if layer.bias_init in WIDE else layer


def _torch_1(program: Program) -> Program:
    has_softmax = any(
        "softmax" in (getattr(layer, "activation", ""), getattr(layer, "function", ""))
        for layer in program.layers
    )
    return program if has_softmax else changed(program, api="current")


_RESOLVERS: dict[ApiLevel, Callable[[Program], Program]] = {
    "keras_2": _keras_2,
    "tensorflow_1": _tensorflow_1,
    "torch_1": _torch_1,
}

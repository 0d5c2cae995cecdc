"""The layers of a program as PyTorch code: what is constructed, and what the forward pass does with it.

A program has features first. PyTorch has them last behind an embedding, a recurrent layer or an attention,
so a transposition is written wherever the next layer wants the other order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Convolution,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Program,
    Recurrent,
    Reshape,
    Skip,
    Task,
    TransposedConvolution,
    ZeroPad,
)
from netmend.env.program.misfit import Shape
from netmend.env.program.shapes import walk_layers
from netmend.env.training.activations import LEAKY_SLOPE


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A step of the forward pass as code.

    Attributes:
        layer: position of its layer in the program.
        name: stem of the attribute that holds its module.
        module: expression that constructs it, empty where it is no module.
        function: expression of the value ``{x}``: in the place of the module, or the only form.
        lines: statements that call ``{m}`` on ``x``, of a module that returns more than a tensor.
        parameter: whether ``module`` makes a parameter, which only a class of one's own can hold.
    """

    layer: int
    name: str = ""
    module: str = ""
    function: str = ""
    lines: tuple[str, ...] = ()
    parameter: bool = False

    @property
    def chains(self) -> bool:
        """Whether it can stand in an ``nn.Sequential``."""
        return bool(self.module) and not self.lines and not self.parameter


ACTIVATIONS: dict[str, tuple[str, str]] = {
    "relu": ("nn.ReLU()", "F.relu({x})"),
    "leaky_relu": (f"nn.LeakyReLU({LEAKY_SLOPE})", f"F.leaky_relu({{x}}, {LEAKY_SLOPE})"),
    "elu": ("nn.ELU()", "F.elu({x})"),
    "selu": ("nn.SELU()", "F.selu({x})"),
    "gelu": ("nn.GELU()", "F.gelu({x})"),
    "tanh": ("nn.Tanh()", "torch.tanh({x})"),
    "sigmoid": ("nn.Sigmoid()", "torch.sigmoid({x})"),
    "hard_sigmoid": ("nn.Hardsigmoid()", "F.hardsigmoid({x})"),
    "softmax": ("nn.Softmax(dim=1)", "F.softmax({x}, dim=1)"),
    "softplus": ("nn.Softplus()", "F.softplus({x})"),
    "softsign": ("nn.Softsign()", "F.softsign({x})"),
}
"""Module and function of each activation."""
AXES = {1: "(2)", 2: "(2, 3)", 3: "(2, 3, 4)"}


def pieces_of(program: Program, task: Task) -> list[Piece]:
    """The forward pass of a program that ``problems`` finds nothing wrong with."""
    walk = walk_layers(program.layers, task.input_shape, task.vocabulary)
    writing = _Writing(task.vocabulary, last=starts_last(program, task))
    for index, layer in enumerate(program.layers):
        writing.write(index, layer, walk.shapes[min(index, len(walk.shapes) - 1)])
    return writing.pieces


def starts_last(program: Program, task: Task) -> bool:
    """Whether the rows of the script's data have their features last: sequences that no convolution takes."""
    if len(task.input_shape) != 2:
        return False
    first = next((layer for layer in program.layers if not layer.belongs), program.layers[0])
    return isinstance(first, Recurrent | Attention | Dense | Position)


Write: TypeAlias = Callable[["_Writing", int, Any, Shape], None]


class _Writing:
    """Pieces so far, and whether the features of what they return stand last."""

    def __init__(self, vocabulary: int, last: bool) -> None:
        self.vocabulary, self.last = vocabulary, last
        self.pieces: list[Piece] = []

    def write(self, index: int, layer: Layer, shape: Shape) -> None:
        write = next(write for kind, write in _WRITERS.items() if isinstance(layer, kind))
        write(self, index, layer, shape)

    def add(
        self, layer: int, name: str, module: str, function: str = "", lines: tuple[str, ...] = ()
    ) -> None:
        self.pieces.append(Piece(layer=layer, name=name, module=module, function=function, lines=lines))

    def turn(self, index: int, shape: Shape, *, last: bool) -> None:
        """Bring the features to the end of a row, or to its front."""
        if len(shape) > 1 and self.last != last:
            axes = ", ".join(map(str, range(2, len(shape) + 1)))
            order = (
                f"0, {axes}, 1" if last else f"0, {len(shape)}, {', '.join(map(str, range(1, len(shape))))}"
            )
            plain = "{x}.transpose(1, 2)" if len(shape) == 2 else f"{{x}}.permute({order})"
            self.add(index, "", "", plain)
        self.last = last

    def activate(self, index: int, name: str, shape: Shape) -> None:
        if name == "linear":
            return
        module, function = ACTIVATIONS[name]
        if name == "softmax" and len(shape) > 1 and self.last:
            module, function = module.replace("=1", "=-1"), function.replace("=1", "=-1")
        self.add(index, name.replace("_", ""), module, function)


def _dense(w: _Writing, index: int, layer: Dense, shape: Shape) -> None:
    w.turn(index, shape, last=True)
    bias = "" if layer.bias else ", bias=False"
    w.add(index, "fc", f"nn.Linear({layer.inputs or shape[0]}, {layer.units}{bias})")
    w.activate(index, layer.activation, shape)


def _convolution(w: _Writing, index: int, layer: Convolution, shape: Shape) -> None:
    w.turn(index, shape, last=False)
    transposed = isinstance(layer, TransposedConvolution)
    around = (layer.kernel - 1) // 2 if layer.padding == "same" else layer.padding
    options = [str(layer.inputs or shape[0]), str(layer.filters), f"kernel_size={layer.kernel}"]
    options += [f"stride={layer.stride}"] * (layer.stride != 1)
    options += [f"padding={around}"] * (around not in ("valid", 0))
    if isinstance(layer, TransposedConvolution) and layer.output_padding:
        options.append(f"output_padding={layer.output_padding}")
    options += ["bias=False"] * (not layer.bias)
    kind = f"Conv{'Transpose' if transposed else ''}{layer.axes}d"
    w.add(index, "deconv" if transposed else "conv", f"nn.{kind}({', '.join(options)})")
    w.activate(index, layer.activation, shape)


def _recurrent(w: _Writing, index: int, layer: Recurrent, shape: Shape) -> None:
    w.turn(index, shape, last=True)
    options = [str(layer.inputs or shape[0]), str(layer.units)]
    options += ["bias=False"] * (not layer.bias)
    options += ["batch_first=True"] + ["bidirectional=True"] * layer.bidirectional
    module = f"nn.{layer.cell.upper()}({', '.join(options)})"
    states = "(h, _)" if layer.cell == "lstm" else "h"
    if layer.return_sequences:
        lines: tuple[str, ...] = ("x, _ = {m}(x)",)
    elif layer.bidirectional:
        lines = (f"_, {states} = {{m}}(x)", "x = torch.cat([h[-2], h[-1]], dim=1)")
    else:
        lines = ("out, _ = {m}(x)", "x = out[:, -1, :]")
    w.add(index, layer.cell, module, lines=lines)


def _attention(w: _Writing, index: int, layer: Attention, shape: Shape) -> None:
    w.turn(index, shape, last=True)
    if layer.width:
        options = f"d_model={shape[0]}, nhead={layer.heads}, dim_feedforward={layer.width}"
        options += f", dropout={layer.dropout}" + ', activation="gelu"' * (layer.activation == "gelu")
        options += ", batch_first=True" + ", norm_first=True" * (layer.norm == "before")
        w.add(index, "encoder", f"nn.TransformerEncoderLayer({options})")
        return
    module = f"nn.MultiheadAttention({shape[0]}, {layer.heads}, dropout={layer.dropout}, batch_first=True)"
    w.add(index, "attention", module, lines=("attended, _ = {m}(x, x, x)", "x = x + attended"))
    if layer.norm == "behind":
        w.add(index, "norm", f"nn.LayerNorm({shape[0]})")


def _position(w: _Writing, index: int, layer: Position, shape: Shape) -> None:
    w.turn(index, shape, last=True)
    table = f"nn.Parameter(0.02 * torch.randn(1, {layer.steps or shape[1]}, {shape[0]}))"
    line = "x = x + {m}[:, :x.size(1)]"
    w.pieces.append(Piece(layer=index, name="positions", module=table, lines=(line,), parameter=True))


def _embedding(w: _Writing, index: int, layer: Embedding, _shape: Shape) -> None:
    w.add(index, "embedding", f"nn.Embedding({layer.inputs or w.vocabulary}, {layer.units})")
    w.last = True


def _pool(w: _Writing, index: int, layer: Pool, shape: Shape) -> None:
    w.turn(index, shape, last=False)
    options = str(layer.size)
    options += f", stride={layer.stride}" * (layer.stride not in (None, layer.size))
    options += f", padding={layer.padding}" * (layer.padding not in ("valid", 0))
    kind, axes = "max" if layer.reduce == "max" else "avg", len(shape) - 1
    module = f"nn.{kind.capitalize()}Pool{axes}d({options})"
    w.add(index, "pool", module, f"F.{kind}_pool{axes}d({{x}}, {options})")


def _global_pool(w: _Writing, index: int, layer: GlobalPool, shape: Shape) -> None:
    reduce = "mean" if layer.reduce == "mean" else "amax"
    axes = "1" if w.last else AXES[len(shape) - 1].strip("()") if len(shape) == 2 else AXES[len(shape) - 1]
    module = "" if w.last else f"nn.Adaptive{'Avg' if reduce == 'mean' else 'Max'}Pool{len(shape) - 1}d(1)"
    w.add(index, "pool", module, f"{{x}}.{reduce}(dim={axes})")
    if module:
        w.add(index, "flatten", "nn.Flatten()", "{x}")
    w.last = False


def _flatten(w: _Writing, index: int, _layer: Flatten, shape: Shape) -> None:
    if len(shape) > 1:
        w.turn(index, shape, last=False)
        w.add(index, "flatten", "nn.Flatten()", "torch.flatten({x}, 1)")


def _norm(w: _Writing, index: int, layer: BatchNorm | LayerNorm, shape: Shape) -> None:
    of_batch = isinstance(layer, BatchNorm)
    w.turn(index, shape, last=not of_batch)
    kind = f"BatchNorm{max(len(shape) - 1, 1)}d" if of_batch else "LayerNorm"
    w.add(index, "bn" if of_batch else "norm", f"nn.{kind}({shape[0]})")


def _reshape(w: _Writing, index: int, layer: Reshape, shape: Shape) -> None:
    w.turn(index, shape, last=False)
    sizes = ", ".join(map(str, layer.shape))
    module = f"nn.Unflatten(1, ({sizes}))" if len(shape) == 1 and len(layer.shape) > 1 else ""
    w.add(index, "reshape", module, f"{{x}}.view({{x}}.size(0), {sizes})")


def _dropout(w: _Writing, index: int, layer: Dropout, _shape: Shape) -> None:
    w.add(index, "dropout", f"nn.Dropout({layer.rate})")


def _zero_pad(w: _Writing, index: int, layer: ZeroPad, shape: Shape) -> None:
    w.turn(index, shape, last=False)
    w.add(index, "pad", f"nn.ZeroPad{len(shape) - 1}d({layer.size})")


_WRITERS: dict[type[Layer], Write] = {
    Dense: _dense,
    Convolution: _convolution,
    Recurrent: _recurrent,
    Attention: _attention,
    Position: _position,
    Embedding: _embedding,
    Pool: _pool,
    GlobalPool: _global_pool,
    Flatten: _flatten,
    BatchNorm: _norm,
    LayerNorm: _norm,
    Reshape: _reshape,
    Dropout: _dropout,
    ZeroPad: _zero_pad,
    Activation: lambda w, index, layer, shape: w.activate(index, layer.function, shape),
    Detach: lambda w, index, _layer, _shape: w.add(index, "", "", "{x}.detach()"),
    Skip: lambda w, index, _layer, _shape: w.add(index, "", "", "{x} + identity"),
}


def can_write(layer: Layer) -> bool:
    """Whether a layer has a form in PyTorch code that people write."""
    if isinstance(layer, Attention):
        plain = layer.norm != "none" if layer.width else layer.norm != "before"
        return plain and layer.bias and not layer.causal
    if isinstance(layer, Convolution):
        right = layer.kernel % 2 == 1 if layer.padding == "same" else True
        return right and not (layer.padding == "same" and isinstance(layer, TransposedConvolution))
    if isinstance(layer, Position):
        return layer.encoding == "learned"
    if isinstance(layer, Activation):
        return layer.function in ACTIVATIONS
    if isinstance(layer, BatchNorm | LayerNorm):
        return layer == type(layer)()
    if isinstance(layer, Pool):
        return layer.padding != "same"
    return isinstance(layer, tuple(_WRITERS))

"""From the layers of a program to tables of operations over one arena."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod

import numpy as np

from netmend.env.program import (
    Activation,
    ActivationName,
    Attention,
    BatchNorm,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Convolution,
    Crop,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Layer,
    LayerNorm,
    Pool,
    Position,
    Recurrent,
    Rescale,
    Reshape,
    Shared,
    Skip,
    ThresholdedRelu,
    TransposedConvolution,
    ZeroPad,
)
from netmend.env.program.layers import GATES, margin
from netmend.env.program.misfit import Shape
from netmend.env.training.attention import EPSILON, sine_waves
from netmend.env.training.building import LARGEST_NOISE
from netmend.env.training.compiled import attending, elementwise, norms, products, recurrent, windows
from netmend.env.training.compiled.elementwise import FUNCTIONS, THRESHOLD
from netmend.env.training.compiled.fields import (
    BACKWARD,
    BIAS,
    COLUMNS,
    DX,
    DY,
    FORWARD,
    GRADIENT,
    KERNEL,
    OUT_PLACES,
    OUT_WIDTH,
    OWN,
    PLACES,
    SAVED,
    SCRATCH,
    WIDTH,
    Floats,
    Ints,
    X,
    Y,
)
from netmend.env.training.compiled.jit import Kernel
from netmend.env.training.initialisers import ParameterSpec
from netmend.env.training.recurrent import REVERSE

LARGEST_ARENA = 2**27
"""Values that a training may hold."""
LINE, APART = 16, 80
"""Values of a line of the cache: what begins within one takes twice as long. Places that are a multiple of a
page apart get into each other's way, so that there is some room between them."""
WINDOWS = 2**16
"""Values of windows that are laid out at once, so that they stay in the cache of a core."""


class NotMineError(Exception):
    """What only the plain loop trains."""


@dataclass(frozen=True, eq=False)
class Value:
    """Outputs of an operation: where they and their gradient stand, the shape of a row, features first."""

    x: int
    dx: int
    shape: Shape
    learns: bool

    @property
    def width(self) -> int:
        """Features."""
        return self.shape[0]

    @property
    def places(self) -> int:
        """Steps or pixels."""
        return prod(self.shape[1:])

    @property
    def image(self) -> tuple[int, int]:
        """Lines and columns; a sequence is one line."""
        return (1, *self.shape[1:]) if len(self.shape) == 2 else self.shape[1:]  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Operation:
    backward: Kernel
    taken: Value
    given: Value
    row: list[int]
    weights: tuple[int, int]  # first and number, where they are trained
    added: Value | None = None


@dataclass(frozen=True)
class Draw:
    """Noise of one layer: where it goes, the shape of a row, the share that is kept (None: normal noise)."""

    at: int
    shape: Shape
    keep: float | None


@dataclass(frozen=True)
class Room:
    """Most rows of a pass, of one with a gradient, and of an epoch's noise."""

    rows: int
    learning: int
    noise: int


@dataclass
class Table:
    """The operations of a network, put together layer by layer.

    Attributes:
        layers, shapes: of the network, and what comes out of each.
        specs: its tensors, the trained ones first.
        room: see ``Room``.
        size, bits: values of the arena, and bits of dropout, so far.
        constants: what stands in the arena from the start, by its position.
        draws: noise in the order in which it is drawn.
        ends: by layer, its outputs.
    """

    layers: Sequence[Layer]
    shapes: Sequence[Shape]
    specs: Sequence[ParameterSpec]
    room: Room
    size: int = 0
    bits: int = 0
    constants: dict[int, Floats] = field(default_factory=dict)
    draws: list[Draw] = field(default_factory=list)
    ends: list[Value] = field(default_factory=list)
    _operations: list[_Operation] = field(default_factory=list)
    _scratch: int = 0

    def __post_init__(self) -> None:
        """Lay out the weights, the trained ones first."""
        self.places: dict[tuple[int, str], int] = {}
        self.trained = sum(spec.size for spec in self.specs if spec.trainable)
        at = 0
        for spec in self.specs:
            self.places[spec.layer, spec.name] = at
            at += spec.size
        self.take(at)
        self._sizes = {(spec.layer, spec.name): spec for spec in self.specs}
        self.gradient = self.take(self.trained)
        self._statistics: dict[int, int] = {}

    def take(self, size: int) -> int:
        """Room for so many values, at the beginning of a line."""
        at, self.size = self.size, self.size + -(-size // LINE) * LINE + APART
        if self.size > LARGEST_ARENA:
            raise NotMineError("too large")
        return at

    def constant(self, values: float | Iterable[float]) -> int:
        """Room for numbers that never change."""
        made = np.atleast_1d(np.asarray(values, np.float32)).reshape(-1)
        at = self.take(made.size)
        self.constants[at] = made
        return at

    def build(self, shape: Shape) -> Value:
        """Add all layers behind inputs of a shape; gives the inputs."""
        inputs = Value(self.take(self.room.rows * prod(shape)), -1, shape, learns=False)
        value = inputs
        taken: list[Value] = []
        for index, layer in enumerate(self.layers):
            taken.append(value)
            source = index - layer.back if isinstance(layer, Shared) else index
            if isinstance(layer, Skip):
                value = self._join(value, taken[index - layer.back])
            else:
                value = self._layer(source, value, self.shapes[index])
            self.ends.append(value)
        return inputs

    def tables(self, outputs: Value) -> tuple[Ints, Ints]:
        """Rows of the forward pass, and of the backward pass behind the gradient of the outputs."""
        back: list[list[int]] = []
        written, learned = {outputs.dx}, set[int]()
        scratch = self.take(self._scratch)
        for operation in self._operations:
            operation.row[SCRATCH] = scratch
        for operation in reversed(self._operations):
            if operation.given.learns:
                back += self._back(operation, written, learned)
        self.unwritten = (
            sum(size for at, size in {o.weights for o in self._operations} if at in learned) < self.trained
        )
        forward, backward = (
            np.array(rows, np.int64).reshape(-1, COLUMNS)
            for rows in ([operation.row for operation in self._operations], back)
        )
        return forward, backward

    def _back(self, operation: _Operation, written: set[int], learned: set[int]) -> list[list[int]]:
        """Rows of the backward pass of an operation; what comes second to a place is added to it there."""
        own, behind = operation.row.copy(), list[list[int]]()
        own[BACKWARD] = operation.backward.address
        first, count = operation.weights
        if count:
            aside = self.gradient + first if first not in learned else self.take(count)
            own[GRADIENT] = aside - first
            if first in learned:
                behind.append(_gather(aside, self.gradient + first, 0, count))
            learned.add(first)
        inputs = [v for v in (operation.taken, operation.added) if v is not None and v.learns]
        rows = [own.copy() for _ in inputs] or [own]
        for row, value in zip(rows, inputs, strict=False):
            row[DX] = value.dx
            if value.dx in written:
                row[DX] = self.take(self.room.learning * prod(value.shape))
                behind.append(_gather(row[DX], value.dx, value.places, value.width))
            written.add(value.dx)
        return rows + behind

    def _add(
        self,
        kernels: tuple[Kernel, Kernel],
        taken: Value,
        shape: Shape,
        own: Sequence[int] = (),
        *,
        weights: Sequence[tuple[int, str]] = (),
        saved: int = 0,
        scratch: int = 0,
        added: Value | None = None,
        given: Value | None = None,
        columns: dict[int, int] | None = None,
    ) -> Value:
        """An operation; gives its outputs.

        Args:
            kernels: forwards and backwards.
            taken: its inputs.
            shape: of its outputs.
            own: its own numbers.
            weights: names of its tensors, kernel and bias first, all trained or none.
            saved, scratch: values that it keeps, and that it uses.
            added: a second input.
            given: outputs that are there already, of which it writes a part.
            columns: other columns.
        """
        specs = [self._sizes[name] for name in weights]
        trained = bool(specs) and specs[0].trainable
        learns = trained or taken.learns or (added is not None and added.learns)
        if given is None:
            size = prod(shape)
            at = self.take(self.room.rows * size)
            given = Value(at, self.take(self.room.learning * size) if learns else -1, shape, learns)
        row = [0] * COLUMNS
        row[FORWARD], row[X], row[Y], row[DX], row[DY] = kernels[0].address, taken.x, given.x, -1, given.dx
        row[PLACES], row[WIDTH] = taken.places, taken.width
        row[OUT_PLACES], row[OUT_WIDTH] = given.places, given.width
        row[BIAS], row[SAVED] = -1, self.take(saved)
        for column, name in zip((KERNEL, BIAS), weights, strict=False):
            row[column] = self.places[name]
        row[OWN : OWN + len(own)] = own
        for column, number in (columns or {}).items():
            row[column] = number
        self._scratch = max(self._scratch, scratch)
        span = (self.places[weights[0]], sum(spec.size for spec in specs)) if trained else (0, 0)
        self._operations.append(_Operation(kernels[1], taken, given, row, span, added))
        return given

    def _layer(self, index: int, value: Value, shape: Shape) -> Value:
        layer = self.layers[index]
        make = _LAYERS.get(type(layer))
        if make is None:
            raise NotMineError(type(layer).__name__)
        return make(self, index, layer, value, shape)

    def _names(self, index: int, *names: str) -> list[tuple[int, str]]:
        """Those of the layer's tensors that there are."""
        return [(index, name) for name in names if (index, name) in self.places]

    def _join(self, value: Value, other: Value) -> Value:
        kernels = elementwise.join, elementwise.copy_back
        return self._add(kernels, value, value.shape, [other.x], added=other)

    def _activated(self, value: Value, name: ActivationName) -> Value:
        if name == "linear":
            return value
        kind, first, second = FUNCTIONS[name]
        kernels = elementwise.activate, elementwise.activate_back
        return self._add(kernels, value, value.shape, [kind, self.constant((first, second))])

    def _dense(self, index: int, layer: Dense, value: Value, _shape: Shape) -> Value:
        made = self._product(index, "", layer.units, value)
        return self._activated(made, layer.activation)

    def _product(self, index: int, part: str, units: int, value: Value) -> Value:
        names = self._names(index, f"{part}kernel", f"{part}bias")
        return self._add(
            (products.dense, products.dense_back), value, (units, *value.shape[1:]), weights=names
        )

    def _convolution(self, index: int, layer: Convolution, value: Value, shape: Shape) -> Value:
        spreads = isinstance(layer, TransposedConvolution)
        whole = Value(0, -1, shape, learns=False)
        image, places = (whole, value.places) if spreads else (value, whole.places)
        size = layer.window * (layer.filters if spreads else value.width)
        piece = max(1, min(self.room.rows, WINDOWS // (places * size)))
        lines, across = (value if spreads else whole).image
        flat = layer.axes == 1
        around = self._around(layer, image.image, (lines, across), flat)
        numbers = [
            *image.image,
            lines,
            across,
            1 if flat else layer.kernel,
            layer.kernel,
            layer.stride,
            *around,
            piece,
        ]
        kernels = (
            (windows.spread, windows.spread_back) if spreads else (windows.convolve, windows.convolve_back)
        )
        names = self._names(index, "kernel", "bias")
        made = self._add(kernels, value, whole.shape, numbers, weights=names, scratch=piece * places * size)
        return self._activated(made, layer.activation)

    @staticmethod
    def _around(
        layer: Convolution | Pool, image: tuple[int, int], out: tuple[int, int], flat: bool
    ) -> tuple[int, int]:
        """Zeros above and to the left."""
        if layer.padding != "same":
            return (0 if flat else margin(layer.padding)), margin(layer.padding)
        size = layer.size if isinstance(layer, Pool) else layer.kernel
        stride = (layer.stride or size) if isinstance(layer, Pool) else layer.stride
        widths = [
            max((there - 1) * stride + size - length, 0) // 2
            for length, there in zip(image, out, strict=True)
        ]
        if isinstance(layer, TransposedConvolution):
            widths = [max(size - stride, 0) // 2] * 2
        return (0 if flat else widths[0]), widths[1]

    def _pool(self, _index: int, layer: Pool, value: Value, shape: Shape) -> Value:
        flat = len(shape) == 2
        out = (1, shape[1]) if flat else (shape[1], shape[2])
        around = self._around(layer, value.image, out, flat)
        high, stride = 1 if flat else layer.size, layer.stride or layer.size
        numbers = [*value.image, *out, high, layer.size, stride, *around, 0, int(layer.padding != "same")]
        kernels = {
            "max": (windows.pool_max, windows.pool_max_back),
            "mean": (windows.pool_mean, windows.pool_mean_back),
        }
        return self._add(kernels[layer.reduce], value, shape, numbers, scratch=value.width)

    def _global_pool(self, _index: int, layer: GlobalPool, value: Value, _shape: Shape) -> Value:
        kernels = {
            "max": (windows.whole_max, windows.whole_max_back),
            "mean": (windows.whole_mean, windows.whole_mean_back),
        }
        return self._add(kernels[layer.reduce], value, value.shape[:1], scratch=value.width)

    def _recurrent(self, index: int, layer: Recurrent, value: Value, shape: Shape) -> Value:
        gates, units, steps = GATES[layer.cell], layer.units, value.places
        kernels = {
            "rnn": (recurrent.rnn, recurrent.rnn_back),
            "gru": (recurrent.gru, recurrent.gru_back),
            "lstm": (recurrent.lstm, recurrent.lstm_back),
        }
        of_unit = self.room.rows * units
        saved, scratch = of_unit * (steps * gates + 2 * (steps + 1)), 2 * of_unit
        given: Value | None = None
        for back, part in enumerate(("", REVERSE)[: layer.directions]):
            names = self._names(
                index, *(part + name for name in ("kernel", "bias", "state_kernel", "state_bias"))
            )
            state_bias = self.places.get((index, part + "state_bias"), -1)
            own = [
                units,
                back,
                int(layer.return_sequences),
                back,
                self.places[index, part + "state_kernel"],
                state_bias,
            ]
            given = self._add(
                kernels[layer.cell],
                value,
                shape,
                own,
                weights=names,
                saved=saved,
                scratch=scratch,
                given=given,
                columns={} if layer.bias else {BIAS: -1},
            )
        assert given is not None
        return given

    def _attention(self, index: int, layer: Attention, value: Value, _shape: Shape) -> Value:
        def attended(x: Value) -> Value:
            return self._dropped(self._attend(index, layer, x), layer.dropout)

        def fed_forward(x: Value) -> Value:
            inner = self._activated(self._product(index, "inner_", layer.width, x), layer.activation)
            inner = self._dropped(inner, layer.dropout)
            return self._dropped(self._product(index, "outer_", x.width, inner), layer.dropout)

        value = self._residual(index, layer, attended, "first_", value)
        return self._residual(index, layer, fed_forward, "second_", value) if layer.width else value

    def _residual(
        self, index: int, layer: Attention, part: Callable[[Value], Value], name: str, value: Value
    ) -> Value:
        norm = partial(self._normalised, self._names(index, f"{name}scale", f"{name}shift"), EPSILON)
        if layer.norm == "before":
            return self._join(part(norm(value)), value)
        joined = self._join(part(value), value)
        return norm(joined) if layer.norm == "behind" else joined

    def _attend(self, index: int, layer: Attention, value: Value) -> Value:
        width, steps = value.shape
        projected = self._product(index, "", 3 * width, value)
        own = [layer.heads, int(layer.causal), -1, 0, 0]
        if layer.dropout:
            own[2:] = self._draw((layer.heads, steps, steps), 1 - layer.dropout)
        made = self._add(
            (attending.attend, attending.attend_back),
            projected,
            value.shape,
            own,
            saved=self.room.rows * layer.heads * steps * steps,
            scratch=2 * steps * (steps + 1),
        )
        return self._product(index, "out_", width, made)

    def _dropped(self, value: Value, rate: float) -> Value:
        """Dropout inside of an attention, whose rows are laid out as they are here."""
        if not rate:
            return value
        own = [*self._draw((value.places, value.width), 1 - rate), 0]
        return self._add((elementwise.drop, elementwise.drop_back), value, value.shape, own)

    def _dropout(self, _index: int, layer: Dropout, value: Value, _shape: Shape) -> Value:
        own = [*self._draw(value.shape, 1 - layer.rate), 1]
        return self._add((elementwise.drop, elementwise.drop_back), value, value.shape, own)

    def _draw(self, shape: Shape, keep: float) -> tuple[int, int, int]:
        """Room for the bits of a dropout: where, the largest that is kept, where its factor stands."""
        size = self.room.noise * prod(shape)
        if size > LARGEST_NOISE:
            raise NotMineError("masks by batch")
        at, self.bits = self.bits, self.bits + -(-size // 4) * 4
        self.draws.append(Draw(at, shape, keep))
        kept = min(max(round(keep * 2**16), 1), 2**16)
        return at, kept - 2**15 - 1, self.constant(2**16 / kept)

    def _noise(self, _index: int, layer: GaussianNoise, value: Value, _shape: Shape) -> Value:
        at = self.take(self.room.noise * prod(value.shape))
        self.draws.append(Draw(at, value.shape, None))
        kernels = elementwise.disturb, elementwise.copy_back
        return self._add(kernels, value, value.shape, [at, self.constant(layer.deviation)])

    def _batch_norm(self, index: int, layer: BatchNorm, value: Value, _shape: Shape) -> Value:
        if index not in self._statistics:
            self._statistics[index] = self.constant([0.0] * value.width + [1.0] * value.width)
        own = [self._statistics[index], self.constant((layer.momentum, layer.epsilon))]
        names = self._names(index, "scale", "shift")
        kernels, width = (norms.batch_norm, norms.batch_norm_back), value.width
        return self._add(kernels, value, value.shape, own, weights=names, saved=2 * width, scratch=2 * width)

    def _layer_norm(self, index: int, layer: LayerNorm, value: Value, _shape: Shape) -> Value:
        return self._normalised(self._names(index, "scale", "shift"), layer.epsilon, value)

    def _normalised(self, names: Sequence[tuple[int, str]], epsilon: float, value: Value) -> Value:
        kernels, saved = (norms.layer_norm, norms.layer_norm_back), 2 * self.room.rows * value.places
        own = [self.constant(epsilon)]
        return self._add(kernels, value, value.shape, own, weights=names, saved=saved)

    def _embedding(self, index: int, _layer: Embedding, value: Value, _shape: Shape) -> Value:
        (name,) = self._names(index, "kernel")
        table, units = self._sizes[name].shape
        kernels, steps = (products.embed, products.embed_back), value.shape[0]
        row = {PLACES: steps, WIDTH: 1}
        return self._add(kernels, value, (units, steps), [table], weights=[name], columns=row)

    def _position(self, index: int, layer: Position, value: Value, _shape: Shape) -> Value:
        kernels = products.locate, products.locate_back
        if layer.encoding == "learned":
            (name,) = self._names(index, "kernel")
            return self._add(kernels, value, value.shape, [self._sizes[name].shape[0]], weights=[name])
        waves = sine_waves(value.places, value.width).T.numpy()
        return self._add(kernels, value, value.shape, [value.places], columns={KERNEL: self.constant(waves)})

    def _detached(self, _index: int, _layer: Detach, value: Value, _shape: Shape) -> Value:
        return replace(value, dx=-1, learns=False)

    def _activation(self, _index: int, layer: Activation, value: Value, _shape: Shape) -> Value:
        return self._activated(value, layer.function)

    def _reshaped(self, _index: int, _layer: Layer, value: Value, shape: Shape) -> Value:
        """The same values, features first, in another shape."""
        if shape == value.shape:
            return value
        kernels = elementwise.swap, elementwise.swap_back
        if value.places > 1 and value.width > 1:
            value = self._add(kernels, value, (prod(shape),))
        wanted = Value(0, -1, shape, learns=False)
        flat = replace(value, shape=(wanted.width, wanted.places))
        if wanted.places == 1 or wanted.width == 1:
            return replace(value, shape=shape)
        return self._add(kernels, flat, shape, columns={PLACES: wanted.width, WIDTH: wanted.places})

    def _placed(self, shape: Shape, top: int, left: int, value: Value) -> Value:
        """An image in another one."""
        across = [image[-1] for image in (value.shape, shape)]
        return self._add((elementwise.place, elementwise.place_back), value, shape, [*across, top, left])

    def _crop(self, _index: int, layer: Crop, value: Value, shape: Shape) -> Value:
        top, left = (0, -layer.top) if len(value.shape) == 2 else (-layer.top, 0)
        return self._placed(shape, top, left, value)

    def _zero_pad(self, _index: int, layer: ZeroPad, value: Value, shape: Shape) -> Value:
        top = 0 if len(value.shape) == 2 else layer.size
        return self._placed(shape, top, layer.size, value)

    def _rescale(self, _index: int, layer: Rescale, value: Value, _shape: Shape) -> Value:
        kernels = elementwise.rescale, elementwise.rescale_back
        return self._add(kernels, value, value.shape, [self.constant((layer.factor, layer.offset))])

    def _thresholded(self, _index: int, layer: ThresholdedRelu, value: Value, _shape: Shape) -> Value:
        own = [THRESHOLD, self.constant((layer.threshold, 0.0))]
        return self._add((elementwise.activate, elementwise.activate_back), value, value.shape, own)


def _gather(source: int, target: int, places: int, width: int) -> list[int]:
    """A row that adds what stands aside."""
    row = [0] * COLUMNS
    row[X], row[Y], row[PLACES], row[WIDTH] = source, target, places, width
    row[BACKWARD] = elementwise.gather.address
    return row


def arranged(spec: ParameterSpec, layer: Layer, value: Floats) -> Floats:
    """A tensor as the kernels have it: inputs first, but of recurrent layers; windows with features last."""
    if isinstance(layer, Convolution) and spec.name == "kernel":
        value = np.moveaxis(value, 1, -1)
        return value if isinstance(layer, TransposedConvolution) else value.reshape(len(value), -1).T
    if value.ndim == 2 and not isinstance(layer, Embedding | Position | Recurrent):
        return value.T
    return value


_LAYERS: dict[type[Layer], Callable[..., Value]] = {
    Dense: Table._dense,
    Conv1d: Table._convolution,
    Conv2d: Table._convolution,
    Conv1dTranspose: Table._convolution,
    Conv2dTranspose: Table._convolution,
    Recurrent: Table._recurrent,
    Attention: Table._attention,
    Position: Table._position,
    Embedding: Table._embedding,
    Pool: Table._pool,
    GlobalPool: Table._global_pool,
    Flatten: Table._reshaped,
    Reshape: Table._reshaped,
    Dropout: Table._dropout,
    GaussianNoise: Table._noise,
    BatchNorm: Table._batch_norm,
    LayerNorm: Table._layer_norm,
    Activation: Table._activation,
    ThresholdedRelu: Table._thresholded,
    Rescale: Table._rescale,
    ZeroPad: Table._zero_pad,
    Crop: Table._crop,
    Detach: Table._detached,
}

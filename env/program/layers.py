"""The layers of a program, as data: each kind with its fields and with the facts that all others read.

Shapes leave out the batch axis and put channels or features first; see :mod:`netmend.env.program.schema`.
What a layer computes stands in :mod:`netmend.env.training.building`.
"""

from __future__ import annotations

from dataclasses import Field, dataclass
from math import prod
from typing import Any, ClassVar, Literal, Self, TypeAlias

from netmend.env.program.misfit import (
    MOST_AXES,
    MisfitError,
    Shape,
    expect,
    expect_axes,
    shown_shape,
)
from netmend.env.program.names import ActivationName, InitialiserName
from netmend.env.program.part import changed, keeps_hash

Padding: TypeAlias = Literal["valid", "same"] | int
"""What stands around the values: nothing, as much as keeps one value per stride, or so much on both ends."""
GATES = {"gru": 3, "lstm": 4, "rnn": 1}
"""Matrices of a recurrent cell, each on the input and on the state."""
LAYER_KINDS: dict[str, type[Layer]] = {}
"""Every kind of layer by its name, in the order of the classes below."""


def margin(padding: Padding) -> int:
    """Positions that a padding adds on both ends of every axis; 0 of ``same``, which depends on the sizes."""
    return padding if isinstance(padding, int) else 0


class Layer:
    """Facts about a kind of layer beside its fields; a kind says those that are not so for most.

    Attributes:
        name: in YAML and in messages.
        axes: of steps or pixels that it goes over, 0 where it takes whatever comes.
        learns: whether it has numbers that training changes.
        takes_ids: whether it looks up token ids.
        belongs: whether it belongs to the layer with a kernel in front of it.
        normalises: whether it brings values to unit scale.
        pools: whether it makes one value of many steps or pixels.
        shapes_only: whether it does no more than to give the values another shape, or fewer of them.
        keeps_range: whether what is between 0 and 1 stays so.
        reaches_back: whether it takes what another layer in front of it has or took, ``back`` positions away.
        has_modes: whether it works in one way while training and in another while predicting.
        sized_by: field with the number of units that an edit makes it wider by.
        activated_by: field with its activation.
        dropped_by: field with its dropout rate.
        declares: field with a size that it declares to take.
        counted_as: under which name an observation counts it; empty where it does in another way.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    name: ClassVar[str] = ""
    axes: ClassVar[int] = 0
    learns: ClassVar[bool] = False
    takes_ids: ClassVar[bool] = False
    belongs: ClassVar[bool] = False
    normalises: ClassVar[bool] = False
    pools: ClassVar[bool] = False
    shapes_only: ClassVar[bool] = False
    keeps_range: ClassVar[bool] = False
    reaches_back: ClassVar[bool] = False
    has_modes: ClassVar[bool] = False
    sized_by: ClassVar[str] = ""
    activated_by: ClassVar[str] = ""
    dropped_by: ClassVar[str] = ""
    declares: ClassVar[str] = ""
    counted_as: ClassVar[str] = ""

    def __init_subclass__(cls, **facts: object) -> None:
        """Set the facts of a kind; one with a name of its own can stand in a program."""
        for fact, value in facts.items():
            if fact not in Layer.__annotations__:
                raise TypeError(f"{cls.__name__}: there is no fact {fact!r} about a layer")
            setattr(cls, fact, value)
        if "name" in facts:
            if cls.name in LAYER_KINDS:
                raise TypeError(f"two kinds of layer are called {cls.name!r}")
            LAYER_KINDS[cls.name] = cls

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        """Shape of what it returns for a row of a shape, token ids where there is a vocabulary.

        Raises:
            MisfitError: it cannot take such a row.
        """
        return shape

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        """Number of weights and biases on such a row, frozen ones included.

        A recurrent cell has PyTorch's two biases per gate, a normalisation its scale and its shift.
        """
        return 0

    def work(self, shape: Shape, output: Shape) -> int:
        """Multiply-accumulate operations of one row, of kernels and of attention only."""
        return 0

    def inside(self, shape: Shape) -> int:
        """Values of a row that stay between the passes, beside those that it returns."""
        return 0

    def refused(self, shape: Shape, vocabulary: int) -> MisfitError | None:
        """Why the forward pass ends at it, though it could be built: what it declares is wrong."""
        return None

    def read(self, vocabulary: int) -> Self:
        """The layer with what its training does not read set to one value, and what it declares as right."""
        return self


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Weighted(Layer, learns=True, declares="inputs"):
    """What every layer with trainable weights has in common.

    Attributes:
        kernel_init: initialiser of the weight matrix or kernel.
        bias_init: initialiser of the bias.
        bias: whether there is a bias.
        l1: factor of the sum of absolute kernel weights that is added to the loss.
        l2: factor of the sum of squared kernel weights that is added to the loss.
        trainable: a layer that is not keeps its initial weights.
        inputs: features that the layer declares to take, as PyTorch asks for; None takes what comes, as Keras
            does. A wrong number is a crash in the forward pass.
    """

    kernel_init: InitialiserName = "glorot_uniform"
    bias_init: InitialiserName = "zeros"
    bias: bool = True
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True
    inputs: int | None = None

    def refused(self, shape: Shape, vocabulary: int) -> MisfitError | None:
        if self.inputs in (None, shape[0]):
            return None
        reason = f"the layer takes {self.inputs} features, but its input is {shown_shape(shape)}"
        return MisfitError(reason, (self.inputs or 0, *shape[1:]), shape)

    def read(self, vocabulary: int) -> Self:
        return changed(
            self,
            inputs=None,
            bias_init=self.bias_init if self.bias else "zeros",
            l1=self.l1 if self.trainable else 0.0,
            l2=self.l2 if self.trainable else 0.0,
        )


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Dense(Weighted, name="dense", sized_by="units", activated_by="activation", counted_as="dense"):
    """``units`` outputs, each from all features; applied at every step or pixel of an unflattened input."""

    units: int
    activation: ActivationName = "linear"

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        return (self.units, *shape[1:])

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return self.units * (shape[0] + self.bias)

    def work(self, shape: Shape, output: Shape) -> int:
        return shape[0] * prod(output)


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Convolution(Weighted, sized_by="filters", activated_by="activation", counted_as="conv"):
    """What all convolutions have in common: the same kernel at every place.

    Attributes:
        filters: features that come out.
        kernel: steps or pixels of the kernel along every axis.
        stride: steps or pixels from one place to the next.
        padding: zeros on both ends of every axis, as in PyTorch; ``valid`` is none, ``same`` as many as give
            one value per stride, as in Keras.
        activation: of the values that come out.
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: Padding = "valid"
    activation: ActivationName = "linear"

    @property
    def window(self) -> int:
        """Values of the kernel for one feature."""
        return int(self.kernel**self.axes)

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect(shape, self.axes + 1, self.name)
        return (self.filters, *(self.convolved(size, shape) for size in shape[1:]))

    def convolved(self, size: int, shape: Shape) -> int:
        """Places along an axis of some size."""
        if self.padding == "same":
            return -(-size // self.stride)
        around = margin(self.padding)
        if self.kernel > size + 2 * around:
            raise MisfitError(
                f"a kernel of {self.kernel} does not fit {size} steps or pixels"
                f"{_padded(around) or ' without padding'}",
                (shape[0], *(self.kernel - 2 * around,) * (len(shape) - 1)),
                shape,
            )
        return (size + 2 * around - self.kernel) // self.stride + 1

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return self.filters * (shape[0] * self.window + self.bias)

    def work(self, shape: Shape, output: Shape) -> int:
        return shape[0] * self.window * prod(output)

    def read(self, vocabulary: int) -> Self:
        same = "same" if self.keeps_size else self.padding or "valid"
        return changed(super().read(vocabulary), padding=same)

    @property
    def keeps_size(self) -> bool:
        """Whether a padding that is given as a number is what ``same`` gives."""
        around = margin(self.padding)
        return around > 0 and self.stride == 1 and 2 * around == self.kernel - 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv1d(Convolution, name="conv1d", axes=1):
    """Convolution along the steps of a sequence."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution, name="conv2d", axes=2):
    """Convolution over an image with a square kernel."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv3d(Convolution, name="conv3d", axes=3):
    """Convolution over a volume ``(channels, depth, height, width)`` with a kernel that is a cube."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(Convolution, counted_as="conv_transpose"):
    """What all transposed convolutions have in common: each value is spread over a window of the output.

    An axis of n becomes ``(n - 1) * stride + kernel``, less the padding on both ends, and ``n * stride`` with
    the padding ``same``.

    Attributes:
        output_padding: positions more at the end of every axis, fewer than the stride; not read with
            ``same``, which knows its size.
    """

    output_padding: int = 0

    def convolved(self, size: int, shape: Shape) -> int:
        if self.padding == "same":
            return size * self.stride
        if self.output_padding >= self.stride:
            reason = f"an output padding of {self.output_padding} is not below the stride of {self.stride}"
            raise MisfitError(reason, shape, shape)
        whole = (size - 1) * self.stride + self.kernel
        left = whole - 2 * margin(self.padding) + self.output_padding
        if left < 1:
            reason = f"a padding of {margin(self.padding)} leaves nothing of {whole} steps or pixels"
            raise MisfitError(reason, shape, shape)
        return left

    def work(self, shape: Shape, output: Shape) -> int:
        return prod(shape) * self.window * self.filters

    def read(self, vocabulary: int) -> Self:
        layer = super().read(vocabulary)
        return changed(layer, output_padding=0) if layer.padding == "same" else layer

    @property
    def keeps_size(self) -> bool:
        return self.output_padding == 0 and 2 * margin(self.padding) == self.kernel - self.stride


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv1dTranspose(TransposedConvolution, name="conv1d_transpose", axes=1):
    """Transposed convolution along the steps of a sequence."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv2dTranspose(TransposedConvolution, name="conv2d_transpose", axes=2):
    """Transposed convolution over an image with a square kernel."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv3dTranspose(TransposedConvolution, name="conv3d_transpose", axes=3):
    """Transposed convolution over a volume with a kernel that is a cube."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Recurrent(Weighted, name="recurrent", axes=1, sized_by="units", counted_as="recurrent"):
    """GRU, LSTM or plain tanh cells over the steps of a sequence.

    Returns the last state ``(units,)``, or all of them ``(units, steps)`` with ``return_sequences``; twice as
    many features where it is ``bidirectional``: forwards, and backwards behind them.
    """

    cell: Literal["gru", "lstm", "rnn"]
    units: int
    return_sequences: bool = False
    bidirectional: bool = False

    @property
    def directions(self) -> int:
        """In how many directions it goes over the steps; the features are as many times its units."""
        return 2 if self.bidirectional else 1

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect(shape, 2, self.cell)
        units = self.units * self.directions
        return (units, shape[1]) if self.return_sequences else (units,)

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        rows = self.directions * GATES[self.cell] * self.units
        return rows * (shape[0] + self.units + 2 * self.bias)

    def work(self, shape: Shape, output: Shape) -> int:
        return self.directions * shape[1] * GATES[self.cell] * self.units * (shape[0] + self.units)


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Attention(
    Weighted, name="attention", axes=1, sized_by="width", dropped_by="dropout", counted_as="attention"
):
    """One encoder block of a transformer over the steps of a sequence; PyTorch's TransformerEncoderLayer.

    Self-attention of ``heads`` heads, then a feed-forward part of ``width`` units at each step (0: none).
    Both are added to what they take. ``norm`` says where each is layer-normalised: what it takes
    (``before``), the sum (``behind``), or nowhere. ``dropout`` is that of PyTorch: of the attention, of the
    inner units, and of what both parts add. With ``causal`` a step attends to itself and to earlier ones
    only.

    Without ``bias`` there is none anywhere, the shift of the normalisations included. The initialisers and
    the penalties are those of all of its matrices.
    """

    heads: int
    width: int = 0
    norm: Literal["before", "behind", "none"] = "behind"
    activation: Literal["relu", "gelu"] = "relu"
    dropout: float = 0.0
    causal: bool = False

    @property
    def norms(self) -> int:
        """How many parts are normalised: the attention, and the feed-forward part where there is one."""
        return 0 if self.norm == "none" else 2 if self.width else 1

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect(shape, 2, "attention")
        if shape[0] % self.heads:  # each takes an equal share of the features, as PyTorch's and Keras' do
            share = f"{self.heads} heads cannot share {shape[0]} features"
            more = -(-shape[0] // self.heads) * self.heads
            reason = f"embed_dim must be divisible by num_heads: {share}"
            raise MisfitError(reason, (more, shape[1]), shape)
        return shape

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        """Of queries, keys, values and their projection, of two layers and two normalisations."""
        features = shape[0]
        parameters = 4 * (features * features + self.bias * features)
        if self.width:
            parameters += 2 * features * self.width + self.bias * (self.width + features)
        return parameters + self.norms * features * (1 + self.bias)

    def inside(self, shape: Shape) -> int:
        """Queries, keys, values, attention, inner units."""
        features, steps = shape
        return steps * (3 * features + self.heads * steps + self.width)

    def work(self, shape: Shape, output: Shape) -> int:
        features, steps = shape
        return steps * features * (4 * features + 2 * steps + 2 * self.width)

    def read(self, vocabulary: int) -> Self:
        layer = super().read(vocabulary)
        return layer if layer.width else changed(layer, activation="relu")


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Position(Layer, name="position", axes=1, learns=True, declares="steps", counted_as="position"):
    """Adds to each step of a sequence what says where it stands: a learned row of a table, or sine waves.

    The table of ``learned`` has as many rows as there are steps where ``steps`` does not declare them; too
    few are a crash in the forward pass. Sine waves are those of Vaswani and others (2017); they have no
    weights.
    """

    encoding: Literal["learned", "sinusoidal"] = "learned"
    steps: int | None = None
    trainable: bool = True

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect(shape, 2, "position")
        return shape

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return shape[0] * (self.steps or shape[1]) if self.encoding == "learned" else 0

    def refused(self, shape: Shape, vocabulary: int) -> MisfitError | None:
        if self.encoding != "learned" or self.steps is None or self.steps >= shape[1]:
            return None
        reason = f"step {shape[1] - 1} is out of range for a table of {self.steps} rows"
        return MisfitError(reason, (shape[0], self.steps), shape)

    def read(self, vocabulary: int) -> Self:
        return type(self)(encoding="sinusoidal") if self.encoding == "sinusoidal" else self


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Embedding(
    Layer, name="embedding", learns=True, takes_ids=True, declares="inputs", counted_as="embedding"
):
    """Token ids ``(steps,)`` to vectors ``(units, steps)``.

    The vocabulary's size comes from the data where ``inputs`` does not declare it; one that is too small is a
    crash in the forward pass. ``kernel_init`` is the initialiser of the table.
    """

    units: int
    trainable: bool = True
    inputs: int | None = None
    kernel_init: InitialiserName = "random_uniform"

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        if vocabulary < 1:
            raise MisfitError("embedding needs token ids, but the data are numbers", (0,), shape)
        if len(shape) != 1:
            reason = f"embedding needs token ids of shape (steps), but its input is {shown_shape(shape)}"
            raise MisfitError(reason, (0,), shape)
        return (self.units, shape[0])

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return (self.inputs or vocabulary) * self.units

    def refused(self, shape: Shape, vocabulary: int) -> MisfitError | None:
        if self.inputs is None or self.inputs >= vocabulary:
            return None
        reason = f"token id {vocabulary - 1} is out of range for a table of {self.inputs} rows"
        return MisfitError(reason, (self.inputs,), (vocabulary,))

    def read(self, vocabulary: int) -> Self:
        return changed(self, inputs=None) if self.inputs == vocabulary else self


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Pool(Layer, name="pool", pools=True, shapes_only=True, keeps_range=True, counted_as="pool"):
    """Largest or mean value of windows of ``size`` steps, or of as many pixels along each axis.

    Attributes:
        reduce: which of the two.
        size: of the window.
        stride: positions from one window to the next; None = ``size``, side by side.
        padding: positions on both ends of every axis, as in PyTorch: zeros for a mean, nothing for a maximum.
            ``same`` as many as give one value per stride, as in Keras, where they count in no mean.
    """

    reduce: Literal["max", "mean"] = "max"
    size: int = 2
    stride: int | None = None
    padding: Padding = "valid"

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        stride = self.stride or self.size
        expect_axes(shape, "pool")
        if len(shape) > MOST_AXES:
            reason = f"pool needs steps or pixels, but its input is {shown_shape(shape)}"
            raise MisfitError(reason, (0, 0, 0), shape)
        if self.padding == "same":
            return (shape[0], *(-(-size // stride) for size in shape[1:]))
        around = margin(self.padding)
        if 2 * around > self.size:
            reason = f"a padding of {around} is more than half of a window of {self.size}"
            raise MisfitError(reason, shape, shape)
        # PyTorch compares the window of a mean over volumes with what is there without the padding.
        counted = 0 if self.reduce == "mean" and len(shape) == 4 else around
        if self.size > min(shape[1:]) + 2 * counted:
            raise MisfitError(
                f"a window of {self.size} does not fit an input of {shown_shape(shape)}{_padded(counted)}",
                (shape[0], *(self.size - 2 * counted,) * (len(shape) - 1)),
                shape,
            )
        return (shape[0], *((size + 2 * around - self.size) // stride + 1 for size in shape[1:]))

    def read(self, vocabulary: int) -> Self:
        stride = None if self.stride == self.size else self.stride
        return changed(self, stride=stride, padding=self.padding or "valid")


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class GlobalPool(
    Layer, name="global_pool", pools=True, shapes_only=True, keeps_range=True, counted_as="pool"
):
    """Largest or mean value over all steps or pixels: leaves ``(features,)``."""

    reduce: Literal["max", "mean"] = "mean"

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect_axes(shape, "global_pool")
        return shape[:1]


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Flatten(Layer, name="flatten", shapes_only=True, keeps_range=True, counted_as="flatten"):
    """Everything in one vector."""

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        return (prod(shape),)


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Dropout(Layer, name="dropout", belongs=True, keeps_range=True, dropped_by="rate"):
    """Zeroes each value with probability ``rate`` while training and scales the others by 1/(1-rate)."""

    rate: float


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class GaussianNoise(Layer, name="gaussian_noise", keeps_range=True, has_modes=True):
    """Adds normal noise with standard deviation ``deviation`` to each value while training."""

    deviation: float = 0.1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class BatchNorm(
    Layer,
    name="batch_norm",
    learns=True,
    belongs=True,
    normalises=True,
    has_modes=True,
    counted_as="batch_norm",
):
    """Batch normalisation of each feature or channel."""

    momentum: float = 0.1
    epsilon: float = 1e-5

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return 2 * shape[0]


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class LayerNorm(
    Layer, name="layer_norm", learns=True, belongs=True, normalises=True, counted_as="layer_norm"
):
    """Layer normalisation over the features or channels of each sample."""

    epsilon: float = 1e-5

    def parameters(self, shape: Shape, vocabulary: int) -> int:
        return 2 * shape[0]


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Activation(Layer, name="activation", belongs=True, activated_by="function"):
    """An activation function as a layer of its own."""

    function: ActivationName


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class ThresholdedRelu(Layer, name="thresholded_relu"):
    """``x`` where it is above ``threshold``, else 0; Keras' ThresholdedReLU."""

    threshold: float = 1.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Reshape(Layer, name="reshape", shapes_only=True, keeps_range=True, counted_as="reshape"):
    """The same values in another shape, which must hold as many."""

    shape: tuple[int, ...]

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        if prod(self.shape) != prod(shape):
            reason = f"{prod(shape)} values cannot be reshaped to {shown_shape(self.shape)}"
            raise MisfitError(reason, self.shape, shape)
        return self.shape


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Rescale(Layer, name="rescale", counted_as="rescale"):
    """``x * factor + offset``: scaling inside the network."""

    factor: float = 1.0
    offset: float = 0.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class ZeroPad(Layer, name="zero_pad", shapes_only=True, counted_as="pad_or_crop"):
    """``size`` zeros on both ends of every axis of steps or pixels."""

    size: int = 1

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect_axes(shape, "zero_pad")
        return (shape[0], *(size + 2 * self.size for size in shape[1:]))


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Crop(Layer, name="crop", shapes_only=True, keeps_range=True, counted_as="pad_or_crop"):
    """Cuts ``top`` and ``bottom`` off the first axis of steps or pixels."""

    top: int = 0
    bottom: int = 0

    def output(self, shape: Shape, vocabulary: int) -> Shape:
        expect_axes(shape, "crop")
        cut = self.top + self.bottom
        if cut >= shape[1]:
            raise MisfitError(f"crop leaves nothing of {shown_shape(shape)}", (0, cut + 1), shape)
        return (shape[0], shape[1] - cut, *shape[2:])


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Skip(Layer, name="skip", reaches_back=True, counted_as="skip"):
    """A skip connection: adds what the layer ``back`` positions before this one took, of the same shape.

    ``back: 2`` in front of which two layers stand adds the input of the first of them to the output of the
    second.
    """

    back: int = 2


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Shared(Layer, name="shared", reaches_back=True, counted_as="shared"):
    """The layer ``back`` positions before this one once more, with the same weights."""

    back: int = 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Detach(Layer, name="detach", keeps_range=True, counted_as="detach"):
    """Passes values on but no gradient: the layers in front of it do not learn."""


def _padded(around: int) -> str:
    return f" padded by {around}" if around else ""

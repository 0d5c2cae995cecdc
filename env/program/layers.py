"""The layers of a program, as data.

Shapes leave out the batch axis and put channels or features first; see :mod:`netmend.env.program.schema`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from netmend.env.program.names import ActivationName, InitialiserName
from netmend.env.program.part import keeps_hash

Padding: TypeAlias = Literal["valid", "same"] | int
"""What stands around the values: nothing, as much as keeps one value per stride, or so much on both ends."""


def margin(padding: Padding) -> int:
    """Positions that a padding adds on both ends of every axis; 0 of ``same``, which depends on the sizes."""
    return padding if isinstance(padding, int) else 0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Weighted:
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


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Dense(Weighted):
    """``units`` outputs, each from all features; applied at every step or pixel of an unflattened input."""

    units: int
    activation: ActivationName = "linear"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Convolution(Weighted):
    """What all convolutions have in common: the same kernel at every place.

    Attributes:
        filters: features that come out.
        kernel: steps or pixels of the kernel along every axis.
        stride: steps or pixels from one place to the next.
        padding: zeros on both ends of every axis, as in PyTorch; ``valid`` is none, ``same`` as many as give
            one value per stride, as in Keras.
        activation: of the values that come out.
        axes: of steps or pixels that the kind goes over.
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: Padding = "valid"
    activation: ActivationName = "linear"
    axes = 0  # a class variable that is annotated would count among the fields

    @property
    def window(self) -> int:
        """Values of the kernel for one feature."""
        return int(self.kernel**self.axes)


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv1d(Convolution):
    """Convolution along the steps of a sequence."""

    axes = 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution):
    """Convolution over an image with a square kernel."""

    axes = 2


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv3d(Convolution):
    """Convolution over a volume ``(channels, depth, height, width)`` with a kernel that is a cube."""

    axes = 3


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(Convolution):
    """What all transposed convolutions have in common: each value is spread over a window of the output.

    An axis of n becomes ``(n - 1) * stride + kernel``, less the padding on both ends, and ``n * stride`` with
    the padding ``same``.

    Attributes:
        output_padding: positions more at the end of every axis, fewer than the stride; not read with
            ``same``, which knows its size.
    """

    output_padding: int = 0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv1dTranspose(TransposedConvolution):
    """Transposed convolution along the steps of a sequence."""

    axes = 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv2dTranspose(TransposedConvolution):
    """Transposed convolution over an image with a square kernel."""

    axes = 2


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv3dTranspose(TransposedConvolution):
    """Transposed convolution over a volume with a kernel that is a cube."""

    axes = 3


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Recurrent(Weighted):
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


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Attention(Weighted):
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


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Position:
    """Adds to each step of a sequence what says where it stands: a learned row of a table, or sine waves.

    The table of ``learned`` has as many rows as there are steps where ``steps`` does not declare them; too
    few are a crash in the forward pass. Sine waves are those of Vaswani and others (2017); they have no
    weights.
    """

    encoding: Literal["learned", "sinusoidal"] = "learned"
    steps: int | None = None
    trainable: bool = True


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Token ids ``(steps,)`` to vectors ``(units, steps)``.

    The vocabulary's size comes from the data where ``inputs`` does not declare it; one that is too small is a
    crash in the forward pass. ``kernel_init`` is the initialiser of the table.
    """

    units: int
    trainable: bool = True
    inputs: int | None = None
    kernel_init: InitialiserName = "random_uniform"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Pool:
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


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class GlobalPool:
    """Largest or mean value over all steps or pixels: leaves ``(features,)``."""

    reduce: Literal["max", "mean"] = "mean"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Flatten:
    """Everything in one vector."""


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Zeroes each value with probability ``rate`` while training and scales the others by 1/(1-rate)."""

    rate: float


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """Adds normal noise with standard deviation ``deviation`` to each value while training."""

    deviation: float = 0.1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class BatchNorm:
    """Batch normalisation of each feature or channel."""

    momentum: float = 0.1
    epsilon: float = 1e-5


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class LayerNorm:
    """Layer normalisation over the features or channels of each sample."""

    epsilon: float = 1e-5


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation function as a layer of its own."""

    function: ActivationName


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class ThresholdedRelu:
    """``x`` where it is above ``threshold``, else 0; Keras' ThresholdedReLU."""

    threshold: float = 1.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Reshape:
    """The same values in another shape, which must hold as many."""

    shape: tuple[int, ...]


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Rescale:
    """``x * factor + offset``: scaling inside the network."""

    factor: float = 1.0
    offset: float = 0.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class ZeroPad:
    """``size`` zeros on both ends of every axis of steps or pixels."""

    size: int = 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Crop:
    """Cuts ``top`` and ``bottom`` off the first axis of steps or pixels."""

    top: int = 0
    bottom: int = 0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Skip:
    """A skip connection: adds what the layer ``back`` positions before this one took, of the same shape.

    ``back: 2`` in front of which two layers stand adds the input of the first of them to the output of the
    second.
    """

    back: int = 2


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Shared:
    """The layer ``back`` positions before this one once more, with the same weights."""

    back: int = 1


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Detach:
    """Passes values on but no gradient: the layers in front of it do not learn."""


Layer: TypeAlias = (
    Dense
    | Conv1d
    | Conv2d
    | Conv3d
    | Conv1dTranspose
    | Conv2dTranspose
    | Conv3dTranspose
    | Recurrent
    | Attention
    | Position
    | Embedding
    | Pool
    | GlobalPool
    | Flatten
    | Dropout
    | GaussianNoise
    | BatchNorm
    | LayerNorm
    | Activation
    | ThresholdedRelu
    | Reshape
    | Rescale
    | ZeroPad
    | Crop
    | Skip
    | Shared
    | Detach
)

LAYER_KINDS: dict[str, type[Layer]] = {
    "dense": Dense,
    "conv1d": Conv1d,
    "conv2d": Conv2d,
    "conv3d": Conv3d,
    "conv1d_transpose": Conv1dTranspose,
    "conv2d_transpose": Conv2dTranspose,
    "conv3d_transpose": Conv3dTranspose,
    "recurrent": Recurrent,
    "attention": Attention,
    "position": Position,
    "embedding": Embedding,
    "pool": Pool,
    "global_pool": GlobalPool,
    "flatten": Flatten,
    "dropout": Dropout,
    "gaussian_noise": GaussianNoise,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "activation": Activation,
    "thresholded_relu": ThresholdedRelu,
    "reshape": Reshape,
    "rescale": Rescale,
    "zero_pad": ZeroPad,
    "crop": Crop,
    "skip": Skip,
    "shared": Shared,
    "detach": Detach,
}

KIND_OF_LAYER: dict[type[Layer], str] = {cls: kind for kind, cls in LAYER_KINDS.items()}

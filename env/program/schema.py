"""A training program as data: immutable, hashable, without torch.

Shapes leave out the batch axis and put channels or features first: a vector is ``(features,)``, a sequence
``(features, steps)``, an image ``(channels, height, width)``. Names and defaults follow Keras where it has
the thing (Keras is what most of the studied programs are written in) and PyTorch where it has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from netmend.env.program.part import keeps_hash

SCHEMA_VERSION = 1
"""Version of the schema, the value of the key ``netmend`` in a file (see docs/program.md)."""

ActivationName = Literal[
    "linear",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "exponential",
]
InitialiserName = Literal[
    "zeros",
    "ones",
    "constant",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "orthogonal",
    "lecun_normal",
    "lecun_uniform",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
]
LossName = Literal[
    # on probabilities or plain values, as in Keras
    "binary_crossentropy",
    "categorical_crossentropy",
    "kl_divergence",
    "poisson",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "mse",
    "mae",
    "mape",
    "msle",
    "logcosh",
    "huber",
    # on logits, as in PyTorch
    "bce_with_logits",
    "cross_entropy",
]
OptimizerName = Literal["sgd", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "adamax", "nadam"]
PrepName = Literal[
    "standardize",
    "min_max",
    "scale",
    "shift",
    "standardize_target",
    "min_max_target",
    "scale_target",
]
LabelEncoding = Literal["index", "one_hot", "value"]
MetricName = Literal["accuracy", "r2", "mse", "mae"]

ACTIVATIONS: tuple[ActivationName, ...] = get_args(ActivationName)
INITIALISERS: tuple[InitialiserName, ...] = get_args(InitialiserName)
LOSSES: tuple[LossName, ...] = get_args(LossName)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
PREPS: tuple[PrepName, ...] = get_args(PrepName)
LABEL_ENCODINGS: tuple[LabelEncoding, ...] = get_args(LabelEncoding)
METRICS: tuple[MetricName, ...] = get_args(MetricName)
DEFAULT_LR: dict[OptimizerName, float] = {
    "sgd": 0.01,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "adadelta": 1.0,
    "adam": 0.001,
    "adamw": 0.001,
    "adamax": 0.001,
    "nadam": 0.001,
}
"""Default learning rates: Keras's, but for adagrad and adadelta, which hardly move at its 0.001."""
LOGIT_LOSSES: frozenset[LossName] = frozenset({"bce_with_logits", "cross_entropy"})


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
    """

    kernel_init: InitialiserName = "glorot_uniform"
    bias_init: InitialiserName = "zeros"
    bias: bool = True
    l1: float = 0.0
    l2: float = 0.0
    trainable: bool = True


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Dense(Weighted):
    """``units`` outputs, each from all features; applied at every step or pixel of an unflattened input."""

    units: int
    activation: ActivationName = "linear"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv1d(Weighted):
    """Convolution along the steps of a sequence."""

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: Literal["valid", "same"] = "valid"
    activation: ActivationName = "linear"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Conv2d(Weighted):
    """Convolution over an image with a square kernel."""

    filters: int
    kernel: int = 3
    stride: int = 1
    padding: Literal["valid", "same"] = "valid"
    activation: ActivationName = "linear"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Recurrent(Weighted):
    """GRU or LSTM over the steps of a sequence.

    Returns the last state ``(units,)``, or all of them ``(units, steps)`` with ``return_sequences``.
    """

    cell: Literal["gru", "lstm"]
    units: int
    return_sequences: bool = False


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Token ids ``(steps,)`` to vectors ``(units, steps)``; the vocabulary's size comes from the data."""

    units: int
    trainable: bool = True


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Pool:
    """Largest or mean value of windows of ``size`` steps or ``size`` by ``size`` pixels, stride ``size``."""

    reduce: Literal["max", "mean"] = "max"
    size: int = 2


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


Layer: TypeAlias = (
    Dense
    | Conv1d
    | Conv2d
    | Recurrent
    | Embedding
    | Pool
    | GlobalPool
    | Flatten
    | Dropout
    | BatchNorm
    | LayerNorm
    | Activation
)

LAYER_KINDS: dict[str, type[Layer]] = {
    "dense": Dense,
    "conv1d": Conv1d,
    "conv2d": Conv2d,
    "recurrent": Recurrent,
    "embedding": Embedding,
    "pool": Pool,
    "global_pool": GlobalPool,
    "flatten": Flatten,
    "dropout": Dropout,
    "batch_norm": BatchNorm,
    "layer_norm": LayerNorm,
    "activation": Activation,
}


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Prep:
    """One step of preparing the data; statistics are taken from the training part only.

    ``standardize`` and ``min_max`` work per feature (per channel of an image or sequence); ``scale``
    multiplies by ``factor``, ``shift`` adds it. The ``*_target`` kinds do the same to the targets of a
    regression; predictions are put back into the targets' own units before they are scored, so no preparation
    can change the metric.
    """

    kind: PrepName
    factor: float = 1.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Data:
    """Which data, and how they are prepared.

    Attributes:
        dataset: name of a built-in dataset or data pack, or the path of an ``npz`` or ``csv`` file.
        prep: preparation steps in order.
        labels: encoding of the targets that the loss sees: class ids, one-hot rows, or real values.
        shuffle: whether the training rows are shuffled before every epoch. Where they are not, they come
            sorted by target, which is how unshuffled training sets come from disk.
    """

    dataset: str
    prep: tuple[Prep, ...] = ()
    labels: LabelEncoding = "index"
    shuffle: bool = True


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Optimizer and its parameters; one that an optimizer does not have is ignored by it.

    ``momentum`` belongs to sgd and rmsprop, ``nesterov`` to sgd, ``beta1`` and ``beta2`` to the adam family,
    ``weight_decay`` to all (decoupled in adamw).
    """

    kind: OptimizerName = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Clip:
    """Gradient clipping: the norm of the whole gradient, or each value."""

    kind: Literal["norm", "value"]
    limit: float


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Program:
    """A training program.

    Attributes:
        data: dataset and preparation.
        layers: the network, from input to output.
        loss: what is minimised.
        optimizer: how.
        batch_size: rows per update.
        epochs: passes over the training rows.
        clip: gradient clipping, if any.
        patience: epochs without a better validation loss after which training stops; None = never.
        metric: what the program itself watches. The task's own metric, which decides the skill, is not part
            of a program.
    """

    data: Data
    layers: tuple[Layer, ...]
    loss: LossName
    optimizer: Optimizer
    batch_size: int = 32
    epochs: int = 10
    clip: Clip | None = None
    patience: int | None = None
    metric: MetricName = "accuracy"

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
    "standard_normal",
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
    "sparse_categorical_crossentropy",
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
    # values that are missing or far off
    "fill_missing",
    "clip_outliers",
    # rows of classes that are rare come more often
    "balance",
    # the shape of a row, or of a row's targets
    "add_axis",
    "drop_axis",
    "channels_first",
    "channels_last",
    "flatten",
    "resize",
    "add_axis_target",
    "drop_axis_target",
    "shift_target",
]
LabelEncoding = Literal["index", "one_hot", "value"]
InputType = Literal["auto", "float32", "float64", "float16", "int64", "list"]
LabelType = Literal["auto", "float32", "int64", "list"]
SplitKind = Literal["random", "ordered", "leaky", "none"]
DamageKind = Literal["change_labels", "delete_rows", "unbalance", "noise", "overlap"]
MetricName = Literal["accuracy", "r2", "mse", "mae"]
ApiLevel = Literal["current", "keras_1", "keras_2", "tensorflow_1", "torch_0", "torch_1"]

ACTIVATIONS: tuple[ActivationName, ...] = get_args(ActivationName)
INITIALISERS: tuple[InitialiserName, ...] = get_args(InitialiserName)
LOSSES: tuple[LossName, ...] = get_args(LossName)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
PREPS: tuple[PrepName, ...] = get_args(PrepName)
LABEL_ENCODINGS: tuple[LabelEncoding, ...] = get_args(LabelEncoding)
METRICS: tuple[MetricName, ...] = get_args(MetricName)
API_LEVELS: tuple[ApiLevel, ...] = get_args(ApiLevel)
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
LABEL_TYPES: tuple[LabelType, ...] = get_args(LabelType)
DAMAGES: tuple[DamageKind, ...] = get_args(DamageKind)
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
class Embedding:
    """Token ids ``(steps,)`` to vectors ``(units, steps)``.

    The vocabulary's size comes from the data where ``inputs`` does not declare it; one that is too small is a
    crash in the forward pass.
    """

    units: int
    trainable: bool = True
    inputs: int | None = None


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
    | Recurrent
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
    "recurrent": Recurrent,
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


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Prep:
    """One step of preparing the data; statistics are taken from the training part only.

    ``standardize`` and ``min_max`` work per feature (per channel of an image or sequence); ``scale``
    multiplies by ``factor``, ``shift`` adds it. The ``*_target`` kinds do the same to the targets of a
    regression; predictions are put back into the targets' own units before they are scored, so no preparation
    can change the metric. On class ids ``scale_target`` and ``shift_target`` are label faults: the loss sees
    ``int(id * factor)`` or ``id + factor``, the score the ids as they are.

    ``fill_missing`` puts a feature's mean in the place of NaN, infinity and values equal to ``factor``
    (0 and 1 stand for none); ``clip_outliers`` cuts what is further than 3 deviations from the mean;
    ``balance`` repeats training rows until every class is as frequent as the commonest.

    The rest change the shape of a row and follow the order in which they stand: ``add_axis`` puts an axis of
    size 1 in front (channels, features), ``drop_axis`` takes one of size 1 away, ``channels_first`` moves the
    last axis to the front and ``channels_last`` the first to the end, ``flatten`` makes a vector, ``resize``
    brings every axis of steps or pixels to ``size`` (images by interpolation, sequences and vectors by
    cutting or zeros at the end). ``add_axis_target`` and ``drop_axis_target`` do that to what the loss is
    given.

    Attributes:
        kind: what is done.
        factor: see above.
        size: of ``resize``.
        rows: ``train`` leaves validation and prediction as they are, which is a fault.
    """

    kind: PrepName
    factor: float = 1.0
    size: int = 32
    rows: Literal["all", "train"] = "all"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Damage:
    """Harm done to the training rows before the program reads them; DeepCrime's (ISSTA 2021) data operators.

    ``change_labels`` gives rows of the commonest class another class, or adds noise to real targets;
    ``delete_rows`` takes rows of every class away, ``unbalance`` only of those that are rarer than the mean;
    ``noise`` adds noise to some of the rows; ``overlap`` repeats rows of the commonest class as rows of the
    second commonest. Validation and hold-out rows stay as they are.

    Attributes:
        kind: see above; ``netmend.env.training.damage`` has the details.
        percent: of the rows concerned; of noise, its deviation too, in percent of that of the values.
    """

    kind: DamageKind
    percent: float


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
        input_type: type in which the rows are handed to the network. ``auto`` is what the first layer takes;
            ``float16`` rounds them to half precision, ``list`` hands over nested lists, and the others crash
            where the first layer takes something else.
        label_type: type of what the loss is given; ``auto`` is what the loss takes.
        split: how the program cuts its training rows off the data. ``random`` is right. ``ordered`` takes the
            first 80 % in the order of the targets, so that the last classes or values are missing. ``leaky``
            puts rows that it trains on into its own validation part: its early stopping sees no overfitting.
            ``none`` leaves it without a validation part: its patience has nothing to look at and never ends.
            The validation and hold-out parts that decide the skill are out of reach.
        damage: what is wrong with the training rows themselves, in order. No program text shows it.
    """

    dataset: str
    prep: tuple[Prep, ...] = ()
    labels: LabelEncoding = "index"
    shuffle: bool = True
    input_type: InputType = "auto"
    label_type: LabelType = "auto"
    split: SplitKind = "random"
    damage: tuple[Damage, ...] = ()


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
class Schedule:
    """Learning-rate schedule: the rate is multiplied by ``gamma`` after every epoch or every update.

    With ``every: plateau`` that happens after ``patience`` epochs without a lower validation loss, down to
    the rate ``floor`` (Keras' ReduceLROnPlateau). The other two know neither.
    """

    gamma: float = 0.95
    every: Literal["epoch", "update", "plateau"] = "epoch"
    patience: int = 5
    floor: float = 0.0


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Loop:
    """What the training loop does around the network; the defaults are what it must do.

    Attributes:
        zero_grad: gradients are set to zero before every update; else they add up over the whole training.
        order: ``backward_step``, or ``step_backward``: the optimizer steps before the new gradient is there
            (with ``zero_grad`` it then sees zeros only).
        training_mode: dropout and batch statistics are on while training.
        evaluation_mode: they are off while validating and predicting.
        loss_graph: the loss still has its gradient graph; else it was detached or made a plain number, and
            the backward pass crashes.
        optimized: whose parameters were handed to the optimizer; the others never change.
        predict: what the program hands to the network for a prediction: a batch of rows, a single row without
            its batch axis, or the batch with its axes swapped; the last two crash.
    """

    zero_grad: bool = True
    order: Literal["backward_step", "step_backward"] = "backward_step"
    training_mode: bool = True
    evaluation_mode: bool = True
    loss_graph: bool = True
    optimized: Literal["all", "hidden", "output", "none"] = "all"
    predict: Literal["batch", "row", "transposed"] = "batch"


@keeps_hash
@dataclass(frozen=True, kw_only=True)
class Monitor:
    """Diagnostics that the program measures while it trains: they cost work and show up as symptoms.

    Attributes:
        classes: what becomes of each class or target: see ``Symptoms.worst_class``, ``unpredicted``.
        data: what is in the training rows: ``missing_values``, ``outliers``, ``imbalance``,
            ``absent_targets``.
        rates: the loss after one update at a tenth, at once and at ten times the rate: ``rate_gain``.
    """

    classes: bool = False
    data: bool = False
    rates: bool = False


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
        patience: epochs without a better watched value after which training stops; None = never.
        metric: what the program itself watches. The task's own metric, which decides the skill, is not part
            of a program.
        stop_on: what the patience looks at: the validation loss, or ``metric`` on the validation rows
            (``accuracy`` of real values is always 0).
        reduction: whether the loss of a batch is the mean or the sum over its rows.
        input: shape of a row that the program declares, features first; None takes it from the data.
        schedule: of the learning rate, if any.
        loop: what the training loop does.
        api: the release that the program was written for, whose names and defaults it uses; see ``api.py``.
        monitor: diagnostics beyond the usual symptoms.
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
    stop_on: Literal["loss", "metric"] = "loss"
    reduction: Literal["mean", "sum"] = "mean"
    input: tuple[int, ...] | None = None
    schedule: Schedule | None = None
    loop: Loop = Loop()
    api: ApiLevel = "current"
    monitor: Monitor = Monitor()

"""A training program as data: immutable, hashable, without torch.

Shapes leave out the batch axis and put channels or features first: a vector is ``(features,)``, a sequence
``(features, steps)``, an image ``(channels, height, width)``. Names and defaults follow Keras where it has
the thing (Keras is what most of the studied programs are written in) and PyTorch where it has not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netmend.env.program.layers import Layer
from netmend.env.program.names import (
    ApiLevel,
    DamageKind,
    InputType,
    LabelEncoding,
    LabelType,
    LossName,
    MetricName,
    OptimizerName,
    PrepName,
    RowOrder,
    SplitKind,
)
from netmend.env.program.part import keeps_hash

SCHEMA_VERSION = 1
"""Version of the schema, the value of the key ``netmend`` in a file (see docs/program.md)."""


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
            sorted by target, which is how unshuffled training sets come from disk, or as ``row_order`` says.
        input_type: type in which the rows are handed to the network. ``auto`` is what the first layer takes;
            ``float16`` rounds them to half precision, ``list`` hands over nested lists, and the others crash
            where the first layer takes something else.
        label_type: type of what the loss is given; ``auto`` is what the loss takes.
        split: how the program cuts its training rows off the data. ``random`` is right. ``ordered`` takes the
            first 80 % in the order of the targets, so that the last classes or values are missing. ``leaky``
            puts rows that it trains on into its own validation part: its early stopping sees no overfitting.
            ``none`` leaves it without a validation part: its patience has nothing to look at and never ends.
            The validation and hold-out parts that decide the skill are out of reach.
        row_order: of rows that are not shuffled: sorted by target, or as the file has them, as they come from
            PyTorch's DataLoader without ``shuffle``.
        damage: what is wrong with the training rows themselves, in order. No program text shows it.
    """

    dataset: str
    prep: tuple[Prep, ...] = ()
    labels: LabelEncoding = "index"
    shuffle: bool = True
    input_type: InputType = "auto"
    label_type: LabelType = "auto"
    split: SplitKind = "random"
    row_order: RowOrder = "by_target"
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
        class_weights: what the loss of a row is multiplied by, by its class; ``balanced`` gives every class
            the same say: rows / (classes * rows of the class) of the training rows. ``cross_entropy`` takes
            them as PyTorch's ``weight`` (on class ids a weighted mean), the others as Keras' ``class_weight``
            (the mean over the rows). The other losses on logits validate with them, as PyTorch's criterion
            does, and those of Keras do not.
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
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    input: tuple[int, ...] | None = None
    schedule: Schedule | None = None
    loop: Loop = Loop()
    api: ApiLevel = "current"
    monitor: Monitor = Monitor()
    is_shared = False

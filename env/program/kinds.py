"""Facts about each kind of preparation, loss, optimizer and activation, a row a kind, which all others read.

What a kind computes stands in ``netmend.env.training``. Layers say the like in their own classes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

from netmend.env.program.misfit import MisfitError, Shape, shown_shape, without_axis
from netmend.env.program.names import ActivationName, InitialiserName, LossName, OptimizerName, PrepName
from netmend.env.program.schema import Prep
from netmend.env.program.task import TaskKind

Interval: TypeAlias = tuple[float, float]
"""Smallest and largest number, infinities included."""
_INF = math.inf
REAL: Interval = (-_INF, _INF)
_PROBABILITY: Interval = (0.0, 1.0)
_POSITIVE: Interval = (0.0, _INF)


@dataclass(frozen=True, kw_only=True)
class PrepKind:
    """A kind of preparation.

    Attributes:
        side: what it works on: a row's inputs, its targets, or which rows there are.
        changes: ``scale`` of the values, the ``values`` that are missing or far off, the ``shape``, or the
            ``count`` of rows.
        reads: fields of the step, beside its kind and its rows, that it looks at.
        tasks: what it is for.
        reshape: from the step and the shape in front of it to the shape behind it; raises ``MisfitError``.
        undone_by: the kind that takes back what it does to a shape.
        new_id: of targets that are classes: the class id that the loss sees, from the id and the factor.
        fitted: whether its numbers come from the training rows.
    """

    side: Literal["inputs", "targets", "rows"] = "inputs"
    changes: Literal["scale", "values", "shape", "count"]
    reads: tuple[Literal["factor", "size"], ...] = ()
    tasks: tuple[TaskKind, ...] = ("classification", "multilabel", "regression")
    reshape: Callable[[Prep, Shape], Shape] | None = None
    undone_by: PrepName | None = None
    new_id: Callable[[float, float], float] | None = None
    fitted: bool = False

    @property
    def for_all_rows(self) -> bool:
        """Whether it does the same whatever ``rows`` says: to shapes of rows, or for training only."""
        return self.changes == "count" or (self.changes == "shape" and self.side == "inputs")


def _with_axis(_step: Prep, shape: Shape) -> Shape:
    return (1, *shape)


def _without_axis(_step: Prep, shape: Shape) -> Shape:
    if len(shape) < 2 or 1 not in shape:
        reason = f"drop_axis needs an axis of size 1, but a row is {shown_shape(shape)}"
        raise MisfitError(reason, (1, *(0,) * max(1, len(shape) - 1)), shape)
    return without_axis(shape)


def _target_without_axis(_step: Prep, shape: Shape) -> Shape:
    if 1 not in shape:
        raise MisfitError(f"no axis of size 1 in the targets, of shape {shape} per row", (1, 0), shape)
    return without_axis(shape)


def _resized(step: Prep, shape: Shape) -> Shape:
    return (step.size,) if len(shape) == 1 else (shape[0], *(step.size,) * (len(shape) - 1))


PREP_KINDS: dict[PrepName, PrepKind] = {
    "standardize": PrepKind(changes="scale", fitted=True),
    "min_max": PrepKind(changes="scale", fitted=True),
    "scale": PrepKind(changes="scale", reads=("factor",)),
    "shift": PrepKind(changes="scale", reads=("factor",)),
    "standardize_target": PrepKind(side="targets", changes="scale", tasks=("regression",), fitted=True),
    "min_max_target": PrepKind(side="targets", changes="scale", tasks=("regression",), fitted=True),
    "scale_target": PrepKind(
        side="targets",
        changes="scale",
        reads=("factor",),
        tasks=("classification", "regression"),
        new_id=operator.mul,
    ),
    "fill_missing": PrepKind(changes="values", reads=("factor",), fitted=True),
    "clip_outliers": PrepKind(changes="values", fitted=True),
    "balance": PrepKind(side="rows", changes="count", tasks=("classification",)),
    "add_axis": PrepKind(changes="shape", reshape=_with_axis, undone_by="drop_axis"),
    "drop_axis": PrepKind(changes="shape", reshape=_without_axis, undone_by="add_axis"),
    "channels_first": PrepKind(
        changes="shape",
        reshape=lambda _, shape: (*shape[-1:], *shape[:-1]),
        undone_by="channels_last",
    ),
    "channels_last": PrepKind(
        changes="shape",
        reshape=lambda _, shape: (*shape[1:], *shape[:1]),
        undone_by="channels_first",
    ),
    "flatten": PrepKind(changes="shape", reshape=lambda _, shape: (prod(shape),)),
    "resize": PrepKind(changes="shape", reads=("size",), reshape=_resized),
    "add_axis_target": PrepKind(side="targets", changes="shape", reshape=_with_axis),
    "drop_axis_target": PrepKind(side="targets", changes="shape", reshape=_target_without_axis),
    "shift_target": PrepKind(
        side="targets",
        changes="scale",
        reads=("factor",),
        tasks=("classification",),
        new_id=operator.add,
    ),
}


def preps(side: str, *changes: str) -> frozenset[PrepName]:
    """The kinds of preparation of one side that change one of these things."""
    return frozenset(
        name for name, kind in PREP_KINDS.items() if kind.side == side and kind.changes in changes
    )


def is_of_targets(step: Prep) -> bool:
    """Whether a step works on the targets."""
    return PREP_KINDS[step.kind].side == "targets"


@dataclass(frozen=True, kw_only=True)
class LossKind:
    """A kind of loss.

    Attributes:
        form: what its targets are: real ``values``, yes or no for each output (``binary``), or one right
            class of a row (``categorical``), whose outputs it compares.
        output: activation of an output that suits it; None where no one activation is right.
        takes: the outputs for which it is defined.
        targets: the targets for which it is defined.
        own: the activation that a loss on logits applies itself; None for one on probabilities or values.
        ids: whether it takes class ids as whole numbers.
        margin: whether it wants -1 and 1 for the two classes; like Keras, 0 and 1 are turned into these.
        broadcasts: whether it takes outputs (n, 1) and targets (n,) and compares each output with all n
            targets, as PyTorch.
    """

    form: Literal["values", "binary", "categorical"]
    output: ActivationName | None = "linear"
    takes: Interval = REAL
    targets: Interval = REAL
    own: ActivationName | None = None
    ids: bool = False
    margin: bool = False
    broadcasts: bool = False

    @property
    def of_probabilities(self) -> bool:
        """Whether its outputs have to be probabilities."""
        return self.takes == _PROBABILITY


LOSS_KINDS: dict[LossName, LossKind] = {
    "binary_crossentropy": LossKind(
        form="binary", output="sigmoid", takes=_PROBABILITY, targets=_PROBABILITY
    ),
    "categorical_crossentropy": LossKind(form="categorical", output="softmax", takes=_PROBABILITY),
    "sparse_categorical_crossentropy": LossKind(
        form="categorical", output="softmax", takes=_PROBABILITY, ids=True
    ),
    "kl_divergence": LossKind(form="categorical", output="softmax", takes=_PROBABILITY),
    "poisson": LossKind(form="values", output=None, takes=_POSITIVE, targets=_POSITIVE),
    "hinge": LossKind(form="binary", margin=True),
    "squared_hinge": LossKind(form="binary", margin=True),
    "categorical_hinge": LossKind(form="categorical"),
    "mse": LossKind(form="values", broadcasts=True),
    "mae": LossKind(form="values", broadcasts=True),
    "mape": LossKind(form="values"),
    "msle": LossKind(form="values", output=None, targets=_POSITIVE),
    "logcosh": LossKind(form="values"),
    "huber": LossKind(form="values", broadcasts=True),
    "bce_with_logits": LossKind(form="binary", targets=_PROBABILITY, own="sigmoid"),
    "cross_entropy": LossKind(form="categorical", own="softmax", ids=True),
}
LOGIT_LOSSES: frozenset[LossName] = frozenset(name for name, kind in LOSS_KINDS.items() if kind.own)


@dataclass(frozen=True, kw_only=True)
class OptimizerKind:
    """A kind of optimizer.

    Attributes:
        lr: usual learning rate: Keras's, but of adagrad and adadelta, which hardly move at its 0.001.
        keras_lr: Keras's own.
        keras_2_lr: that of Keras 2, where it was another one and a source could leave it out.
        reads: fields that it looks at, beside its rate and its weight decay.
        rescales: whether its steps are the same for gradients of any size.
        as_without_decay: the kind that it is where there is no weight decay.
    """

    lr: float = 0.001
    keras_lr: float = 0.001
    keras_2_lr: float | None = None
    reads: tuple[Literal["momentum", "nesterov", "beta1", "beta2"], ...] = ()
    rescales: bool = True
    as_without_decay: OptimizerName | None = None


_AVERAGES: tuple[Literal["beta1", "beta2"], ...] = ("beta1", "beta2")
OPTIMIZER_KINDS: dict[OptimizerName, OptimizerKind] = {
    "sgd": OptimizerKind(lr=0.01, keras_lr=0.01, reads=("momentum", "nesterov"), rescales=False),
    "rmsprop": OptimizerKind(reads=("momentum",)),
    "adagrad": OptimizerKind(lr=0.01, keras_2_lr=0.01),
    "adadelta": OptimizerKind(lr=1.0, keras_2_lr=1.0),
    "adam": OptimizerKind(reads=_AVERAGES),
    "adamw": OptimizerKind(reads=_AVERAGES, as_without_decay="adam"),
    "adamax": OptimizerKind(reads=_AVERAGES),
    "nadam": OptimizerKind(reads=_AVERAGES),
}
DEFAULT_LR: dict[OptimizerName, float] = {name: kind.lr for name, kind in OPTIMIZER_KINDS.items()}
OLD_RATES: dict[OptimizerName, float] = {
    name: kind.keras_2_lr for name, kind in OPTIMIZER_KINDS.items() if kind.keras_2_lr is not None
}
"""Rates that Keras 2 had as defaults and the current release has not."""


@dataclass(frozen=True)
class ActivationKind:
    """What an activation can reach, and whether it is of the family of the relu."""

    reach: Interval = REAL
    rectifies: bool = False


ACTIVATION_KINDS: dict[ActivationName, ActivationKind] = {
    "linear": ActivationKind(),
    "relu": ActivationKind(_POSITIVE, rectifies=True),
    "leaky_relu": ActivationKind(rectifies=True),
    "elu": ActivationKind((-1, _INF), rectifies=True),
    "selu": ActivationKind((-1.76, _INF), rectifies=True),
    "gelu": ActivationKind((-0.17, _INF), rectifies=True),
    "tanh": ActivationKind((-1.0, 1.0)),
    "sigmoid": ActivationKind(_PROBABILITY),
    "hard_sigmoid": ActivationKind(_PROBABILITY),
    "softmax": ActivationKind(_PROBABILITY),
    "softplus": ActivationKind(_POSITIVE),
    "softsign": ActivationKind((-1.0, 1.0)),
    "exponential": ActivationKind(_POSITIVE),
}
PROBABILITIES = frozenset(name for name, kind in ACTIVATION_KINDS.items() if kind.reach == _PROBABILITY)
"""Activations whose outputs say how likely a class is, whatever loss they are trained with."""
BOUNDS: dict[ActivationName, Interval] = {
    name: kind.reach
    for name, kind in ACTIVATION_KINDS.items()
    if kind.reach[0] > -_INF and kind.reach[1] < _INF
}
"""Range of the activations that are bounded on both sides."""

FAMILIES = ("constant", "unscaled", "wide", "scaled")
"""Of initialisers: one number everywhere, a spread whatever the width, one of 1, one by the width."""
INITIALISER_FAMILY: dict[InitialiserName, str] = {
    "zeros": "constant",
    "ones": "constant",
    "constant": "constant",
    "random_normal": "unscaled",
    "random_uniform": "unscaled",
    "truncated_normal": "unscaled",
    "standard_normal": "wide",
    "orthogonal": "scaled",
    "lecun_normal": "scaled",
    "lecun_uniform": "scaled",
    "glorot_normal": "scaled",
    "glorot_uniform": "scaled",
    "he_normal": "scaled",
    "he_uniform": "scaled",
    "torch_default": "scaled",
}

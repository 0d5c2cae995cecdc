"""What Keras calls the losses, optimizers, activations and initialisers of programs."""

from __future__ import annotations

from collections.abc import Mapping

from netmend.env.program.names import ActivationName, InitialiserName, LossName, OptimizerName
from netmend.env.script.torch_names import OPTIMIZER_CLASSES

OPTIMIZER_NAMES: Mapping[OptimizerName, str] = {**OPTIMIZER_CLASSES, "nadam": "Nadam"}
"""Class of each."""
OPTIMIZERS: Mapping[str, OptimizerName] = {name: kind for kind, name in OPTIMIZER_NAMES.items()}
"""By its class."""
LOSS_CLASSES: Mapping[LossName, str] = {
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "kl_divergence": "KLDivergence",
    "poisson": "Poisson",
    "hinge": "Hinge",
    "squared_hinge": "SquaredHinge",
    "categorical_hinge": "CategoricalHinge",
    "mse": "MeanSquaredError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError",
    "logcosh": "LogCosh",
    "huber": "Huber",
}
"""Class of each loss that is not on logits."""
ON_LOGITS: Mapping[LossName, LossName] = {
    "binary_crossentropy": "bce_with_logits",
    "categorical_crossentropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}
"""What each is with ``from_logits``."""


def _key(name: str) -> str:
    return name.lower().replace("_", "")


_LOSSES: Mapping[str, LossName] = {
    **{_key(word): name for name, word in LOSS_CLASSES.items()},
    **{name: name for name in ("mse", "mae", "mape", "msle")},
    "kld": "kl_divergence",
}


def loss_named(name: str) -> LossName | None:
    """A loss by any of its names: ``mse``, ``MSE``, ``mean_squared_error``, ``MeanSquaredError``."""
    return _LOSSES.get(_key(name))


ACTIVATIONS: Mapping[str, ActivationName] = {
    name: name
    for name in (
        *("linear", "relu", "leaky_relu", "elu", "selu", "gelu", "tanh", "sigmoid"),
        *("hard_sigmoid", "softmax", "softplus", "softsign", "exponential"),
    )
}
NEAR_ACTIVATIONS: Mapping[str, ActivationName] = {
    "silu": "gelu",
    "swish": "gelu",
    "mish": "gelu",
    "hard_silu": "gelu",
    "relu6": "relu",
}
"""Activations that a program has no name for, and the ones that are nearest."""
INITIALISERS: Mapping[str, InitialiserName] = {
    "Zeros": "zeros",
    "Ones": "ones",
    "Constant": "constant",
    "RandomNormal": "random_normal",
    "RandomUniform": "random_uniform",
    "TruncatedNormal": "truncated_normal",
    "Orthogonal": "orthogonal",
    "OrthogonalInitializer": "orthogonal",
    "LecunNormal": "lecun_normal",
    "LecunUniform": "lecun_uniform",
    "GlorotNormal": "glorot_normal",
    "GlorotUniform": "glorot_uniform",
    "HeNormal": "he_normal",
    "HeUniform": "he_uniform",
}
"""By the class."""

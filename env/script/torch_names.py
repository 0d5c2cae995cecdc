"""What PyTorch calls the losses and optimizers of programs."""

from __future__ import annotations

from collections.abc import Mapping

from netmend.env.program.names import LossName, OptimizerName

OPTIMIZER_CLASSES: Mapping[OptimizerName, str] = {
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
    "adam": "Adam",
    "adamw": "AdamW",
    "adamax": "Adamax",
    "nadam": "NAdam",
}
"""Class of each."""
OPTIMIZERS: Mapping[str, OptimizerName] = {name: kind for kind, name in OPTIMIZER_CLASSES.items()}
"""By its class."""
LOSS_CALLS: Mapping[LossName, tuple[str, str]] = {
    "cross_entropy": ("CrossEntropyLoss", "cross_entropy"),
    "bce_with_logits": ("BCEWithLogitsLoss", "binary_cross_entropy_with_logits"),
    "binary_crossentropy": ("BCELoss", "binary_cross_entropy"),
    "mse": ("MSELoss", "mse_loss"),
    "mae": ("L1Loss", "l1_loss"),
    "huber": ("HuberLoss", "huber_loss"),
}
"""Module and function of each."""
LOSSES: Mapping[str, LossName] = {
    **{function: name for name, (_, function) in LOSS_CALLS.items()},
    "smooth_l1_loss": "huber",
}
"""By its function."""

"""Names that a program is written with: activations, losses, optimizers, kinds of preparation, and so on."""

from __future__ import annotations

from typing import Literal, get_args

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
    # what PyTorch's own layers start with
    "torch_default",
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
RowOrder = Literal["by_target", "given"]
DamageKind = Literal["change_labels", "delete_rows", "unbalance", "noise", "overlap"]
MetricName = Literal["accuracy", "r2", "mse", "mae", "balanced_accuracy", "f1"]
ClassMetric = Literal["balanced_accuracy", "f1"]
ApiLevel = Literal["current", "keras_1", "keras_2", "tensorflow_1", "torch_0", "torch_1"]

ACTIVATIONS: tuple[ActivationName, ...] = get_args(ActivationName)
INITIALISERS: tuple[InitialiserName, ...] = get_args(InitialiserName)
LOSSES: tuple[LossName, ...] = get_args(LossName)
OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
PREPS: tuple[PrepName, ...] = get_args(PrepName)
LABEL_ENCODINGS: tuple[LabelEncoding, ...] = get_args(LabelEncoding)
METRICS: tuple[MetricName, ...] = get_args(MetricName)
CLASS_METRICS: tuple[ClassMetric, ...] = get_args(ClassMetric)
"""Metrics that give rare classes their say: what a bug file may have its task judged by."""
API_LEVELS: tuple[ApiLevel, ...] = get_args(ApiLevel)
INPUT_TYPES: tuple[InputType, ...] = get_args(InputType)
LABEL_TYPES: tuple[LabelType, ...] = get_args(LabelType)
DAMAGES: tuple[DamageKind, ...] = get_args(DamageKind)

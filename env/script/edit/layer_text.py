"""How layers and activations are written in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netmend.env.program import (
    Activation,
    ActivationName,
    BatchNorm,
    Conv1d,
    Conv2d,
    Conv3d,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    InitialiserName,
    Layer,
    LayerNorm,
    Pool,
)
from netmend.env.program.layers import margin
from netmend.env.program.misfit import Shape
from netmend.env.script.source import EditRefused
from netmend.env.training.activations import LEAKY_SLOPE

Spell = Callable[[str], str]
"""Makes of a dotted name what a file calls it."""

MODULES: dict[ActivationName, str] = {
    "relu": "ReLU()",
    "leaky_relu": f"LeakyReLU({LEAKY_SLOPE!r})",
    "elu": "ELU()",
    "selu": "SELU()",
    "gelu": "GELU()",
    "tanh": "Tanh()",
    "sigmoid": "Sigmoid()",
    "hard_sigmoid": "Hardsigmoid()",
    "softmax": "Softmax(dim=1)",
    "softplus": "Softplus()",
    "softsign": "Softsign()",
}
FUNCTIONS: dict[ActivationName, tuple[str, str]] = {
    "relu": ("torch.relu", ""),
    "leaky_relu": ("torch.nn.functional.leaky_relu", f", {LEAKY_SLOPE!r}"),
    "elu": ("torch.nn.functional.elu", ""),
    "selu": ("torch.selu", ""),
    "gelu": ("torch.nn.functional.gelu", ""),
    "tanh": ("torch.tanh", ""),
    "sigmoid": ("torch.sigmoid", ""),
    "hard_sigmoid": ("torch.nn.functional.hardsigmoid", ""),
    "softmax": ("torch.softmax", ", dim=1"),
    "softplus": ("torch.nn.functional.softplus", ""),
    "softsign": ("torch.nn.functional.softsign", ""),
    "exponential": ("torch.exp", ""),
}
"""Function and further arguments by activation."""
ACTIVATION_KINDS = frozenset(
    {text.partition("(")[0] for text in MODULES.values()}
    | {name.rpartition(".")[2] for name, _ in FUNCTIONS.values()}
    | {
        "LogSoftmax",
        "log_softmax",
        "relu_",
        "tanh_",
        "sigmoid_",
        "ReLU6",
        "logsigmoid",
        "LogSigmoid",
        "SiLU",
        "silu",
    }
)
"""Modules and functions that are activations."""
STARTS: dict[InitialiserName, tuple[str, str]] = {
    "he_uniform": ("kaiming_uniform_", ', nonlinearity="relu"'),
    "he_normal": ("kaiming_normal_", ', nonlinearity="relu"'),
    "lecun_uniform": ("kaiming_uniform_", ', nonlinearity="linear"'),
    "lecun_normal": ("kaiming_normal_", ', nonlinearity="linear"'),
    "glorot_uniform": ("xavier_uniform_", ""),
    "glorot_normal": ("xavier_normal_", ""),
    "orthogonal": ("orthogonal_", ""),
    "zeros": ("zeros_", ""),
    "ones": ("ones_", ""),
}
"""Function of ``torch.nn.init`` and further arguments by initialiser."""


def module_texts(layers: Sequence[Layer], shape: Shape, spell: Spell) -> list[tuple[str, str]]:
    """A name and the constructor of each of some new layers on rows of a shape, features first.

    Raises:
        EditRefused: PyTorch has no module that does the same.
    """
    texts: list[tuple[str, str]] = []
    for layer in layers:
        new = _torch(layer, shape)
        texts += [
            (name, spell(f"torch.nn.{text.partition('(')[0]}") + text[text.index("(") :])
            for name, text in new
        ]
        shape = layer.output(shape, 0)
    return texts


def _torch(layer: Layer, shape: Shape) -> list[tuple[str, str]]:
    axes = len(shape) - 1
    if isinstance(layer, BatchNorm) and axes <= 3:
        return [("norm", f"BatchNorm{max(axes, 1)}d({shape[0]})")]
    if isinstance(layer, LayerNorm) and not axes:
        return [("norm", f"LayerNorm({shape[0]})")]
    if isinstance(layer, Dropout):
        return [("drop", f"Dropout({layer.rate!r})")]
    if isinstance(layer, Activation):
        return _activation(layer.function)
    if isinstance(layer, Flatten):
        return [("flat", "Flatten()")]
    if isinstance(layer, Dense) and not axes:
        bias = "" if layer.bias else ", bias=False"
        return [("dense", f"Linear({shape[0]}, {layer.units}{bias})"), *_activation(layer.activation)]
    if isinstance(layer, Conv1d | Conv2d | Conv3d) and axes == layer.axes and layer.padding != "same":
        return [_convolution(layer, shape[0]), *_activation(layer.activation)]
    if isinstance(layer, Conv1d | Conv2d | Conv3d) and axes == layer.axes and layer.stride == 1:
        return [_convolution(layer, shape[0]), *_activation(layer.activation)]
    if isinstance(layer, Pool) and 1 <= axes <= 3 and layer.padding != "same":
        kind = "MaxPool" if layer.reduce == "max" else "AvgPool"
        stride = f", stride={layer.stride}" if layer.stride not in (None, layer.size) else ""
        padding = f", padding={margin(layer.padding)}" if margin(layer.padding) else ""
        return [("pool", f"{kind}{axes}d({layer.size}{stride}{padding})")]
    if isinstance(layer, GlobalPool) and 1 <= axes <= 3:
        kind = "Max" if layer.reduce == "max" else "Avg"
        return [("pool", f"Adaptive{kind}Pool{axes}d(1)"), ("flat", "Flatten()")]
    raise EditRefused(f"no module of PyTorch is a {layer.name} layer on rows of shape {shape}")


def _activation(function: ActivationName) -> list[tuple[str, str]]:
    if function == "linear":
        return []
    if function not in MODULES:
        raise EditRefused(f"PyTorch has no module for {function}")
    return [("act", MODULES[function])]


def _convolution(layer: Convolution, features: int) -> tuple[str, str]:
    more = f", stride={layer.stride}" if layer.stride != 1 else ""
    if layer.padding == "same":
        more += ', padding="same"'
    elif margin(layer.padding):
        more += f", padding={margin(layer.padding)}"
    return "conv", f"Conv{layer.axes}d({features}, {layer.filters}, {layer.kernel}{more})"

"""How layers, initial weights, penalties and losses are written in Keras."""

from __future__ import annotations

from collections.abc import Sequence

from netmend.env.program import (
    Activation,
    BatchNorm,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    InitialiserName,
    Layer,
    LayerNorm,
    LossName,
    Pool,
    Recurrent,
    Rescale,
    Reshape,
    TransposedConvolution,
    Weighted,
    ZeroPad,
)
from netmend.env.program.layers import Padding
from netmend.env.program.misfit import Shape
from netmend.env.script.edit.layer_text import Spell
from netmend.env.script.keras_names import LOSS_CLASSES, ON_LOGITS
from netmend.env.script.source import EditRefused
from netmend.env.training.initialisers import CONSTANT

_WORDS: dict[LossName, str] = {"logcosh": "log_cosh"}
"""Losses whose word is another one than in a program."""
_BY_IDS: dict[LossName, LossName] = {"categorical_crossentropy": "sparse_categorical_crossentropy"}
"""The same loss on class ids."""
_ONE_HOT = ("categorical_crossentropy", "kl_divergence", "categorical_hinge")
_CELLS = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}


def keras_texts(
    layers: Sequence[Layer], shape: Shape, spell: Spell, vocabulary: int = 0
) -> list[tuple[str, str]]:
    """A name and the constructor of each of some layers in Keras.

    Args:
        layers: of a program, in order.
        shape: of a row in front of them, features first, as in a program.
        spell: makes of a dotted name what the file calls it.
        vocabulary: of token ids.

    Raises:
        EditRefused: Keras has no layer that does the same.
    """
    texts = []
    for layer in layers:
        name, _, rest = _text(layer, shape, spell, vocabulary).partition("(")
        texts.append((layer.name, f"{spell(f'keras.layers.{name}')}({rest}"))
        shape = layer.output(shape, vocabulary)
    return texts


def _text(layer: Layer, shape: Shape, spell: Spell, vocabulary: int) -> str:
    axes = len(shape) - 1
    if isinstance(layer, Dense):
        return _call("Dense", layer.units, *_activation(layer.activation), *_weights(layer, spell))
    if isinstance(layer, Convolution):
        if isinstance(layer, TransposedConvolution) and layer.output_padding:
            raise EditRefused("no transposed convolution of Keras with an output padding")
        transposed = "Transpose" * isinstance(layer, TransposedConvolution)
        return _call(
            f"Conv{layer.axes}D{transposed}",
            *(layer.filters, layer.kernel, *_stride(layer.stride, 1)),
            *_padding(layer.padding, keeps=layer.keeps_size),
            *_activation(layer.activation),
            *_weights(layer, spell),
        )
    if isinstance(layer, Recurrent):
        more = ["return_sequences=True"] * layer.return_sequences
        cell = _call(_CELLS[layer.cell], layer.units, *more, *_weights(layer, spell))
        return f"Bidirectional({spell('keras.layers.' + cell)})" if layer.bidirectional else cell
    if isinstance(layer, Embedding):
        start = (
            []
            if layer.kernel_init == "random_uniform"
            else [f"embeddings_initializer={keras_start(layer.kernel_init, spell)}"]
        )
        return _call("Embedding", layer.inputs or vocabulary, layer.units, *start)
    if isinstance(layer, Pool):
        kind = "Max" if layer.reduce == "max" else "Average"
        stride = _stride(layer.stride or layer.size, layer.size)
        return _call(f"{kind}Pooling{axes}D", layer.size, *stride, *_padding(layer.padding, keeps=False))
    if isinstance(layer, GlobalPool):
        return f"Global{'Max' if layer.reduce == 'max' else 'Average'}Pooling{axes}D()"
    if isinstance(layer, BatchNorm):  # Keras' momentum is the share of what was there
        more = [] if layer.momentum == 0.01 else [f"momentum={1 - layer.momentum:g}"]
        return _call("BatchNormalization", *more, *_epsilon(layer.epsilon))
    if isinstance(layer, LayerNorm):
        return _call("LayerNormalization", *_epsilon(layer.epsilon))
    return _plain(layer, shape)


def _plain(layer: Layer, shape: Shape) -> str:
    """Layers whose numbers are the same in Keras."""
    if isinstance(layer, Dropout):
        return f"Dropout({layer.rate!r})"
    if isinstance(layer, Activation):
        return f'Activation("{layer.function}")'
    if isinstance(layer, Flatten):
        return "Flatten()"
    if isinstance(layer, GaussianNoise):
        return f"GaussianNoise({layer.deviation!r})"
    if isinstance(layer, Rescale):
        offset = f", offset={layer.offset!r}" if layer.offset else ""
        return f"Rescaling({layer.factor!r}{offset})"
    if isinstance(layer, ZeroPad) and len(shape) > 1:
        return f"ZeroPadding{len(shape) - 1}D({layer.size})"
    if isinstance(layer, Reshape) and len(shape) == 1 and layer.shape[0] == 1:
        return f"Reshape({(*layer.shape[1:], 1)})"
    raise EditRefused(f"no layer of Keras is a {layer.name} layer on rows of shape {shape}")


def _call(name: str, *arguments: object) -> str:
    return f"{name}({', '.join(map(str, arguments))})"


def _activation(name: str) -> list[str]:
    return [] if name == "linear" else [f'activation="{name}"']


def _stride(stride: int, usual: int) -> list[str]:
    return [] if stride == usual else [f"strides={stride}"]


def _padding(padding: Padding, *, keeps: bool) -> list[str]:
    if padding == "same" or keeps:
        return ['padding="same"']
    if padding not in ("valid", 0):
        raise EditRefused(f"no layer of Keras pads by {padding}")
    return []


def _epsilon(epsilon: float) -> list[str]:
    return [] if epsilon == 1e-3 else [f"epsilon={epsilon:g}"]


def _weights(layer: Weighted, spell: Spell) -> list[str]:
    """Keywords of a layer with a kernel that are not as Keras has them."""
    found = [] if layer.bias else ["use_bias=False"]
    starts = {"kernel": (layer.kernel_init, "glorot_uniform"), "bias": (layer.bias_init, "zeros")}
    found += [
        f"{part}_initializer={keras_start(name, spell)}"
        for part, (name, usual) in starts.items()
        if name not in (usual, "torch_default")  # a layer that is put in starts as Keras' own
    ]
    penalty = keras_penalty(layer.l1, layer.l2, spell)
    return found + ([f"kernel_regularizer={penalty}"] if penalty else [])


def keras_start(name: InitialiserName, spell: Spell) -> str:
    """An initialiser.

    Raises:
        EditRefused: Keras has none of its name.
    """
    if name == "torch_default":
        raise EditRefused("Keras has no initialiser like the start of PyTorch's layers")
    if name == "standard_normal":
        return f"{spell('keras.initializers.RandomNormal')}(stddev=1.0)"
    if name == "constant":
        return f"{spell('keras.initializers.Constant')}({CONSTANT!r})"
    return f'"{name}"'


def keras_penalty(l1: float, l2: float, spell: Spell) -> str:
    """The regularizer of a kernel; empty where there is none."""
    if l1 and l2:
        return f"{spell('keras.regularizers.L1L2')}(l1={l1!r}, l2={l2!r})"
    if l1 or l2:
        return f"{spell('keras.regularizers.' + ('L1' if l1 else 'L2'))}({l1 or l2!r})"
    return ""


def keras_loss(kind: LossName, spell: Spell, *, ids: bool, units: int) -> str:
    """A loss on labels in the form that a script has them: a word, or a class on logits.

    Args:
        kind: of the loss; what compares classes has a form for ids and one for rows of 0 and 1.
        spell: makes of a dotted name what the file calls it.
        ids: whether there is one number for each row.
        units: outputs for a row, 0 where that is not known.

    Raises:
        EditRefused: such labels do not go with the loss.
    """
    by_ids = {ids_: rows for rows, ids_ in _BY_IDS.items()}
    kind = _BY_IDS.get(kind, kind) if ids else by_ids.get(kind, kind)
    word = next((plain for plain, own in ON_LOGITS.items() if own == kind), None)
    if kind == "cross_entropy":
        word = "sparse_categorical_crossentropy" if ids else "categorical_crossentropy"
    of_ids = kind == "sparse_categorical_crossentropy" or (kind == "cross_entropy" and ids)
    if ids and (kind in _ONE_HOT or (units > 1 and not of_ids)):
        raise EditRefused(f"{kind} takes labels of another encoding")
    if word is not None:
        return f"{spell(f'keras.losses.{LOSS_CLASSES[word]}')}(from_logits=True)"
    return f'"{_WORDS.get(kind, kind)}"'

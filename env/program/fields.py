"""The fields of a program's parts, read off the schema's dataclasses: one table for checks and YAML."""

from __future__ import annotations

import dataclasses
import reprlib
import types
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, Union, get_args, get_origin, get_type_hints

from netmend.env.errors import UnknownNameError
from netmend.env.program.layers import LAYER_KINDS, Layer
from netmend.env.program.limits import AXIS, COUNTS, RANGES, WEIGHT, Range

OTHER_NAMES: dict[str, str] = {
    "batch": "batch_size",
    "bce": "binary_crossentropy",
    "bias_initializer": "bias_init",
    "clipnorm": "clip",
    "clipvalue": "clip",
    "dim_feedforward": "width",
    "dropout_rate": "dropout",
    "embeddings_initializer": "kernel_init",
    "gru": "recurrent",
    "identity": "linear",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "kernel_initializer": "kernel_init",
    "convtranspose1d": "conv1d_transpose",
    "convtranspose2d": "conv2d_transpose",
    "convtranspose3d": "conv3d_transpose",
    "kernel_size": "kernel",
    "learning_rate": "lr",
    "lstm": "recurrent",
    "max_pool": "pool",
    "maxpool": "pool",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_error": "mse",
    "mean_squared_logarithmic_error": "msle",
    "model": "layers",
    "multi_head_attention": "attention",
    "network": "layers",
    "neurons": "units",
    "nhead": "heads",
    "norm_first": "norm",
    "normalize": "standardize",
    "num_heads": "heads",
    "pool_size": "size",
    "preprocessing": "prep",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
    "standard_scaler": "standardize",
    "strides": "stride",
    "transformer": "attention",
    "use_bias": "bias",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
}
"""What Keras, PyTorch and scikit-learn call a thing that has another name here; used for hints only."""

SHOWN = 80
"""Characters of a wrong value that a message shows."""

_WORDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a part of a program.

    Attributes:
        name: its key.
        types: Python types of a plain value, or of the entries of a shape; empty for a part.
        choices: the names that it may hold, beside numbers where those are among its types.
        range: of a number, or of the number of entries of a list.
        optional: whether ``None`` is a value.
        required: whether it has no default.
        default: the default, where there is one.
        parts: classes of a part (another dataclass of the schema); empty for a plain value.
        many: whether it holds a tuple: of parts, or of the axes of a shape.
        numbers: whether it holds a tuple of weights in the place of a name.
    """

    name: str
    types: tuple[type, ...] = ()
    choices: tuple[str, ...] = ()
    range: Range | None = None
    optional: bool = False
    required: bool = False
    default: object = None
    parts: tuple[type, ...] = ()
    many: bool = False
    numbers: bool = False

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.parts:
            return "a list" if self.many else "a mapping"
        if self.many:
            return f"a list of {self.range} whole numbers in {AXIS}"
        words = _WORDS[int if self.choices else self.types[0]]
        words = f"{words} in {self.range}" if self.range else words
        if not self.choices:
            return words
        names = f"one of {', '.join(self.choices)}"
        if self.numbers:
            return f"{names}, or a list of {self.range} numbers in {WEIGHT}"
        return f"{names} or {words}" if int in self.types else names

    def problem(self, value: object) -> str | None:
        """What is wrong with a plain value, None where nothing is."""
        if value is None and self.optional:
            return None
        if self.many:
            return None if self._is_shape(value) else f"{shown(value)} is not {self.expected}"
        if self.numbers and isinstance(value, tuple):
            return None if self._are_weights(value) else f"{shown(value)} is not {self.expected}"
        kind = type(value)
        if kind not in self.types and (kind is bool or not isinstance(value, self.types)):
            return f"{shown(value)} is not {self.expected}"
        if self.choices and isinstance(value, str):
            return None if value in self.choices else unknown(self.name, value, self.choices)
        if self.range is not None and isinstance(value, int | float) and not self.range.holds(value):
            return f"{shown(value)} is not in {self.range}"
        return "must not be empty" if value == "" else None

    def _is_shape(self, value: object) -> bool:
        if not isinstance(value, tuple) or not all(type(axis) is int and AXIS.holds(axis) for axis in value):
            return False
        return self.count_problem(len(value)) is None

    def _are_weights(self, value: tuple[object, ...]) -> bool:
        if not all(type(number) in (int, float) and WEIGHT.holds(number) for number in value):  # type: ignore[arg-type]
            return False
        return self.count_problem(len(value)) is None

    def count_problem(self, count: int) -> str | None:
        """What is wrong with the number of entries of a list, None where nothing is."""
        if self.range is None or self.range.holds(count):
            return None
        return f"{count} entries, expected {self.range}"


def fields_of(cls: type) -> tuple[Field, ...]:
    """The fields of a dataclass of the schema: its own first, then those that it inherits."""
    return _fields_of(cls)


def fields_by_name(cls: type) -> dict[str, Field]:
    """``fields_of`` by their names, in that order."""
    return _fields_by_name(cls)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Message about a name or key that does not exist, with what was probably meant."""
    names = tuple(known)
    meant = OTHER_NAMES.get(name.lower())
    if meant in names:
        return f"unknown {kind} {name!r}; here it is called {meant!r}"
    if not names:
        return f"unknown {kind} {name!r}; there is none"
    return str(UnknownNameError(kind, name[:SHOWN], names))


def unknown_key(cls: type, key: str) -> str:
    """Message about a key that a part does not have, with the place where it was probably meant to be."""
    fields = fields_of(cls)
    meant = OTHER_NAMES.get(key.lower(), key)
    for field in fields:
        if field.parts and not field.many and any(meant == inner.name for inner in fields_of(field.parts[0])):
            return f"unknown key {key!r}; its place is {field.name}.{meant}"
    return unknown("key", key, (field.name for field in fields))


def shown(value: object) -> str:
    """A wrong value, short enough for one line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    bounded = reprlib.Repr()
    bounded.maxstring = bounded.maxother = SHOWN
    bounded.maxlevel = 2
    text = bounded.repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


@cache
def _fields_by_name(cls: type) -> dict[str, Field]:
    return {field.name: field for field in _fields_of(cls)}


@cache
def _fields_of(cls: type) -> tuple[Field, ...]:
    hints = get_type_hints(cls)
    bases = [base for base in cls.__mro__ if dataclasses.is_dataclass(base)]
    depth = {field.name: at for at, base in enumerate(bases) for field in dataclasses.fields(base)}
    declared = sorted(dataclasses.fields(cls), key=lambda field: depth[field.name])
    return tuple(_field(field, hints[field.name]) for field in declared)


def _field(declared: dataclasses.Field[object], hint: object) -> Field:
    required = declared.default is dataclasses.MISSING
    members = _members(hint)
    field = Field(
        name=declared.name,
        range=RANGES.get(declared.name) or COUNTS.get(declared.name),
        optional=type(None) in members,
        required=required,
        default=None if required else declared.default,
    )
    first = members[0]
    if get_origin(first) is Literal:
        numbers = any(get_origin(member) is tuple for member in members)
        types = (str, *_classes(members[1:]))
        return dataclasses.replace(field, types=types, choices=get_args(first), numbers=numbers)
    if get_origin(first) is tuple:
        entries = _classes(_members(get_args(first)[0]))
        if entries == (Layer,):
            entries = tuple(LAYER_KINDS.values())
        if entries == (int,):
            return dataclasses.replace(field, types=entries, many=True)
        return dataclasses.replace(field, parts=entries, many=True)
    classes = _classes(members)
    if dataclasses.is_dataclass(classes[0]):
        return dataclasses.replace(field, parts=classes)
    return dataclasses.replace(field, types=(float, int) if classes[0] is float else classes)


def _classes(members: tuple[object, ...]) -> tuple[type, ...]:
    return tuple(member for member in members if isinstance(member, type) and member is not type(None))


def _members(hint: object) -> tuple[object, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)

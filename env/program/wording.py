"""What an edit changes, told as a reader of the program would see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from netmend.env.program.changes import align, differing
from netmend.env.program.fields import fields_of
from netmend.env.program.layers import Layer
from netmend.env.program.schema import Program
from netmend.env.program.sites import output_layer

_OWN = ("layers", "optimizer", "data")
"""Parts of a program that are told in a way of their own."""
_WORDS = {"lr": "learning rate", "batch_size": "batch size", "class_weights": "class weights"}
"""Keys that a reader knows by another word; all others stand for themselves."""
_NONE = ("linear", None)
"""Values that say that there is nothing: no activation, no clipping, no patience."""


def in_words(before: Program, after: Program) -> tuple[str, ...]:
    """What differs between two programs, a line for each part; empty exactly where they are equal.

    Layers are named by their position in the program before, counted from 1 as in findings.

    Example:
        >>> in_words(program, replace(program, batch_size=64))
        ('batch size: 32 -> 64',)
    """
    lines = [*_layers(before, after)]
    for name in differing(before, after, *_OWN):
        lines += _part(name, getattr(before, name), getattr(after, name))
    if before.optimizer != after.optimizer:
        lines.append(_optimizer(before, after))
    return (*lines, *_data(before, after))


def _layers(before: Program, after: Program) -> Iterator[str]:
    """Lines on the layers: changed, added behind one of the program before, removed."""
    outputs = output_layer(before), output_layer(after)
    old_index = new_index = 0
    for old, new in align(before.layers, after.layers):
        name = "output layer" if outputs[0] == old_index else f"layer {old_index + 1}"
        if old is None and new is not None:
            place = f"behind layer {old_index}" if old_index else "in front of layer 1"
            role = "output layer " if outputs[1] == new_index else ""
            yield f"{role}{_layer(new)} added {place}"
        elif new is None and old is not None:
            yield f"{name} removed: {_layer(old)}"
        elif old is not None and new is not None and old != new:
            yield f"{name} ({old.name}): {', '.join(_differences(old, new))}"
        old_index += old is not None
        new_index += new is not None


def _part(name: str, old: object, new: object) -> list[str]:
    """A setting of the program itself: one line, or one for each key of a part that is there in both."""
    if old is None or new is None or not hasattr(old, "__dataclass_fields__"):
        return [f"{_WORDS.get(name, name)}: {_arrow(old, new)}"]
    return [f"{name}.{difference}" for difference in _differences(old, new, ": ")]


def _optimizer(before: Program, after: Program) -> str:
    """Another rate alone is told as such, another optimizer with all that comes with it."""
    old, new = before.optimizer, after.optimizer
    if old.kind == new.kind:
        return f"optimizer {old.kind}: {', '.join(_differences(old, new))}"
    changed = differing(old, new, "kind")
    sides = [
        ", ".join([side.kind, *(f"{_word(name)} {_value(getattr(side, name))}" for name in changed)])
        for side in (old, new)
    ]
    return f"optimizer: {sides[0]} -> {sides[1]}"


def _data(before: Program, after: Program) -> Iterator[str]:
    for name in differing(before.data, after.data):
        old, new = getattr(before.data, name), getattr(after.data, name)
        if isinstance(old, tuple) and isinstance(new, tuple):
            yield from _steps(name, old, new)
        else:
            yield f"data.{name}: {_arrow(old, new)}"


def _steps(name: str, old: Sequence[object], new: Sequence[object]) -> Iterator[str]:
    """Lines on a list of steps: what came, what went, what took the place of what."""
    for how, first, last, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        gone, come = (", ".join(map(_step, side)) for side in (old[first:last], new[start:end]))
        if how == "insert":
            place = f"behind {_step(old[first - 1])}" if first else "first" if old else ""
            yield f"data.{name}: {come} added {place}".rstrip()
        elif how == "delete":
            yield f"data.{name}: {gone} removed"
        elif how == "replace":
            yield f"data.{name}: {gone} -> {come}"


def _differences(old: object, new: object, between: str = " ") -> list[str]:
    return [
        f"{_word(name)}{between}{_arrow(getattr(old, name), getattr(new, name))}"
        for name in differing(old, new)
    ]


def _arrow(old: object, new: object) -> str:
    """Both values, in full where they look alike when they are rounded."""
    sides = _value(old), _value(new)
    return f"{sides[0]} -> {sides[1]}" if sides[0] != sides[1] else f"{old!r} -> {new!r}"


def _layer(layer: Layer) -> str:
    return _with_parameters(layer.name, layer)


def _step(step: object) -> str:
    return _with_parameters(str(getattr(step, "kind", step)), step)


def _with_parameters(name: str, part: object) -> str:
    """A part by its name, with every value that is not the default."""
    told = [
        f"{_word(field.name)} {_value(getattr(part, field.name))}"
        for field in fields_of(type(part))
        if field.name != "kind" and (field.required or getattr(part, field.name) != field.default)
    ]
    return f"{name} ({', '.join(told)})" if told else name


def _word(name: str) -> str:
    return _WORDS.get(name, name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value in _NONE:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if hasattr(value, "__dataclass_fields__"):
        named = ((field.name, getattr(value, field.name)) for field in fields_of(type(value)))
        return ", ".join(
            _value(own) if name == "kind" else f"{_word(name)} {_value(own)}" for name, own in named
        )
    return str(value)

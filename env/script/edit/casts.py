"""Types of rows and targets: cast where they become tensors, else where they are used."""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.statements import network_calls
from netmend.env.script.follow import Place, argument
from netmend.env.script.origins import TYPES, called, origins
from netmend.env.script.record import Crashed
from netmend.env.script.rules.crashes import NO_TENSOR
from netmend.env.script.source import Draft, EditRefused, SourceFile

_METHODS = {"float32": "float", "float64": "double", "float16": "half", "int64": "long"}
"""Method that casts to a type."""
_SINGLE = ("rand", "randn", "zeros", "ones", "empty", "linspace", "eye", "Tensor", "FloatTensor")
"""Functions of torch that give single precision, where nothing else is said."""


def write_input_type(editor: Editor, _change: SourceChange) -> None:
    """Rows of the type that the layer takes which crashed."""
    record, crash = editor.record, editor.record.crash
    if crash is not None and NO_TENSOR in crash.message:
        _wrap_array(editor, crash)
        return
    if crash is None or not crash.operands:
        raise EditRefused("no layer crashed for the type of its rows")
    given = crash.operands[0].dtype
    wanted = next((one.dtype for one in crash.operands[1:] if one.dtype != given), given)
    if "embedding" in crash.operation.lower():
        wanted = "int64"
    if wanted == given or wanted not in _METHODS:
        raise EditRefused(f"no cast of the rows makes {wanted} of {given}")
    if not record.updates and record.inputs is not None and record.inputs.dtype == wanted:
        raise EditRefused(f"the network is given {wanted}: something inside of it is {given}")
    if "several inputs" in record.opaque:
        raise EditRefused("the network takes several inputs")
    done: set[ast.expr] = set()
    for draft, call in network_calls(editor):
        if call.args and not isinstance(call.args[0], ast.Starred):
            cast_at_origin(editor, draft, call.args[0], wanted, done)


def _wrap_array(editor: Editor, crash: Crashed) -> None:
    """An array that the network is given, as a tensor."""
    draft, call = editor.call(crash.applied, "the network's pass")
    if not call.args:
        raise EditRefused("the network is given nothing by position")
    torch = editor.spell(draft, "torch")
    draft.wrap(call.args[0], f"{torch}.tensor(", f", dtype={torch}.float32)")


def cast_at_origin(editor: Editor, draft: Draft, node: ast.expr, wanted: str, done: set[ast.expr]) -> None:
    """Cast a tensor where it is made, as far as that is seen, else where it is used.

    Args:
        editor: of the patch.
        draft: of the file of its use.
        node: its use.
        wanted: a type, as ``float32``.
        done: expressions that are cast already; what is cast here is put into it.
    """
    found = origins(editor.project, Place(draft.file, node))
    if not all(_is_tensor(place) for place in found):
        found = [Place(draft.file, node)]
    for place in found:
        if place.node not in done:
            done.add(place.node)
            _cast(editor, place, wanted)


def _is_tensor(place: Place) -> bool:
    """Whether an expression is a tensor for sure: a call of torch, or a cast."""
    if not isinstance(place.node, ast.Call):
        return False
    home, _, name = place.file.dotted(place.node.func).rpartition(".")
    return (home == "torch" and name != "load") or _is_cast(place)


def _is_cast(place: Place) -> bool:
    return (
        isinstance(place.node, ast.Call)
        and isinstance(place.node.func, ast.Attribute)
        and called(place.file, place.node) in (*TYPES, "type", "to")
    )


def _cast(editor: Editor, place: Place, wanted: str) -> None:
    draft, node, method = editor.draft(place.file.path), place.node, _METHODS[wanted]
    names = (wanted, method)
    if isinstance(node, ast.Call):
        name = called(place.file, node)
        kind = argument(node, "dtype")
        types = {place.file.dotted(part).rpartition(".")[2] for part in node.args}
        if name == method or (name in ("type", "to") and types & set(names)):
            return
        if kind is not None:
            if place.file.dotted(kind).rpartition(".")[2] not in names:
                draft.put(kind, f"{editor.spell(draft, 'torch')}.{wanted}")
            return
        if wanted == "float32" and name in _SINGLE:
            return
    append_method(draft, node, f".{method}()")


def append_method(draft: Draft, node: ast.expr, suffix: str) -> None:
    """Put a method's call behind an expression."""
    plain = is_operand(node) or not suffix
    draft.wrap(node, "" if plain else "(", suffix if plain else f"){suffix}")


def is_operand(node: ast.expr) -> bool:
    """Whether an expression binds as closely as can be, so that it needs no parentheses."""
    return isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript)


def as_operand(file: SourceFile, node: ast.expr) -> str:
    """The text of an expression, in parentheses where it needs them as a part of another."""
    return file.text_of(node) if is_operand(node) else f"({file.text_of(node)})"

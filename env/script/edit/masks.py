"""A mask of attention that is turned round, or made of True and False."""

from __future__ import annotations

import ast
from inspect import signature

from torch import nn

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import as_operand
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import Place, argument, definition
from netmend.env.script.masks import ADDED, REVERSED
from netmend.env.script.rules.reading import facts
from netmend.env.script.source import Draft, EditRefused

_OPPOSITE: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", ">="),
    ast.GtE: (">=", "<"),
    ast.Gt: (">", "<="),
    ast.LtE: ("<=", ">"),
}
"""Each comparison, and what says its opposite."""
_KEEPS = ("unsqueeze", "view", "reshape", "bool", "to", "squeeze", "expand", "t", "transpose")
"""Methods that leave what a mask says."""


def write_mask(editor: Editor, _change: SourceChange) -> None:
    """The opposite of a mask that is turned round; of one of numbers, a comparison with what hides."""
    for fact in facts(editor.record, REVERSED, ADDED):
        draft, call = editor.call(fact.site, "the mask")
        name, _, kind = fact.text.split()[:3]
        node = _given(call, name, kind)
        if node is None:
            raise EditRefused(f"{draft.file.path}:{call.lineno} does not show what is given as {name}")
        if fact.name == ADDED:
            draft.put(node, f"{as_operand(draft.file, node)} == {fact.value:g}")
        else:
            _turn(editor, draft, node)
        return
    raise EditRefused("the run shows no mask that is wrong")


def _given(call: ast.Call, name: str, kind: str) -> ast.expr | None:
    """What a call of a kind of module or function gives under a name."""
    if hasattr(nn, kind):
        return argument(call, name, [*signature(getattr(nn, kind).forward).parameters].index(name) - 1)
    return argument(call, name, 3)  # of scaled_dot_product_attention


def _turn(editor: Editor, draft: Draft, node: ast.expr) -> None:
    """The opposite comparison where the mask is made for this use alone, else a ``~`` where it is used."""
    place = Place(draft.file, node)
    while (made := _made(place.node)) is not None or isinstance(place.node, ast.Name):
        hop = None if made is not None else definition(editor.project, place)
        if made is None and (hop is None or len(hop.uses) != 1):
            break
        place = hop.value if hop is not None else Place(place.file, made or place.node)
    compared = place.node
    if isinstance(compared, ast.Compare) and len(compared.ops) == 1 and type(compared.ops[0]) in _OPPOSITE:
        file, (sign, opposite) = place.file, _OPPOSITE[type(compared.ops[0])]
        end, start = file.span(compared.left)[1], file.span(compared.comparators[0])[0]
        editor.draft(file.path).replace(end, start, file.raw[end:start].decode().replace(sign, opposite))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        draft.unwrap(node, node.operand)
    else:
        draft.put(node, f"~{as_operand(draft.file, node)}")


def _made(node: ast.expr) -> ast.expr | None:
    """The mask that a method leaves as it is but for its shape."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPS:
        return node.func.value
    return None

"""The weight of a penalty in the loss."""

from __future__ import annotations

import ast
import math
from typing import cast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import Place, is_written_out, origin
from netmend.env.script.rules.reading import facts


def write_penalty(editor: Editor, change: SourceChange) -> None:
    """A penalty multiplied by a factor: in the number that is its weight, or else in front of it."""
    fact = next(facts(editor.record, "penalty"), None)
    factor = cast(float, change.value)
    draft, node = editor.at(None if fact is None else fact.site, "the penalty")
    for side in _sides(node):
        place = origin(editor.project, Place(draft.file, side))
        number = _number(place.node)
        if number is not None:
            editor.want(draft, side, float(f"{number * factor:.3g}"), number)
            return
    draft.wrap(node, f"{factor:g} * (", ")")


def _sides(node: ast.expr) -> list[ast.expr]:
    """What is multiplied."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [part for side in (node.left, node.right) for part in (_sides(side) or [side])]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("mul", "mul_")
    ):
        return [*node.args, node.func.value][:2]
    return []


def _number(node: ast.expr) -> float | None:
    if not is_written_out(node):
        return None
    value = eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}})  # constants and signs alone
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value and math.isfinite(value)
    return float(value) if usable else None

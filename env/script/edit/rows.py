"""The axis of a batch on which its rows stand, where a layer or a reshape takes another one for it."""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import is_operand
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import Place, argument, origin
from netmend.env.script.mixing import RESHAPES
from netmend.env.script.origins import called, is_module
from netmend.env.script.record import Fact, Operation
from netmend.env.script.rules.reading import recut
from netmend.env.script.site import Site
from netmend.env.script.source import EditRefused

_PLACES = {
    "MultiheadAttention": 8,
    "TransformerEncoderLayer": 6,
    "TransformerDecoderLayer": 6,
    "Transformer": 9,
}
"""Where ``batch_first`` stands among the arguments; of recurrent layers it is the fifth."""
_STACKS = {"TransformerEncoder": "encoder_layer", "TransformerDecoder": "decoder_layer"}
"""Layers that are made of copies of another, and the argument that gives it."""


def write_batch_axis(editor: Editor, _change: SourceChange) -> None:
    """``batch_first`` where a layer goes over the rows, or the axes in order in front of a reshape."""
    facts, crash = {fact.name: fact for fact in editor.record.facts}, editor.record.crash
    found = facts.get("steps_over_rows") or facts.get("shuffled_steps")
    if crash is not None:
        _turn(editor, crash.made)
    elif found is not None:
        _turn_all(editor, found)
    elif "rows_mixed" in facts:
        _order_axes(editor, facts["rows_mixed"].site, int(facts["rows_mixed"].value))
    else:
        raise EditRefused("each row of a batch is taken by itself")


def write_moved_axes(editor: Editor, _change: SourceChange) -> None:
    """A transposition in the place of a reshape to the same sizes in another order."""
    for one in recut(editor.record):
        _order_axes(editor, one.called)


def _turn_all(editor: Editor, fact: Fact) -> None:
    """The other order of the first two axes, for the layer and for those like it."""
    operations = editor.record.operations
    first = next((one for one in operations if one.made == fact.site and one.made is not None), None)
    if first is None or len(first.received.shape) != 3:
        raise EditRefused("the layer takes 2 axes for one sequence: it needs an axis for the steps")
    for one in operations:
        alike = _rows_first(one) == _rows_first(first) and one.received.shape[:2] == first.received.shape[:2]
        if alike:
            _turn(editor, one.made)


def _turn(editor: Editor, made: Site | None) -> None:
    draft, call = editor.call(made, "the layer")
    stack = _STACKS.get(called(draft.file, call))
    if stack is not None:
        given = argument(call, stack, 0)
        place = None if given is None else origin(editor.project, Place(draft.file, given))
        if place is None or not isinstance(place.node, ast.Call):
            raise EditRefused(f"{made}: the layer of the stack is not made in sight")
        draft, call = editor.draft(place.file.path), place.node
    position = _PLACES.get(called(draft.file, call), 4)
    now = argument(call, "batch_first", position)
    first = isinstance(now, ast.Constant) and now.value is True
    editor.arguments(draft, call, {"batch_first": not first}, {"batch_first": position})


def _rows_first(operation: Operation) -> bool | None:
    """Whether a layer takes the rows on its first axis; None of one that has no such choice."""
    given = [value for name, value in operation.settings.items() if name.endswith("batch_first")]
    return bool(given[0]) if given else None


def _order_axes(editor: Editor, site: Site | None, rows: int = 0) -> None:
    """The axes brought into the order in which the reshape reads them."""
    draft, call = editor.call(site, "the reshape")
    reshapes = [one for one in editor.record.operations if one.called == site and one.kind in RESHAPES]
    shapes = next(((one.received.shape, one.returned.shape) for one in reshapes), ((), ()))
    order = _order(*shapes, rows)
    method = isinstance(call.func, ast.Attribute) and not is_module(draft.file, call.func.value)
    value = (
        call.func.value if method and isinstance(call.func, ast.Attribute) else next(iter(call.args), None)
    )
    if order is None or value is None:
        raise EditRefused(f"{site}: permute() or transpose() has to bring the rows to the front first")
    text = draft.file.text_of(value)
    text = text if is_operand(value) else f"({text})"
    moved = [place for place, axis in enumerate(order) if place != axis]
    name, places = ("transpose", moved) if len(moved) == 2 else ("permute", list(order))
    turned = f"{text}.{name}({', '.join(map(str, places))})"
    if sorted(shapes[0]) == sorted(shapes[1]):
        draft.put(call, turned)
        return
    draft.put(value, turned)
    if isinstance(call.func, ast.Attribute) and call.func.attr == "view":
        end = draft.file.span(call.func)[1]
        draft.replace(end - len("view"), end, "reshape")


def _order(given: tuple[int, ...], left: tuple[int, ...], rows: int) -> tuple[int, ...] | None:
    """The axes in the order that is meant; None where the shapes leave that open."""
    if given and sorted(given) == sorted(left):
        return tuple(map(given.index, left)) if len(set(given)) == len(given) else None
    if given.count(rows) == 1 and left[:1] == (rows,):
        axis = given.index(rows)
        return (axis, *(other for other in range(len(given)) if other != axis))
    return None

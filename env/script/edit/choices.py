"""What a script chooses as the class of a row follows the number of outputs behind a patch."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TypeAlias

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import as_operand
from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.outputs import cut_at_zero, sigmoids
from netmend.env.script.edit.statements import network_calls
from netmend.env.script.follow import Place, argument
from netmend.env.script.origins import called, way, worked_on
from netmend.env.script.rules.reading import facts, last_layer
from netmend.env.script.source import Draft, EditRefused, SourceFile

_ORDER = (ast.Gt, ast.GtE)
_METHODS = ("gt", "ge")
_SQUASHES = ("softmax", "log_softmax", "sigmoid")
_LOST = ("flatten", "ravel", "view", "reshape", "numpy")
"""What leaves no axis of outputs to choose from, or no tensor."""


def follow_units(editor: Editor) -> None:
    """Choose the class as the outputs behind a patch say it.

    One output is cut, of several the largest is taken. A largest of one is always class 0, and several that
    are cut are no class.
    """
    record, last = editor.record, last_layer(editor.record)
    at = None if last is None else record.operations.index(last)
    wanted = [change.value for change in editor.changes if (change.what, change.at) == ("layer.units", at)]
    if last is None or record.framework == "keras" or not wanted or not isinstance(wanted[-1], int):
        return
    before, after = last.returned.shape[-1], wanted[-1]
    if before == 1 < after:
        for draft, node, value, names in _chosen(editor, _cuts):
            keeps = "" if "squeeze" in names else ", keepdim=True"
            draft.put(node, f"{as_operand(draft.file, value)}.argmax(dim=1{keeps})")
    elif after == 1 < before:
        cut_one(editor)


def cut_one(editor: Editor) -> bool:
    """Cut the only output where the largest of all is taken; whether there is such a place."""
    probabilities = any(sigmoids(editor))
    found = list(_chosen(editor, _largest))
    for draft, node, value, names in found:
        _cut(draft, node, value, "0.5" if probabilities or "sigmoid" in names else "0")
    return bool(found)


_Choices: TypeAlias = Iterator[tuple[ast.expr, ast.expr]]
"""What chooses a class, and what it chooses from."""


def _chosen(
    editor: Editor, choices: Callable[[SourceFile], _Choices]
) -> Iterator[tuple[Draft, ast.expr, ast.expr, set[str]]]:
    """Choices among the network's outputs, and what is called on the way to them."""
    ends = {call for _, call in network_calls(editor)}
    for file in editor.project.files.values():
        for node, value in choices(file):
            on_way = list(_way(editor, Place(file, value)))
            if any(place.node in ends for place in on_way):
                names = {_name(place.file, place.node) for place in on_way}
                if names.isdisjoint(_LOST) and not any(isinstance(one.node, ast.Subscript) for one in on_way):
                    yield editor.draft(file.path), node, value, names


def _way(editor: Editor, place: Place) -> Iterator[Place]:
    """The expressions on the way back from a value, through a softmax or sigmoid too."""
    for here, is_end in way(editor.project, place):
        yield here
        inner = worked_on(here.file, here.node) if _name(here.file, here.node) in _SQUASHES else None
        if is_end and inner is not None:
            yield from _way(editor, Place(here.file, inner))


def _cuts(file: SourceFile) -> _Choices:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _ORDER):
            if _is_middle(node.comparators[0]):
                yield node, node.left
        elif isinstance(node, ast.Call):
            value = worked_on(file, node)
            others = node.args[-1:] if _name(file, node) in _METHODS else []
            if value is not None and (_name(file, node) == "round" or any(map(_is_middle, others))):
                yield node, value


def _is_middle(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (0, 0.5)


def _largest(file: SourceFile) -> _Choices:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and _name(file, node) in ("argmax", "max"):
            value = worked_on(file, node)
            named = argument(node, "dim") or argument(node, "axis")
            of_rows = named is not None or any(part is not value for part in node.args[-1:])
            if value is not None and of_rows:
                yield node, value


def _cut(draft: Draft, node: ast.expr, value: ast.expr, half: str) -> None:
    """A largest output becomes a cut of the only one, in the same shape."""
    file = draft.file
    while _name(file, value) in ("softmax", "log_softmax"):
        value = worked_on(file, value) or value
    keeps = argument(node, "keepdim") if isinstance(node, ast.Call) else None
    squeezed = "" if isinstance(keeps, ast.Constant) and keeps.value is True else ".squeeze(1)"
    only = as_operand(file, value)
    chosen, parent = f"({only} > {half}).long(){squeezed}", file.parents[node]
    if _name(file, node) == "argmax":
        draft.put(node, chosen)
    elif isinstance(parent, ast.Attribute) and parent.attr == "indices":
        draft.put(parent, chosen)
    else:
        draft.put(node, f"({only}, {chosen})")


def _name(file: SourceFile, node: ast.AST) -> str:
    return called(file, node) if isinstance(node, ast.Call) else ""


def write_cut(editor: Editor, _change: SourceChange) -> None:
    """Logits that are cut at one half, or rounded, cut at 0; the largest of one output cut as well."""
    if not any(facts(editor.record, "chosen_from_one")):
        cut_at_zero(editor)
    elif not cut_one(editor):
        raise EditRefused("the run does not show where a class is chosen")

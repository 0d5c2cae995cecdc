"""The scaling of the training rows, for the rows on which the network is judged."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import Place
from netmend.env.script.origins import is_module, origins
from netmend.env.script.scalers import Fit, fitted_apart
from netmend.env.script.site import Site
from netmend.env.script.source import EditRefused

_SCALES = ("transform", "fit_transform")
_MOST = 50


def write_same_scale(editor: Editor, _change: SourceChange) -> None:
    """``transform`` of the scaler that the training rows went through, for the evaluation's array."""
    again = fitted_apart(editor.project)
    if again is not None:
        _transform(editor, *again)
        return
    trained = _given(editor, editor.record.forward, "the training pass")
    scaler = next((name for place in trained if (name := _scaler(place))), "")
    judged = list(_given(editor, editor.record.evaluated, "the evaluation"))
    made = next((place for place in judged if _is_function(place)), None)
    if not scaler or made is None or any(map(_scaler, judged)) or not isinstance(made.node, ast.Call):
        raise EditRefused("no scaler in sight scales the training rows alone")
    editor.draft(made.file.path).wrap(made.node.args[0], f"{scaler}.transform(", ")")


def _transform(editor: Editor, first: Fit, again: Fit) -> None:
    """The scaler of the first fit, in the place of a fit to other rows."""
    file, scaler, own = again.file, first.method.value, again.file.text_of(again.method.value)
    if not isinstance(scaler, ast.Name):
        raise EditRefused(f"the scaler of {file.path}:{scaler.lineno} has no name")
    uses = [node for node in ast.walk(file.tree) if isinstance(node, ast.Name) and node.id == own]
    if own != scaler.id and sum(isinstance(node.ctx, ast.Load) for node in uses) > 1:
        raise EditRefused(f"{file.path}:{again.call.lineno} fits {own}, which is used elsewhere")
    editor.draft(file.path).put(again.method, f"{scaler.id}.transform")


def _given(editor: Editor, site: Site | None, what: str) -> Iterator[Place]:
    draft, call = editor.call(site, what)
    return sources(editor, Place(draft.file, call.args[0])) if call.args else iter(())


def sources(editor: Editor, place: Place) -> Iterator[Place]:
    """What a tensor comes from, through casts and what makes tensors of arrays, as far as a scaler."""
    todo = [place]
    for _ in range(_MOST):
        for place in origins(editor.project, todo.pop()) if todo else ():
            yield place
            if _is_function(place) and isinstance(place.node, ast.Call):
                todo.append(Place(place.file, place.node.args[0]))
            elif isinstance(place.node, ast.Call) and isinstance(place.node.func, ast.Attribute):
                todo += [Place(place.file, place.node.func.value)] if not _scaler(place) else []


def _is_function(place: Place) -> bool:
    """Whether it is a call of a function, such as ``torch.tensor``, and of no method."""
    node = place.node
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return not isinstance(node.func, ast.Attribute) or is_module(place.file, node.func.value)


def _scaler(place: Place) -> str:
    """The name of the scaler that a call scales with, empty where it does not."""
    node = place.node
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SCALES:
        return place.file.text_of(node.func.value) if isinstance(node.func.value, ast.Name) else ""
    return ""

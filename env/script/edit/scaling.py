"""The scaling of the training rows, for the rows on which the network is judged."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import Place
from netmend.env.script.rules.reading import facts
from netmend.env.script.scalers import (
    RESCALED,
    Factor,
    Fit,
    factors,
    fitted_apart,
    is_function,
    scaler_of,
    sources,
)
from netmend.env.script.site import Site
from netmend.env.script.source import Draft, EditRefused


def write_same_scale(editor: Editor, _change: SourceChange) -> None:
    """``transform`` of the scaler that the training rows went through, for the evaluation's array."""
    again = fitted_apart(editor.project)
    if again is not None:
        _transform(editor, *again)
        return
    trained = _given(editor, editor.record.forward, "the training pass")
    scaler = next((name for place in trained if (name := scaler_of(place))), "")
    judged = list(_given(editor, editor.record.evaluated, "the evaluation"))
    made = next((place for place in judged if is_function(place)), None)
    if not scaler or made is None or any(map(scaler_of, judged)) or not isinstance(made.node, ast.Call):
        raise EditRefused("no scaler in sight scales the training rows alone")
    editor.draft(made.file.path).wrap(made.node.args[0], f"{scaler}.transform(", ")")


def write_bare(editor: Editor, _change: SourceChange) -> None:
    """Rows without the factor that takes them away from 1, in training and where the network is judged."""
    record = editor.record
    fact = next(facts(record, RESCALED), None)
    if fact is None:
        raise EditRefused("the run shows no factor that takes the rows away from 1")
    judged = [] if record.evaluated is None else [record.evaluated]
    found: dict[ast.AST, Factor] = {}
    for site in (record.forward, *judged):
        own = [one for one in factors(editor.project, site) if one.value == fact.value]
        if not own:
            raise EditRefused("the rows of the evaluation are not multiplied as those of the training")
        found |= {one.node: one for one in own}
    for one in found.values():
        _bare(editor.draft(one.file.path), one)


def _bare(draft: Draft, factor: Factor) -> None:
    """Rows in the place of their product; no statement where that is all that it does."""
    node, rows, statement = factor.node, factor.rows, factor.file.statement(factor.node)
    if isinstance(node, ast.AugAssign):
        draft.remove(node)
    elif isinstance(statement, ast.Assign) and statement.value is node and _is_target(statement, rows):
        draft.remove(statement)
    else:
        draft.unwrap(node, rows)


def _is_target(statement: ast.Assign, rows: ast.expr) -> bool:
    """Whether a name is given a new value made of its own."""
    (target, *others) = statement.targets
    names = isinstance(target, ast.Name) and isinstance(rows, ast.Name)
    return names and not others and ast.unparse(target) == ast.unparse(rows)


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
    return sources(editor.project, Place(draft.file, call.args[0])) if call.args else iter(())

"""Rows that are mirrored at random, and their targets."""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.rules.reading import facts
from netmend.env.script.source import EditRefused, SourceFile


def write_mirrored(editor: Editor, _change: SourceChange) -> None:
    """The targets turned round with the rows, where a minus does that; else rows that are not mirrored."""
    fact = next(facts(editor.record, "mirrored", "mirrored_classes"), None)
    if fact is None:
        raise EditRefused("no rows are mirrored whose targets a mirror turns round")
    draft, node = editor.at(fact.site, "the mirror")
    file = draft.file
    statement = file.statement(node)
    target = _target(file, statement)
    if fact.value and target is not None:
        turned, shape = set(map(int, fact.text.split(", ") if fact.text else ())), editor.record.targets
        if not turned:
            draft.after(statement, f"{target} = -{target}")
            return
        if shape is not None and len(shape.shape) == 2:
            signs = ", ".join("-1.0" if at in turned else "1.0" for at in range(shape.shape[1]))
            draft.after(statement, f"{target} = {target} * {editor.spell(draft, 'torch.tensor')}([{signs}])")
            return
    around = file.parents[statement]
    if not isinstance(around, ast.If) or around.body != [statement] or around.orelse:
        raise EditRefused("the mirror stands beside other things that chance decides")
    draft.remove(around)


def _target(file: SourceFile, mirror: ast.stmt) -> str | None:
    """The target of a row in the function that mirrors and returns it: the last part of what it returns."""
    function = file.function(mirror)
    if function is None or not isinstance(mirror, ast.Assign) or not isinstance(mirror.targets[0], ast.Name):
        return None
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)]
    names = [
        [part.id if isinstance(part, ast.Name) else "" for part in value.elts]
        for value in returned
        if isinstance(value, ast.Tuple)
    ]
    if len(returned) != 1 or len(names) != 1 or len(names[0]) != 2:
        return None
    row, target = names[0]
    return target if row == mirror.targets[0].id and target else None

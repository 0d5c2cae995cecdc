"""A state that one update hands to the next, cut off from the gradient graph of the first."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.statements import backward_statement, loops_around
from netmend.env.script.follow import own_functions
from netmend.env.script.source import EditRefused, SourceFile


def write_carried_state(editor: Editor, _change: SourceChange) -> None:
    """``detach`` behind the backward pass, or in front of where a module takes up what it has kept.

    A function that is called in each round may make the update, and give back the state under another name:
    it is cut off behind the call then.
    """
    draft, backward = backward_statement(editor)
    file = draft.file
    update = next(iter(loops_around(file, backward)), file.function(backward))
    if update is not None and (names := _names(file, update)):
        draft.after(backward, "\n".join(_detached(editor, *pair) for pair in names))
        return
    function = file.function(backward)
    for call in _calls(file.tree):
        if function is not None and file.text_of(call.func) == function.name:
            handed = list(dict.fromkeys(_both(file, call)))
            if handed:
                draft.after(file.statement(call), "\n".join(_detached(editor, *pair) for pair in handed))
                return
    for file in editor.project.files.values():
        for call in _calls(file.tree):
            kept = [pair for pair in _carried(file, call) if pair[0].startswith("self.")]
            if kept:
                lines = [f"if {pair[0]} is not None:\n    {_detached(editor, *pair)}" for pair in kept]
                editor.draft(file.path).before(file.statement(call), "\n".join(lines))
                return
    raise EditRefused("no state that is handed from one update to the next was found")


def _names(file: SourceFile, update: ast.stmt) -> dict[tuple[str, bool], None]:
    """What each round of a loop, or each call of a function, takes up from the one before."""
    return {
        pair: None
        for call in _calls(update)
        for pair in _carried(file, call)
        if not _is_new(file, update, pair[0], call)
    }


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _carried(file: SourceFile, call: ast.Call) -> Iterator[tuple[str, bool]]:
    """What a network is given and gives back, as ``out, h = net(x, h)``, and whether it is one of a pair."""
    found = list(_both(file, call))
    if found and not _is_plain(file, call.func):
        yield from found


def _both(file: SourceFile, call: ast.Call) -> Iterator[tuple[str, bool]]:
    statement = file.parents[call]
    if not isinstance(statement, ast.Assign):
        return
    back = {file.text_of(one) for target in statement.targets for one, _ in _parts(target)}
    for given in [*call.args, *(keyword.value for keyword in call.keywords)]:
        for part, pair in _parts(given):
            if isinstance(part, ast.Name | ast.Attribute) and file.text_of(part) in back:
                yield file.text_of(part), pair


def _is_plain(file: SourceFile, function: ast.expr) -> bool:
    """Whether it is one of Python's functions or of the file's own, and hands on nothing of a network."""
    own = _own_function(file, function)
    if own is None:
        return isinstance(function, ast.Name) and hasattr(builtins, function.id)
    return not any(_own_function(file, call.func) is None and any(_both(file, call)) for call in _calls(own))


def _own_function(file: SourceFile, function: ast.expr) -> ast.stmt | None:
    """The file's own function of a name."""
    name = function.id if isinstance(function, ast.Name) else ""
    return next((own for _, own in own_functions([file], name)), None)


def _is_new(file: SourceFile, loop: ast.stmt, name: str, call: ast.Call) -> bool:
    """Whether a round of the loop makes a value of this name in front of a call."""
    parts = (node for node in ast.walk(loop) if isinstance(node, ast.Name | ast.Attribute))
    statement = file.span(file.statement(call))[0]
    return any(
        isinstance(one.ctx, ast.Store) and file.text_of(one) == name and file.span(one)[0] < statement
        for one in parts
    )


def _parts(node: ast.expr, *, inside: bool = False) -> Iterator[tuple[ast.expr, bool]]:
    """The elements of a tuple, and of those inside; whether each stands in one."""
    if isinstance(node, ast.Tuple):
        for element in node.elts:
            yield from _parts(element, inside=True)
    else:
        yield node, inside


def _detached(editor: Editor, name: str, is_one: bool) -> str:
    """A state without its graph: that of an LSTM is a pair where it has one name."""
    if not is_one and any(operation.kind.startswith("LSTM") for operation in editor.record.operations):
        return f"{name} = tuple(part.detach() for part in {name})"
    return f"{name} = {name}.detach()"

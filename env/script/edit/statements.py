"""Statements of a training loop: where they stand, and the names that they can use there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress

from netmend.env.script.edit.editor import Editor, body_start
from netmend.env.script.edit.optimizer import the_optimizer
from netmend.env.script.follow import resolve, scope_of
from netmend.env.script.source import FUNCTIONS, Draft, EditRefused, SourceFile

LOOPS = (ast.For, ast.While)


def own_loop(editor: Editor, what: str) -> None:
    """Refuse where a framework holds the training loop, so that nothing can be put into it."""
    if editor.record.framework != "torch":
        raise EditRefused(f"{editor.record.framework} holds the training loop: there is no place for {what}")


def backward_statement(editor: Editor) -> tuple[Draft, ast.stmt]:
    """The statement of the backward pass; after a crash in front of it, the only one in the script."""
    if editor.record.backward is not None:
        draft, node = editor.at(editor.record.backward, "the backward pass")
        return draft, draft.file.statement(node)
    found = [
        (file, node)
        for file in editor.project.files.values()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "backward"
    ]
    if len(found) != 1:
        raise EditRefused("the run did not show where the backward pass is")
    return editor.draft(found[0][0].path), found[0][0].statement(found[0][1])


def returns_gradients(file: SourceFile, backward: ast.stmt) -> bool:
    """Whether the statement of the backward pass gives gradients, and leaves it to others to keep them."""
    return any(
        isinstance(node, ast.Call) and file.dotted(node.func) == "torch.autograd.grad"
        for node in ast.walk(backward)
    )


def step_call(editor: Editor) -> tuple[Draft, ast.Call, str]:
    """The call that steps the optimizer, and how the optimizer is called there."""
    draft, call = _stepped(editor)
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "step":
        raise EditRefused(f"the optimizer is stepped by {draft.file.text_of(call.func)}")
    scaled = bool(call.args) and isinstance(call.args[0], ast.Name | ast.Attribute)
    name = call.args[0] if scaled and "scaler" in draft.file.text_of(call.func) else call.func.value
    return draft, call, draft.file.text_of(name)


def _stepped(editor: Editor) -> tuple[Draft, ast.Call]:
    """As recorded; after a crash in front of it, the only step of what the optimizer was assigned to."""
    optimizer = the_optimizer(editor)
    if optimizer.stepped is None and optimizer.made is not None:
        draft, made = editor.at(optimizer.made, "the optimizer")
        statement = draft.file.statement(made)
        name = draft.file.text_of(statement.targets[0]) if isinstance(statement, ast.Assign) else ""
        found = [
            call
            for call in method_calls(draft.file, "step")
            if draft.file.text_of(call.func) == f"{name}.step"
        ]
        if len(found) == 1:
            return draft, found[0]
    return editor.call(optimizer.stepped, "the optimizer's step")


def network_name(editor: Editor, draft: Draft, near: ast.AST) -> str | None:
    """How the network is called at a place: as a forward pass there calls it, or as it was made."""
    file, record = draft.file, editor.record
    for site in (record.forward, record.evaluated):
        if site is not None and site.file == file.path:
            node = file.node(site)
            if (
                isinstance(node, ast.Call)
                and is_plain(node.func)
                and _function(file, node) is _function(file, near)
            ):
                return file.text_of(node.func)
    if record.made is not None and record.made.file == file.path:
        statement = file.statement(file.node(record.made))
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name):
            return target.id if resolve(file, near, target.id)[0] is scope_of(file, target) else None
    return None


def network_calls(editor: Editor) -> list[tuple[Draft, ast.Call]]:
    """The calls of the network, as far as names show it: also as a parameter of another function."""
    record = editor.record
    crashed = None if record.crash is None else record.crash.applied
    names: set[tuple[str, str]] = set()
    for site in (crashed, record.forward, record.evaluated):
        with suppress(EditRefused):
            draft, node = editor.call(site, "the network's pass")
            if is_plain(node.func):
                names.add((draft.file.path, draft.file.text_of(node.func)))
    everywhere = [
        (file, node)
        for file in editor.project.files.values()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call)
    ]
    for file, call in everywhere:
        for place, part in enumerate(call.args):
            if (file.path, file.text_of(part)) in names and isinstance(call.func, ast.Name):
                names |= set(_parameters(editor, call.func.id, place))
    return [
        (editor.draft(file.path), call)
        for file, call in everywhere
        if (file.path, file.text_of(call.func)) in names
    ]


def _parameters(editor: Editor, function: str, place: int) -> Iterator[tuple[str, str]]:
    """The parameter at a place of the functions of a name: its file and name."""
    for file in editor.project.files.values():
        for node in ast.walk(file.tree):
            if isinstance(node, FUNCTIONS) and node.name == function and place < len(node.args.args):
                yield file.path, node.args.args[place].arg


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is a name or an attribute of one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _function(file: SourceFile, node: ast.AST) -> ast.AST:
    return next((part for part in (node, *file.around(node)) if isinstance(part, FUNCTIONS)), file.tree)


def loops_around(file: SourceFile, node: ast.AST) -> list[ast.For | ast.While]:
    """The loops of the same function that a node stands in, the innermost first."""
    found: list[ast.For | ast.While] = []
    for part in file.around(node):
        if isinstance(part, FUNCTIONS):
            break
        if isinstance(part, LOOPS):
            found.append(part)
    return found


def epoch_loop(editor: Editor) -> tuple[Draft, ast.For]:
    """The loop over the epochs.

    Raises:
        EditRefused: it is no ``for``, or the run did not show it.
    """
    loops = editor.record.loops
    if not loops:
        raise EditRefused("the run shows no loop over epochs")
    draft, node = editor.at(loops[0].site, "the loop over the epochs")
    loop = next((part for part in draft.file.around(node) if isinstance(part, LOOPS)), None)
    if not isinstance(loop, ast.For):
        raise EditRefused("the loop over the epochs is not a for loop")
    return draft, loop


def put_first(draft: Draft, body: list[ast.stmt], text: str) -> None:
    """Put a statement at the start of a block, behind its docstring."""
    draft.before(body_start(body), text)


def method_calls(file: SourceFile, *names: str) -> Iterator[ast.Call]:
    """Calls of methods or functions of some names in a file."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in names:
            yield node

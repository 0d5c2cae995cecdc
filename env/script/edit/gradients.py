"""The way of a gradient from the loss to the network: what cuts it off is taken out of the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import cast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.statements import backward_statement
from netmend.env.script.follow import assigned, bindings, scope_of
from netmend.env.script.site import Site
from netmend.env.script.source import FUNCTIONS, Draft, EditRefused, SourceFile

_CUTS = ("detach", "item", "numpy", "tolist", "detach_")
_COPIES = ("torch.tensor", "torch.as_tensor", "torch.autograd.Variable", "float")
_STILL = ("no_grad", "inference_mode")


def write_loss_graph(editor: Editor, _change: SourceChange) -> None:
    """What cuts the loss off the network taken out: ``detach``, ``item``, a copy, ``no_grad``."""
    for fact in editor.record.facts:
        if fact.name == "detached_loss" and fact.site is not None:
            draft, node = editor.at(fact.site, "what detaches the loss")
            inner = _cut(draft.file, node)
            if inner is not None:
                draft.unwrap(node, inner)
                return
    draft, backward = backward_statement(editor)
    sites = _passes(editor)
    passes = [draft.file.node(site) for site in sites if site.file == draft.file.path]
    if _uncut(draft, backward, passes):
        return
    if not _allow_gradients(editor, sites) and not _thaw(editor):
        raise EditRefused("nothing that cuts the loss off the network was found")


def _uncut(draft: Draft, backward: ast.stmt, passes: list[ast.expr]) -> bool:
    """Unwrap what stands between the loss and the network's pass."""
    found = False
    for node in _trail(draft.file, backward):
        inner = _cut(draft.file, node)
        if inner is not None and not set(passes).isdisjoint(_trail(draft.file, inner)):
            draft.unwrap(cast(ast.expr, node), inner)
            found = True
    return found


def _allow_gradients(editor: Editor, sites: list[Site]) -> bool:
    """Take away every ``no_grad`` around a pass of the network: its ``with``, or the decorator."""
    blocks: dict[ast.AST, Draft] = {}
    for site in sites:
        draft, node = editor.at(site, "the network's pass")
        blocks |= dict.fromkeys(draft.file.around(node), draft)
    found = False
    for block, draft in blocks.items():
        if isinstance(block, ast.With):
            still = [item for item in block.items if _is_still(draft.file, item.context_expr)]
            if still and len(still) == len(block.items):
                draft.unblock(block)
            elif still:
                raise EditRefused(f"{draft.file.path}:{block.lineno} is more than a no_grad")
            found |= bool(still)
        for mark in block.decorator_list if isinstance(block, FUNCTIONS) else ():
            if _is_still(draft.file, mark):
                behind = draft.file.line_start((mark.end_lineno or mark.lineno) + 1)
                draft.replace(draft.file.line_start(mark.lineno), behind, "")
                found = True
    return found


def _is_still(file: SourceFile, node: ast.expr) -> bool:
    """Whether it is a ``no_grad``, an ``inference_mode`` or a ``set_grad_enabled(False)``."""
    name = file.dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]
    return name in _STILL or (name == "set_grad_enabled" and _is_off(node))


def _is_off(node: ast.expr) -> bool:
    """Whether it is a call that is given False alone."""
    given = [*node.args, *(keyword.value for keyword in node.keywords)] if isinstance(node, ast.Call) else []
    return len(given) == 1 and isinstance(given[0], ast.Constant) and given[0].value is False


def _thaw(editor: Editor) -> bool:
    """Take away what lets nothing learn: ``set_grad_enabled(False)``, or what freezes the whole network."""
    is_frozen = not any(operation.trainable for operation in editor.record.operations)
    found = False
    for file in editor.project.files.values():
        draft = editor.draft(file.path)
        for node in ast.walk(file.tree):
            name, is_alone = _switch(file, node)
            if not name or (name != "set_grad_enabled" and not is_frozen):
                continue
            if is_alone:
                statement = file.statement(node)
                loop = file.parents[statement]
                draft.remove(loop if isinstance(loop, ast.For) and loop.body == [statement] else statement)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                draft.unwrap(node, node.func.value)
            found = True
    return found


def _switch(file: SourceFile, node: ast.AST) -> tuple[str, bool]:
    """Name of what a node switches off, empty where it is nothing, and whether it does no more than that."""
    if isinstance(node, ast.Call) and _is_off(node):
        name = str(getattr(node.func, "attr", getattr(node.func, "id", "")))
        if name in ("requires_grad_", "set_grad_enabled"):
            return name, isinstance(file.parents[node], ast.Expr)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        off = isinstance(node.value, ast.Constant) and node.value.value is False
        return ("requires_grad", True) if off and node.targets[0].attr == "requires_grad" else ("", False)
    return "", False


def _passes(editor: Editor) -> list[Site]:
    record = editor.record
    called = [operation.called for operation in record.operations]
    loss = None if record.loss is None else record.loss.called
    # A pass without gradients counts as one of an evaluation.
    own = (record.forward or record.evaluated, loss, *called)
    return [site for site in own if site is not None and site.file in editor.project.files]


def _cut(file: SourceFile, node: ast.AST) -> ast.expr | None:
    """What stays of an expression that cuts a gradient, None where it is none."""
    if isinstance(node, ast.Attribute) and node.attr == "data":
        return node.value
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr in _CUTS and not node.args:
        return node.func.value
    return node.args[0] if file.dotted(node.func) in _COPIES and node.args else None


def _trail(file: SourceFile, start: ast.AST) -> Iterator[ast.AST]:
    """All nodes that a value is computed from, through the names of its scope."""
    todo: list[ast.AST] = [start]
    seen: set[str] = set()
    while todo:
        for node in ast.walk(todo.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                for binding in bindings(scope_of(file, node), node.id):
                    value = _given(file, binding)
                    todo += [] if value is None else [value]


def _given(file: SourceFile, binding: ast.AST) -> ast.expr | None:
    parent = file.parents.get(binding)
    if isinstance(parent, ast.AugAssign):
        return parent.value
    return assigned(file, binding) if isinstance(binding, ast.Name) else None

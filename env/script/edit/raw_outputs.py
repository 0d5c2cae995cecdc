"""The network's outputs as they are, where a loss is given the classes that were chosen from them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.follow import bindings, scope_of
from netmend.env.script.origins import called, worked_on
from netmend.env.script.source import Draft, EditRefused, SourceFile

_CHOOSES = ("argmax", "max", "topk", "round", "sign", "floor", "ceil", "gt", "ge", "lt", "le")
_SQUASHES = ("softmax", "log_softmax", "sigmoid", "Softmax", "LogSoftmax", "Sigmoid")
_MOVES = (
    *("float", "double", "long", "int", "type", "to", "squeeze", "unsqueeze", "view", "reshape", "flatten"),
    *("requires_grad_", "detach", "clone", "cpu", "indices", "data", "Variable"),
)
_MOST_HOPS = 20


def give_raw(draft: Draft, given: ast.expr, *, bare: bool) -> bool:
    """Let a loss have what its classes were chosen from.

    Args:
        draft: of the file.
        given: what the loss is given.
        bare: whether it takes that without a softmax or sigmoid.

    Returns:
        whether its classes were chosen in sight.

    Raises:
        EditRefused: they were, but in another function than the loss.
    """
    file = draft.file
    chosen, raw = next(
        ((node, raw) for node in _back(file, given) if (raw := _chosen(file, node))), (None, None)
    )
    if chosen is None or raw is None:
        return False
    for node in _back(file, raw) if bare else ():
        inner = worked_on(file, node) if _name(file, node) in _SQUASHES else None
        raw = raw if inner is None else inner
    if file.function(chosen) is not file.function(given):
        raise EditRefused(
            f"{file.path}:{chosen.lineno} chooses the classes in another function than the loss"
        )
    if isinstance(raw, ast.Name | ast.Attribute) or raw in ast.walk(given):
        draft.put(given, file.text_of(raw))
        return True
    name = draft.free_name("outputs")
    draft.before(file.statement(raw), f"{name} = {file.text_of(raw)}")
    draft.put(raw, name)
    draft.put(given, name)
    return True


def _back(file: SourceFile, node: ast.expr) -> Iterator[ast.expr]:
    """An expression and those that it comes from, as far as each only moves or casts the next."""
    for _ in range(_MOST_HOPS):
        yield node
        before: ast.expr | None = None
        if isinstance(node, ast.Name):
            before = _assigned(file, node)
        elif isinstance(node, ast.Subscript) or (isinstance(node, ast.Attribute) and node.attr in _MOVES):
            before = node.value
        elif _name(file, node) in (*_MOVES, *_SQUASHES):
            before = worked_on(file, node)
        if before is None:
            return
        node = before


def _assigned(file: SourceFile, name: ast.Name) -> ast.expr | None:
    """What a name was given last in front of its use."""
    statements = [
        file.statement(one) for one in bindings(scope_of(file, name), name.id) if isinstance(one, ast.Name)
    ]
    line = file.statement(name).lineno
    before = [one for one in statements if isinstance(one, ast.Assign) and one.lineno < line]
    return max(before, key=lambda one: one.lineno).value if before else None


def _chosen(file: SourceFile, node: ast.expr) -> ast.expr | None:
    """What a class is chosen from, None where a node chooses none."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return node.left
    return worked_on(file, node) if _name(file, node) in _CHOOSES else None


def _name(file: SourceFile, node: ast.expr) -> str:
    """What a call calls; of a layer that is made and applied at once, its class."""
    if not isinstance(node, ast.Call):
        return ""
    return called(file, node.func if isinstance(node.func, ast.Call) else node)

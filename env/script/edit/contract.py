"""Changes of what a training loop calls, and when: gradients to zero, order, modes, parameters.

Written in a loop of the script's own; where a framework holds the loop there is nothing to write.
"""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor, body_start
from netmend.env.script.edit.optimizer import the_optimizer
from netmend.env.script.edit.statements import (
    backward_statement,
    epoch_loop,
    is_plain,
    loops_around,
    method_calls,
    network_name,
    own_loop,
    step_call,
)
from netmend.env.script.site import Site
from netmend.env.script.source import Draft, EditRefused, SourceFile


def write_zero_grad(editor: Editor, _change: SourceChange) -> None:
    """Gradients set to zero before every backward pass, or behind every step where that stands elsewhere."""
    own_loop(editor, "zero_grad")
    draft, backward = backward_statement(editor)
    step_draft, step, optimizer = step_call(editor)
    statement = step_draft.file.statement(step)
    together = step_draft is draft and statement in draft.file.block(backward)
    if together and draft.file.span(backward) < draft.file.span(statement):
        draft.before(backward, f"{optimizer}.zero_grad()")
    else:
        step_draft.after(statement, f"{optimizer}.zero_grad()")


def write_step_order(editor: Editor, _change: SourceChange) -> None:
    """Gradients to zero, the backward pass, the step: what stands in another order is moved."""
    own_loop(editor, "the step")
    draft, backward = backward_statement(editor)
    step_draft, step, _ = step_call(editor)
    moved = draft.file.statement(step) if step_draft is draft else None
    block = draft.file.block(backward)
    if moved is None or moved not in block or not isinstance(moved, ast.Expr):
        raise EditRefused("the step stands in another block than the backward pass")
    if block.index(moved) < block.index(backward):
        draft.after(backward, draft.file.text_of(moved))
        draft.remove(moved)
        return
    zeroed = editor.record.zeroed
    node = draft.file.node(zeroed) if zeroed is not None and zeroed.file == draft.file.path else None
    between = None if node is None else draft.file.statement(node)
    if between not in block[block.index(backward) : block.index(moved)] or between is None:
        raise EditRefused("the step already stands behind the backward pass")
    draft.before(backward, draft.file.text_of(between))
    draft.remove(between)


def write_training_mode(editor: Editor, _change: SourceChange) -> None:
    """``train()`` in front of every epoch's training."""
    own_loop(editor, "train()")
    draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    _put_train(editor, draft, forward)


def write_evaluation_mode(editor: Editor, _change: SourceChange) -> None:
    """``eval()`` where the evaluation begins, and ``train()`` where the training goes on behind it."""
    own_loop(editor, "eval()")
    draft, evaluated = _forward(editor, editor.record.evaluated, "the evaluation")
    train_draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    shared = _shared_loop(editor, draft, evaluated)
    function = draft.file.function(evaluated)
    name = draft.file.text_of(evaluated.func)
    if function is not None and function is not train_draft.file.function(forward):
        draft.before(body_start(function.body), f"{name}.eval()")
    else:
        draft.before(_outermost(draft.file, evaluated, forward), f"{name}.eval()")
    if shared and not _is_called(train_draft.file, forward, "train"):
        _put_train(editor, train_draft, forward)


def _forward(editor: Editor, site: Site | None, what: str) -> tuple[Draft, ast.Call]:
    draft, call = editor.call(site, what)
    if not is_plain(call.func):
        raise EditRefused(f"{site}: the network has no name there")
    return draft, call


def _put_train(editor: Editor, draft: Draft, forward: ast.Call) -> None:
    """At the start of the training function, or of the outermost loop around the forward pass."""
    text = f"{draft.file.text_of(forward.func)}.train()"
    function, loops = draft.file.function(forward), loops_around(draft.file, forward)
    if loops and (function is None or len(loops) > 1 or len(editor.record.loops) == 1):
        draft.before(body_start(loops[-1].body), text)
    elif function is not None:
        draft.before(body_start(function.body), text)
    else:
        raise EditRefused("the training forward pass stands in no loop")


def _shared_loop(editor: Editor, draft: Draft, evaluated: ast.Call) -> bool:
    """Whether training goes on behind the evaluation: it happens in the loop over the epochs."""
    try:
        loop_draft, loop = epoch_loop(editor)
    except EditRefused:
        return False
    inside = set(ast.walk(loop))
    function = draft.file.function(evaluated)
    if evaluated in inside:
        return True
    if function is None:
        return False
    return any(call in inside for call in method_calls(loop_draft.file, function.name))


def _outermost(file: SourceFile, evaluated: ast.expr, forward: ast.expr) -> ast.stmt:
    """The largest statement around the evaluation that holds no training: its loop or its ``with``."""
    found = file.statement(evaluated)
    for part in file.around(evaluated):
        if not isinstance(part, ast.stmt):
            continue
        if not isinstance(part, ast.For | ast.While | ast.With) and part is not found:
            break
        if forward in set(ast.walk(part)):
            break
        found = part
    return found


def _is_called(file: SourceFile, forward: ast.Call, method: str) -> bool:
    """Whether the loops or the function around the training call a method of the network already."""
    name = file.text_of(forward.func)
    around: list[ast.AST] = [file.tree, *loops_around(file, forward)]
    holder = file.function(forward) or around[-1]
    return any(
        isinstance(call.func, ast.Attribute) and file.text_of(call.func.value) == name
        for call in method_calls(file, method)
        if call in set(ast.walk(holder))
    )


def write_optimized(editor: Editor, _change: SourceChange) -> None:
    """All parameters of the network handed to the optimizer."""
    draft, call = editor.call(the_optimizer(editor).made, "the optimizer")
    if not call.args:
        raise EditRefused("the optimizer is given its parameters by name")
    network = "self" if editor.record.framework == "lightning" else network_name(editor, draft, call)
    given = call.args[0]
    if network is None:
        roots = {node.id for node in ast.walk(given) if isinstance(node, ast.Name)}
        if len(roots) != 1:
            raise EditRefused("the network has no name where the optimizer is made")
        network = roots.pop()
    if draft.file.text_of(given) == f"{network}.parameters()":
        raise EditRefused("the optimizer is given all parameters that the network knows of")
    draft.put(given, f"{network}.parameters()")

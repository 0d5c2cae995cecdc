"""Changes of what a training loop calls, and when: gradients to zero, order, modes, parameters.

Written in a loop of the script's own; where a framework holds the loop there is nothing to write.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import takewhile
from typing import TypeAlias

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor, body_start
from netmend.env.script.edit.optimizer import the_optimizer
from netmend.env.script.edit.statements import (
    backward_statement,
    epoch_loop,
    is_plain,
    loops_around,
    method_calls,
    network_calls,
    network_name,
    own_loop,
    returns_gradients,
    step_call,
)
from netmend.env.script.site import Site
from netmend.env.script.source import Draft, EditRefused, SourceFile

_Call: TypeAlias = tuple[Draft, ast.Call]


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
    if returns_gradients(draft.file, backward):
        raise EditRefused("the script itself hands the gradients to the optimizer")
    step_draft, step, _ = step_call(editor)
    moved = draft.file.statement(step) if step_draft is draft else None
    zeroed = editor.record.zeroed
    node = draft.file.node(zeroed) if zeroed is not None and zeroed.file == draft.file.path else None
    between = None if node is None else draft.file.statement(node)
    if moved is None or not isinstance(moved, ast.Expr):
        raise EditRefused("the step stands in another place than the backward pass")
    block, steps = draft.file.block(backward), draft.file.block(moved)
    if moved not in block:
        # Gradients of several batches add up in front of a step: they are set to zero behind it.
        if between not in steps[: steps.index(moved)]:
            raise EditRefused("the step stands in another block than the backward pass")
        draft.after(moved, draft.file.text_of(between))
    elif block.index(moved) < block.index(backward):
        draft.after(backward, draft.file.text_of(moved))
        between = moved
    elif between in block[block.index(backward) : block.index(moved)]:
        draft.before(backward, draft.file.text_of(between))
    else:
        raise EditRefused("the step already stands behind the backward pass")
    draft.remove(between)


def write_backward(editor: Editor, _change: SourceChange) -> None:
    """The backward pass in front of the step; with Lightning ``training_step`` returns the loss."""
    loss = editor.record.loss
    draft, call = editor.at(None if loss is None else loss.called, "the loss")
    file, statement = draft.file, draft.file.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name | ast.Attribute):
        raise EditRefused("the loss has no name")
    name, function = _combined(file, statement, file.text_of(target)), file.function(call)
    if editor.record.framework == "lightning":
        if function is None or function.name != "training_step":
            raise EditRefused("the loss is computed elsewhere than in training_step")
        draft.after(function.body[-1], f"return {name}")
        return
    own_loop(editor, "the backward pass")
    step_draft, step, _ = step_call(editor)
    stepped = step_draft.file.statement(step)
    if step_draft is not draft or stepped not in file.block(statement) or stepped.lineno < statement.lineno:
        raise EditRefused("the optimizer steps in another place than behind the loss")
    draft.before(stepped, f"{name}.backward()")


def _combined(file: SourceFile, statement: ast.stmt, name: str) -> str:
    """What a loss is called in the end: behind it others may be added to it."""
    block = file.block(statement)
    for one in block[block.index(statement) + 1 :]:
        if not isinstance(one, ast.Assign) or not isinstance(one.value, ast.BinOp | ast.Name):
            continue
        read = {
            file.text_of(part) for part in ast.walk(one.value) if isinstance(part, ast.Name | ast.Attribute)
        }
        name = file.text_of(one.targets[0]) if name in read else name
    return name


def write_training_mode(editor: Editor, _change: SourceChange) -> None:
    """``train()`` in front of every epoch's training, or of every update where ``eval()`` comes between."""
    own_loop(editor, "train()")
    draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    wrong = _turned_off(draft.file, forward)
    if wrong is None:
        _put_train(draft, forward, _followed(editor, _ends(editor)), deep=len(editor.record.loops) > 1)
    else:
        draft.put(wrong.func, f"{draft.file.text_of(forward.func)}.train")


def _turned_off(file: SourceFile, forward: ast.Call) -> ast.Call | None:
    """``eval()`` where ``train()`` should stand: in front of the forward pass, which is its next use."""
    name, start = file.text_of(forward.func), file.span(forward)[0]
    holder = next(iter(loops_around(file, forward)[-1:]), file.function(forward))
    inside = [] if holder is None else list(ast.walk(holder))
    uses = [node for node in inside if isinstance(node, ast.expr) and file.text_of(node) == name]
    places = [file.span(use)[0] for use in uses if isinstance(file.parents[use], ast.Call)]
    found = [
        call
        for call in method_calls(file, "eval")
        if call in inside
        and file.text_of(call.func) == f"{name}.eval"
        and not set(file.around(forward)).isdisjoint(file.block(file.statement(call)))
        and not any(file.span(call)[1] <= place < start for place in places)
        and file.span(call)[0] < start
    ]
    return found[-1] if found else None


def write_evaluation_mode(editor: Editor, _change: SourceChange) -> None:
    """``eval()`` where the evaluation begins, and ``train()`` where the training goes on behind it."""
    own_loop(editor, "eval()")
    evaluation = _forward(editor, editor.record.evaluated, "the evaluation")
    _put_eval(editor, [evaluation])
    _go_back(editor, [evaluation])


def bring_modes(editor: Editor) -> None:
    """``eval()`` and ``train()`` as far as the script leaves them out: it gets layers that need them.

    A short run need not reach the evaluation: what else calls the network than its training is one.

    Raises:
        EditRefused: they have no place; without them the new layers would work in the wrong mode.
    """
    ends = _ends(editor)
    evaluations = ends or _evaluations(editor)
    if not ends and not evaluations and editor.record.evaluated is not None:
        evaluations = [_forward(editor, editor.record.evaluated, "the evaluation")]
    if not ends:
        _put_eval(editor, evaluations)
    _go_back(editor, evaluations)


def _ends(editor: Editor) -> list[_Call]:
    """Calls of ``eval()``."""
    return [
        (editor.draft(file.path), call)
        for file in editor.project.files.values()
        for call in method_calls(file, "eval")
        if isinstance(call.func, ast.Attribute) and not call.args
    ]


def _evaluations(editor: Editor) -> list[_Call]:
    """Calls of the network that no backward pass follows: elsewhere than the training's, or behind it."""
    draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    backward_draft, backward = backward_statement(editor)
    file = draft.file
    end = file.span(backward)[1] if backward_draft is draft else None
    held = set(ast.walk(next(iter(loops_around(file, forward)), file.tree)))

    def trains(call: ast.Call) -> bool:
        around = [part for part in file.around(call) if isinstance(part, ast.With)]
        heads = [file.text_of(item.context_expr) for part in around for item in part.items]
        here = call in held and file.function(call) is file.function(forward)
        return (
            here
            and (end is None or file.span(call)[0] < end)
            and not any("no_grad" in head or "inference_mode" in head for head in heads)
        )

    return [(own, call) for own, call in network_calls(editor) if own is not draft or not trains(call)]


def _put_eval(editor: Editor, evaluations: list[_Call]) -> None:
    """At the start of the function that evaluates, or in front of the evaluation where training is around."""
    train_draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    begun: list[ast.stmt] = []
    for draft, evaluated in evaluations:
        if evaluated is forward:
            raise EditRefused("one call of the network both trains and evaluates")
        function = draft.file.function(evaluated)
        if function is not None and function is not train_draft.file.function(forward):
            begin = body_start(function.body)
        else:
            begin = _outermost(draft.file, evaluated, forward)
        if begin not in begun:
            draft.before(begin, f"{draft.file.text_of(evaluated.func)}.eval()")
            begun.append(begin)


def _go_back(editor: Editor, evaluations: list[_Call]) -> None:
    """``train()`` where training follows any of the evaluations and nothing does it yet."""
    draft, forward = _forward(editor, editor.record.forward, "the training forward pass")
    followed = _followed(editor, evaluations)
    if followed and not _is_called(editor, draft, forward, "train"):
        _put_train(draft, forward, followed, deep=len(editor.record.loops) > 1)


def _forward(editor: Editor, site: Site | None, what: str) -> _Call:
    draft, call = editor.call(site, what)
    if not is_plain(call.func):
        raise EditRefused(f"{site}: the network has no name there")
    return draft, call


def _put_train(draft: Draft, forward: ast.Call, followed: list[ast.Call], *, deep: bool) -> None:
    """At the start of the training function, or of the outermost loop around the forward pass.

    Args:
        draft: of the file with the forward pass.
        forward: of the training.
        followed: evaluations that training follows; one in the innermost loop asks for it at every update.
        deep: whether there is a loop around the function's own.
    """
    text = f"{draft.file.text_of(forward.func)}.train()"
    function, loops = draft.file.function(forward), loops_around(draft.file, forward)
    each = bool(loops) and not {*ast.walk(loops[0])}.isdisjoint(followed)
    if loops and (each or function is None or len(loops) > 1 or not deep):
        draft.before(body_start(loops[0 if each else -1].body), text)
    elif function is not None:
        draft.before(body_start(function.body), text)
    else:
        raise EditRefused("the training forward pass stands in no loop")


def _followed(editor: Editor, evaluations: list[_Call]) -> list[ast.Call]:
    """Where any of the evaluations, or the function that it stands in, is called and training may follow."""
    return [place for draft, call in evaluations for place in _followed_by_training(editor, draft, call)]


def _followed_by_training(editor: Editor, draft: Draft, evaluated: ast.Call) -> list[ast.Call]:
    try:
        loop_draft, loop = epoch_loop(editor)
    except EditRefused:
        return [evaluated]
    trainer, function = loop_draft.file.function(loop), draft.file.function(evaluated)
    places = [(draft.file, evaluated)]
    if function is not None and function is not trainer:
        files = editor.project.files.values()
        places = [(file, call) for file in files for call in method_calls(file, function.name)]

    def is_behind(file: SourceFile, place: ast.Call) -> bool:
        if file is loop_draft.file and file.function(place) is trainer:
            return file.span(place) > file.span(loop)
        trainings = [] if trainer is None else method_calls(file, trainer.name)
        return any(
            file.function(call) is file.function(place) and file.span(call) < file.span(place)
            for call in trainings
            if not loops_around(file, call)
        )

    inside = {*ast.walk(loop)}
    return [place for file, place in places if place in inside or not is_behind(file, place)]


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


def _is_called(editor: Editor, draft: Draft, forward: ast.Call, method: str) -> bool:
    """Whether every epoch calls a method of the network already: the loop, or the function that trains."""
    file = draft.file
    loops = loops_around(file, forward)
    holder: ast.AST = file.function(forward) or file.tree
    if loops and (holder is file.tree or len(loops) == len(editor.record.loops)):
        holder = loops[-1]
    name, inside = file.text_of(forward.func), {*ast.walk(holder)}
    return any(
        isinstance(call.func, ast.Attribute) and file.text_of(call.func.value) == name and call in inside
        for call in method_calls(file, method)
    )


def write_optimized(editor: Editor, _change: SourceChange) -> None:
    """All parameters of the network handed to the optimizer."""
    draft, call = editor.call(the_optimizer(editor).made, "the optimizer")
    if not call.args:
        raise EditRefused("the optimizer is given its parameters by name")
    network = "self" if editor.record.framework == "lightning" else network_name(editor, draft, call)
    given = call.args[0]
    if network is None:
        names = [node for node in ast.walk(given) if isinstance(node, ast.Name)]
        bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}  # by a comprehension
        roots = {node.id for node in names} - bound
        if len(roots) != 1:
            raise EditRefused("the network has no name where the optimizer is made")
        network = roots.pop()
    if draft.file.text_of(given) == f"{network}.parameters()":
        raise EditRefused("the optimizer is given all parameters that the network knows of")
    draft.put(given, f"{network}.parameters()")


def write_optimizer_behind(editor: Editor, _change: SourceChange) -> None:
    """The optimizer, and what is made of it, behind the layer that it should have."""
    sites = {fact.name: fact.site for fact in editor.record.facts}
    draft, made = editor.at(sites.get("optimizer_in_front") or the_optimizer(editor).made, "the optimizer")
    other, layer = editor.at(sites.get("made_late"), "the new layer")
    file, optimizer = draft.file, draft.file.statement(made)
    block = file.block(optimizer)
    same = other is draft and file.function(made) is file.function(layer)
    last = file.statement(layer) if same else _made_anew(file, made, block)
    holder = next((part for part in (last, *file.around(last)) if part in block), None)
    inner = list(takewhile(lambda part: part not in block, (last, *file.around(last))))
    for part in (*inner, holder):  # it is needed where a condition makes no new layer, too
        last = part if isinstance(part, ast.If | ast.Try) else last
    if not isinstance(optimizer, ast.Assign) or not isinstance(holder, ast.stmt):
        raise EditRefused("the new layer is not made where the optimizer is")
    moved, names = [optimizer], _assigned(optimizer)
    for statement in block[block.index(optimizer) + 1 : block.index(holder) + 1]:
        used = [node for node in ast.walk(statement) if isinstance(node, ast.expr)]
        if any(file.text_of(node) in names and file.span(node)[0] < file.span(last)[1] for node in used):
            if not isinstance(statement, ast.Assign) or statement is holder:
                raise EditRefused("the optimizer is used before the new layer is made")
            moved.append(statement)
            names |= _assigned(statement)
    draft.after(last, "\n".join(map(file.text_of, moved)))
    for statement in moved:
        draft.remove(statement)


def _made_anew(file: SourceFile, optimizer: ast.expr, block: Sequence[ast.stmt]) -> ast.stmt:
    """Where a name that the optimizer was made of gets its last value, by what stands elsewhere."""
    names = {file.text_of(node) for node in ast.walk(optimizer) if isinstance(node, ast.Name)}
    behind = block[block.index(file.statement(optimizer)) + 1 :]
    again = [one for one in behind if isinstance(one, ast.Assign) and _assigned(one) & names]
    if not again:
        raise EditRefused("the new layer is not made where the optimizer is")
    return again[-1]


def _assigned(statement: ast.Assign) -> set[str]:
    """What a statement assigns to, as it is written."""
    return {ast.unparse(target) for target in statement.targets}

"""Layers put into the network, and taken out of it.

Written in: elements of a Sequential, of a list, of an ``OrderedDict``; ``append``, ``add``, ``add_module``;
modules that ``forward`` applies; functions that it calls; Keras' Sequential and functional networks.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from netmend.env.program import Activation, Dropout, Layer, Position
from netmend.env.program.misfit import Shape
from netmend.env.script.changes import FRONT, SourceChange
from netmend.env.script.edit.containers import (
    Texts,
    added,
    adder_of,
    holder_of,
    in_turn,
    insert_before,
    insert_element,
)
from netmend.env.script.edit.editor import Editor, body_start
from netmend.env.script.edit.keras_text import keras_texts
from netmend.env.script.edit.layer_text import FUNCTIONS, module_texts
from netmend.env.script.follow import argument
from netmend.env.script.record import Operation
from netmend.env.script.source import FUNCTIONS as DEFINITIONS, Draft, EditRefused

Write: TypeAlias = Callable[[Draft], Texts]
"""Makes the texts of new layers as a file spells them."""


def write_insert(editor: Editor, change: SourceChange) -> None:
    """New layers behind an operation, or in front of the first."""
    if change.at == FRONT:
        rows = editor.record.inputs
        if editor.record.framework != "keras":
            _refuse_features_last(change.layers, change.shape, () if rows is None else rows.shape[1:])
        insert_in_front(editor, lambda draft: _texts(editor, draft, change.layers, change.shape))
        return
    insert(editor, change)


def _refuse_features_last(
    layers: tuple[Layer, ...], shape: Shape, seen: tuple[int, ...], *, certain: bool = False
) -> None:
    """Refuse layers that take features first where those stand last, as behind a recurrent layer.

    Args:
        layers: that are put in.
        shape: of a row there, features first.
        seen: the same as the run shows it.
        certain: whether a shape like ``(8, 8)`` has its features first.
    """
    last = len(shape) > 1 and (shape != seen or (shape[0] == shape[-1] and not certain))
    if last and not all(isinstance(layer, Activation | Dropout) for layer in layers):
        raise EditRefused("features stand last there, where a new layer takes them first")


def write_remove(editor: Editor, change: SourceChange) -> None:
    """An operation taken out."""
    remove(editor, change)


def _texts(editor: Editor, draft: Draft, layers: tuple[Layer, ...], shape: Shape) -> Texts:
    write = keras_texts if editor.record.framework == "keras" else module_texts
    return write(layers, shape, lambda dotted: editor.spell(draft, dotted))


def insert(editor: Editor, change: SourceChange) -> None:
    """Put layers, or the activation that a change names, behind its operation."""
    operation = editor.operation(change)
    layers: tuple[Layer, ...] = change.layers
    shape = change.shape
    if len(layers) == 1 and isinstance(layers[0], Position) and editor.record.framework != "keras":
        _add_positions(editor, change, operation)
        return
    if change.what == "layer.activation":
        layers = (Activation(function=change.value),)  # type: ignore[arg-type]
        shape = operation.returned.shape[1:]
    first = operation.kind.startswith(("Conv", "MaxPool", "AvgPool", "BatchNorm"))
    if editor.record.framework != "keras":
        _refuse_features_last(layers, shape, operation.returned.shape[1:], certain=first)
    if operation.made is not None and operation.module is not None:
        draft, made = editor.call(operation.made, f"the {operation.kind}")
        element, adder = holder_of(draft.file, made), adder_of(draft.file, made)
        held = element if adder is None else adder.func
        if held is not None and (operation.called is None or in_turn(editor, operation, draft.file, held)):
            if editor.first(change, operation.made, made=True):
                insert_element(draft, element, adder, _texts(editor, draft, layers, shape))
            return
        outer = draft.file.parents[made]
        if editor.record.framework == "keras" and isinstance(outer, ast.Call) and outer.func is made:
            if editor.first(change, operation.made, made=True):
                for _, text in _texts(editor, draft, layers, shape):
                    draft.wrap(outer, f"{text}(", ")")
            return
    if operation.called is None or operation.kind in ("LSTM", "GRU", "RNN"):
        raise EditRefused(f"there is no place behind the {operation.kind} where a layer could be put")
    if editor.first(change, operation.called, made=False):
        _wrap_call(editor, operation, layers, shape)


def _add_positions(editor: Editor, change: SourceChange, operation: Operation) -> None:
    """``layer(x) + self.positions[:, : x.size(1)]``, a learned row for each step."""
    seen, given, rows = operation.returned.shape, operation.received, editor.record.inputs
    by_rows = rows is not None and len(seen) == 3 and given.shape[:2] == seen[:2] and rows.shape[0] == seen[0]
    if not by_rows or change.shape != (seen[2], seen[1]) or change.layers != (Position(),):
        raise EditRefused("positions are put behind a layer of (rows, steps, features) alone")
    draft, call = editor.call(operation.called, f"the call of the {operation.kind}")
    if len(call.args) != 1 or call.keywords or not isinstance(call.args[0], ast.Name):
        raise EditRefused(f"{operation.called} does not name what it is given")
    if editor.first(change, operation.called, made=False):
        parameter, draw = (editor.spell(draft, f"torch.{name}") for name in ("nn.Parameter", "randn"))
        table = f"{parameter}(0.02 * {draw}(1, {seen[1]}, {seen[2]}))"
        name = define(draft, draft.file.class_of(call), operation, "positions", table)
        outer = draft.file.parents[call]
        alone = isinstance(outer, ast.Assign | ast.Return) or (
            isinstance(outer, ast.Call) and call in outer.args
        )
        more = f" + self.{name}[:, : {call.args[0].id}.size(1)]"
        draft.wrap(call, *(("", more) if alone else ("(", f"{more})")))


def _wrap_call(editor: Editor, operation: Operation, layers: tuple[Layer, ...], shape: Shape) -> None:
    """Around a call in ``forward``: functions as they are, modules as new attributes of the network."""
    draft, call = editor.call(operation.called, f"the call of the {operation.kind}")
    functions = [FUNCTIONS[layer.function] for layer in layers if isinstance(layer, Activation)]
    if len(functions) == len(layers):
        for name, more in functions:
            draft.wrap(call, f"{editor.spell(draft, name)}(", f"{more})")
        return
    here = [
        op for op in editor.record.operations if (op.called, op.owner) == (operation.called, operation.owner)
    ]
    if len(here) > 1 and any(layer.learns for layer in layers):
        raise EditRefused(f"{operation.called} applies several layers, and each needs a new one of its own")
    for name, text in _texts(editor, draft, layers, shape):
        attribute = define(draft, draft.file.class_of(call), operation, name, text)
        draft.wrap(call, f"self.{attribute}(", ")")


def define(
    draft: Draft, owner: ast.ClassDef | None, operation: Operation | None, name: str, text: str
) -> str:
    """Make a module an attribute of a class of modules, behind that of an operation; its name.

    Raises:
        EditRefused: there is no such class, or it has no ``__init__``.
    """
    start = (
        next((p for p in owner.body if isinstance(p, DEFINITIONS) and p.name == "__init__"), None)
        if owner
        else None
    )
    if owner is None or start is None:
        raise EditRefused("the network is no class of the script, so that a layer has no place of its own")
    behind: ast.stmt | None = None
    if operation is not None and operation.made is not None and operation.made.file == draft.file.path:
        made = draft.file.node(operation.made)
        if draft.file.function(made) is start:
            behind = draft.file.statement(made)
            target = behind.targets[0] if isinstance(behind, ast.Assign) else None
            if isinstance(target, ast.Attribute) and operation.trainable + operation.frozen:
                name = f"{target.attr}_{name}"
    if behind is None:
        calls = [
            p
            for p in start.body
            if isinstance(p, ast.Expr) and "super()" in draft.file.text_of(p).replace(" ", "")
        ]
        calls += [p for p in start.body if isinstance(p, ast.Expr) and "__init__(" in draft.file.text_of(p)]
        if not calls:
            raise EditRefused(f"{owner.name}.__init__ does not begin with that of the module")
        behind = calls[0]
    attribute = draft.free_name(name)
    draft.after(behind, f"self.{attribute} = {text}")
    return attribute


def insert_in_front(editor: Editor, write: Write) -> None:
    """Put layers in front of the network's first operation, inside of the network."""
    record = editor.record
    if "several inputs" in record.opaque:
        raise EditRefused("the network takes several inputs")
    first = next((op for op in record.operations if -1 in op.inputs), None)
    several = sum(-1 in op.inputs for op in record.operations) > 1
    if first is not None and first.made is not None and not several:
        draft, made = editor.call(first.made, f"the {first.kind}")
        element, adder = holder_of(draft.file, made), adder_of(draft.file, made)
        if element is not None and first.called is None:
            insert_before(draft, element, write(draft))
            return
        if adder is not None and first.called is None:
            for text in added(draft, adder, write(draft)):
                draft.before(draft.file.statement(adder), text)
            return
        outer = draft.file.parents[made]
        if record.framework == "keras" and isinstance(outer, ast.Call) and outer.func is made and outer.args:
            for _, text in write(draft):
                draft.wrap(outer.args[0], f"{text}(", ")")
            return
        if first.made == record.made:
            _wrap_network(editor, draft, made, write(draft))
            return

    def line(draft: Draft, name: str) -> str:
        lines = []
        for short, text in write(draft):
            attribute = define(draft, network_class(editor)[0], None, f"input_{short}", text)
            lines.append(f"{name} = self.{attribute}({name})")
        return "\n".join(lines)

    in_forward(editor, line)


def _wrap_network(editor: Editor, draft: Draft, made: ast.Call, texts: Texts) -> None:
    """A network of one layer becomes a Sequential, unless the script reads the layer's own attributes."""
    statement = draft.file.statement(made)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if isinstance(target, ast.Name):
        for node in ast.walk(draft.file.tree):
            own = (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == target.id
            )
            if own and isinstance(node, ast.Attribute) and node.attr in ("weight", "bias", "in_features"):
                raise EditRefused(f"the script reads {target.id}.{node.attr} of its only layer")
    new = "".join(f"{text}, " for _, text in texts)
    draft.wrap(made, f"{editor.spell(draft, 'torch.nn.Sequential')}({new}", ")")


def in_forward(editor: Editor, write: Callable[[Draft, str], str]) -> None:
    """Put a statement at the start of the network's ``forward``.

    Args:
        editor: of the patch.
        write: makes the statement of the file's draft and the name of the first argument.
    """
    owner, draft = network_class(editor)
    forward = next(
        (part for part in owner.body if isinstance(part, DEFINITIONS) and part.name == "forward"), None
    )
    if forward is None or len(forward.args.args) < 2 or "several inputs" in editor.record.opaque:
        raise EditRefused("the network has no forward of one argument in the script")
    draft.before(body_start(forward.body), write(draft, forward.args.args[1].arg))


def network_class(editor: Editor) -> tuple[ast.ClassDef, Draft]:
    """The class of the network and the draft of its file."""
    found = [
        (node, file)
        for file in editor.project.files.values()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef) and node.name == editor.record.network
    ]
    if len(found) != 1:
        raise EditRefused("the network is no class of the script")
    return found[0][0], editor.draft(found[0][1].path)


def remove(editor: Editor, change: SourceChange) -> None:
    """Take the operation of a change out of the network."""
    operation = editor.operation(change)
    in_chain = operation.made is not None and operation.module is not None and operation.called is None
    if not editor.alone(change, operation.made if in_chain else operation.called, made=in_chain):
        set_module(editor, operation, "Identity()")
        return
    if in_chain:
        if not editor.first(change, operation.made, made=True):
            return
        draft, made = editor.call(operation.made, f"the {operation.kind}")
        _remove_made(editor, draft, made)
        return
    if operation.made is not None and editor.record.framework == "keras":
        draft, made = editor.call(operation.made, f"the {operation.kind}")
        _remove_made(editor, draft, made)
        return
    if editor.first(change, operation.called, made=False):
        draft, call = editor.call(operation.called, f"the {operation.kind}")
        inner = applied_to(draft, call, is_method=operation.module is None)
        _unwrap(draft, call, inner)


def set_module(editor: Editor, operation: Operation, module: str) -> None:
    """Another module in the place of one of several of the same line: set behind what holds it."""
    record, name = editor.record, operation.module
    if (
        name is None
        or [one.module for one in record.operations].count(name) > 1
        or record.framework == "keras"
    ):
        place = operation.called or operation.made
        raise EditRefused(f"{place} stands for several layers, and only some of them change")
    first, *parts = name.split(".")
    draft, holder, owner = _holder(editor, first)
    path = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in (first, *parts))
    kind, _, rest = module.partition("(")
    draft.after(holder, f"{owner}{path} = {editor.spell(draft, f'torch.nn.{kind}')}({rest}")


def _holder(editor: Editor, attribute: str) -> tuple[Draft, ast.stmt, str]:
    """The statement that makes an attribute of the network, or the network, and its name there."""
    with suppress(EditRefused):
        owner, draft = network_class(editor)
        for node in ast.walk(owner):
            if isinstance(node, ast.Assign) and draft.file.text_of(node.targets[0]) == f"self.{attribute}":
                return draft, node, "self"
    draft, made = editor.at(editor.record.made, "the network")
    statement = draft.file.statement(made)
    if not isinstance(statement, ast.Assign):
        raise EditRefused("the network has no name where it is made")
    return draft, statement, draft.file.text_of(statement.targets[0])


def _unwrap(draft: Draft, call: ast.Call, inner: ast.expr) -> None:
    """Leave what a call is applied to; a statement that would assign a name to itself goes."""
    statement = draft.file.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) and statement.value is call else None
    if target is not None and draft.file.text_of(target) == draft.file.text_of(inner):
        draft.remove(statement)
    else:
        draft.unwrap(call, inner)


def _remove_made(editor: Editor, draft: Draft, made: ast.Call) -> None:
    element, adder = holder_of(draft.file, made), adder_of(draft.file, made)
    outer = draft.file.parents[made]
    if element is not None:
        holder = draft.file.parents[element]
        if len(getattr(holder, "args", getattr(holder, "elts", ()))) < 2:
            draft.put(made, f"{editor.spell(draft, 'torch.nn.Identity')}()")
        else:
            editor.drop(holder, element)
    elif adder is not None:
        draft.remove(draft.file.statement(adder))
    elif isinstance(outer, ast.Call) and outer.func is made and len(outer.args) == 1:
        _unwrap(draft, outer, outer.args[0])
    else:
        raise EditRefused(f"{draft.file.path}:{made.lineno} stands in no list of layers")


def applied_to(draft: Draft, call: ast.Call, *, is_method: bool) -> ast.expr:
    """What a function, a method of a tensor or a module is applied to."""
    function = call.func
    if is_method and isinstance(function, ast.Attribute):
        base = draft.file.dotted(function.value)
        if base.partition(".")[0] != "torch":
            return function.value
    node = argument(call, "input", 0)
    if node is None:
        raise EditRefused(f"{draft.file.path}:{call.lineno} is applied to nothing that is seen")
    return node

"""Layers in a container: a Sequential, a list or an ``OrderedDict``, or what ``append`` and ``add`` fill."""

from __future__ import annotations

import ast
from typing import TypeAlias

from netmend.env.script.edit.editor import Editor
from netmend.env.script.record import Operation
from netmend.env.script.source import Draft, SourceFile

_ADDERS = ("add", "append", "add_module", "register_module")
_HOLDERS = ("Sequential", "OrderedDict")
Texts: TypeAlias = list[tuple[str, str]]
"""A name and the text of each new layer."""


def holder_of(file: SourceFile, made: ast.expr) -> ast.expr | None:
    """The element of a container that a constructor is: itself, or the pair with its name."""
    parent = file.parents[made]
    if isinstance(parent, ast.Tuple) and len(parent.elts) == 2 and parent.elts[1] is made:
        first = parent.elts[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return parent
    if isinstance(parent, ast.List):
        return made
    if isinstance(parent, ast.Call) and made in parent.args:
        name = file.dotted(parent.func).rpartition(".")[2]
        return made if name in _HOLDERS else None
    return None


def adder_of(file: SourceFile, made: ast.expr) -> ast.Call | None:
    """The statement's call that adds a layer to a network: ``model.add(...)``, ``layers.append(...)``."""
    parent = file.parents[made]
    if not isinstance(parent, ast.Call) or not isinstance(parent.func, ast.Attribute):
        return None
    whole = isinstance(file.parents[parent], ast.Expr)
    return parent if whole and parent.func.attr in _ADDERS and parent.args[-1] is made else None


def in_turn(editor: Editor, operation: Operation, file: SourceFile, held: ast.expr) -> bool:
    """Whether the elements of a container are used in a loop of ``x = layer(x)``, and nowhere else.

    Args:
        editor: of the script.
        operation: of one of the elements.
        file: where the element is made; held: the element, or the method that adds it.
    """
    draft, call = editor.call(operation.called, f"the call of the {operation.kind}")
    around = draft.file.parents
    given, loop = around[call], around[around[call]]
    if not isinstance(given, ast.Assign) or not isinstance(loop, ast.For) or loop.body != [given]:
        return False
    value, layer, over = (draft.file.text_of(own) for own in (given.targets[0], loop.target, loop.iter))
    if draft.file.text_of(call) != f"{layer}({value})" or draft.file is not file:
        return False
    if isinstance(held, ast.Attribute):
        if file.text_of(held.value) != over:
            return False
    else:
        statement = file.statement(held)
        if not isinstance(statement, ast.Assign) or file.text_of(statement.targets[0]) != over:
            return False
    uses = (node for node in ast.walk(file.tree) if type(node) is type(loop.iter) and node is not loop.iter)
    return all(_is_made(file, node) for node in uses if file.text_of(node) == over)


def _is_made(file: SourceFile, node: ast.expr) -> bool:
    """Whether a container is made or added to where it stands, not counted or indexed."""
    parent = file.parents[node]
    adds = isinstance(parent, ast.Attribute) and parent.attr in _ADDERS
    return adds or isinstance(getattr(node, "ctx", None), ast.Store)


def insert_element(draft: Draft, element: ast.expr | None, adder: ast.Call | None, texts: Texts) -> None:
    """Put layers behind an element of a container, or behind the statement that adds one."""
    file = draft.file
    if adder is not None:
        for text in added(draft, adder, texts):
            draft.after(file.statement(adder), text)
        return
    if element is None:
        return
    start, end = file.span(element)
    indent = file.raw[file.line_start(element.lineno) : start].decode()
    new = [f'("{name}", {text})' if isinstance(element, ast.Tuple) else text for name, text in texts]
    comma = file.raw[end : end + 1] == b","
    if indent.strip():
        draft.insert(end, "".join(f", {text}" for text in new))
    elif _ends_line(file, end + comma):
        behind = file.line_start((element.end_lineno or element.lineno) + 1)
        lines = f",{file.newline}".join(f"{indent}{text}" for text in new)
        draft.insert(behind, f"{lines}{',' if comma else ''}{file.newline}")
        draft.insert(end, "" if comma else ",")
    else:
        draft.insert(end, "".join(f",{file.newline}{indent}{text}" for text in new))


def insert_before(draft: Draft, element: ast.expr, texts: Texts) -> None:
    """Put layers in front of an element of a container."""
    start, _ = draft.file.span(element)
    indent = draft.file.raw[draft.file.line_start(element.lineno) : start].decode()
    for name, text in texts:
        new = f'("{name}", {text})' if isinstance(element, ast.Tuple) else text
        gap = " " if indent.strip() else f"{draft.file.newline}{indent}"
        draft.insert(start, f"{new},{gap}")


def added(draft: Draft, adder: ast.Call, texts: Texts) -> list[str]:
    """Statements that add layers as another one is added: by a name of their own, or without."""
    named = len(adder.args) == 2
    names = [f'"{draft.free_name(name)}", ' if named else "" for name, _ in texts]
    return [
        f"{draft.file.text_of(adder.func)}({name}{text})"
        for name, (_, text) in zip(names, texts, strict=True)
    ]


def _ends_line(file: SourceFile, end: int) -> bool:
    rest = file.rest_of_line(end).strip()
    return not rest or rest.startswith(b"#")

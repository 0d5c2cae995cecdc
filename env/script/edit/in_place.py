"""What a network overwrites in place although the gradient needs it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import is_operand
from netmend.env.script.edit.editor import Editor
from netmend.env.script.origins import called
from netmend.env.script.source import FUNCTIONS, Draft, EditRefused, SourceFile

_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_OUTPUT = re.compile(r"output \d+ of (\w+?)Backward")


def write_out_of_place(editor: Editor, _change: SourceChange) -> None:
    """``out = out + x`` for ``out += x``, and no ``inplace=True``, where a network works on its values.

    Where the message names whose output is overwritten, and one such place works on it, that place alone.
    """
    crash = editor.record.crash
    message = "" if crash is None else crash.message
    sums = [(file, node) for file in editor.project.files.values() for node in _sums(file)]
    named = _OUTPUT.search(message)
    maker = "" if named is None else named[1].lower()
    guilty = [(file, node) for file, node in sums if maker and _made_by(file, node) == maker]
    keywords = [] if guilty else list(_keywords(editor))
    for draft, keyword in keywords:
        draft.put(keyword.value, "False")
    for file, node in guilty or ([] if keywords else sums):
        _write(editor.draft(file.path), node)
    if not sums and not keywords:
        raise EditRefused("no network of the script overwrites a value in place, in a form that is known")


def _sums(file: SourceFile) -> Iterator[ast.AugAssign]:
    """``name += value`` in the methods of a network or layer, where the name is no number."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and type(node.op) in _SIGNS:
            owner = file.class_of(node)
            parts = () if owner is None else owner.body
            is_module = any(isinstance(part, FUNCTIONS) and part.name == "forward" for part in parts)
            # A buffer that counts, and a part of another value, are meant to change.
            if is_module and not isinstance(_given(file, node), ast.Constant | ast.Attribute | ast.Subscript):
                yield node


def _given(file: SourceFile, node: ast.AugAssign) -> ast.expr | None:
    """What the name was given last in front of it, in the same function."""
    function = next((part for part in file.around(node) if isinstance(part, FUNCTIONS)), None)
    values = [
        (file.span(part)[0], part.value)
        for part in ast.walk(function or file.tree)
        if isinstance(part, ast.Assign) and file.span(part)[0] < file.span(node)[0]
        if any(ast.unparse(target) == ast.unparse(node.target) for target in part.targets)
    ]
    return max(values, key=lambda pair: pair[0])[1] if values else None


def _made_by(file: SourceFile, node: ast.AugAssign) -> str:
    """The name of the function or layer whose output is overwritten."""
    given = _given(file, node)
    return called(file, given).lower() if isinstance(given, ast.Call) else ""


def _keywords(editor: Editor) -> Iterator[tuple[Draft, ast.keyword]]:
    """``inplace=True`` of layers and functions of torch."""
    for file in editor.project.files.values():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and file.dotted(node.func).startswith("torch."):
                for keyword in node.keywords:
                    if ast.unparse(keyword) == "inplace=True":
                        yield editor.draft(file.path), keyword


def _write(draft: Draft, node: ast.AugAssign) -> None:
    target, file = draft.file.text_of(node.target), draft.file
    draft.replace(
        file.span(node.target)[1], file.span(node.value)[0], f" = {target} {_SIGNS[type(node.op)]} "
    )
    if not isinstance(node.value, ast.Constant) and not is_operand(node.value):
        draft.wrap(node.value, "(", ")")

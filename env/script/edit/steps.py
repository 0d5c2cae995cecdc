"""The step of a recurrent layer that is taken for all of a row."""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import argument, bindings
from netmend.env.script.padding import PADDED, Padding
from netmend.env.script.record import Fact, Operation
from netmend.env.script.rules.reading import facts, first_steps, last_steps
from netmend.env.script.source import EditRefused, SourceFile

_ALL = (":", "...")


def write_last_step(editor: Editor, _change: SourceChange) -> None:
    """The last step in the place of the first, or of each row its own last step in the place of padding."""
    for fact in facts(editor.record, PADDED):
        for cell, axis, one in last_steps(editor.record):
            if cell.called == fact.site:
                _end(editor, fact, cell, one, axis)
                return
    for axis, one in first_steps(editor.record):
        draft, node = editor.at(one.called, "the step that is taken")
        if isinstance(node, ast.Subscript):
            index = node.slice.elts[axis] if isinstance(node.slice, ast.Tuple) else node.slice
        elif isinstance(node, ast.Call):
            index = argument(node, "index", len(node.args) - 1) or node
        else:
            index = node
        if not isinstance(index, ast.Constant) or index.value != 0:
            raise EditRefused(f"{one.called}: the step is not written as a number")
        draft.put(index, "-1")


def _end(editor: Editor, fact: Fact, cell: Operation, one: Operation, axis: int | None) -> None:
    """The outputs for the last step of each row, or its state behind that."""
    draft, call = editor.call(cell.called, "the recurrent layer")
    rows, lengths = _lengths(draft.file, call, cell, Padding.read(fact), one)
    if axis is None:
        first = "" if not cell.settings.get("batch_first") else "batch_first=True, "
        packed = f", ({lengths}).cpu()" if " " in lengths else f", {lengths}.cpu()"
        draft.wrap(
            call.args[0],
            f"{editor.spell(draft, 'torch.nn.utils.rnn.pack_padded_sequence')}(",
            f"{packed}, {first}enforce_sorted=False)",
        )
        return
    draft, node = editor.at(one.called, "the step that is taken")
    places = [f"{editor.spell(draft, 'torch.arange')}(len({rows}))", f"{lengths} - 1"]
    value = node.value if isinstance(node, ast.Subscript) else None
    if value is None and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        value = node.func.value if node.func.attr == "select" else None
    parts = node.slice.elts if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) else []
    others = [draft.file.text_of(part) for place, part in enumerate(parts) if place != axis]
    if value is None or any(other not in _ALL for other in others):
        raise EditRefused(f"{one.called}: the step is taken in a form that is not known")
    at = ", ".join(places if axis else reversed(places))
    draft.put(node, f"{draft.file.text_of(value)}[{at}]")


def _lengths(
    file: SourceFile, call: ast.Call, cell: Operation, padding: Padding, one: Operation
) -> tuple[str, str]:
    """How the rows, and where they end, are called in the network's ``forward``, or what counts that."""
    function = file.function(call)
    names = [] if function is None else [arg.arg for arg in function.args.args[1:]]
    wanted = padding.rows if padding.lengths is None else padding.lengths
    same = one.called is not None and file.path == one.called.file and len(call.args) == 1
    if function is None or function.name != "forward" or cell.owner or wanted >= len(names) or not same:
        raise EditRefused(f"{cell.called}: where the rows end is not known there")
    name = names[wanted]
    if len(bindings(function, name)) > 1:
        raise EditRefused(f"{file.path}: {name} is given another value on the way")
    if padding.lengths is not None:
        return name, name
    any_of_step = ".any(2)" if padding.axes == 3 else ""
    return name, f"({name} != {padding.value:g}){any_of_step}.sum(1)"

"""What lets epochs train: rows for all of them, and callbacks that stop at the right one."""

from __future__ import annotations

import ast

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor
from netmend.env.script.exhausted import EXHAUSTED
from netmend.env.script.follow import argument
from netmend.env.script.rules.reading import facts
from netmend.env.script.source import EditRefused
from netmend.env.script.stopping import WRONG_MODE


def write_renewed(editor: Editor, _change: SourceChange) -> None:
    """A list in the place of an iterator that the first epoch uses up."""
    fact = next(facts(editor.record, EXHAUSTED), None)
    draft, made = editor.at(None if fact is None else fact.site, "the iterator")
    if isinstance(made, ast.GeneratorExp):
        draft.put(made, f"[{draft.file.text_of(made)[1:-1]}]")
    else:
        draft.wrap(made, "list(", ")")


def write_stop_mode(editor: Editor, _change: SourceChange) -> None:
    """The other mode of callbacks that wait for what gets better the other way."""
    found = list(facts(editor.record, WRONG_MODE))
    if not found:
        raise EditRefused("no callback of the script waits for the opposite of what it monitors")
    for fact in found:
        draft, call = editor.call(fact.site, "the callback")
        mode = argument(call, "mode", 99)
        if isinstance(mode, ast.Constant):
            old, new = ("min", "max") if mode.value == "min" else ("max", "min")
            draft.put(mode, draft.file.text_of(mode).replace(old, new))

"""Labels of rows under a key that a model of Transformers does not take, so that it gives no loss."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netmend.env.script.record import Fact, Record
from netmend.env.script.source import FUNCTIONS, Project, SourceFile

UNNAMED = "unnamed_labels"
"""The fact that the labels have another key than ``labels``."""
_NO_LOSS = re.compile(r"did not return a loss from the inputs.*inputs it received are ([\w,]+)", re.DOTALL)
_TAKEN = ("labels", "label", "label_ids")
_USUAL = (
    "target",
    "targets",
    "y",
    "class",
    "category",
    "topic",
    "sentiment",
    "tag",
    "intent",
    "gold",
    "score",
)


def unnamed_facts(project: Project, record: Record) -> Iterator[Fact]:
    """The key that the labels of the rows have, where a Hugging Face ``Trainer`` found none.

    Args:
        project: the script's files.
        record: of its run.
    """
    found = None if record.crash is None else _NO_LOSS.search(record.crash.message)
    if found is None:
        return
    received = found[1].split(",")
    keys = [(file, key) for file in project.files.values() for key in _keys(file, received)]
    names = {key.value for _, key in keys}
    if not names.isdisjoint(_TAKEN):
        return
    likely = {name for name in names if name in _USUAL} if len(names) > 1 else names
    for file, key in keys:
        if len(likely) == 1 and key.value in likely:
            yield Fact(name=UNNAMED, value=1, text=str(key.value), site=file.site(key))


def _keys(file: SourceFile, received: list[str]) -> Iterator[ast.Constant]:
    """Further keys that a function gives to rows beside those that the model received."""
    for function in ast.walk(file.tree):
        if isinstance(function, FUNCTIONS):
            keys = [key for node in ast.walk(function) for key in _given(node)]
            if function.name == "__getitem__" or any(key.value in received for key in keys):
                yield from (key for key in keys if key.value not in received)


def _given(node: ast.AST) -> Iterator[ast.Constant]:
    """The texts that a node makes keys of a dictionary."""
    keys: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        keys = node.keys
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        keys = [node.slice]
    for key in keys:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key

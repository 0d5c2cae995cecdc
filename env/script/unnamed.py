"""Labels of rows under a key that a model of Transformers does not take, so that it gives no loss."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from netmend.env.script.record import Fact, Record
from netmend.env.script.source import FUNCTIONS, Project, SourceFile

UNNAMED = "unnamed_labels"
"""The fact that the labels have another key than ``labels``."""
_NO_LOSS = re.compile(
    r"did not return a loss from the inputs.*following keys: ([\w,]*).*inputs it received are ([\w,]+)",
    re.DOTALL,
)
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
_OTHER = re.compile(
    r"(^|_)(ids?|idx|index|mask|mapping|len|lengths?|texts?|sentences?|words|tokens?|weights?|names?|path|embeds"
    r"|values|positions?)$"
)
"""Ends of keys of what is no label, where the rest is not a usual one."""
_COLLATORS = ("data_collator", "collate_fn")


def unnamed_facts(project: Project, record: Record) -> Iterator[Fact]:
    """The key that the labels of the rows have, where a Hugging Face ``Trainer`` found none.

    Args:
        project: the script's files.
        record: of its run.
    """
    message = "" if record.crash is None else record.crash.message
    found = _NO_LOSS.search(message)
    if found is None or is_headless(message):
        return
    received = [
        key for key in found[2].split(",") if not _is_usual(key)
    ]  # a model may take all, and use some
    files = project.files.values()
    collators = {"__call__"}.union(*(_collators(file) for file in files))
    keys = [(file, *own) for file in files for own in _keys(file, received)]
    names = {str(key.value) for _, _, key in keys}
    if not names.isdisjoint(_TAKEN):
        return
    likely = {name for name in names if _is_usual(name)} or {
        name for name in names if len(names) == 1 and not _OTHER.search(name)
    }
    last = [own for own in keys if own[1] in collators] or keys  # what a collator reads keeps its name
    for file, _, key in last:
        if len(likely) == 1 and key.value in likely:
            yield Fact(name=UNNAMED, value=1, text=str(key.value), site=file.site(key))


def is_headless(message: str) -> bool:
    """Whether a model that gave no loss has none to give: it ends in hidden states."""
    found = _NO_LOSS.search(message)
    return found is not None and "hidden_state" in found[1] and "logits" not in found[1]


def _is_usual(name: str) -> bool:
    return re.sub(r"_(ids?|idx)$", "", name) in _USUAL


def _collators(file: SourceFile) -> Iterator[str]:
    """Names of functions that are given for what makes a batch of rows."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.keyword) and node.arg in _COLLATORS and isinstance(node.value, ast.Name):
            yield node.value.id


def _keys(file: SourceFile, received: list[str]) -> Iterator[tuple[str, ast.Constant]]:
    """Functions by name, and further keys that they give to rows beside those that the model received."""
    for function in ast.walk(file.tree):
        if isinstance(function, FUNCTIONS):
            keys = [key for node in ast.walk(function) for key in _given(node)]
            if function.name == "__getitem__" or any(key.value in received for key in keys):
                yield from ((function.name, key) for key in keys if key.value not in received)


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

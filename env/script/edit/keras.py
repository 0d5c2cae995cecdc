"""Changes of the weights of a Keras layer: how they start, and their penalties."""

from __future__ import annotations

import ast
from functools import partial
from typing import cast

from netmend.env.program.names import InitialiserName
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Code, Editor
from netmend.env.script.edit.keras_text import keras_penalty, keras_start
from netmend.env.script.record import Operation
from netmend.env.script.source import Draft, EditRefused

_PENALTIES = ("layer.l1", "layer.l2")


def layer_call(editor: Editor, operation: Operation) -> tuple[Draft, ast.Call]:
    """The call that takes a layer's settings: in ``Bidirectional`` that of the layer inside."""
    draft, call = editor.call(operation.made, f"the {operation.kind}")
    inner = call.args[0] if operation.kind == "Bidirectional" and call.args else None
    return draft, inner if isinstance(inner, ast.Call) else call


def write_start(editor: Editor, change: SourceChange) -> None:
    """Another initialiser of the kernel, or of the table of an embedding."""
    operation = editor.operation(change)
    draft, call = layer_call(editor, operation)
    if editor.first(change, operation.made, made=True):
        name = "embeddings_initializer" if operation.kind == "Embedding" else "kernel_initializer"
        start = keras_start(cast(InitialiserName, change.value), partial(editor.spell, draft))
        editor.arguments(draft, call, {name: Code(start)})


def write_penalty(editor: Editor, change: SourceChange) -> None:
    """Other penalties of a kernel; the first of two changes writes both.

    Raises:
        EditRefused: the script is none of Keras.
    """
    if editor.record.framework != "keras":
        raise EditRefused("a layer of PyTorch has no penalty of its own")
    operation = editor.operation(change)
    own = [other for other in editor.changes if other.what in _PENALTIES and other.at == change.at]
    if change != own[0] or not editor.first(change, operation.made, made=True):
        return
    found = {name: operation.settings.get(f"kernel_regularizer.{name}") for name in ("l1", "l2")}
    found |= {other.what.rpartition(".")[2]: other.value for other in own}
    draft, call = layer_call(editor, operation)
    l1, l2 = (float(value) if isinstance(value, int | float) else 0.0 for value in found.values())
    text = keras_penalty(l1, l2, partial(editor.spell, draft))
    wanted = {"kernel_regularizer": Code(text)} if text else {}
    editor.arguments(draft, call, wanted, leave=() if text else ("kernel_regularizer",))

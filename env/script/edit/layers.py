"""Changes of a layer's settings: sizes, activation, dropout, windows, bias, what learns.

Written in: the call that constructs the layer, wherever it stands; activations also in the calls
of ``forward``. A line that makes several layers is changed only where all of them change alike.
"""

from __future__ import annotations

import ast
from typing import cast

from netmend.env.program.names import ActivationName
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.chain import applied_to, insert, remove, set_module
from netmend.env.script.edit.editor import Editor, Value
from netmend.env.script.edit.keras import layer_call
from netmend.env.script.edit.layer_text import ACTIVATION_KINDS, FUNCTIONS, MODULES
from netmend.env.script.follow import argument
from netmend.env.script.record import Operation, Setting
from netmend.env.script.source import Draft, EditRefused

_OUT = {
    "Linear": ("out_features", 1),
    "LazyLinear": ("out_features", 0),
    "Embedding": ("embedding_dim", 1),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("hidden_size", 1)),
    **{f"Conv{axes}d": ("out_channels", 1) for axes in (1, 2, 3)},
    **{f"ConvTranspose{axes}d": ("out_channels", 1) for axes in (1, 2, 3)},
}
_IN = {
    "Linear": ("in_features", 0),
    "Embedding": ("num_embeddings", 0),
    "LayerNorm": ("normalized_shape", 0),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), ("input_size", 0)),
    **{f"Conv{axes}d": ("in_channels", 0) for axes in (1, 2, 3)},
    **{f"ConvTranspose{axes}d": ("in_channels", 0) for axes in (1, 2, 3)},
    **{f"BatchNorm{axes}d": ("num_features", 0) for axes in (1, 2, 3)},
}
_KERAS_OUT = {
    "Dense": "units",
    "Embedding": "output_dim",
    "LSTM": "units",
    "GRU": "units",
    "SimpleRNN": "units",
    "Bidirectional": "units",
}
_KERAS_OUT |= {f"Conv{axes}D{kind}": "filters" for axes in (1, 2, 3) for kind in ("", "Transpose")}
_WINDOWS = {"kernel": ("kernel_size", 2), "stride": ("stride", 3), "padding": ("padding", 4)}


def write_units(editor: Editor, change: SourceChange) -> None:
    """So many units, filters or cells; what takes them has a change of its own.

    Raises:
        EditRefused: a layer that takes them would still declare the old number.
    """
    operation = editor.operation(change)
    for at in _takers(editor, change.at or 0):
        if all((other.what, other.at) != ("layer.inputs", at) for other in editor.changes):
            raise EditRefused(
                f"the {editor.record.operations[at].kind} behind it takes the old number of units"
            )
    if editor.record.framework == "keras":
        known = _KERAS_OUT.get(operation.kind)
        name = (known, 1 if operation.kind == "Embedding" else 0) if known else None
    else:
        name = _OUT.get(operation.kind)
    _set(editor, change, operation, name, change.value)


def _takers(editor: Editor, at: int) -> list[int]:
    """The operations that declare the size of what an operation returns."""
    found, through = [], {at}
    for index, operation in enumerate(editor.record.operations):
        if index > at and through & set(operation.inputs):
            if operation.kind in _IN and editor.record.framework != "keras":
                found.append(index)
            else:
                through.add(index)
    return [
        index
        for index in found
        if editor.record.operations[index].module != editor.record.operations[at].module
    ]


def write_inputs(editor: Editor, change: SourceChange) -> None:
    """The features that a layer declares to take; without an operation, those of the layer that crashed."""
    crash = editor.record.crash
    if change.at is None and crash is not None:
        name = _IN.get(editor.record.modules.get(crash.module or "", crash.operation))
        draft, call = editor.call(crash.made, "the layer that crashed")
        editor.arguments(
            draft, call, {(name or _IN["Linear"])[0]: change.value}, {(name or _IN["Linear"])[0]: 0}
        )
        return
    operation = editor.operation(change)
    if editor.record.framework == "keras" and operation.kind != "Embedding":
        return  # Keras' layers take what comes
    if operation.kind in ("view", "reshape"):
        _set_view(editor, operation, change)
    elif operation.kind in _IN or editor.record.framework == "keras":
        _set(editor, change, operation, _IN.get(operation.kind, ("input_dim", 0)), change.value)
    elif operation.kind not in ("flatten", "Flatten", "LazyLinear"):
        raise EditRefused(f"a {operation.kind} declares no size that it takes")


def _set(
    editor: Editor, change: SourceChange, operation: Operation, name: tuple[str, int] | None, value: Value
) -> None:
    """Set an argument of a layer's constructor."""
    if name is None:
        raise EditRefused(f"no edit of a script sets {change.what} of a {operation.kind}")
    draft, call = layer_call(editor, operation)
    called = draft.file.dotted(call.func).rpartition(".")[2]
    if called != operation.settings.get("layer", operation.kind):
        raise EditRefused(f"{operation.made}: the {operation.kind} is made by {called or 'an expression'}")
    if editor.first(change, operation.made, made=True):
        old: Setting = operation.settings.get(name[0])
        if isinstance(old, bool):
            old = None  # whether there is a bias, and not the value that was given
        editor.arguments(draft, call, {name[0]: value}, {name[0]: name[1]}, {name[0]: old})


def _set_view(editor: Editor, operation: Operation, change: SourceChange) -> None:
    """The size that a ``view`` writes out; one that is left to PyTorch stays."""
    draft, call = editor.call(operation.called, "the view")
    last = call.args[-1] if call.args else None
    if isinstance(last, ast.Tuple | ast.List):
        last = last.elts[-1]
    if last is None:
        raise EditRefused(f"{operation.called}: the view's size is computed")
    if draft.file.text_of(last) != "-1" and editor.first(change, operation.called, made=False):
        editor.want(draft, last, change.value, operation.returned.shape[-1])


def write_activation(editor: Editor, change: SourceChange) -> None:
    """Another activation: of a module or function, or behind a layer that has none."""
    operation, function = editor.operation(change), cast(ActivationName, change.value)
    if editor.record.framework == "keras":
        _write_keras(editor, change, operation)
    elif operation.kind not in ACTIVATION_KINDS:
        if function != "linear":
            insert(editor, change)
    elif function == "linear":
        remove(editor, change)
    elif operation.module is not None and _made_alone(editor, change, operation):
        if function not in MODULES:
            raise EditRefused(f"PyTorch has no module for {function}")
        if editor.first(change, operation.made, made=True):
            draft, call = editor.call(operation.made, "the activation")
            name, _, rest = MODULES[function].partition("(")
            draft.put(call, f"{editor.spell(draft, f'torch.nn.{name}')}({rest}")
    elif function in MODULES and not editor.alone(change, operation.called, made=False):
        set_module(editor, operation, MODULES[function])
    elif editor.first(change, operation.called, made=False):
        draft, call = editor.call(operation.called, "the activation")
        _write_function(editor, draft, call, function, is_method=operation.module is None)


def _made_alone(editor: Editor, change: SourceChange, operation: Operation) -> bool:
    """Whether the module can change where it is made, or has to where it is applied."""
    return operation.made is not None and editor.alone(change, operation.made, made=True)


def _write_function(
    editor: Editor, draft: Draft, call: ast.Call, function: ActivationName, *, is_method: bool
) -> None:
    if function not in FUNCTIONS:
        raise EditRefused(f"PyTorch has no function for {function}")
    inner = applied_to(draft, call, is_method=is_method)
    name, more = FUNCTIONS[function]
    draft.unwrap(call, inner)
    draft.wrap(inner, f"{editor.spell(draft, name)}(", f"{more})")


def _write_keras(editor: Editor, change: SourceChange, operation: Operation) -> None:
    if not editor.first(change, operation.made, made=True):
        return
    draft, call = editor.call(operation.made, f"the {operation.kind}")
    of_its_own = operation.kind in ("Activation", "ReLU", "LeakyReLU", "Softmax", "ELU", "PReLU")
    if of_its_own and change.value == "linear":
        remove(editor, change)
    elif of_its_own and operation.kind != "Activation":
        draft.put(call, f'{editor.spell(draft, "keras.layers.Activation")}("{change.value}")')
    elif operation.kind == "Activation":
        editor.arguments(draft, call, {"activation": change.value}, {"activation": 0})
    elif operation.kind == "Dense":
        editor.arguments(draft, call, {"activation": change.value}, {"activation": 1})
    else:
        editor.arguments(draft, call, {"activation": change.value})


def write_rate(editor: Editor, change: SourceChange) -> None:
    """Another rate of a dropout."""
    operation = editor.operation(change)
    if operation.module is not None:
        name = "rate" if editor.record.framework == "keras" else "p"
        _set(editor, change, operation, (name, 0), change.value)
    elif editor.first(change, operation.called, made=False):
        draft, call = editor.call(operation.called, "the dropout")
        editor.arguments(draft, call, {"p": change.value}, {"p": 1}, operation.settings)


def write_window(editor: Editor, change: SourceChange) -> None:
    """Kernel, stride or padding of a convolution or a pooling."""
    operation = editor.operation(change)
    is_keras = editor.record.framework == "keras"
    name, index = _WINDOWS[change.what.rpartition(".")[2]]
    value: Value = change.value
    if "Pool" in operation.kind:
        index -= 2
        name = {"kernel_size": "pool_size", "stride": "strides"}.get(name, name) if is_keras else name
    elif is_keras:
        name = {"stride": "strides"}.get(name, name)
        index -= 1
    if operation.module is None or not any(word in operation.kind for word in ("Pool", "Conv")):
        raise EditRefused(f"no edit of a script sets the window of a {operation.kind}")
    if name == "padding" and value == "same" and not is_keras:
        if operation.settings.get("stride") not in (None, 1, (1,), (1, 1), (1, 1, 1)):
            raise EditRefused("PyTorch pads to the same size with a stride of 1 only")
    elif name == "padding" and value == "valid" and not is_keras:
        value = 0
    _set(editor, change, operation, (name, index), value)


def write_bias(editor: Editor, change: SourceChange) -> None:
    """A layer with a bias, or without."""
    operation = editor.operation(change)
    name = "use_bias" if editor.record.framework == "keras" else "bias"
    draft, call = editor.call(operation.made, f"the {operation.kind}")
    given = argument(call, name)
    if change.value and isinstance(given, ast.Constant):
        if editor.first(change, operation.made, made=True):
            editor.arguments(draft, call, {}, leave=[name])
        return
    _set(editor, change, operation, (name, len(call.args)), change.value)


def write_trainable(editor: Editor, change: SourceChange) -> None:
    """Nothing frozen any more: what sets ``requires_grad`` or ``trainable`` to False goes."""
    if not change.value:
        raise EditRefused("no edit of a script freezes a layer")
    found = 0
    for file in editor.project.files.values():
        draft = editor.draft(file.path)
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "requires_grad_":
                off = (
                    bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value is False
                )
                if off:
                    draft.put(node.args[0], "True")
                    found += 1
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                named = node.targets[0].attr in ("requires_grad", "trainable")
                if named and isinstance(node.value, ast.Constant) and node.value.value is False:
                    draft.put(node.value, "True")
                    found += 1
            elif isinstance(node, ast.Call):
                given = argument(node, "trainable")
                if isinstance(given, ast.Constant) and given.value is False:
                    draft.put(given, "True")
                    found += 1
    if not found:
        raise EditRefused("nothing in the script freezes a layer by a constant")

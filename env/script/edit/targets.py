"""Targets of mean 0 and deviation 1, where what the network predicts keeps its own scale; ids from 0 on.

In PyTorch the losses are given scaled targets, and predictions are scaled back. In Keras, whose ``predict``
and ``evaluate`` use the network as it is, a last layer scales back.
"""

from __future__ import annotations

import ast

import numpy as np

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.containers import adder_of, holder_of, insert_element
from netmend.env.script.edit.editor import Editor, body_start
from netmend.env.script.edit.loss import loss_call, loss_calls, operand
from netmend.env.script.edit.statements import network_calls
from netmend.env.script.follow import Place
from netmend.env.script.losses import POINTWISE
from netmend.env.script.origins import origins
from netmend.env.script.scalers import sources
from netmend.env.script.source import Draft, EditRefused, SourceFile

_ADAPTIVE = ("adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "adadelta", "lion")
"""Optimizers whose steps do not grow with the loss."""
_VALUES = (*POINTWISE, "mse", "mae", "huber", "mean_squared_error", "mean_absolute_error")


def write_standardize(editor: Editor, _change: SourceChange) -> None:
    """Scaled targets in every loss, and predictions scaled back."""
    loss, framework = editor.record.loss, editor.record.framework
    kind = next(
        (str(one.value) for one in editor.changes if one.what == "loss.kind"), loss.kind if loss else ""
    )
    if loss is None or kind.lower() not in _VALUES:
        raise EditRefused("the targets are not real numbers that the loss compares with the outputs")
    mean, deviation = _moments(editor)
    if framework == "keras":
        _rescale(editor, mean, deviation)
    elif framework == "torch":
        _scale(editor, mean, deviation)
    else:
        raise EditRefused(f"{framework} hands the targets to the loss itself")


def write_from_zero(editor: Editor, _change: SourceChange) -> None:
    """Class ids from 0 on: what is added to them where they are made is taken away."""
    draft, call, *_, target = loss_call(editor)
    for place in sources(editor.project, Place(draft.file, operand(call, 1))):
        node = place.node
        added = node.right if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) else None
        if isinstance(node, ast.BinOp) and isinstance(added, ast.Constant) and added.value == target.low:
            editor.draft(place.file.path).unwrap(node, node.left)
            return
    raise EditRefused("the script does not show what is added to the class ids")


def _moments(editor: Editor) -> tuple[float, float]:
    """Mean and deviation of the training targets of the run, with four digits."""
    record = editor.record
    loss = record.loss
    moments = (0.0, 0.0) if loss is None else (loss.target.mean, loss.target.deviation)
    if record.data is not None:
        with np.load(record.data) as data:
            values = np.asarray(data["targets"], dtype=np.float64) if "targets" in data else np.zeros(0)
        values = values[np.isfinite(values)]
        moments = (float(values.mean()), float(values.std())) if values.size else moments
    mean, deviation = (float(f"{value:.4g}") for value in moments)
    if deviation <= 0:
        raise EditRefused("all targets are the same")
    return mean, deviation


def _rescale(editor: Editor, mean: float, deviation: float) -> None:
    """A last layer of Keras that gives the network's outputs the scale of the targets."""
    made = editor.record.optimizers
    kind = next((str(one.value) for one in editor.changes if one.what == "optimizer.kind"), "")
    if (kind or (made[0].kind if made else "")).lower() not in _ADAPTIVE:
        raise EditRefused("the steps of the optimizer would grow with the scale of the targets")
    last = editor.record.operations[-1]
    at = len(editor.record.operations) - 1
    bare = any((one.what, one.at, one.value) == ("layer.activation", at, "linear") for one in editor.changes)
    if not bare and last.settings.get("activation", "") != "linear":
        raise EditRefused("the outputs go through an activation")
    draft, layer = editor.call(last.made, f"the {last.kind}")
    text = f"{editor.spell(draft, 'keras.layers.Rescaling')}({deviation!r}, offset={mean!r})"
    element, adder = holder_of(draft.file, layer), adder_of(draft.file, layer)
    outer = draft.file.parents[layer]
    if element is not None or adder is not None:
        insert_element(draft, element, adder, [("rescaling", text)])
    elif isinstance(outer, ast.Call) and outer.func is layer:
        draft.wrap(outer, f"{text}(", ")")
    else:
        raise EditRefused(f"there is no place behind the {last.kind} where a layer could be put")


def _scale(editor: Editor, mean: float, deviation: float) -> None:
    """Losses of PyTorch on scaled targets; outputs that are used for anything else are scaled back."""
    draft, call, *_ = loss_call(editor)
    file = draft.file
    calls = network_calls(editor)
    passes = {node for _, node in calls}
    losses = list(loss_calls(draft, call))
    sources = [
        {place.node for place in origins(editor.project, Place(file, operand(one, 0)))} for one in losses
    ]
    if not sources[0] or any(not nodes <= passes for nodes in sources):
        raise EditRefused("what a loss compares with the targets is not just what the network gives")
    inside = {node for one in losses for node in ast.walk(operand(one, 0))}
    names: dict[str, tuple[str, str]] = {}
    predicted = [(own, node) for own, node in calls if not _is_only_lost(editor, own.file, node, inside)]
    for own, node in predicted:
        middle, spread = _named(own, names, mean, deviation)
        whole = isinstance(own.file.parents[node], ast.Assign | ast.Return)
        own.wrap(node, "" if whole else "(", f" * {spread} + {middle}" + ("" if whole else ")"))
    for one, nodes in zip(losses, sources, strict=True):
        middle, spread = _named(draft, names, mean, deviation)
        scaled = [operand(one, 1)]
        if not nodes.isdisjoint(node for _, node in predicted):
            scaled.append(operand(one, 0))
        for value in scaled:
            draft.wrap(value, "(", f" - {middle}) / {spread}")
    if any("save" in file.text_of(node.func) for node in ast.walk(file.tree) if isinstance(node, ast.Call)):
        editor.notes.append(
            "a saved network gives scaled outputs: * target_std + target_mean scales them back"
        )


def _is_only_lost(editor: Editor, file: SourceFile, call: ast.Call, inside: set[ast.AST]) -> bool:
    """Whether what a pass of the network gives goes into losses and nowhere else."""
    if call in inside:
        return True
    statement = file.statement(call)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if not isinstance(target, ast.Name):
        return False
    uses = [
        node
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
    ]
    own = [
        node for node in uses if call in {place.node for place in origins(editor.project, Place(file, node))}
    ]
    return bool(own) and all(node in inside for node in own)


def _named(draft: Draft, names: dict[str, tuple[str, str]], mean: float, deviation: float) -> tuple[str, str]:
    """What a file calls mean and deviation, behind its imports."""
    path = draft.file.path
    if path not in names:
        names[path] = draft.free_name("target_mean"), draft.free_name("target_std")
        text = f"{', '.join(names[path])} = {mean!r}, {deviation!r}  # of the training rows"
        body = draft.file.tree.body
        imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        if imports:
            draft.after(imports[-1], f"\n{text}")
        else:
            draft.before(body_start(body), text)
    return names[path]

"""Changes written into the source of a script.

>>> from netmend.env.script.changes import SourceChange
>>> from netmend.env.script.record import OptimizerMade, Record
>>> from netmend.env.script.site import Site
>>> from netmend.env.script.source import Project
>>> text = "import torch\\nopt = torch.optim.SGD(w, lr=0.1)  # fast\\n"
>>> made = OptimizerMade(kind="SGD", settings={"lr": 0.1}, made=Site("t.py", 2, 6, 2, 32), given=())
>>> record = Record(modules={}, optimizers=(made,))
>>> patch = edit(Project({"t.py": text}), record, [SourceChange(what="optimizer.lr", value=0.01)])
>>> print(patch.texts["t.py"].splitlines()[1])
opt = torch.optim.SGD(w, lr=0.01)  # fast
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from netmend.env.errors import UnknownNameError
from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import (
    casts,
    chain,
    choices,
    contract,
    epochs,
    gradients,
    in_place,
    keras,
    layers,
    loop,
    loss,
    masks,
    mirrors,
    named,
    network,
    optimizer,
    outputs,
    penalty,
    rows,
    sampling,
    scaling,
    states,
    steps,
    targets,
)
from netmend.env.script.edit.editor import Editor
from netmend.env.script.record import Record
from netmend.env.script.source import Project, diff

_FIELDS = ("kind", "lr", "momentum", "nesterov", "weight_decay", "beta1", "beta2")

WORDS: Mapping[str, Callable[[Editor, SourceChange], None]] = {
    **{f"optimizer.{name}": optimizer.write_optimizer for name in _FIELDS},
    "loop.epochs": loop.write_epochs,
    "loop.batch_size": loop.write_batch_size,
    "loop.shuffle": loop.write_shuffle,
    "loop.row_weights": sampling.write_row_weights,
    "loop.clip": loop.write_clip,
    "loop.schedule": loop.write_schedule,
    "loop.schedule_per_epoch": loop.write_schedule_per_epoch,
    "loop.schedule_mode": loop.write_schedule_mode,
    "loop.schedule_factor": loop.write_schedule_factor,
    "loop.patience": loop.write_patience,
    "loop.zero_grad": contract.write_zero_grad,
    "loop.backward": contract.write_backward,
    "loop.order": contract.write_step_order,
    "loop.training_mode": contract.write_training_mode,
    "loop.evaluation_mode": contract.write_evaluation_mode,
    "loop.optimized": contract.write_optimized,
    "loop.optimizer_behind": contract.write_optimizer_behind,
    "loop.loss_graph": gradients.write_loss_graph,
    "loop.carried_state": states.write_carried_state,
    "loss.kind": loss.write_kind,
    "loss.shapes": loss.write_shapes,
    "loss.labels": loss.write_labels,
    "loss.reduction": loss.write_reduction,
    "loss.class_weights": loss.write_class_weights,
    "loss.named": named.write_named,
    "loss.penalty": penalty.write_penalty,
    "input.bare": scaling.write_bare,
    "loop.renewed": epochs.write_renewed,
    "loop.file_order": sampling.write_file_order,
    "loop.stop_mode": epochs.write_stop_mode,
    "input.mirrored": mirrors.write_mirrored,
    "layer.units": layers.write_units,
    "layer.inputs": layers.write_inputs,
    "layer.activation": layers.write_activation,
    "layer.rate": layers.write_rate,
    "layer.kernel": layers.write_window,
    "layer.stride": layers.write_window,
    "layer.padding": layers.write_window,
    "layer.bias": layers.write_bias,
    "layer.trainable": layers.write_trainable,
    "layer.start": network.write_start,
    "layer.l1": keras.write_penalty,
    "layer.l2": keras.write_penalty,
    "layer.insert": chain.write_insert,
    "layer.remove": chain.write_remove,
    "network.registered": network.write_registered,
    "network.copied": network.write_copied,
    "network.out_of_place": in_place.write_out_of_place,
    "layer.mask": masks.write_mask,
    "layer.last_step": steps.write_last_step,
    "outputs.cut": choices.write_cut,
    "network.axes": rows.write_moved_axes,
    "network.batch_axis": rows.write_batch_axis,
    "input.type": casts.write_input_type,
    "input.standardize": network.write_standardize,
    "input.fill_missing": network.write_fill_missing,
    "input.same_scale": scaling.write_same_scale,
    "input.flatten": network.write_input_shape,
    "input.add_axis": network.write_input_shape,
    "input.drop_axis": network.write_input_shape,
    "input.scale": network.write_input_shape,
    "target.standardize": targets.write_standardize,
    "target.from_zero": targets.write_from_zero,
}
"""What writes each kind of change."""


@dataclass(frozen=True)
class Patch:
    """A script with changes written into it.

    Attributes:
        texts: the new text of every file that changed, by path.
        diff: the same as a unified diff, which ``git apply`` takes.
        notes: what a person should know about the edits.
    """

    texts: Mapping[str, str]
    diff: str
    notes: tuple[str, ...]


def edit(project: Project, record: Record, changes: Sequence[SourceChange]) -> Patch:
    """Write changes into a script's source, all of them or none.

    Args:
        project: its files as they stand.
        record: of a run of these files.
        changes: what is to change.

    Raises:
        EditRefused: one of the changes has no faithful form in this source; the message says why.
        UnknownNameError: a change is none of ``WORDS``.
    """
    editor = Editor(project, record, changes)
    for change in changes:
        if change.what not in WORDS:
            raise UnknownNameError("change", change.what, WORDS)
        WORDS[change.what](editor, change)
    outputs.keep_probabilities(editor)
    choices.follow_units(editor)
    if _brings_modes(record, changes):
        contract.bring_modes(editor)
    texts = editor.texts()
    return Patch(texts, diff(project.texts, texts), tuple(editor.notes))


def _brings_modes(record: Record, changes: Sequence[SourceChange]) -> bool:
    """Whether the network gets layers that predict in another way than they train.

    A script without such a layer may leave ``eval()`` out; with one it may not.
    """
    words = {change.what for change in changes}
    seen = record.forward or record.evaluated
    if record.framework != "torch" or seen is None or {"loop.evaluation_mode", "loop.training_mode"} & words:
        return False
    layers = [layer for change in changes for layer in change.layers]
    return any(layer.has_modes or layer.dropped_by for layer in layers) or "input.standardize" in words

"""The words of a change of a script, and the changes that lead from one program to another.

A repair action turns a program into another one; what differs between the two is what the script's source has
to change. An action is possible in a script where each of its changes can be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from netmend.env.program import (
    Activation,
    BatchNorm,
    Clip,
    Data,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    Program,
    Schedule,
    Task,
    Weighted,
)
from netmend.env.program.changes import align, differing, labels_follow
from netmend.env.program.misfit import MisfitError, Shape
from netmend.env.program.shapes import row_shape, walk_layers
from netmend.env.script.record import Setting
from netmend.env.script.source import EditRefused

FRONT = -1
"""Where a layer is put in front of the first one."""


@dataclass(frozen=True, kw_only=True)
class SourceChange:
    """One change of a script.

    Attributes:
        what: a word of ``netmend.env.script.edit.WORDS``: ``optimizer.lr``, ``loop.zero_grad``,
            ``layer.units``.
        value: what it becomes; None takes away what has a value.
        at: the operation of the record that it is about, of ``layer.insert`` the one in front of the new
            layers or ``FRONT``; None where it is about the script as a whole.
        layers: that are put in.
        shape: of a row where they are put in, features first, as in a program.
    """

    what: str
    value: Setting = None
    at: int | None = None
    layers: tuple[Layer, ...] = ()
    shape: Shape = ()


def source_changes(
    before: Program, after: Program, layers: Sequence[Sequence[int]], task: Task
) -> tuple[SourceChange, ...]:
    """What a script has to change to become, of the program ``before`` that it is, the program ``after``.

    Args:
        before: the lifted program.
        after: what an action makes of it.
        layers: for each layer of the lifted program its operations in the record.
        task: what the program's data ask for.

    Raises:
        EditRefused: something differs that a script cannot change in one faithful way.
    """
    return tuple(
        dict.fromkeys(
            [
                *_of_data(before, after),
                *_of_optimizer(before, after),
                *_of_loop(before, after),
                *_of_layers(before, after, layers, task),
            ]
        )
    )


_PREPS = ("standardize", "flatten", "fill_missing", "scale", "add_axis", "drop_axis")
"""Steps of a preparation that can be written, each as ``input.NAME``."""
_TARGET_AXES = ("add_axis_target", "drop_axis_target")


def _of_data(before: Program, after: Program) -> Iterator[SourceChange]:
    old, new = before.data, after.data
    fields = differing(old, new, "prep")
    if "label_type" in fields or ("labels" in fields and "loss" not in differing(before, after)):
        yield SourceChange(what="loss.labels")
    if "shuffle" in fields:
        yield SourceChange(what="loop.shuffle", value=new.shuffle)
    ignored = {"label_type", "shuffle", *(("labels",) if labels_follow(before, after) else ())}
    ignored |= {"labels"} if "loss" in differing(before, after) or "label_type" in fields else set()
    for name in fields:
        if name not in ignored:
            raise EditRefused(f"no edit of a script changes data.{name}")
    yield from _of_preparation(old, new)


def _of_preparation(old: Data, new: Data) -> Iterator[SourceChange]:
    gone = [step for step in old.prep if step not in new.prep]
    come = [step for step in new.prep if step not in old.prep]
    if any(step.kind in _TARGET_AXES for step in (*gone, *come)):
        yield SourceChange(what="loss.shapes")
    for step in gone:
        if step.kind not in _TARGET_AXES:
            raise EditRefused(f"the script's own {step.kind} cannot be taken out")
    for step in come:
        if step.kind == "standardize_target":
            yield SourceChange(what="target.standardize")
        elif step.kind in _PREPS:
            yield SourceChange(what=f"input.{step.kind}", value=step.factor)
        elif step.kind not in _TARGET_AXES:
            raise EditRefused(f"no edit of a script adds the preparation {step.kind}")


def _of_optimizer(before: Program, after: Program) -> Iterator[SourceChange]:
    for name in differing(before.optimizer, after.optimizer):
        yield SourceChange(what=f"optimizer.{name}", value=getattr(after.optimizer, name))


_SETTINGS = {
    "loss": "loss.kind",
    "reduction": "loss.reduction",
    "batch_size": "loop.batch_size",
    "epochs": "loop.epochs",
    "patience": "loop.patience",
}
"""Word by the field of a program whose value it takes as it is."""


def _of_loop(before: Program, after: Program) -> Iterator[SourceChange]:
    for name in differing(before, after, "data", "layers", "optimizer", "loop"):
        value = getattr(after, name)
        if name in _SETTINGS:
            yield SourceChange(what=_SETTINGS[name], value=value)
        elif name == "clip" and (value is None or value.kind == "norm"):
            yield SourceChange(what="loop.clip", value=value.limit if isinstance(value, Clip) else None)
        elif name == "class_weights":
            yield SourceChange(what="loss.class_weights", value=value)
        elif name == "schedule":
            yield _schedule(before.schedule, value)
        else:
            raise EditRefused(f"no edit of a script changes {name}")
    for name in differing(before.loop, after.loop):
        if getattr(after.loop, name) != getattr(type(after.loop)(), name) or name == "predict":
            raise EditRefused(f"no edit of a script makes loop.{name} {getattr(after.loop, name)}")
        yield SourceChange(what=f"loop.{name}")


def _schedule(old: Schedule | None, new: Schedule | None) -> SourceChange:
    if old is not None and new is not None:
        if differing(old, new) != ["every"] or new.every != "epoch":
            raise EditRefused("no edit of a script turns one schedule into another")
        return SourceChange(what="loop.schedule_per_epoch")
    if new is not None and new.every != "epoch":
        raise EditRefused("a schedule is put in behind every epoch only")
    return SourceChange(what="loop.schedule", value=None if new is None else new.gamma)


def _of_layers(
    before: Program, after: Program, layers: Sequence[Sequence[int]], task: Task
) -> Iterator[SourceChange]:
    old_shapes, new_shapes = _shapes(before, task), _shapes(after, task)
    i = j = 0
    last, inserted, shape = FRONT, list[Layer](), Shape()
    for old, new in align(before.layers, after.layers):
        if old is None and new is not None:
            if not inserted:
                shape = new_shapes[j] if j < len(new_shapes) else ()
            inserted.append(new)
        elif old is not None and new is None:
            yield from (SourceChange(what="layer.remove", at=at) for at in layers[i])
        elif old is not None and new is not None:
            if inserted:
                yield SourceChange(what="layer.insert", at=last, layers=tuple(inserted), shape=shape)
                inserted = []
            for name in differing(old, new):
                yield from _of_field(old, new, name, layers[i])
            takes, took = (
                shapes[k] if k < len(shapes) else () for k, shapes in ((j, new_shapes), (i, old_shapes))
            )
            yield from _of_inputs(old, new, took, takes, layers[i], task.vocabulary)
            last = layers[i][-1] if layers[i] else last
        i, j = i + (old is not None), j + (new is not None)
    if inserted:
        yield SourceChange(what="layer.insert", at=last, layers=tuple(inserted), shape=shape)


def _shapes(program: Program, task: Task) -> tuple[Shape, ...]:
    try:
        row = row_shape(program.data, task)
    except MisfitError as misfit:
        raise EditRefused(f"the rows do not fit: {misfit}") from misfit
    return walk_layers(program.layers, row, task.vocabulary).shapes


_FIELDS = {
    "rate": "layer.rate",
    "kernel": "layer.kernel",
    "size": "layer.kernel",
    "stride": "layer.stride",
    "padding": "layer.padding",
    "bias": "layer.bias",
    "kernel_init": "layer.start",
    "trainable": "layer.trainable",
    "l1": "layer.l1",
    "l2": "layer.l2",
}
"""Word by the field of a layer."""


def _of_field(old: Layer, new: Layer, name: str, operations: Sequence[int]) -> Iterator[SourceChange]:
    value = getattr(new, name)
    if name in ("inputs", "bias_init"):  # follows the shapes; the start of a kernel brings that of the bias
        return
    if not operations:
        raise EditRefused(f"the run shows no operation for the {old.name} layer")
    if name == old.activated_by:
        own = isinstance(old, Activation) or (len(operations) > 1 and getattr(old, name) != "linear")
        yield SourceChange(what="layer.activation", value=value, at=operations[-1 if own else 0])
    elif name == old.sized_by:
        yield SourceChange(what="layer.units", value=value, at=operations[0])
    elif name in _FIELDS:
        yield SourceChange(what=_FIELDS[name], value=value, at=operations[0])
    else:
        raise EditRefused(f"no edit of a script changes {name} of a {old.name} layer")


def _of_inputs(
    old: Layer, new: Layer, took: Shape, takes: Shape, operations: Sequence[int], vocabulary: int
) -> Iterator[SourceChange]:
    """The size that a layer declares to take, as PyTorch asks for it, where that changes."""
    if not operations or not takes:
        return
    declared = takes[0]
    if isinstance(new, Weighted | Embedding) and isinstance(old, Weighted | Embedding):
        if isinstance(new, Embedding):
            declared = new.inputs or vocabulary
        elif new.inputs is not None:
            declared = new.inputs
        before = old.inputs if old.inputs is not None else took[0] if took else 0
    elif isinstance(old, BatchNorm | LayerNorm):
        before = took[0] if took else 0
    elif isinstance(old, Flatten):
        declared, before = prod(takes), prod(took)
    else:
        return
    if declared and declared != before:
        yield SourceChange(what="layer.inputs", value=declared, at=operations[0])

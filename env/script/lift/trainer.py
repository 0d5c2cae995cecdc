"""What ``TrainingArguments`` of Hugging Face's ``Trainer`` are as fields of a program."""

from __future__ import annotations

from collections.abc import Hashable

from netmend.env.program import Clip
from netmend.env.script.lift.walk import Walk
from netmend.env.script.record import Record


def trainer_course(record: Record, walk: Walk) -> dict[str, Hashable]:
    """Batches and clipping, which the ``Trainer`` decides; its schedule is a doubt like any other."""
    fields: dict[str, Hashable] = {}
    rows, limit = record.fit.get("per_device_train_batch_size"), record.fit.get("max_grad_norm")
    if isinstance(rows, int) and rows > 0:
        fields["batch_size"] = rows
    if isinstance(limit, int | float) and limit > 0:
        fields["clip"] = Clip(kind="norm", limit=float(limit))
    for name, usual in (("gradient_accumulation_steps", 1), ("label_smoothing_factor", 0), ("max_steps", -1)):
        if record.fit.get(name, usual) != usual:
            walk.doubt(f"{name}={record.fit[name]} of TrainingArguments")
    return fields

"""The captured rows of a script as a dataset of netmend: what kind of targets they are, and their file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netmend.env.data.dataset import SPLIT_SEED
from netmend.env.program import LOSS_KINDS, LabelEncoding, LossName
from netmend.env.program.names import LabelType
from netmend.env.program.task import TaskKind
from netmend.env.script.lift.walk import CannotSayError
from netmend.env.script.record import LossCall

Values: TypeAlias = NDArray[np.generic]
LEAST_HELD = 8
"""Rows of the script's own evaluation that make a hold-out part."""
FEW = 2
"""Values that real targets of classes have: yes and no."""


@dataclass(frozen=True)
class Targets:
    """What the targets of a script are to a program.

    Attributes:
        kind: of the task.
        labels: encoding that the loss sees.
        label_type: type of what the loss sees.
        units: outputs of the network for a row.
        broadcasts: whether a vector of targets meets a column of outputs.
    """

    kind: TaskKind
    labels: LabelEncoding
    label_type: LabelType
    units: int
    broadcasts: bool

    def of(self, values: Values) -> Values:
        """Targets in the form of a dataset's file.

        Raises:
            CannotSayError: they are not such targets.
        """
        if self.kind == "regression":
            return values.reshape(len(values), -1).astype(np.float32)
        if self.kind == "multilabel":
            return values.reshape(len(values), -1).astype(np.int64)
        if values.ndim > 1 and values.shape[1:] not in ((1,), (self.units,)):
            raise CannotSayError("targets at each step or pixel")
        ids = values.argmax(1) if values.ndim == 2 and values.shape[1] > 1 else values.reshape(-1)
        whole = ids.astype(np.int64)
        if (whole != ids).any() or whole.min() < 0:
            raise CannotSayError("class ids that are not whole numbers from 0")
        return whole


def read_targets(
    loss: LossCall, name: LossName, values: Values, *, of_classes: bool, adapts: bool = False
) -> Targets:
    """What the targets are.

    Args:
        loss: the call of the loss.
        name: what a program calls it.
        values: the captured targets, which may stand in front of a change of their form.
        of_classes: whether the script itself counts right answers.
        adapts: whether type and axes of the targets are made those of the outputs, as Keras does.

    Raises:
        CannotSayError: a program has no such targets.
    """
    output, target = loss.output, loss.target
    if len(output.shape) > 2:
        raise CannotSayError("targets at each step or pixel")
    units = output.shape[1] if len(output.shape) == 2 else 1
    is_float = target.dtype.startswith(("float", "double", "half", "bfloat"))
    apart = {len(output.shape), len(target.shape)} == {1, 2} and LOSS_KINDS[name].form != "categorical"
    several = values.ndim == 2 and values.shape[1] > 1
    rows = values if several else values.reshape(len(values), -1)
    one_hot = several and bool(np.isin(rows, (0, 1)).all() and (rows.sum(1) == 1).all())
    kind: TaskKind = "classification"
    labels: LabelEncoding = "index"
    if LOSS_KINDS[name].ids:
        encoded = target.shape == output.shape and is_float
        if encoded and several and not one_hot:
            raise CannotSayError("soft labels")
        labels = "one_hot" if encoded else "index"
        right: LabelType = "float32" if encoded else "int64"
    else:
        right = "float32"
        binary = LOSS_KINDS[name].form == "binary"
        yes_no = bool(np.isin(rows, (0, 1)).all())
        classes = bool(np.all(rows == np.round(rows.astype(np.float64)))) and (
            of_classes or (yes_no and len(np.unique(rows)) <= FEW)
        )
        if several and not one_hot and yes_no and binary:
            kind, labels = "multilabel", "value"
        elif one_hot or (units > 1 and not several and classes):
            labels = "one_hot"
        elif not several and classes:
            labels = "index" if binary else "value"
        else:
            kind, labels = "regression", "value"
    found: LabelType = "float32" if is_float else "int64"
    fits = found == right or adapts
    return Targets(kind, labels, "auto" if fits else found, units, apart and not adapts)


def write_dataset(path: Path, *, targets: Targets, tokens: bool, features_last: bool) -> tuple[Path, bool]:
    """Write the rows that a record has captured as a dataset's file beside it.

    Args:
        path: of the captured rows.
        targets: what their targets are.
        tokens: whether they are token ids.
        features_last: whether the features of a row stand last.

    Returns:
        the path of the file, and whether the training rows come sorted by their target.

    Raises:
        CannotSayError: they are no rows that a dataset can have.
    """
    with np.load(path) as captured:
        arrays = dict(captured)

    def rows(prefix: str) -> tuple[Values, Values]:
        x, y = arrays[f"{prefix}inputs"], targets.of(arrays[f"{prefix}targets"])
        x = x[:, None] if x.ndim == 1 and not tokens else x
        x = np.moveaxis(x, -1, 1) if features_last and x.ndim > 2 else x
        return (x.astype(np.int64) if tokens else x.astype(np.float32)), y

    x, y = rows("")
    order = np.random.default_rng(SPLIT_SEED).permutation(len(y))
    in_order = len(y) > 1 and bool((np.diff(y.reshape(len(y), -1)[:, 0]) >= 0).all())
    meta = np.array(json.dumps({"modality": "text"} if tokens else {}))
    found = {"x": x[order], "y": y[order]}
    if len(y) >= 2 * LEAST_HELD and len(arrays.get("holdout_targets", ())) >= LEAST_HELD:
        try:
            held_x, held_y = rows("holdout_")
        except CannotSayError:
            held_x = held_y = np.empty((0,))
        if held_x.shape[1:] == x.shape[1:] and held_y.shape[1:] == y.shape[1:]:
            found = {"x_train": x[order], "y_train": y[order], "x_test": held_x, "y_test": held_y}
    out = path.with_name("program.npz")
    np.savez(out, meta=meta, **found)  # type: ignore[arg-type]
    return out, in_order

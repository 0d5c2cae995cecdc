"""From the record of a script's run to a program, or to the names of what a program cannot say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from netmend.env.data import load_dataset
from netmend.env.errors import DataError
from netmend.env.program import (
    Data,
    Layer,
    Loop,
    LossName,
    Optimizer,
    Prep,
    Program,
    Weighted,
    check,
    find_crash,
)
from netmend.env.program.part import changed
from netmend.env.script.lift.dataset import Targets, read_targets, write_dataset
from netmend.env.script.lift.keras import lift_keras_layers, standardizes
from netmend.env.script.lift.keras_training import keras_course, keras_loss_name, keras_optimizer
from netmend.env.script.lift.layers import FUNCTIONS, lift_layers
from netmend.env.script.lift.trainer import trainer_course
from netmend.env.script.lift.walk import CannotSayError, NotSeenError, Walk
from netmend.env.script.record import LossCall, Operation, OptimizerMade, Record
from netmend.env.script.torch_names import LOSSES, OPTIMIZERS

LIFTED_LOSSES = {**LOSSES, "nll_loss": "cross_entropy"}
"""By the function; a negative log-likelihood with the log-softmax in front of it."""
EPOCHS = 10
"""Where the script does not say how many."""
OUTSIDE = "<script>"
_CANNOT = "a program cannot hold"
UNSEEN = "not recorded"
"""How a trouble of the recorder begins among what is opaque."""


@dataclass(frozen=True)
class Lifted:
    """A script as a program.

    Attributes:
        program: trains the same network on the rows that the script's run has shown, which are prepared.
        layers: for each layer of the program the positions of its operations in the record.
        dataset: path of the rows, beside those that the record has captured.
        doubts: what is not quite the same.
    """

    program: Program
    layers: tuple[tuple[int, ...], ...]
    dataset: Path
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotLifted:
    """A script that is no program.

    Attributes:
        reasons: why, each as a sentence: what a program cannot hold, or what the run did not show.
    """

    reasons: tuple[str, ...]


def lift(record: Record) -> Lifted | NotLifted:
    """The program that a script is, as far as its record shows it.

    Args:
        record: of a run that kept its rows; they are read again, and a file is written beside them.
    """
    reasons = list(_reasons(record))
    if reasons:
        return NotLifted(tuple(reasons))
    try:
        return _lift(record)
    except NotSeenError as error:
        return NotLifted((str(error),))
    except CannotSayError as error:
        return NotLifted((f"{_CANNOT} {error}",))


def _reasons(record: Record) -> Iterator[str]:
    """What ends the lift before it begins."""
    things = [name for name in record.opaque if not name.startswith(UNSEEN)]
    keras = record.framework == "keras"  # whose words are read along with its layers
    crash = record.crash
    if crash is not None and record.loss is None:
        yield f"the script crashes in front of its loss ({crash.site}): {crash.message}"
    elif not record.operations:
        yield record.message or "the run showed no network"
    elif record.loss is None:
        yield "the run showed no loss"
    elif record.loss.kind and record.loss.kind not in LIFTED_LOSSES and not keras:
        things.append(f"the loss {record.loss.kind}")
    if not record.optimizers:
        yield "the run showed no optimizer"
    elif record.optimizers[0].kind not in OPTIMIZERS and not keras:
        things.append(f"the optimizer {record.optimizers[0].kind}")
    if things:
        yield f"{_CANNOT} {', '.join(things)}"
    if record.data is None:
        yield "the run showed no rows with a target for each"


def _lift(record: Record) -> Lifted:
    loss, data = record.loss, record.data
    assert loss is not None
    assert data is not None
    keras = record.framework == "keras"
    if keras:
        walk = lift_keras_layers(record.operations)
        name = keras_loss_name(loss, walk)
    else:
        walk = lift_layers(_to_the_loss(record.operations, loss), tuple(_loose(record)))
        name = _loss_name(loss, walk)
    with np.load(data) as captured:
        if "targets" not in captured:
            crash = record.crash
            raise NotSeenError(
                f"the script crashes before a row is trained on: {crash.message}"
                if crash
                else "the run showed no targets"
            )
        values = captured["targets"]
    scored = record.score is not None and record.score.kind != "r2"
    targets = read_targets(loss, name, values, of_classes=scored, adapts=keras)
    tokens = bool(walk.layers) and walk.layers[0].takes_ids
    path, in_order = write_dataset(
        Path(data), targets=targets, tokens=tokens, features_last=bool(walk.rows_last)
    )
    layers, optimized = _optimized(record, walk)
    batch_size, shuffle = _batches(record, in_order, walk)
    program = Program(
        data=Data(
            dataset=str(path),
            prep=tuple(_preparation(record, targets)),
            labels=targets.labels,
            shuffle=shuffle,
            label_type=targets.label_type,
            row_order="by_target" if in_order else "given",
        ),
        layers=layers,
        loss=name,
        optimizer=(keras_optimizer if keras else _optimizer)(record.optimizers[0], walk),
        batch_size=batch_size,
        epochs=_epochs(record, walk),
        metric="r2" if targets.kind == "regression" else "accuracy",
        reduction="sum" if loss.settings.get("reduction") == "sum" else "mean",
        class_weights=_class_weights(loss, name, targets.units, walk),
        loop=_loop(record, optimized),
    )
    if keras:
        program = changed(program, **keras_course(record, name, walk))
    if record.framework == "transformers":
        program = changed(program, **trainer_course(record, walk))
    _check(program, path, record, walk)
    return Lifted(program, tuple(map(tuple, walk.sources)), path, tuple(walk.doubts))


def _preparation(record: Record, targets: Targets) -> Iterator[Prep]:
    if targets.broadcasts:
        yield Prep(kind="drop_axis_target")
    if record.framework == "keras" and standardizes(record.operations):
        yield Prep(kind="standardize")


def _to_the_loss(operations: Sequence[Operation], loss: LossCall) -> list[Operation]:
    """The operations of the network, and those of the script that make the loss's input of its output."""
    inside = [one for one in operations if one.owner != OUTSIDE or one.module is not None]
    if not inside or inside[-1].returned == loss.output:
        return inside
    kept = (*FUNCTIONS, "squeeze", "view", "reshape", "flatten", "log_softmax")
    behind = operations[operations.index(inside[-1]) + 1 :]
    made = [one for one in behind if one.kind.lower() in kept]
    return [*operations[: operations.index(inside[-1]) + 1], *made[: _reach(made, loss)]]


def _reach(made: Sequence[Operation], loss: LossCall) -> int:
    """How many operations there are up to the one that gives what the loss takes."""
    return next((i + 1 for i, one in enumerate(made) if one.returned == loss.output), 0)


def _loose(record: Record) -> Iterator[str]:
    """Parameters that the optimizer has and no module among the operations."""
    held = tuple(f"{one.module}." for one in record.operations if one.module is not None)
    return (name for name in record.optimizers[0].given if not name.startswith(held) or not held)


def _loss_name(loss: LossCall, walk: Walk) -> LossName:
    if loss.kind == "nll_loss" and not walk.log_softmax:
        raise CannotSayError("the loss nll_loss on outputs without a log_softmax")
    if walk.log_softmax and LIFTED_LOSSES[loss.kind] != "cross_entropy":
        raise CannotSayError(f"log_softmax in front of {loss.kind}")
    for name, value in loss.settings.items():
        if name in ("label_smoothing", "ignore_index", "beta", "delta", "eps"):
            walk.doubt(f"{name}={value} of the loss")
        if name == "reduction" and value == "none":
            walk.doubt("the loss of each row, taken for their mean")
    return LIFTED_LOSSES[loss.kind]


def _class_weights(loss: LossCall, name: LossName, units: int, walk: Walk) -> tuple[float, ...] | None:
    weight, positive = loss.settings.get("weight"), loss.settings.get("pos_weight")
    if name == "cross_entropy" and isinstance(weight, tuple):
        return weight
    if isinstance(positive, tuple) and len(positive) == 1 and units == 1:
        return (1.0, positive[0])
    if weight is not None or positive is not None:
        walk.doubt("weights in the loss")
    return None


def _optimizer(made: OptimizerMade, walk: Walk) -> Optimizer:
    settings = made.settings

    def number(name: str, default: float = 0.0) -> float:
        value = settings.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    betas = settings.get("betas")
    beta1, beta2 = betas if isinstance(betas, tuple) and len(betas) == 2 else (0.9, 0.999)
    if made.kind == "RMSprop":
        walk.doubt("RMSprop's running mean, which is shorter in a program")
    return Optimizer(
        kind=OPTIMIZERS[made.kind],
        lr=number("lr", 1e-3),
        momentum=number("momentum"),
        nesterov=bool(settings.get("nesterov", False)),
        beta1=beta1,
        beta2=beta2,
        weight_decay=number("weight_decay"),
    )


def _optimized(
    record: Record, walk: Walk
) -> tuple[tuple[Layer, ...], Literal["all", "hidden", "output", "none"]]:
    """The layers, those frozen that the optimizer was not given, where that is not said by a word."""
    given = record.optimizers[0].given
    learning = [
        i
        for i, sources in enumerate(walk.sources)
        if any(record.operations[s].trainable for s in sources) and walk.layers[i].learns
    ]
    left = [
        i
        for i in learning
        if not any(name.startswith(f"{_module(record, walk.sources[i])}.") for name in given)
    ]
    layers = tuple(walk.layers)
    if not left or not {fact.name for fact in record.facts} & {"not_optimized", "unregistered"}:
        return layers, "all"
    output = max((i for i in learning if isinstance(layers[i], Weighted)), default=-1)
    if left == [output]:
        return layers, "hidden"
    if left == [i for i in learning if i != output]:
        return layers, "output"
    if any(not isinstance(layers[i], Weighted) for i in left):
        walk.doubt("some parameters that the optimizer was not given")
    frozen = [i for i in left if isinstance(layers[i], Weighted)]
    return tuple(
        changed(layer, trainable=False) if i in frozen else layer for i, layer in enumerate(layers)
    ), "all"


def _module(record: Record, sources: Sequence[int]) -> str | None:
    return next((record.operations[s].module for s in sources if record.operations[s].trainable), None)


def _batches(record: Record, in_order: bool, walk: Walk) -> tuple[int, bool]:
    """Rows of a batch, and whether they are shuffled."""
    rows = record.inputs.shape[0] if record.inputs else 1
    loader = next((loader for loader in record.loaders if loader.trains), None)
    if loader is not None:
        return loader.batch_size or rows, loader.shuffle
    if record.loops and record.loops[-1].kind == "range" and record.loops[-1].step > 1:
        walk.doubt("slices, of which it was not seen whether they are shuffled")
        return record.loops[-1].step, not in_order
    return rows, not in_order or len(record.loops) < 2


def _epochs(record: Record, walk: Walk) -> int:
    """Rounds of the outermost loop that is not one over batches."""
    loops = record.loops
    over_batches = bool(loops) and (loops[-1].kind == "loader" or loops[-1].step > 1 or len(loops) > 1)
    epochs = loops[:-1] if over_batches else loops
    if not epochs:
        return 1
    if epochs[0].rounds is None:
        walk.doubt(f"a loop whose rounds were not seen, taken for {EPOCHS} epochs")
    return max(epochs[0].rounds or EPOCHS, 1)


def _loop(record: Record, optimized: Literal["all", "hidden", "output", "none"]) -> Loop:
    seen = {fact.name for fact in record.facts}
    return Loop(
        zero_grad="no_zero_grad" not in seen,
        order="step_backward" if "step_before_backward" in seen else "backward_step",
        training_mode="trained_in_evaluation_mode" not in seen,
        evaluation_mode="evaluated_in_training_mode" not in seen,
        loss_graph=not seen & {"detached_loss"},
        optimized=optimized,
    )


def _check(program: Program, path: Path, record: Record, walk: Walk) -> None:
    """The program can be tried, and crashes where the script does."""
    try:
        task = load_dataset(str(path)).task
    except DataError as error:
        raise NotSeenError(f"its rows do not make a dataset: {error}") from error
    if problems := check(program, task):
        raise NotSeenError(f"as a program it is none that can be tried: {problems[0]}")
    crash = find_crash(program, task)
    if crash is not None and record.crash is None:
        raise NotSeenError(f"a program would crash where the script runs: {crash.message}")
    if crash is None and record.crash is not None:
        walk.doubt(f"the crash of the script: {record.crash.message}")
    if any(fact.name == "penalty" for fact in record.facts):
        walk.doubt("a penalty on weights in the loss")
    if record.schedules:
        walk.doubt(f"the schedule {record.schedules[0][0]}")

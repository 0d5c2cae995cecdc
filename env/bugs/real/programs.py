"""The two programs of a bug from its facts.

``decay`` of an optimizer is left out, as the provenance says: it lowers the rate by at most a few percent
within a trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import TypeAlias, cast

from netmend.env.bugs.real.layers import features_first, to_layers
from netmend.env.errors import NetmendError
from netmend.env.program import (
    DEFAULT_LR,
    LOSSES,
    OPTIMIZERS,
    PREPS,
    ApiLevel,
    Clip,
    Data,
    LabelEncoding,
    Loop,
    LossName,
    MetricName,
    MisfitError,
    Optimizer,
    OptimizerName,
    Prep,
    Program,
    Task,
    prepared_task,
)
from netmend.env.program.names import InputType, SplitKind

Facts: TypeAlias = Mapping[str, object]

BYTE, KEYPOINT = 1 / 255, 1 / 48
STEPS: dict[str, tuple[Prep, ...]] = {
    "x/255": (Prep(kind="scale", factor=BYTE),),
    "x/255 (train and test)": (Prep(kind="scale", factor=BYTE),),
    "x/255 (already 0..1)": (Prep(kind="scale", factor=BYTE),),
    "x_train/255": (Prep(kind="scale", factor=BYTE, rows="train"),),
    "y_train/255": (Prep(kind="scale_target", factor=BYTE),),
    "y=(y-48)/48": (Prep(kind="scale_target", factor=KEYPOINT),),
    "standard-scale x": (Prep(kind="standardize"),),
    "standard-scale y": (Prep(kind="standardize_target"),),
    "scale x to a small range": (Prep(kind="min_max"),),
    "append channel axis": (Prep(kind="add_axis"),),
    "append feature axis": (Prep(kind="add_axis"),),
    "reshape to 1,28,28": (Prep(kind="channels_first"),),
}
"""Preparation in the words of the facts; ``channels_first`` of channels that come first is Keras's order."""
DONE = frozenset(
    {
        "none",
        "none (0..255)",
        "no scaling",
        "label-encode 8 categorical columns",
        "label-encode 8 columns",
        "fill NaN",
        "shear/zoom/flip augmentation",
        "x_test not scaled",
        "wrap padding by 1",
        "multi-hot 10000 words",
        "bag of words 100",
        "in-graph scaling",
        "circle coordinates in -1..1",
        "reshape to 28,28,1",
        "shuffle rows before the split",
        "reshape x and y to column vectors",
        "data created channels-last",
        "keep arrays",
        "predict: add a batch axis",
        "predict: transpose (3,1) to (1,3)",
        "predict: slice instead of index",
    }
)
"""What the dataset already is, or what stands elsewhere in a program."""
SPLIT = {"rows ordered by class; last 20% held out": "ordered"}
INPUT_TYPE = {"arrays converted to Python lists": "list"}
PREDICT: dict[str, Loop] = {
    "predict: add a batch axis": Loop(predict="row"),
    "predict: transpose (3,1) to (1,3)": Loop(predict="transposed"),
    "predict: slice instead of index": Loop(predict="row"),
}
"""The loop of a program without such a step, where the other program has the step."""
NAMES = {"mean_squared_error": "mse", "mean_absolute_error": "mae"}
METRIC = {"val_accuracy": "accuracy", "binary_accuracy": "accuracy"}


def to_programs(facts: Facts, task: Task) -> tuple[Program, Program]:
    """The faulty and the fixed program of a bug.

    A declared row shape is written only where it is wrong in one of them: else it is what the data give.

    Raises:
        NetmendError: something that has no counterpart; the message names it.
    """
    both = _told(facts, "faulty"), _told(facts, "faulty") | _told(facts, "fixed")
    port = cast(Facts, facts["port"])
    told = [_ported(each, port, key) for each, key in zip(both, ("faulty", "fixed"), strict=True)]
    predicts = {step for each in told for step in _steps(each) if step in PREDICT}
    faulty, fixed = (_program(each, task, predicts) for each in told)
    shapes = {program.input for program in (faulty, fixed)}
    if len(shapes) > 1 or any(_misfits(program, task) for program in (faulty, fixed)):
        return faulty, fixed
    return _undeclared(faulty), _undeclared(fixed)


def _told(facts: Facts, key: str) -> dict[str, object]:
    return dict(cast(Facts, facts[key]))


def _ported(told: Facts, port: Facts, key: str) -> Facts:
    """The facts of one program with what the port changes."""
    told = {**told, **cast(Facts, port.get("both", {})), **cast(Facts, port.get(key, {}))}
    changes = {str(old): str(new) for old, new in cast(Facts, port.get("replace", {})).items()}
    layers = [_replaced(text.strip(), changes) for text in str(told["layers"]).split(";")]
    if "append" in port:
        layers.append(str(port["append"]))
    return {**told, "layers": "; ".join(layers)}


def _replaced(layer: str, changes: Mapping[str, str]) -> str:
    """A layer with its first words changed, the longest that are named."""
    for old in sorted(changes, key=len, reverse=True):
        if layer == old or layer.startswith(f"{old} "):
            return changes[old] + layer[len(old) :]
    return layer


def _program(told: Facts, task: Task, predicts: set[str]) -> Program:
    layers = to_layers(str(told["layers"]))
    declared = cast("list[int] | None", told.get("input"))
    missing = [PREDICT[step] for step in predicts - set(_steps(told))]
    optimizer = cast(Facts, told["optimizer"])
    return Program(
        data=_data(told, task, declared),
        layers=layers,
        loss=cast(LossName, _one_of(str(told["loss"]), LOSSES)),
        optimizer=_optimizer(optimizer),
        batch_size=_int(told["batch_size"]),
        epochs=_int(told["epochs"]),
        clip=Clip(kind="norm", limit=_float(optimizer["clipnorm"])) if "clipnorm" in optimizer else None,
        metric=cast(MetricName, METRIC.get(str(told["metric"]), _short(str(told["metric"])))),
        input=None if declared is None else features_first(declared),
        loop=missing[0] if missing else Loop(),
        api=cast(ApiLevel, told.get("api", "current")),
    )


def _data(told: Facts, task: Task, declared: list[int] | None) -> Data:
    steps = _steps(told)
    prep = [prep for step in steps for prep in _prep(step)]
    if declared is not None and len(declared) == 1 and declared[0] == prod(task.input_shape) > 1:
        prep += [Prep(kind="flatten")] if len(task.input_shape) > 1 else []
    labels = str(told.get("labels", ""))
    if "extra axis" in labels:
        prep.append(Prep(kind="add_axis_target"))
    return Data(
        dataset=task.dataset,
        prep=tuple(prep),
        labels=_labels(labels, task),
        input_type=cast(InputType, next((INPUT_TYPE[s] for s in steps if s in INPUT_TYPE), "auto")),
        split=cast(SplitKind, next((SPLIT[s] for s in steps if s in SPLIT), "random")),
    )


def _labels(words: str, task: Task) -> LabelEncoding:
    if task.kind != "classification":
        return "value"
    return "one_hot" if words.startswith("one-hot") else "index"


def _steps(told: Facts) -> list[str]:
    return [str(step) for step in cast("list[object]", told.get("prep", []))]


def _prep(step: str) -> tuple[Prep, ...]:
    """A step of the facts, or one of netmend's own with its number: ``resize 11``, ``shift_target 1``."""
    if step in DONE or step in SPLIT or step in INPUT_TYPE:
        return ()
    if step in STEPS:
        return STEPS[step]
    name, _, number = step.partition(" ")
    if name not in PREPS:
        raise NetmendError(f"preparation {step!r} has no counterpart")
    if not number:
        return (Prep(kind=name),)
    return (Prep(kind=name, size=int(number)) if name == "resize" else Prep(kind=name, factor=float(number)),)


def _optimizer(told: Facts) -> Optimizer:
    kind = cast(OptimizerName, _one_of(str(told["name"]), OPTIMIZERS))
    rate = DEFAULT_LR[kind] if told["lr"] == "default" else _float(told["lr"])
    momentum, nesterov = _float(told.get("momentum", 0.0)), bool(told.get("nesterov", False))
    return Optimizer(kind=kind, lr=rate, momentum=momentum, nesterov=nesterov)


def _misfits(program: Program, task: Task) -> bool:
    """Whether the declared row shape is not that of the rows."""
    try:
        rows = prepared_task(program, task).input_shape
    except MisfitError:
        return True
    return program.input is not None and program.input != rows


def _undeclared(program: Program) -> Program:
    return replace(program, input=None)


def _one_of(name: str, names: tuple[str, ...]) -> str:
    name = _short(name)
    if name not in names:
        raise NetmendError(f"{name!r} has no counterpart")
    return name


def _short(name: str) -> str:
    return NAMES.get(name, name)


def _int(value: object) -> int:
    return int(cast(int, value))


def _float(value: object) -> float:
    return float(cast(float, value))

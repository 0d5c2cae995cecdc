"""Mutation operators for everything but the network: hyper-parameters, loss, optimizer, data."""

from __future__ import annotations

from dataclasses import replace

from netmend.env.bugs.mutation import Draw, Mutation, Operator
from netmend.env.program.names import LOSSES, OPTIMIZERS, LabelEncoding, LossName, OptimizerName
from netmend.env.program.schema import Clip, Optimizer, Prep, Program
from netmend.env.program.task import Task

FIRST_LOSSES = tuple(name for name in LOSSES if name != "sparse_categorical_crossentropy")
"""Those of the time of ``mutants-v1``, whose recipe must go on giving the same draws."""
FULL_BATCH = 4096
"""More rows than any trial has."""
KERAS_LR: dict[OptimizerName, float] = dict.fromkeys(OPTIMIZERS, 0.001) | {"sgd": 0.01}


def _batch_size(draw: Draw) -> Mutation | None:
    old = draw.program.batch_size
    size = draw.pick([size for size in (1, 2, 4, 128, 256) if not old / 2 <= size <= old * 2])
    return None if size is None else set_batch(draw.program, size)


def _no_batches(draw: Draw) -> Mutation | None:
    return set_batch(draw.program, FULL_BATCH)


def _learning_rate(draw: Draw) -> Mutation | None:
    factor = (0.001, 0.003, 0.01, 0.03, 10.0, 30.0, 100.0)[int(draw.rng.integers(7))]
    return _set_lr(draw.program, draw.program.optimizer.lr * factor)


def _extreme_rate(draw: Draw) -> Mutation | None:
    exponent = draw.rng.uniform(0, 1) if draw.rng.random() < 0.5 else draw.rng.uniform(-10, -6)
    return _set_lr(draw.program, 10.0**exponent)


def _set_lr(program: Program, lr: float) -> Mutation:
    return set_lr(program, float(f"{lr:.2g}"))


def set_batch(program: Program, size: int) -> Mutation:
    """Another batch size."""
    return Mutation(
        description=f"batch_size {program.batch_size} -> {size}",
        touches=frozenset({"batch_size"}),
        apply=lambda p: replace(p, batch_size=size),
    )


def set_lr(program: Program, lr: float) -> Mutation:
    """Another learning rate."""
    return Mutation(
        description=f"learning rate {program.optimizer.lr:g} -> {lr:g}",
        touches=frozenset({"lr"}),
        apply=lambda p: replace(p, optimizer=replace(p.optimizer, lr=lr)),
    )


def _epochs(draw: Draw) -> Mutation | None:
    return set_epochs(draw.program, (1, 2, 3)[int(draw.rng.integers(3))])


def set_epochs(program: Program, epochs: int) -> Mutation:
    """Another number of epochs."""
    return Mutation(
        description=f"epochs {program.epochs} -> {epochs}",
        touches=frozenset({"epochs"}),
        apply=lambda p: replace(p, epochs=epochs),
    )


def _patience(draw: Draw) -> Mutation | None:
    return None if draw.program.patience is None else set_patience(draw.program, 1)


def set_patience(program: Program, patience: int) -> Mutation:
    """Another patience."""
    return Mutation(
        description=f"patience {program.patience} -> {patience}",
        touches=frozenset({"patience"}),
        apply=lambda p: replace(p, patience=patience),
    )


def _loss(draw: Draw) -> Mutation | None:
    # a class id is no target of the many-class losses on probabilities: those get one-hot rows, as in Keras
    loss = draw.pick([name for name in FIRST_LOSSES if name != draw.program.loss])
    return None if loss is None else set_loss(draw.program, draw.task, loss)


def set_loss(program: Program, task: Task, loss: LossName, labels: LabelEncoding | None = None) -> Mutation:
    """Another loss, with labels in a form that it takes where no other is wanted."""
    labels = labels or _labels_for(loss, program.data.labels, task)
    return Mutation(
        description=f"loss {program.loss} -> {loss}",
        touches=frozenset({"loss", "labels"}),
        apply=lambda p: replace(p, loss=loss, data=replace(p.data, labels=labels)),
    )


def _labels_for(loss: LossName, labels: LabelEncoding, task: Task) -> LabelEncoding:
    if task.kind == "regression" or labels == "value":
        return labels
    return "index" if loss == "cross_entropy" or task.outputs == 2 else "one_hot"


def _optimizer(draw: Draw) -> Mutation | None:
    old = draw.program.optimizer
    kind = draw.pick([name for name in OPTIMIZERS if name != old.kind])
    if kind is None:
        return None
    return set_optimizer(draw.program, kind, KERAS_LR[kind] if draw.rng.random() < 0.5 else old.lr)


def set_optimizer(program: Program, kind: OptimizerName, lr: float) -> Mutation:
    """Another optimizer with its default parameters but for the rate."""
    old, new = program.optimizer, Optimizer(kind=kind, lr=lr)
    return Mutation(
        description=f"optimizer {old.kind} (lr {old.lr:g}) -> {kind} (lr {lr:g})",
        touches=frozenset({"optimizer", "lr", "momentum", "weight_decay"}),
        apply=lambda p: replace(p, optimizer=new),
    )


def _clip(draw: Draw) -> Mutation | None:
    limit = (0.5, 0.1, 0.01, 0.001)[int(draw.rng.integers(4))]
    return set_clip(Clip(kind="norm" if draw.rng.random() < 0.5 else "value", limit=limit))


def set_clip(clip: Clip) -> Mutation:
    """Gradient clipping."""
    return Mutation(
        description=f"gradient clipped by {clip.kind} at {clip.limit:g}",
        touches=frozenset({"clip"}),
        apply=lambda p: replace(p, clip=clip),
    )


def _momentum(draw: Draw) -> Mutation | None:
    old = draw.program.optimizer.momentum
    momentum = draw.pick([m for m in (0.0, 0.99, 0.999) if m != old])
    if momentum is None or draw.program.optimizer.kind not in ("sgd", "rmsprop"):
        return None
    return Mutation(
        description=f"momentum {old:g} -> {momentum:g}",
        touches=frozenset({"momentum"}),
        apply=lambda p: replace(p, optimizer=replace(p.optimizer, momentum=momentum)),
    )


def _weight_decay(draw: Draw) -> Mutation | None:
    decay = (0.05, 0.3, 1.0, 5.0)[int(draw.rng.integers(4))]
    return Mutation(
        description=f"weight decay {draw.program.optimizer.weight_decay:g} -> {decay:g}",
        touches=frozenset({"weight_decay"}),
        apply=lambda p: replace(p, optimizer=replace(p.optimizer, weight_decay=decay)),
    )


def _no_scaling(draw: Draw) -> Mutation | None:
    return _drop_prep(draw.program, target=False)


def _no_target_scaling(draw: Draw) -> Mutation | None:
    return _drop_prep(draw.program, target=True)


def _drop_prep(program: Program, *, target: bool) -> Mutation | None:
    kept = tuple(step for step in program.data.prep if step.kind.endswith("_target") != target)
    if kept == program.data.prep:
        return None
    part = "targets" if target else "inputs"

    def apply(p: Program) -> Program:
        steps = tuple(step for step in p.data.prep if step.kind.endswith("_target") != target)
        return replace(p, data=replace(p.data, prep=steps))

    return Mutation(description=f"{part} not scaled", touches=frozenset({f"prep of {part}"}), apply=apply)


def _wrong_scaling(draw: Draw) -> Mutation | None:
    if draw.task.vocabulary:
        return None
    shift = draw.rng.random() < 0.3
    factor = (-20.0, 20.0, 100.0, 500.0) if shift else (0.001, 0.01, 100.0, 255.0)
    step = Prep(kind="shift" if shift else "scale", factor=factor[int(draw.rng.integers(4))])
    return _add_prep(step, "inputs")


def _wrong_target_scaling(draw: Draw) -> Mutation | None:
    if draw.task.kind != "regression":
        return None
    return _add_prep(
        Prep(kind="scale_target", factor=(0.001, 0.01, 100.0, 1000.0)[int(draw.rng.integers(4))]), "targets"
    )


def _add_prep(step: Prep, part: str) -> Mutation:
    return Mutation(
        description=f"{part} prepared with one step too many: {step.kind} {step.factor:g}",
        touches=frozenset({f"prep of {part}"}),
        apply=lambda p: replace(p, data=replace(p.data, prep=(*p.data.prep, step))),
    )


def _no_shuffle(draw: Draw) -> Mutation | None:
    if not draw.program.data.shuffle:
        return None
    return Mutation(
        description="rows not shuffled",
        touches=frozenset({"shuffle"}),
        apply=lambda p: replace(p, data=replace(p.data, shuffle=False)),
    )


def _label_encoding(draw: Draw) -> Mutation | None:
    if draw.task.kind != "classification":
        return None
    labels: LabelEncoding = "index" if draw.program.data.labels == "one_hot" else "one_hot"
    return Mutation(
        description=f"labels {draw.program.data.labels} -> {labels}",
        touches=frozenset({"labels", "loss"}),
        apply=lambda p: replace(p, data=replace(p.data, labels=labels)),
    )


TRAINING_OPERATORS = (
    Operator(name="hbs", group="hyper-parameters", description="other batch size", propose=_batch_size),
    Operator(name="hdb", group="hyper-parameters", description="no batches", propose=_no_batches),
    Operator(name="hlr", group="hyper-parameters", description="other learning rate", propose=_learning_rate),
    Operator(
        name="hlx",
        group="hyper-parameters",
        description="extreme learning rate",
        propose=_extreme_rate,
        source="field",
    ),
    Operator(name="hne", group="hyper-parameters", description="fewer epochs", propose=_epochs),
    Operator(name="lch", group="loss", description="other loss", propose=_loss),
    Operator(name="och", group="optimizer", description="other optimizer", propose=_optimizer),
    Operator(name="ocg", group="optimizer", description="gradient clipping", propose=_clip),
    Operator(name="omo", group="optimizer", description="other momentum", propose=_momentum, source="field"),
    Operator(
        name="owd", group="optimizer", description="weight decay", propose=_weight_decay, source="field"
    ),
    Operator(name="rcp", group="regularisation", description="early stop at once", propose=_patience),
    Operator(name="dis", group="data", description="inputs not scaled", propose=_no_scaling, source="field"),
    Operator(
        name="diw", group="data", description="inputs scaled wrongly", propose=_wrong_scaling, source="field"
    ),
    Operator(
        name="dts", group="data", description="targets not scaled", propose=_no_target_scaling, source="field"
    ),
    Operator(
        name="dtw",
        group="data",
        description="targets scaled wrongly",
        propose=_wrong_target_scaling,
        source="field",
    ),
    Operator(name="dns", group="data", description="rows not shuffled", propose=_no_shuffle, source="field"),
    Operator(
        name="dle",
        group="data",
        description="labels in the wrong form",
        propose=_label_encoding,
        source="field",
    ),
)

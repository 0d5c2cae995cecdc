"""The loss, the optimizer and the fitting of a Keras model as fields of a program."""

from __future__ import annotations

from collections.abc import Hashable

from netmend.env.program import LOSS_KINDS, Clip, LossName, Optimizer, Schedule
from netmend.env.script.keras_names import ON_LOGITS, OPTIMIZERS
from netmend.env.script.lift.walk import CannotSayError, Walk
from netmend.env.script.record import LossCall, OptimizerMade, Record, Setting

_USUAL = {"epsilon": 1e-7, "amsgrad": False, "centered": False, "use_ema": False}
"""Numbers of an optimizer that a program does not set."""
_RHO = {"RMSprop": 0.9, "Adadelta": 0.95}
_HARMLESS = frozenset(
    ("ModelCheckpoint", "TensorBoard", "CSVLogger", "TerminateOnNaN", "BackupAndRestore", "History")
)
"""Callbacks that leave the training as it is."""
_SCORES = ("val_accuracy", "val_acc")


def keras_loss_name(loss: LossCall, walk: Walk) -> LossName:
    """The loss as a program calls it.

    Raises:
        CannotSayError: it has none.
    """
    name = next((name for name in LOSS_KINDS if name == loss.kind), None)
    if name is None:
        raise CannotSayError(f"the loss {loss.kind}")
    if loss.settings.get("label_smoothing"):
        walk.doubt(f"label_smoothing={loss.settings['label_smoothing']} of the loss")
    return ON_LOGITS.get(name, name) if loss.settings.get("from_logits") else name


def keras_optimizer(made: OptimizerMade, walk: Walk) -> Optimizer:
    """The optimizer and its numbers.

    Raises:
        CannotSayError: a program has none of its kind.
    """
    if made.kind not in OPTIMIZERS:
        raise CannotSayError(f"the optimizer {made.kind}")
    kind, settings = OPTIMIZERS[made.kind], made.settings
    usual = {**_USUAL, "rho": _RHO.get(made.kind)}
    for name, value in usual.items():
        if settings.get(name, value) != value:
            walk.doubt(f"{name}={settings[name]} of {made.kind}")
    decay = _number(settings.get("weight_decay"))
    if decay and kind != "adamw":
        walk.doubt(f"weight_decay of {made.kind}, which falls on the weights themselves in Keras")
    rate = settings.get("lr", settings.get("learning_rate.initial_learning_rate"))
    if rate is None:
        walk.doubt(f"the rate by {settings.get('learning_rate')}, taken for 0.001")
    return Optimizer(
        kind=kind,
        lr=_number(rate, 1e-3),
        momentum=_number(settings.get("momentum")),
        nesterov=bool(settings.get("nesterov", False)),
        beta1=_number(settings.get("beta_1"), 0.9),
        beta2=_number(settings.get("beta_2"), 0.999),
        weight_decay=decay,
    )


def _number(value: Setting, default: float = 0.0) -> float:
    return float(value) if isinstance(value, int | float) else default


def keras_course(record: Record, loss: LossName, walk: Walk) -> dict[str, Hashable]:
    """Fields of a program that ``fit`` and the optimizer decide beside batches and epochs."""
    fields: dict[str, Hashable] = {}
    settings, fit = record.optimizers[0].settings, record.fit
    clips = {name: _number(settings.get(name)) for name in ("global_clipnorm", "clipnorm", "clipvalue")}
    for name, limit in clips.items():
        if limit:
            fields["clip"] = Clip(kind="value" if name == "clipvalue" else "norm", limit=limit)
        if limit and name == "clipnorm":
            walk.doubt("clipnorm, which cuts the gradient of each weight by itself")
    schedule = settings.get("learning_rate")
    if isinstance(schedule, str):
        fields["schedule"] = _decay(schedule, settings, walk)
    weights = fit.get("class_weight")
    if isinstance(weights, tuple):
        fields["class_weights"] = weights
        if loss == "cross_entropy":
            walk.doubt("class_weight, whose mean a program takes over the weights")
    elif weights is not None:
        walk.doubt("class_weight of some classes")
    for name in fit:
        if name.startswith("callback."):
            fields |= _callback(name.removeprefix("callback."), record, walk)
    for name in ("steps_per_epoch", "initial_epoch"):
        if fit.get(name):
            walk.doubt(f"{name}={fit[name]} of fit")
    return fields


def _decay(kind: str, settings: dict[str, Setting], walk: Walk) -> Schedule | None:
    steps, rate = (_number(settings.get(f"learning_rate.{name}")) for name in ("decay_steps", "decay_rate"))
    if kind != "ExponentialDecay" or settings.get("learning_rate.staircase") or not steps or not rate:
        walk.doubt(f"the schedule {kind}")
        return None
    return Schedule(gamma=float(f"{rate ** (1 / steps):.9g}"), every="update")


def _callback(kind: str, record: Record, walk: Walk) -> dict[str, Hashable]:
    """What a callback is in a program."""
    fit = record.fit
    held = bool(fit.get("validation_split") or fit.get("validation_data"))
    watched, patience = fit.get(f"{kind}.monitor"), int(_number(fit.get(f"{kind}.patience")))
    known = bool(fit[f"callback.{kind}"])
    if known and kind in _HARMLESS:
        return {}
    if known and kind == "EarlyStopping" and watched in ("val_loss", *_SCORES):
        if fit.get(f"{kind}.restore_best_weights"):
            walk.doubt("the best weights, which are put back at the end")
        if not held:
            walk.doubt("an early stopping without a validation part")
            return {}
        return {"patience": max(patience, 1), "stop_on": "loss" if watched == "val_loss" else "metric"}
    if known and kind == "ReduceLROnPlateau" and watched == "val_loss" and held:
        gamma, floor = _number(fit.get(f"{kind}.factor"), 0.1), _number(fit.get(f"{kind}.min_lr"))
        return {"schedule": Schedule(gamma=gamma, every="plateau", patience=max(patience, 1), floor=floor)}
    walk.doubt(f"the callback {kind}" + f" by {watched}" * (watched is not None))
    return {}

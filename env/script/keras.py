"""Records Keras: layers from their configuration, ``fit`` as the loop. The script alone imports Keras."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netmend.env.script.arrays import follow
from netmend.env.script.importing import AfterImport
from netmend.env.script.keras_model import (
    Network,
    is_chain,
    read_fit,
    read_loss,
    read_optimizer,
    rows_of,
    unsayable,
)
from netmend.env.script.measure import describe
from netmend.env.script.passes import Pass
from netmend.env.script.record import Array, LoaderMade, Loop, LossCall, Operation, OptimizerMade, Setting
from netmend.env.script.site import Site
from netmend.env.script.stop import StopScript

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder


@dataclass
class KerasSeen:
    """What a Keras script has done.

    Attributes:
        made: where layers, models and optimizers were constructed, by id.
        compiled, fitted: where the model that is trained last was compiled and fitted.
        fit: see ``Record.fit``; opaque: what no program says of it.
        validation: network, rows and targets that are judged where the script compares nothing itself.
        withheld: whether these were kept from training.
    """

    made: dict[int, tuple[object, Site | None]] = field(default_factory=dict)
    compiled: dict[int, Site | None] = field(default_factory=dict)
    fitted: Site | None = None
    model: Any = None
    operations: tuple[Operation, ...] = ()
    modules: dict[str, str] = field(default_factory=dict)
    network: tuple[str, Site | None] = ("", None)
    loss: LossCall | None = None
    optimizer: OptimizerMade | None = None
    loader: LoaderMade | None = None
    loop: Loop | None = None
    inputs: Array | None = None
    fit: dict[str, Setting] = field(default_factory=dict)
    opaque: tuple[str, ...] = ()
    validation: tuple[Any, np.ndarray, np.ndarray] | None = None
    withheld: bool = False


_FIT = (
    *("batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data", "shuffle"),
    *("class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps"),
    *("validation_batch_size", "validation_freq"),
)
"""Arguments of ``fit`` behind the rows and the targets, in their order."""
_SHARE = 5
"""One row of so many is kept from training where the plan says so."""


def install_keras(recorder: Recorder) -> None:
    """Listen to Keras as soon as the script imports it."""
    sys.meta_path.insert(0, AfterImport("keras", lambda keras: _listen(keras, recorder)))


def _listen(keras: Any, recorder: Recorder) -> None:
    seen = recorder.keras = KerasSeen()
    operation = importlib.import_module("keras.src.ops.operation").Operation
    new, init = operation.__new__, keras.optimizers.Optimizer.__init__
    model = keras.Model
    compile_, fit, predict, evaluate = model.compile, model.fit, model.predict, model.evaluate

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        made = new(cls, *args, **kwargs)
        seen.made[id(made)] = made, recorder.frames.site(made)
        return made

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        seen.made[id(self)] = self, recorder.frames.site(self)

    def compiling(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.compiled[id(self)] = recorder.frames.site()
        return compile_(self, *args, **kwargs)

    def fitting(self: Any, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(_FIT, args, strict=False)), **kwargs}
        x, y = _without_withheld(recorder, seen, self, x, y, given)
        recorder.look_at_fit(self, x, y, given)
        callbacks = given.get("callbacks") or []
        given["callbacks"] = [
            *(callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]),
            _watch(keras, recorder),
        ]
        with recorder.resting():
            return fit(self, x, y, **given)

    def predicting(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        with recorder.resting():
            returned = predict(self, x, *args, **kwargs)
        return _passed(recorder, x, returned)

    def evaluating(self: Any, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        with recorder.resting():
            returned = evaluate(self, x, y, *args, **kwargs)
        rows, targets = rows_of(x), rows_of(y)
        if rows is not None and targets is not None:
            seen.validation, seen.withheld = (self, rows, targets), False
        return returned

    operation.__new__ = staticmethod(__new__)
    keras.optimizers.Optimizer.__init__ = __init__
    model.compile, model.fit, model.predict, model.evaluate = compiling, fitting, predicting, evaluating
    seen_predict = predict

    def judge() -> None:
        """The rows of ``evaluate`` or of the validation, where the script compares nothing itself."""
        if seen.validation is None:
            return
        network, x, y = seen.validation
        outputs = seen_predict(network, x, verbose=0)
        run = _pass(recorder, x, outputs)
        if run is not None:
            run.batch = _tensor(y)
            recorder.passes.begin(run, [])

    recorder.judge_keras = judge


def _pass(recorder: Recorder, x: Any, outputs: Any) -> Pass | None:
    if not isinstance(outputs, np.ndarray):
        return None
    rows = rows_of(x)
    given = None if rows is None else _tensor(rows)
    count, where = recorder.updates.count, recorder.frames.where()
    return Pass(given, torch.as_tensor(outputs), False, False, count, where, None, recorder.frames.site())


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))


def _passed(recorder: Recorder, x: Any, returned: Any) -> Any:
    run = _pass(recorder, x, returned)
    if run is None:
        return returned
    recorder.passes.begin(run, [])
    return follow(recorder.passes, (run,), returned)


def _watch(keras: Any, recorder: Recorder) -> Any:
    """A callback that counts updates, keeps the loss, and ends the training at the plan's cap."""

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self.sum = 0.0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            mean = float((logs or {}).get("loss", float("nan")))
            recorder.updates.losses.append(mean * (batch + 1) - self.sum)  # Keras gives the mean of the epoch
            self.sum = mean * (batch + 1)
            recorder.updates.count += 1
            recorder.updates.backwards += 1
            if recorder.plan.updates is not None and recorder.updates.count >= recorder.plan.updates:
                recorder.capped = True
                if recorder.plan.cap == "stop":
                    raise StopScript("capped")
                self.model.stop_training = True

    return Watch()


def _without_withheld(
    recorder: Recorder, seen: KerasSeen, model: Any, x: Any, y: Any, given: dict[str, Any]
) -> tuple[Any, Any]:
    """Rows and targets less those that the plan keeps from training, by which the network is judged."""
    rows, targets = rows_of(x), rows_of(y)
    if recorder.plan.withhold is None or given.get("sample_weight") is not None:
        return x, y
    if rows is None or targets is None or len(rows) != len(targets):
        return x, y
    order = np.random.default_rng(0).permutation(len(rows))
    held, kept = order[: len(rows) // _SHARE], np.sort(order[len(rows) // _SHARE :])
    seen.validation, seen.withheld = (model, rows[held], targets[held]), True
    return rows[kept], targets[kept]


def look_at_fit(
    recorder: Recorder, seen: KerasSeen, model: Any, x: Any, y: Any, given: dict[str, Any]
) -> None:
    """Read the model, its loss and optimizer, and what it is fitted to."""
    if seen.model is not model:  # one that was fitted before was made for this one
        seen.model = model
        recorder.passes.training_rows.clear()
        recorder.updates.losses.clear()
    site = recorder.frames.site()
    compiled = seen.compiled.get(id(model))
    rows, targets = rows_of(x), rows_of(y)
    batch = given.get("batch_size") or (None if rows is None else 32)
    seen.fitted = recorder.passes.forward = recorder.updates.backward_site = site
    seen.network = type(model).__name__, seen.made.get(id(model), (None, None))[1]
    seen.loader = LoaderMade(
        batch_size=batch,
        shuffle=bool(given.get("shuffle", True)),
        rows=None if rows is None else len(rows),
        made=site,
        trains=True,
    )
    if site is not None:
        seen.loop = Loop(kind="epochs", rounds=int(given.get("epochs") or 1), step=1, site=site)
    seen.fit = read_fit(given)
    _keep_rows(recorder, seen, rows, targets, given)
    if rows is not None and is_chain(model) and not model.built:
        with suppress(Exception):  # its first batch does the same, and shows what is wrong
            model.build((None, *rows.shape[1:]))
    network = Network(seen.made, batch or 0)
    network.read(model)
    seen.operations = tuple(network.operations)
    seen.modules = {
        "": type(model).__name__,
        **{one.module: one.kind for one in seen.operations if one.module},
    }
    seen.optimizer = read_optimizer(seen.made, model, compiled)
    blank = Array(shape=(), dtype="")
    output = seen.operations[-1].returned if seen.operations else blank
    target = blank if targets is None else describe(targets[: batch or None])
    seen.loss = read_loss(model, output, target, compiled, site)
    own = ["own loss"] if seen.loss is not None and not seen.loss.kind else []
    seen.opaque = (*network.opaque, *own, *unsayable(model, x, y, given))


def _keep_rows(
    recorder: Recorder,
    seen: KerasSeen,
    rows: np.ndarray | None,
    targets: np.ndarray | None,
    given: dict[str, Any],
) -> None:
    """Keep the rows of training, and those of the validation to judge by."""
    if rows is not None:
        seen.inputs = describe(rows[: given.get("batch_size") or 32])
    if rows is not None and targets is not None:
        held = float(given.get("validation_split") or 0)
        split = int(len(rows) * (1 - held))
        recorder.passes.training_rows.add(_tensor(rows[:split]), _tensor(targets[:split]))
        if held:
            seen.validation = seen.model, rows[split:], targets[split:]
    validation = given.get("validation_data")
    if isinstance(validation, (tuple, list)) and len(validation) > 1:
        x, y = map(rows_of, validation[:2])
        if x is not None and y is not None:
            seen.validation = seen.model, x, y

"""Records Keras: layers from their configuration, ``fit`` as the loop. The script alone imports Keras."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from netmend.env.script.arrays import follow
from netmend.env.script.importing import AfterImport
from netmend.env.script.measure import describe, plain_settings
from netmend.env.script.passes import Pass
from netmend.env.script.record import Array, LoaderMade, Loop, LossCall, Operation, OptimizerMade
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
    validation: tuple[Any, Any, Any] | None = None


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
        names = ("batch_size", "epochs", "verbose", "callbacks", "validation_split", "validation_data")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        recorder.look_at_fit(self, x, y, given)
        callbacks = given.get("callbacks") or []
        given["callbacks"] = [
            *(callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]),
            _watch(keras, recorder),
        ]
        with recorder.resting():
            return fit(self, x, y, *args[len(names) :], **given)

    def predicting(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        with recorder.resting():
            returned = predict(self, x, *args, **kwargs)
        return _passed(recorder, x, returned)

    def evaluating(self: Any, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        with recorder.resting():
            returned = evaluate(self, x, y, *args, **kwargs)
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            seen.validation = self, x, y
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
            run.batch = torch.as_tensor(np.asarray(y))
            recorder.passes.begin(run, [])

    recorder.judge_keras = judge


def _pass(recorder: Recorder, x: Any, outputs: Any) -> Pass | None:
    if not isinstance(outputs, np.ndarray):
        return None
    rows = torch.as_tensor(np.asarray(x)) if isinstance(x, np.ndarray) and x.dtype.kind in "biuf" else None
    return Pass(rows, torch.as_tensor(outputs), False, False, recorder.updates.count, recorder.frames.where())


def _passed(recorder: Recorder, x: Any, returned: Any) -> Any:
    recorder.evaluated = recorder.evaluated or recorder.frames.site()
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
                recorder.cap()
                if recorder.plan.cap == "stop":
                    raise StopScript("capped")
                self.model.stop_training = True

    return Watch()


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
    batch = given.get("batch_size") or (32 if isinstance(x, np.ndarray) else None)
    seen.fitted = recorder.forward = recorder.updates.backward_site = site
    seen.network = type(model).__name__, seen.made.get(id(model), (None, None))[1]
    seen.modules = {"": type(model).__name__, **{layer.name: type(layer).__name__ for layer in model.layers}}
    seen.operations = tuple(_operations(seen, model, batch or 0))
    rows = len(x) if isinstance(x, np.ndarray) else None
    shuffle = bool(given.get("shuffle", True))
    seen.loader = LoaderMade(batch_size=batch, shuffle=shuffle, rows=rows, made=site, trains=True)
    if site is not None:
        seen.loop = Loop(kind="epochs", rounds=int(given.get("epochs") or 1), step=1, site=site)
    seen.optimizer = _optimizer(seen, model, compiled)
    target = Array(shape=(), dtype="") if not isinstance(y, np.ndarray) else describe(y[: batch or None])
    output = seen.operations[-1].returned if seen.operations else Array(shape=(), dtype="")
    seen.loss = _loss(model, output, target, compiled, site)
    if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        seen.inputs = describe(x[: batch or None])
        held = float(given.get("validation_split") or 0)
        split = int(len(x) * (1 - held))
        if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":
            recorder.passes.training_rows.add(torch.as_tensor(x[:split]), torch.as_tensor(y[:split]))
            if held:
                seen.validation = model, x[split:], y[split:]
    validation = given.get("validation_data")
    if isinstance(validation, (tuple, list)) and all(isinstance(part, np.ndarray) for part in validation[:2]):
        seen.validation = model, validation[0], validation[1]


def _operations(seen: KerasSeen, model: Any, batch: int) -> list[Operation]:
    places: dict[int, int] = {}
    found: list[Operation] = []
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            places[id(layer)] = -1
            continue
        inputs = [places[id(one)] for one in _behind(layer) if id(one) in places]
        kernel = getattr(layer, "kernel", None)
        found.append(
            Operation(
                kind=type(layer).__name__,
                module=layer.name,
                owner="",
                settings=plain_settings(_config(layer).items()),
                inputs=tuple(dict.fromkeys(inputs)) or (len(found) - 1,),
                received=_array(getattr(layer, "input", None), batch),
                returned=_array(getattr(layer, "output", None), batch),
                made=seen.made.get(id(layer), (None, None))[1],
                called=None,
                trainable=_size(layer.trainable_weights),
                frozen=0 if layer.trainable else _size(layer.weights),
                weights=None if kernel is None else _spread(kernel),
            )
        )
        places[id(layer)] = len(found) - 1
    return found


def _size(weights: Sequence[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _behind(layer: Any) -> list[Any]:
    """The layers that feed a layer, where the model is functional."""
    nodes = getattr(layer, "_inbound_nodes", [])
    return [tensor._keras_history.operation for tensor in nodes[0].input_tensors] if nodes else []


def _config(layer: Any) -> dict[str, Any]:
    try:
        config = dict(layer.get_config())
    except Exception:  # a layer of the script's own may have none
        return {}
    for name, value in config.items():
        if isinstance(value, dict) and "class_name" in value:
            config[name] = value["class_name"]
    return config


def _array(tensor: Any, batch: int) -> Array:
    one = tensor[0] if isinstance(tensor, (list, tuple)) and tensor else tensor
    shape = tuple(batch if size is None else int(size) for size in getattr(one, "shape", ()))
    return Array(shape=shape, dtype=str(getattr(one, "dtype", "")))


def _spread(kernel: Any) -> tuple[float, float]:
    values = torch.as_tensor(kernel.value).detach().double()
    return float(values.mean()), float(values.std(correction=0))


def _optimizer(seen: KerasSeen, model: Any, compiled: Site | None) -> OptimizerMade | None:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    made = seen.made.get(id(optimizer), (None, None))[1]
    return OptimizerMade(
        kind=type(optimizer).__name__,
        settings=plain_settings(_config(optimizer).items()),
        made=made or compiled,
        given=tuple(variable.path for variable in model.trainable_variables),
    )


def _loss(
    model: Any, output: Array, target: Array, compiled: Site | None, site: Site | None
) -> LossCall | None:
    loss = getattr(model, "loss", None)
    if loss is None:
        return None
    kind = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    settings = plain_settings(_config(loss).items()) if hasattr(loss, "get_config") else {}
    settings = {
        name: value
        for name, value in settings.items()
        if name in ("from_logits", "label_smoothing") and value
    }
    return LossCall(
        kind=str(kind), settings=settings, output=output, target=target, made=compiled, called=site
    )

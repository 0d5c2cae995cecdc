"""A Keras model as a record says it: its layers in order, loss, optimizer, and what ``fit`` was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch

from netmend.env.script.keras_names import loss_named
from netmend.env.script.measure import plain_settings
from netmend.env.script.record import Array, LossCall, Operation, OptimizerMade, Setting
from netmend.env.script.site import Site

Made: TypeAlias = Mapping[int, tuple[object, Site | None]]
"""Where layers and optimizers were constructed, by id."""
_LEFT_OUT = frozenset(("seed", "dtype", "module", "registered_name", "quantization_config"))
_OF_A_LOSS = ("from_logits", "label_smoothing")
_OF_A_CALLBACK = ("monitor", "patience", "factor", "min_lr", "min_delta", "restore_best_weights")
_OF_FIT = ("validation_split", "steps_per_epoch", "initial_epoch")


def rows_of(values: object) -> np.ndarray | None:
    """Numbers as an array: of NumPy, a tensor, or a table of pandas; None of anything else."""
    try:
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        elif hasattr(values, "to_numpy"):
            values = values.to_numpy()
    except Exception:  # a stranger's object may raise anything
        return None
    return values if isinstance(values, np.ndarray) and values.dtype.kind in "biuf" else None


def is_chain(model: object) -> bool:
    """Whether a model is a ``Sequential``."""
    return any(kind.__name__ == "Sequential" for kind in type(model).__mro__)


@dataclass
class Network:
    """The operations of a model.

    Attributes:
        made: see ``Made``; batch: rows of a batch, 0 where that is not known.
        operations: in order.
        opaque: what no program says, by name.
    """

    made: Made
    batch: int
    operations: list[Operation] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    _places: dict[int, int] = field(default_factory=dict)

    def read(self, model: Any, start: int = -1, prefix: str = "") -> int:
        """Add the layers of a model, those of a ``Sequential`` inside it one by one.

        Args:
            model: a ``Sequential`` or a functional model.
            start: the operation that it takes, -1 for the rows.
            prefix: in front of the names of its layers.

        Returns:
            the operation that gives what it returns.
        """
        chain, last = is_chain(model), start
        if not chain and not hasattr(model, "operations"):
            self._name("a network with a call of its own")
            return last
        calls = () if chain else (id(one) for nodes in model._nodes_by_depth.values() for one in nodes)
        own = frozenset(calls)
        for layer in model.layers if chain else model.operations:
            if type(layer).__name__ == "InputLayer":
                self._places[id(layer)] = start
                continue
            inputs = () if chain else tuple(self._behind(layer, own))
            inputs = inputs or (last,)
            if is_chain(layer):
                last = self.read(layer, inputs[0], f"{prefix}{layer.name}.")
            else:
                self.operations.append(self._operation(layer, f"{prefix}{layer.name}", inputs))
                last = len(self.operations) - 1
            self._places[id(layer)] = last
        return last

    def _name(self, reason: str) -> None:
        if reason not in self.opaque:
            self.opaque.append(reason)

    def _behind(self, layer: Any, calls: frozenset[int]) -> Iterator[int]:
        """The operations that feed one of a functional model, whose calls of layers have these ids."""
        nodes = [node for node in layer._inbound_nodes if id(node) in calls]
        if len(nodes) > 1:
            self._name("a layer that is applied several times")
        feeding = [tensor._keras_history.operation for node in nodes[:1] for tensor in node.input_tensors]
        yield from dict.fromkeys(self._places[id(one)] for one in feeding if id(one) in self._places)

    def _operation(self, layer: Any, name: str, inputs: tuple[int, ...]) -> Operation:
        kernel, trainable = getattr(layer, "kernel", None), getattr(layer, "trainable_weights", ())
        return Operation(
            kind=type(layer).__name__,
            module=name,
            owner="",
            settings=settings_of(layer),
            inputs=inputs,
            received=self._array(layer, "input"),
            returned=self._array(layer, "output"),
            made=self.made.get(id(layer), (None, None))[1],
            called=None,
            trainable=_size(trainable),
            frozen=0 if getattr(layer, "trainable", True) else _size(layer.weights),
            weights=None if kernel is None else _spread(kernel),
        )

    def _array(self, layer: Any, side: str) -> Array:
        try:
            tensor = getattr(layer, side)
        except (AttributeError, ValueError):  # it was never called on anything
            tensor = None
        one = tensor[0] if isinstance(tensor, (list, tuple)) and tensor else tensor
        shape = tuple(self.batch if size is None else int(size) for size in getattr(one, "shape", ()))
        return Array(shape=shape, dtype=str(getattr(one, "dtype", "")))


def _size(weights: Sequence[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _spread(kernel: Any) -> tuple[float, float]:
    values = torch.as_tensor(kernel.value).detach().double()
    return float(values.mean()), float(values.std(correction=0))


def settings_of(part: Any) -> dict[str, Setting]:
    """What a layer, an optimizer or a loss says of itself; parts of it behind a dot.

    ``kernel_regularizer`` is the class of one, and ``kernel_regularizer.l2`` its factor.
    """
    try:
        config = dict(part.get_config())
    except Exception:  # one of the script's own may have none
        return {}
    return plain_settings(_flat(config))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in config.items():
        if name in _LEFT_OUT:
            continue
        if not isinstance(value, dict) or "class_name" not in value:
            yield prefix + name, value
            continue
        inner = value.get("config")
        yield prefix + name, inner if value["class_name"] == "function" else value["class_name"]
        if isinstance(inner, dict):
            yield from _flat(inner, f"{prefix}{name}.")


def read_optimizer(made: Made, model: Any, compiled: Site | None) -> OptimizerMade | None:
    """The optimizer of a compiled model; its rate without what float32 adds to it."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    settings = settings_of(optimizer)
    rate = settings.get("learning_rate")
    if isinstance(rate, float):
        settings["learning_rate"] = settings["lr"] = float(f"{rate:.6g}")
    return OptimizerMade(
        kind=type(optimizer).__name__,
        settings=settings,
        made=made.get(id(optimizer), (None, None))[1] or compiled,
        given=tuple(variable.path for variable in model.trainable_variables),
    )


def read_loss(
    model: Any, output: Array, target: Array, compiled: Site | None, site: Site | None
) -> LossCall | None:
    """The loss of a compiled model, as programs or else Keras call it; nameless where it is another's."""
    loss = getattr(model, "loss", None)
    if loss is None:
        return None
    settings = settings_of(loss) if hasattr(loss, "get_config") else {}
    kept: dict[str, Setting] = {
        name: value for name, value in settings.items() if name in _OF_A_LOSS and value
    }
    if settings.get("reduction", "sum_over_batch_size") != "sum_over_batch_size":
        kept["reduction"] = settings["reduction"]
    return LossCall(
        kind=_loss_kind(loss), settings=kept, output=output, target=target, made=compiled, called=site
    )


def _loss_kind(loss: Any) -> str:
    if isinstance(loss, str):
        return loss_named(loss) or loss
    own = loss if hasattr(loss, "__name__") else type(loss)
    if not str(getattr(own, "__module__", "")).startswith("keras."):
        return ""
    return loss_named(own.__name__) or str(own.__name__)


def read_fit(given: Mapping[str, Any]) -> dict[str, Setting]:
    """What ``fit`` was given beside its rows, batch size and epochs; see ``Record.fit``."""
    found: dict[str, Setting] = {name: given[name] for name in _OF_FIT if given.get(name)}
    for name in ("validation_data", "sample_weight"):
        if given.get(name) is not None:
            found[name] = True
    weights = given.get("class_weight")
    if isinstance(weights, Mapping) and weights:
        in_order = sorted(weights) == list(range(len(weights)))
        found["class_weight"] = (
            tuple(float(weights[number]) for number in range(len(weights))) if in_order else "some classes"
        )
    callbacks = given.get("callbacks") or ()
    for callback in callbacks if isinstance(callbacks, (list, tuple)) else (callbacks,):
        kind = type(callback).__name__
        known = ((name, value) for name, value in vars(callback).items() if name in _OF_A_CALLBACK)
        found[f"callback.{kind}"] = str(type(callback).__module__).startswith("keras.")
        found |= {f"{kind}.{name}": value for name, value in plain_settings(known).items()}
    return found


def unsayable(model: Any, x: object, y: object, given: Mapping[str, Any]) -> Iterator[str]:
    """What no program says of how a model is fitted, by name."""
    if isinstance(x, (list, tuple, dict)) or len(getattr(model, "inputs", None) or ()) > 1:
        yield "several inputs"
    elif rows_of(x) is None:
        yield "rows that are no array of numbers"
    if isinstance(y, dict) or len(getattr(model, "outputs", None) or ()) > 1:
        yield "several outputs"
    elif rows_of(x) is not None and rows_of(y) is None:
        yield "targets that are no array of numbers"
    if not type(model).train_step.__module__.startswith("keras."):
        yield "a training step of its own"
    if given.get("sample_weight") is not None:
        yield "weights of single rows"

"""Outputs of the network that the script has taken to NumPy: followed to their comparison with the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from netmend.env.script.importing import after_import
from netmend.env.script.passes import GOOD_SCORES, Pass, Passes

_COMPARISONS = (np.equal, np.not_equal, np.subtract)
_JOINS = (np.concatenate, np.vstack, np.hstack, np.stack, np.append)


class Followed(np.ndarray[Any, Any]):
    """An array that comes from forward passes. It behaves like any other array.

    Attributes:
        passes: is told when it is compared; runs: from which it comes.
    """

    passes: Passes | None
    runs: tuple[Pass, ...]

    def __array_finalize__(self, obj: object) -> None:
        """Views and copies come from where their original comes from."""
        self.passes = getattr(obj, "passes", None)
        self.runs = getattr(obj, "runs", ())

    def __array_ufunc__(self, ufunc: np.ufunc, method: Any, *inputs: Any, **kwargs: Any) -> Any:
        """Compute as on plain arrays, and tell of a comparison with something of the same size."""
        plain = [np.asarray(value) if isinstance(value, Followed) else value for value in inputs]
        if kwargs.get("out"):
            kwargs["out"] = tuple(np.asarray(value) for value in kwargs["out"])
        returned = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc in _COMPARISONS and len(inputs) == 2 and self.passes is not None:
            others = [value for value in inputs if not isinstance(value, Followed)]
            if len(others) == 1 and isinstance(others[0], np.ndarray) and others[0].size == self.size:
                compared(self.passes, self.runs, np.asarray(self), others[0], same=ufunc is not np.subtract)
                return returned
        return follow(self.passes, self.runs, returned)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Compute as on plain arrays; several that are joined come from where each comes from."""
        returned = super().__array_function__(func, types, args, kwargs)
        if func not in _JOINS or kwargs.get("out") is not None or type(returned) not in _PLAIN:
            return returned  # it may be NotImplemented
        given = (*args, *kwargs.values())
        parts = given if func is np.append else given[0]
        parts = [parts] if isinstance(parts, Followed) else parts  # its rows come from where it comes from
        runs = [run for part in parts if isinstance(part, Followed) for run in part.runs]
        return follow(self.passes, tuple(dict.fromkeys(runs)), np.asarray(returned))


_PLAIN = (np.ndarray, Followed)


def follow(passes: Passes | None, runs: tuple[Pass, ...], value: object) -> object:
    """The value, followed where it is an array."""
    if type(value) is not np.ndarray or not runs:
        return value
    found = value.view(Followed)
    found.passes, found.runs = passes, runs
    return found


def compared(
    passes: Passes, runs: tuple[Pass, ...], value: np.ndarray, labels: np.ndarray, *, same: bool
) -> None:
    """What became of outputs was compared with labels, where these are numbers."""
    if _are_numbers(value) and _are_numbers(labels):
        with torch._C.DisableTorchFunction():
            passes.compared(runs, _tensor(value), _tensor(labels), same=same)


def _are_numbers(values: np.ndarray) -> bool:
    """Whether they are real numbers that Torch takes."""
    return values.dtype.kind in "biuf" and values.dtype.isnative and values.dtype != np.longdouble


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(values))


def install_metrics(passes: Passes) -> None:
    """Listen to the scores of scikit-learn, as soon as it is there."""

    def listen(home: Any) -> None:
        for name in GOOD_SCORES:
            setattr(home, name, _listening(getattr(home, name), name, passes))

    after_import("sklearn.metrics", listen)


def _listening(score: Callable[..., object], name: str, passes: Passes) -> Callable[..., object]:
    def listening(*args: Any, **kwargs: Any) -> object:
        value = score(*args, **kwargs)
        truth = args[0] if args else kwargs.get("y_true")
        labels = np.asarray(truth)
        if _are_numbers(labels) and labels.ndim and isinstance(value, (float, np.floating)):
            with torch._C.DisableTorchFunction():
                if len(args) > 1 and isinstance(args[1], Followed) and _are_numbers(args[1]):
                    passes.ordered(args[1].runs, _tensor(np.asarray(args[1])), _tensor(labels))
                passes.measured(name.removesuffix("_score"), torch.as_tensor(labels), float(value))
        return value

    return listening

"""Watches every function of torch that the script or its modules call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_MOVES = ("cuda", "pin_memory")


class Listener(Protocol):
    """What is told of the calls. Its methods raise nothing of their own."""

    def on_call(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        returned: object,
    ) -> object:
        """A function has returned; the answer takes the place of what it returned."""

    def on_failure(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        error: Exception,
    ) -> None:
        """A function has raised."""

    def on_no_gpu(self) -> None:
        """Something was to go to a GPU that is not there."""


class Flow(TorchFunctionMode):
    """The mode that is on while the script runs. It sees ``F.linear`` once, and nothing that it calls inside.

    Args:
        listener: is told of each call.
        gpu: whether there is one; else ``cuda`` means the CPU.
    """

    def __init__(self, listener: Listener, *, gpu: bool) -> None:
        super().__init__()
        self._listener = listener
        self._gpu = gpu

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function and tell the listener."""
        kwargs = kwargs or {}
        if not self._gpu:
            if getattr(func, "__name__", "") in _MOVES and args and isinstance(args[0], Tensor):
                self._listener.on_no_gpu()
                return args[0]
            if any(map(_means_gpu, (*args, *kwargs.values()))):
                self._listener.on_no_gpu()
                args = [torch.device("cpu") if _means_gpu(value) else value for value in args]
                kwargs = {
                    key: torch.device("cpu") if _means_gpu(value) else value for key, value in kwargs.items()
                }
        try:
            returned = func(*args, **kwargs)
        except Exception as error:
            self._listener.on_failure(func, args, kwargs, error)
            raise
        return self._listener.on_call(func, args, kwargs, returned)


def _means_gpu(value: object) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and value.startswith("cuda")

"""Watches every function of torch that the script or its modules call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder

_CPU = torch.device("cpu")
_MOVES = ("cuda", "pin_memory")


class Flow(TorchFunctionMode):
    """The mode that is on while the script runs. It sees ``F.linear`` once, and nothing that it calls inside.

    Args:
        recorder: is told of each call.
        gpu: whether there is one; else ``cuda`` means the CPU.
    """

    def __init__(self, recorder: Recorder, *, gpu: bool) -> None:
        super().__init__()
        self._recorder = recorder
        self._gpu = gpu

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function and tell the recorder."""
        kwargs = kwargs or {}
        if not self._gpu:
            if getattr(func, "__name__", "") in _MOVES and args and isinstance(args[0], Tensor):
                self._recorder.on_no_gpu()
                return args[0]
            if _means_gpu(kwargs.get("device")) or (func is Tensor.to and any(map(_means_gpu, args[1:]))):
                self._recorder.on_no_gpu()
                args = [_CPU if _means_gpu(value) else value for value in args]
                kwargs = {key: _CPU if _means_gpu(value) else value for key, value in kwargs.items()}
        try:
            returned = func(*args, **kwargs)
        except Exception as error:
            self._recorder.on_failure(func, args, kwargs, error)
            raise
        return self._recorder.on_call(func, args, kwargs, returned)


def _means_gpu(value: object) -> bool:
    if isinstance(value, torch.device):
        return value.type == "cuda"
    return isinstance(value, str) and value.startswith("cuda")

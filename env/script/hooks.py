"""Where the recorder is tied into torch. It happens in the script's own process alone, and is never undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader, Dataset

from netmend.env.script.site import Site

_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context", "timeout")


class Watcher(Protocol):
    """What the hooks tell. No method raises an error of its own; ``on_stepped`` may end the run."""

    def on_module(self, module: nn.Module) -> None: ...
    def on_enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None: ...
    def on_leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: object, *, failed: bool
    ) -> None: ...
    def on_optimizer(self, optimizer: Optimizer) -> None: ...
    def on_zero(self) -> None: ...
    def on_backward(self, tensors: object) -> None: ...
    def on_step(self, optimizer: Optimizer, *, closure: bool) -> None: ...
    def on_stepped(self, optimizer: Optimizer) -> None: ...
    def on_mode(self, module: nn.Module, mode: bool) -> None: ...
    def on_loaded(self) -> None: ...
    def on_schedule(self, schedule: object) -> None: ...
    def on_scheduled(self, schedule: object) -> None: ...
    def on_loader(self, loader: DataLoader[Any], dataset: Dataset[Any]) -> Dataset[Any]: ...
    def on_loader_made(self, loader: DataLoader[Any], site: Site | None) -> None: ...
    def on_batches(self, loader: DataLoader[Any], batches: Iterator[Any]) -> Iterator[Any]: ...
    def site_of(self, made: object) -> Site | None: ...


def install(watcher: Watcher) -> None:
    """Tie a watcher into torch."""
    _modules(watcher)
    _optimizers(watcher)
    _loaders(watcher)
    _schedules(watcher)
    _backward(watcher)
    torch.compile = _as_it_is  # type: ignore[assignment]  # a compiled network shows none of its operations


def _modules(watcher: Watcher) -> None:
    init, call, train, zero, load = (
        nn.Module.__init__,
        nn.Module.__call__,
        nn.Module.train,
        nn.Module.zero_grad,
        nn.Module.load_state_dict,
    )

    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        watcher.on_module(self)

    def __call__(self: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        watcher.on_enter(self, args, kwargs)
        try:
            out = call(self, *args, **kwargs)
        except BaseException:
            watcher.on_leave(self, args, kwargs, None, failed=True)
            raise
        watcher.on_leave(self, args, kwargs, out, failed=False)
        return out

    def train_(self: nn.Module, mode: bool = True) -> Any:
        watcher.on_mode(self, mode)
        return train(self, mode)

    def zero_grad(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        watcher.on_zero()
        zero(self, *args, **kwargs)

    def load_state_dict(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        watcher.on_loaded()
        return load(self, *args, **kwargs)

    _put(
        nn.Module,
        __init__=__init__,
        __call__=__call__,
        train=train_,
        zero_grad=zero_grad,
        load_state_dict=load_state_dict,
    )


def _optimizers(watcher: Watcher) -> None:
    init, zero = Optimizer.__init__, Optimizer.zero_grad

    def __init__(self: Optimizer, params: Any, defaults: dict[str, Any]) -> None:  # noqa: N807
        init(self, params, defaults)
        watcher.on_optimizer(self)

    def zero_grad(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        watcher.on_zero()
        zero(self, *args, **kwargs)

    _put(Optimizer, __init__=__init__, zero_grad=zero_grad)

    def before(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        watcher.on_step(optimizer, closure=any(map(callable, (*args[1:], *kwargs.values()))))

    def behind(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG001
        watcher.on_stepped(optimizer)

    register_optimizer_step_pre_hook(before)
    register_optimizer_step_post_hook(behind)


def _loaders(watcher: Watcher) -> None:
    init, iterate = DataLoader.__init__, DataLoader.__iter__

    def __init__(self: DataLoader[Any], dataset: Dataset[Any], *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if kwargs.get("num_workers"):
            kwargs = {key: value for key, value in kwargs.items() if key not in _WORKERS} | {"num_workers": 0}
        kwargs.pop("pin_memory", None)
        site = watcher.site_of(self)
        init(self, watcher.on_loader(self, dataset), *args, **kwargs)
        watcher.on_loader_made(self, site)

    def __iter__(self: DataLoader[Any]) -> Iterator[Any]:  # noqa: N807
        return watcher.on_batches(self, iterate(self))

    _put(DataLoader, __init__=__init__, __iter__=__iter__)


def _schedules(watcher: Watcher) -> None:
    for kind in (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau):
        _schedule_made(kind, watcher)
    for kind in (
        lr_scheduler.LRScheduler,
        lr_scheduler.ReduceLROnPlateau,
        lr_scheduler.CosineAnnealingWarmRestarts,
    ):
        _schedule_stepped(kind, watcher)


def _schedule_made(kind: Any, watcher: Watcher) -> None:
    init = kind.__init__

    def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        watcher.on_schedule(self)

    _put(kind, __init__=__init__)


def _schedule_stepped(kind: Any, watcher: Watcher) -> None:
    step = kind.step

    def step_(self: object, *args: Any, **kwargs: Any) -> None:
        step(self, *args, **kwargs)
        watcher.on_scheduled(self)

    _put(kind, step=step_)


def _backward(watcher: Watcher) -> None:
    backward = torch.autograd.backward

    def backward_(tensors: Any, *args: Any, **kwargs: Any) -> None:
        watcher.on_backward(tensors)
        backward(tensors, *args, **kwargs)

    _put(torch.autograd, backward=backward_)


def _as_it_is(model: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG001
    """In the place of ``torch.compile``."""
    return (lambda function: function) if model is None else model


def _put(home: Any, **functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        setattr(home, name, function)

"""Where the recorder is tied into torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from netmend.env.script.arrays import install_metrics
from netmend.env.script.guard import quiet
from netmend.env.script.keras import install_keras
from netmend.env.script.trainers import install_trainers
from netmend.env.uncompiled import leave_compiler_out

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder

_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context", "timeout")


def install(recorder: Recorder) -> None:
    """Tie a recorder into torch, scikit-learn and Keras, for good: the process is the script's own."""
    leave_compiler_out()
    install_torch(recorder, ExitStack())
    install_metrics(recorder.passes)
    install_keras(recorder)
    install_trainers(recorder)


def install_torch(recorder: Recorder, undo: ExitStack) -> None:
    """Tie a recorder into torch until ``undo`` is closed."""
    _modules(recorder, undo)
    _optimizers(recorder, undo)
    _loaders(recorder, undo)
    _schedules(recorder, undo)
    _backward(recorder, undo)
    _put(undo, torch, compile=_as_it_is)  # a compiled network shows none of its operations


def _modules(recorder: Recorder, undo: ExitStack) -> None:
    init, call, train, zero, load, state = (
        nn.Module.__init__,
        nn.Module.__call__,
        nn.Module.train,
        nn.Module.zero_grad,
        nn.Module.load_state_dict,
        nn.Module.state_dict,
    )

    def __init__(self: nn.Module, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        recorder.on_module(self)

    def __call__(self: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        recorder.on_enter(self, args, kwargs)
        try:
            out = call(self, *args, **kwargs)
        except BaseException:
            recorder.on_leave(self, args, kwargs, None, failed=True)
            raise
        recorder.on_leave(self, args, kwargs, out, failed=False)
        return out

    def train_(self: nn.Module, mode: bool = True) -> Any:
        recorder.on_mode(self, mode)
        return train(self, mode)

    def zero_grad(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        recorder.on_zero()
        zero(self, *args, **kwargs)

    def load_state_dict(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        _loaded(recorder, args[0] if args else kwargs.get("state_dict"))
        return load(self, *args, **kwargs)

    def state_dict(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        found = state(self, *args, **kwargs)
        if not args and "destination" not in kwargs:  # of a part, for the whole
            _taken(recorder, found)
        return found

    _put(
        undo,
        nn.Module,
        __init__=__init__,
        __call__=__call__,
        train=train_,
        zero_grad=zero_grad,
        load_state_dict=load_state_dict,
        state_dict=state_dict,
    )


@quiet
def _taken(recorder: Recorder, state: Mapping[str, object]) -> None:
    """The weights of a module are taken."""
    recorder.states.take(state, recorder.frames.direct())


@quiet
def _loaded(recorder: Recorder, state: object) -> None:
    """Weights are loaded into a module."""
    recorder.states.load(state)
    if recorder.updates.count == 0 and "pretrained part" not in recorder.opaque:
        recorder.opaque.append("pretrained part")


def _optimizers(recorder: Recorder, undo: ExitStack) -> None:
    init, zero = Optimizer.__init__, Optimizer.zero_grad

    def __init__(self: Optimizer, params: Any, defaults: dict[str, Any]) -> None:  # noqa: N807
        init(self, params, defaults)
        recorder.on_optimizer(self)

    def zero_grad(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        recorder.on_zero()
        with torch._C.DisableTorchFunction():
            zero(self, *args, **kwargs)

    _put(undo, Optimizer, __init__=__init__, zero_grad=zero_grad)

    resting: list[Any] = []  # an optimizer's own calls are many, and none is of interest

    def before(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        closure = any(map(callable, (*args[1:], *kwargs.values())))
        recorder.on_step(optimizer, closure=closure)
        if not closure and not resting:
            resting.append(torch._C.DisableTorchFunction())
            resting[0].__enter__()

    def behind(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG001
        if resting:
            resting.pop().__exit__(None, None, None)
        recorder.on_stepped(optimizer)

    undo.callback(register_optimizer_step_pre_hook(before).remove)
    undo.callback(register_optimizer_step_post_hook(behind).remove)


def _loaders(recorder: Recorder, undo: ExitStack) -> None:
    init, iterate = DataLoader.__init__, DataLoader.__iter__

    def __init__(self: DataLoader[Any], dataset: Dataset[Any], *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if kwargs.get("num_workers"):
            kwargs = {key: value for key, value in kwargs.items() if key not in _WORKERS} | {"num_workers": 0}
        kwargs.pop("pin_memory", None)
        site = recorder.site_of(self)
        if (
            kwargs.get("sampler") is None and kwargs.get("batch_sampler") is None
        ):  # theirs are places in the whole
            dataset = recorder.withheld(dataset) or dataset
        init(self, dataset, *args, **kwargs)
        recorder.loaders.add(self, site)

    def __iter__(self: DataLoader[Any]) -> Iterator[Any]:  # noqa: N807
        return recorder.loaders.watch(self, iterate(self))

    _put(undo, DataLoader, __init__=__init__, __iter__=__iter__)
    _samplers(recorder, undo)


def _samplers(recorder: Recorder, undo: ExitStack) -> None:
    init = WeightedRandomSampler.__init__

    def __init__(self: WeightedRandomSampler, weights: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, weights, *args, **kwargs)
        recorder.loaders.add_sampler(self, weights, recorder.site_of(self))

    _put(undo, WeightedRandomSampler, __init__=__init__)


def _schedules(recorder: Recorder, undo: ExitStack) -> None:
    for kind in (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau):
        _schedule_made(kind, recorder, undo)
        _schedule_stepped(kind, recorder, undo)
    _schedule_stepped(lr_scheduler.CosineAnnealingWarmRestarts, recorder, undo)


def _schedule_made(kind: Any, recorder: Recorder, undo: ExitStack) -> None:
    init = kind.__init__

    def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        init(self, *args, **kwargs)
        recorder.updates.schedule(self)

    _put(undo, kind, __init__=__init__)


def _schedule_stepped(kind: Any, recorder: Recorder, undo: ExitStack) -> None:
    step = kind.step

    def step_(self: object, *args: Any, **kwargs: Any) -> None:
        step(self, *args, **kwargs)
        _scheduled(recorder, self, args[0] if args else kwargs.get("metrics"))

    _put(undo, kind, step=step_)


@quiet
def _scheduled(recorder: Recorder, schedule: object, value: object) -> None:
    recorder.updates.scheduled(schedule, value, recorder.passes.shown())


def _backward(recorder: Recorder, undo: ExitStack) -> None:
    backward = torch.autograd.backward

    def backward_(tensors: Any, *args: Any, **kwargs: Any) -> None:
        recorder.on_backward(tensors)
        backward(tensors, *args, **kwargs)

    _put(undo, torch.autograd, backward=backward_)


def _as_it_is(model: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG001
    """In the place of ``torch.compile``."""
    return (lambda function: function) if model is None else model


def _put(undo: ExitStack, home: Any, **functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        undo.callback(setattr, home, name, getattr(home, name))
        setattr(home, name, function)

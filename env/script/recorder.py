"""Records a running script: what it builds, where, and what its loop does with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss
from torch.optim.optimizer import Optimizer
from torch.utils.data import Dataset

from netmend.env.script.arrays import follow
from netmend.env.script.crashing import Entered, crash_of
from netmend.env.script.derivatives import Asked, Moment, ask, settle
from netmend.env.script.frames import Frames
from netmend.env.script.guard import quiet
from netmend.env.script.keeping import States
from netmend.env.script.keras import KerasSeen, look_at_fit
from netmend.env.script.loaders import Loaders
from netmend.env.script.loops import read_loops
from netmend.env.script.losses import LOSSES, Losses, LossSeen, weigh
from netmend.env.script.measure import describe, inputs_in, outputs_in, tensors_in
from netmend.env.script.mixing import Batch, keep_batch
from netmend.env.script.passes import SPREAD, Pass, Passes
from netmend.env.script.plan import Plan
from netmend.env.script.record import Array, Crashed, Framework, Loop, Setting
from netmend.env.script.rows import Rows
from netmend.env.script.site import Site
from netmend.env.script.stop import StopScript
from netmend.env.script.trace import OUTSIDE, Trace, function_name, is_leaf, module_names
from netmend.env.script.trainers import trainer_loop
from netmend.env.script.updates import OptimizerSeen, Updates


class Recorder:
    """Listens to the hooks and to the calls of functions.

    Args:
        frames: knows the script's own files.
        plan: of the run.

    Attributes:
        made: where each module was made, by id; the modules are kept, so that an id stands for one.
        arguments: where Hugging Face's ``TrainingArguments`` are made, from which its optimizer follows.
        held: numbers of these.
        began: CPU time at which the first module was made.
        capped: whether the plan's cap was reached.
        network: the first module with parameters that was applied from outside, or None.
        troubles: errors of the recorder's own.
    """

    def __init__(self, frames: Frames, plan: Plan) -> None:
        self.frames, self.plan = frames, plan
        self.busy, self.began = False, 0.0
        self.troubles: list[str] = []
        self.made: dict[int, tuple[nn.Module, Site | None]] = {}
        self.network: nn.Module | None = None
        self.others: list[nn.Module] = []
        self.names: dict[int, str] = {}
        self.modes: list[Site] = []
        self.loops: tuple[Loop, ...] = ()
        self.inputs: Array | None = None
        self.batch: Batch | None = None
        self.crash: tuple[BaseException, Crashed] | None = None
        self.opaque: list[str] = []
        self.no_gpu = self.capped = False
        self.asked: Asked | None = None
        self.framework: Framework = "torch"
        self.arguments: Site | None = None
        self.held: dict[str, Setting] = {}
        self.keras: KerasSeen | None = None
        self.judge_keras: Callable[[], None] | None = None
        self.trace, self.loaders = Trace(), Loaders(plan)
        most = plan.data_rows if plan.data else 0
        self.passes = Passes(Rows(most, plan.data_bytes), Rows(most, plan.data_bytes, once=False))
        self.updates = Updates(frames)
        self.losses, self.states = Losses(), States()
        self._stack: list[Entered] = []
        self._leaves = self._rows = self._limit = 0

    # Modules

    @quiet
    def on_module(self, module: nn.Module) -> None:
        """A module is made. What subclasses do in their own ``__init__`` is not where it is made."""
        self.began = self.began or time.process_time()
        self.made.setdefault(id(module), (module, self.frames.site(module)))

    @quiet
    def on_enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A module is applied."""
        leaf = is_leaf(module)
        outside = not self._stack and not isinstance(module, _Loss)
        if outside and self._is_network(module):
            self._settle()
            if self.loops == ():
                self.loops = read_loops(self.frames, self.frames.own(), self.loaders.has)
            if not self.trace.done and (torch.is_grad_enabled() or module.training):
                given = inputs_in(args, kwargs)
                again = module is self.network and not self.updates.count
                self.trace.begin(given, anew=again)
                if module is self.network and given:
                    self.inputs = describe(given[0])
                    self.batch = keep_batch(args, kwargs, *self.loaders.in_flight())
                    if len(given) > 1 and "several inputs" not in self.opaque:
                        self.opaque.append("several inputs")
        called = None if self.updates.traced else self.frames.direct()
        self._stack.append(Entered(module, called, leaf))
        self._leaves += leaf

    def _is_network(self, module: nn.Module) -> bool:
        if id(module) in self.names:
            return id(module) == id(self.network) or module in self.others
        if next(module.parameters(), None) is None:
            return False
        if self.network is None:
            self.network = module
        else:
            self.others.append(module)
            if not self.trace.done and "several networks" not in self.opaque:
                self.opaque.append("several networks")
        prefix = f"<{len(self.others)}>" if self.others else ""
        for key, name in module_names(module).items():
            self.names.setdefault(key, f"{prefix}.{name}".strip(".") if prefix else name)
        return True

    def on_leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: object, *, failed: bool
    ) -> None:
        """A module has returned, or raised."""
        error = sys.exc_info()[1] if failed and self._stack and self._stack[-1].leaf else None
        if isinstance(error, Exception):  # of its own checks, in front of any function of torch
            self.on_failure(type(module).forward, args, kwargs, error)
        if self._stack and self._stack[-1].module is module:
            entered = self._stack.pop()
            self._leaves -= entered.leaf
            if not failed:
                self._left(entered, args, kwargs, out)

    @quiet
    def _left(self, entered: Entered, args: tuple[Any, ...], kwargs: dict[str, Any], out: object) -> None:
        module = entered.module
        if self.trace.active and entered.leaf and not self._leaves and not isinstance(module, _Loss):
            name = self.names.get(id(module))
            _, made = self.made.get(id(module), (module, None))
            owner = self._owner() if self._stack or name is None else ""
            self.trace.module(module, name, owner, args, kwargs, out, made, entered.called)
        if not self._stack and (module is self.network or module in self.others):
            self._passed(module, args, kwargs, out, entered.called)

    def _owner(self) -> str:
        return self.names.get(id(self._stack[-1].module), OUTSIDE) if self._stack else OUTSIDE

    def _passed(
        self,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        out: object,
        called: Site | None,
    ) -> None:
        """The network was applied from outside."""
        given = inputs_in(args, kwargs)
        outputs = outputs_in(out)
        if not outputs:
            return
        grad = torch.is_grad_enabled() or outputs[0].requires_grad
        if grad and module.training:
            self.updates.came_out(outputs)
        labels = kwargs.get("labels")
        truth = labels if isinstance(labels, Tensor) else self.loaders.truth(given)
        run = Pass(
            given[0] if given else None,
            outputs[0].detach(),
            module.training,
            grad,
            self.updates.count,
            self.frames.where(),
            truth,
            called or self.frames.site(),
            tuple(one.grad_fn._sequence_nr() for one in outputs if one.grad_fn is not None),
        )
        run.loader, run.given, run.shuffled = self.loaders.batch()
        self.passes.begin(run, outputs)

    # Functions

    def on_call(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        returned: object,
    ) -> object:
        """A function has returned. Every call comes by: what is of no interest leaves at once."""
        if function is torch.autograd.grad:
            self.on_grad(args, returned)
        watched = getattr(function, "__name__", "") in LOSSES or self.passes.follows(args)
        if not self.updates.backwards and isinstance(returned, Tensor) and returned.requires_grad:
            self._computed(returned)
        if self.busy or not (watched or self.trace.active):
            return returned
        self._called(function, args, kwargs, returned)
        if type(returned) is np.ndarray:
            return follow(self.passes, self.passes.followed(args), returned)
        return returned

    @quiet
    def _computed(self, value: Tensor) -> None:
        if value.numel() == 1 and value.grad_fn is not None:  # which a view of no_grad may refuse to tell
            self.updates.terms.add(value, self.frames.site())

    @quiet
    def _called(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        returned: object,
    ) -> None:
        name = function_name(function)
        if name in LOSSES and isinstance(returned, Tensor):
            self._lost(name, kwargs, tensors_in(*args, *kwargs.values()), returned)
        elif name == "mul" and self.losses.seen and not self.updates.traced:
            weigh(self.losses.seen, tensors_in(*args), self.frames.site())
        elif self.trace.active and not self._leaves and name not in ("backward", "shape"):
            self.trace.function(function, args, kwargs, returned, self._owner(), self.frames.site())
        if (found := self.passes.misjudged(name, args, kwargs)) is not None:
            self.updates.note(*found, name, self.frames.site(), each=found[0] == SPREAD)
        if not self._stack or self._stack[0].module is not self.network:
            self.passes.flow(name, tensors_in(*args, *kwargs.values()), tensors_in(returned))

    def _lost(self, name: str, kwargs: Mapping[str, object], given: Sequence[Tensor], loss: Tensor) -> None:
        if len(given) < 2:
            return
        self.passes.loss = self.passes.loss or name
        self.passes.lost(given[0], given[1])
        module = next((one for one in reversed(self._stack) if isinstance(one.module, _Loss)), None)
        made = None if module is None else self.made.get(id(module.module), (None, None))[1]
        called = (module.called if module else None) or self.frames.site()
        call = LossSeen(name, dict(kwargs), given[0], given[1], loss, made, called)
        self.losses.add(call, keep=not self.updates.traced)

    @quiet
    def on_failure(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        error: Exception,
    ) -> None:
        """A function has raised."""
        if function is torch.autograd.grad:
            ask(self, args, None)
        given = tensors_in(*args, *kwargs.values())
        if self.crash is not None and self.crash[0] is error:
            return
        if not self.updates.traced:
            self.loops = read_loops(self.frames, self.frames.own(), self.loaders.has) or self.loops
        if (name := function_name(function)) in LOSSES and len(given) > 1:
            self._lost(name, kwargs, given, given[0])
        self.crash = error, crash_of(self, error, name, given, self._stack)

    @quiet
    def on_no_gpu(self) -> None:
        """Something was to go to a GPU that is not there."""
        self.no_gpu = True

    # The loop

    @quiet
    def on_optimizer(self, optimizer: Optimizer, *, was_there: bool = False) -> None:
        """An optimizer is made, or was there before the recording began."""
        held = trainer_loop(self.frames)[0] == "transformers"
        made = self.arguments if held else self.frames.site(optimizer)
        self.updates.optimizers.append(OptimizerSeen(optimizer, made, was_there, len(self.made)))

    @quiet
    def on_zero(self) -> None:
        """Gradients are set to zero."""
        self.updates.zero()

    def on_backward(self, tensors: object) -> None:
        """A backward pass begins. Where there is no optimizer, it is the script's own update that follows.

        Raises:
            StopScript: the plan's cap is reached.
        """
        self._backward(tensors)
        if not self.busy and not self.updates.optimizers:
            self.updates.count += 1
            self._count()

    @quiet
    def _backward(self, tensors: object) -> None:
        given = tensors_in(tensors)
        if given:
            self.asked = None
            self.trained(given[0], self.moment())

    def moment(self) -> Moment:
        """Where the script is, with what is known of its loop."""
        framework, held = ("torch", None) if self.updates.traced else trainer_loop(self.frames)
        found = () if self.updates.traced else read_loops(self.frames, self.frames.own(), self.loaders.has)
        loops = found if held is None else (held,)
        return Moment(self.frames.site(), framework, loops, self.loaders.flying)

    def trained(self, loss: Tensor, moment: Moment, *, adds: bool = True) -> None:
        """Gradients of a loss are those of an update, and add to those that are there or not."""
        if not self.updates.traced:
            self.framework, self.loops = moment.framework, moment.loops or self.loops
        self.loaders.trained(moment.loader)
        self.updates.backward(loss, self.network, self.others, moment.site, adds=adds)
        self._rows += self.passes.close(loss)
        self.trace.end()

    @quiet
    def on_grad(self, args: Sequence[object], gradients: object) -> None:
        """``torch.autograd.grad`` has returned gradients, or None where it has raised."""
        self._settle()
        ask(self, args, gradients)

    def _settle(self) -> None:
        if settle(self):
            self._count()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """What happens inside is a library's own and is not recorded."""
        before, self.busy = self.busy, True
        try:
            yield
        finally:
            self.busy = before

    @quiet
    def look_at_fit(self, model: object, x: object, y: object, given: dict[str, Any]) -> None:
        """Keras is about to fit a model."""
        if self.keras is not None:
            self.framework = "keras"
            look_at_fit(self, self.keras, model, x, y, given)

    @quiet
    def on_step(self, optimizer: Optimizer, *, closure: bool) -> None:
        """An optimizer is about to step; with a closure the backward pass comes inside."""
        settle(self, stepping=True)
        if not self.updates.traced and not self.updates.count:
            moment = self.moment()
            self.framework, self.loops = moment.framework, moment.loops or self.loops
        self.updates.step(optimizer, closure=closure)
        networks = [one for one in (self.network, *self.others) if one is not None]
        self.updates.look_for_late(optimizer, networks, self.made)

    def on_stepped(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """An optimizer has stepped.

        Raises:
            StopScript: the plan's cap is reached.
        """
        self.updates.stepped()
        if not self.updates.traced:
            self.trace.end()  # no backward pass has come: there may be none
        self._count()

    def _count(self) -> None:
        plan, count = self.plan, self.updates.count
        if not self.capped:
            self.capped = count >= (plan.updates or inf) or self._rows >= (plan.rows or inf)
            self._limit = int(count * 1.05) + 5
            self.loaders.dry = self.capped and plan.cap == "dry"
        if self.capped and (plan.cap == "stop" or count > self._limit):
            raise StopScript("capped")

    @quiet
    def on_mode(self, module: nn.Module, mode: bool) -> None:  # noqa: ARG002
        """``train`` or ``eval`` is called."""
        site = self.frames.direct()
        if site is not None and site not in self.modes:
            self.modes.append(site)

    # Loaders

    @quiet
    def withheld(self, dataset: Dataset[Any]) -> Dataset[Any] | None:
        """What is left of a loader's rows where the plan withholds some, else None."""
        if self.plan.withhold is None or self.frames.site() != self.plan.withhold:
            return None
        return self.loaders.withhold(dataset)

    @quiet
    def site_of(self, made: object) -> Site | None:
        """Where an object is constructed."""
        return self.frames.site(made)

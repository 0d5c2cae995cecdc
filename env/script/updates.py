"""The updates of a run: gradients set to zero, backward passes, steps, in which order and on what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.optim.optimizer import Optimizer

from netmend.env.script.factors import factor_fact
from netmend.env.script.frames import Frames
from netmend.env.script.graph import Graph, walk
from netmend.env.script.late import Made, late_layer
from netmend.env.script.plateau import Plateau
from netmend.env.script.record import Fact, OptimizerMade, Setting
from netmend.env.script.site import Site
from netmend.env.script.terms import Terms

_PER_EPOCH = ("StepLR", "MultiStepLR", "ExponentialLR", "ReduceLROnPlateau")
_LOOKED_AT = 5  # backward passes in which the order of the calls is looked at
_LOSSES = 100_000


@dataclass(eq=False)
class OptimizerSeen:
    """An optimizer, where it was made, behind how many modules, where and how often it steps.

    One that was there before a recording began may have nothing to do with it.
    """

    optimizer: Optimizer
    made: Site | None
    was_there: bool = False
    before: int = 0
    stepped: Site | None = None
    steps: int = 0
    start: float | None = None
    rates: tuple[float, ...] = ()

    def rate(self) -> None:
        """It is about to step, at a rate that a schedule or the script itself may have changed."""
        group = self.optimizer.param_groups[0]
        rate = group.get("lr")
        if rate is None:  # an optimizer of the script's own may have none
            return
        if self.start is None:
            self.start = float(group.get("initial_lr", rate))
        seen = (*self.rates, float(rate), float(group.get("max_lr", rate)))
        self.rates = min(seen), max(seen)

    def parameters(self) -> list[Tensor]:
        """All that it was given."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


@dataclass(eq=False)
class _Schedule:
    schedule: object
    made: Site | None
    plateau: Plateau | None
    steps: int = 0


@dataclass
class Updates:
    """What happens in the training loop.

    Attributes:
        count: of optimizer steps; backwards: of backward passes.
        losses: the trained loss of each backward pass.
        graph: behind the first loss; terms: what that is the sum of.
        zeroed, backward_site, scheduled_site: where.
        facts: that the order of the calls and the graph show.
        hidden: ids of what gradients reach that no module and no optimizer holds.
    """

    frames: Frames
    count: int = 0
    backwards: int = 0
    optimizers: list[OptimizerSeen] = field(default_factory=list)
    schedules: list[_Schedule] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    graph: Graph | None = None
    terms: Terms = field(default_factory=Terms)
    zeroed: Site | None = None
    backward_site: Site | None = None
    scheduled_site: Site | None = None
    facts: dict[str, Fact] = field(default_factory=dict)
    hidden: frozenset[int] = frozenset()
    _idle: int = 0
    _looked_at: set[tuple[int, int]] = field(default_factory=set)
    _zeroed_since_step: bool = False
    _zeroed_since_backward: bool = False
    _backward_since_step: bool = False

    @property
    def active(self) -> list[OptimizerSeen]:
        """The optimizers of this training: those that were made in it or step in it."""
        return [seen for seen in self.optimizers if seen.steps or not seen.was_there]

    @property
    def traced(self) -> bool:
        """Whether a backward pass was seen."""
        return self.backwards > 0

    def note(self, name: str, value: float, text: str, site: Site | None, *, each: bool = False) -> None:
        """Keep a fact, the first of its name, or of its name and site where each counts."""
        key = f"{name} {site}" if each else name
        self.facts.setdefault(key, Fact(name=name, value=value, text=text, site=site))

    def zero(self) -> None:
        """Gradients are set to zero."""
        self._zeroed_since_step = self._zeroed_since_backward = True
        self.zeroed = self.zeroed or self.frames.site()

    @property
    def is_frozen(self) -> bool:
        """Whether the newest optimizer has no parameter that is trained."""
        given = self.optimizers[-1].parameters() if self.optimizers else []
        return bool(given) and not any(parameter.requires_grad for parameter in given)

    def came_out(self, outputs: Sequence[Tensor]) -> None:
        """A network has given its outputs, to be trained on."""
        if not self.traced:
            self.terms.outputs |= {output.grad_fn for output in outputs if output.grad_fn is not None}
            self.terms.rows = next((len(output) for output in outputs if output.ndim), 0)

    @property
    def is_fresh(self) -> bool:
        """Whether a backward pass has come since the last step."""
        return self._backward_since_step

    def backward(
        self,
        loss: Tensor,
        network: nn.Module | None,
        others: Sequence[nn.Module],
        site: Site | None,
        *,
        adds: bool = True,
    ) -> None:
        """A backward pass begins at a loss, called at a site; whether it adds to gradients that are there."""
        self.backwards += 1
        if loss.numel() == 1 and len(self.losses) < _LOSSES:
            self.losses.append(float(loss.detach()))
        if self.backwards == 1:
            self.backward_site = site
            self.graph = walk(loss)
            self.facts |= {fact.name: fact for fact in self.terms.facts(loss)}
            self.terms = Terms()
            if not self.graph.attached:
                self.note("detached_loss", 1, "the loss has no gradient graph", self.backward_site)
            elif network is not None:
                self._reached(self.graph, network, others)
        if adds and self.backwards <= _LOOKED_AT and self.count and not self._backward_since_step:
            self._stale()
        self._backward_since_step = True
        self._zeroed_since_backward = False

    def _stale(self) -> None:
        """Gradients of the last update that nobody has set to zero; accumulation does so at times."""
        if self._zeroed_since_step or len(self.active) != 1:
            return
        (seen,) = self.active
        held, given = _gradients(seen), len(seen.parameters())
        if held:
            text = f"{held} of {given} gradients still hold those of the last update"
            self.note("no_zero_grad", held, text, self.backward_site)

    def _reached(self, graph: Graph, network: nn.Module, others: Sequence[nn.Module]) -> None:
        """Which parameters the gradients reach, and which the optimizers were given."""
        given = {id(parameter) for seen in self.optimizers for parameter in seen.parameters()}
        named = {
            id(parameter): name
            for module in (network, *others)
            for name, parameter in module.named_parameters()
        }
        own = {id(parameter): parameter for module in (network, *others) for parameter in module.parameters()}
        made = next((seen.made for seen in self.optimizers), None)
        for module in (network, *others) if given else ():
            keys = set(map(id, module.parameters()))
            left = [named[key] for key in own if key in keys & graph.leaves - given]
            # A network of which no optimizer has anything may be there to judge another.
            name = "not_optimized" if keys & given else "network_not_optimized"
            if left:
                self.note(name, len(left), f"not given to the optimizer: {_list(left)}", made)
        hidden = [key for key in graph.leaves if key not in own and key not in given]
        if hidden:
            self.hidden = frozenset(hidden)
        cut = [
            name
            for name, value in network.named_parameters()
            if value.requires_grad and id(value) not in graph.leaves
        ]
        if cut:
            self.note("no_gradient", len(cut), f"no gradient reaches {_list(cut)}", self.backward_site)

    def step(self, optimizer: Optimizer, *, closure: bool) -> None:
        """An optimizer is about to step."""
        seen = next((one for one in self.optimizers if one.optimizer is optimizer), None)
        if seen is None:
            return
        seen.steps += 1
        seen.rate()
        seen.stepped = seen.stepped or self.frames.site()
        if closure or self.backwards > _LOOKED_AT or len(self.active) > 1:
            return
        if self.backwards == 0:
            self.note(
                "step_before_backward",
                1,
                "the optimizer steps in front of the first backward pass",
                seen.stepped,
            )
        elif self._backward_since_step and self._zeroed_since_backward and not _gradients(seen):
            self.note(
                "zeroed_before_step", 1, "gradients are set to zero between backward and step", self.zeroed
            )

    def look_for_late(self, optimizer: Optimizer, networks: Sequence[nn.Module], made: Made) -> None:
        """Note a layer that was made behind an optimizer which is about to step, once for what it shows."""
        seen = next((one for one in self.optimizers if one.optimizer is optimizer), None)
        given = [] if seen is None or seen.was_there else seen.parameters()
        idle = sum(one.grad is None for one in given)
        if seen is None or (id(seen), idle) in self._looked_at:
            return
        self._looked_at.add((id(seen), idle))
        held = {id(one) for other in self.optimizers for one in other.parameters()}
        late = late_layer(given, held, networks, made, seen.before)
        if late is not None:
            self.note("made_late", len(late.parameters), _list(late.parameters), late.site)
            if late.replaces:
                self.note("optimizer_in_front", len(late.parameters), _list(late.parameters), seen.made)

    def stepped(self) -> None:
        """An optimizer has stepped."""
        self.count += 1
        self._idle += not self.traced and not any(map(_gradients, self.active))
        self._zeroed_since_step = self._backward_since_step = False

    def idle_facts(self) -> Iterator[Fact]:
        """Steps of a run that has no backward pass and no gradient at any; of PyTorch's own optimizers."""
        seen = next((one for one in self.active if one.steps), None)
        own = seen is not None and type(seen.optimizer).__module__.startswith("torch.optim.")
        if not self.traced and self._idle == self.count > 1 and seen is not None and own:
            yield Fact(name="no_backward", value=self.count, text="", site=seen.stepped)

    def schedule(self, schedule: object) -> None:
        """A learning-rate schedule is made."""
        if all(one.schedule is not schedule for one in self.schedules):
            plateau = Plateau(schedule) if isinstance(schedule, ReduceLROnPlateau) else None
            self.schedules.append(_Schedule(schedule, self.frames.site(schedule), plateau))

    def scheduled(self, schedule: object, value: object, shown: Sequence[float]) -> None:
        """A learning-rate schedule has stepped; one that waits for a plateau was given a value.

        Args:
            schedule: that stepped; value: that it was given.
            shown: scores of evaluations since the last update.
        """
        for one in self.schedules:
            if one.schedule is schedule:
                one.steps += 1
                self.scheduled_site = self.scheduled_site or self.frames.site()
                if one.plateau is not None:
                    one.plateau.step(value, self.frames, len(self.losses), shown)

    def schedule_facts(self, batches: int | None, planned: int | None) -> None:
        """Schedules for epochs that step with every update, and those whose settings mean something else.

        Args:
            batches: of an epoch, None where that is not known.
            planned: updates of the whole training, None where that is not known.
        """
        for one in self.schedules:
            kind = type(one.schedule).__name__
            each = one.steps >= self.count - 1  # a run may be ended behind an update, in front of its step
            if kind in _PER_EPOCH and (batches or 0) > 1 and self.count >= 3 and each:
                text = f"{kind} steps with each of {self.count} updates"
                self.note("schedule_per_update", one.steps, text, one.made)
            plateau = None if one.plateau is None else one.plateau.fact(self.losses, one.made)
            for wrong in (plateau, factor_fact(one.schedule, one.made, planned)):
                if wrong is not None:
                    self.facts.setdefault(wrong.name, wrong)

    def optimizers_made(self, names: dict[int, str]) -> tuple[OptimizerMade, ...]:
        """The optimizers as plain data; ``names`` of parameters by id."""
        return tuple(
            OptimizerMade(
                kind=type(seen.optimizer).__name__,
                settings=_settings(seen.optimizer, seen.start),
                made=seen.made,
                given=tuple(names[id(one)] for one in seen.parameters() if id(one) in names),
                stepped=seen.stepped,
                steps=seen.steps,
                rates=seen.rates,
            )
            for seen in self.active
        )


def _settings(optimizer: Optimizer, rate: float | None) -> dict[str, Setting]:
    """The values at the start, with the rate of the first step: it may be another one in the end."""
    found: dict[str, Setting] = {}
    group = optimizer.param_groups[0]
    values = {**group, "lr": group.get("initial_lr", group.get("lr") if rate is None else rate)}
    for name, value in values.items():
        if isinstance(value, (bool, int, float, str)) and name != "initial_lr":
            found[name] = value
        elif isinstance(value, tuple):
            found[name] = tuple(map(float, value))
    return found


def _gradients(seen: OptimizerSeen) -> int:
    """How many of its parameters hold a gradient other than zero."""
    return sum(one.grad is not None and bool(one.grad.any()) for one in seen.parameters())


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

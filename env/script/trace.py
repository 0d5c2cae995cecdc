"""The operations of the first training forward pass, in order, with what feeds what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from torch import Tensor, nn

from netmend.env.script.masks import function_mask, module_mask
from netmend.env.script.measure import (
    call_settings,
    describe,
    kernel,
    module_settings,
    tensors_in,
)
from netmend.env.script.padding import padded_rows
from netmend.env.script.record import Fact, Operation
from netmend.env.script.site import Site

OUTSIDE = "<script>"
"""Owner of what the script applies outside of the network, between the network and the loss."""

_MOST = 5_000
_SAME = {"radd": "add", "iadd": "add", "rmul": "mul", "imul": "mul", "isub": "sub", "itruediv": "truediv"}


def function_name(function: Callable[..., object]) -> str:
    """The name of one of torch's functions: ``relu`` for ``relu_``, ``add`` for ``__iadd__``."""
    name = getattr(function, "__name__", "")
    if name == "__get__":
        name = getattr(getattr(function, "__self__", None), "__name__", "")
    name = name.strip("_")
    return _SAME.get(name, name)


def is_leaf(module: nn.Module) -> bool:
    """Whether the module is one of torch's own, with its own ``forward``, and no container."""
    home = type(module).forward.__module__
    return home.startswith("torch.nn.modules.") and not home.endswith((".module", ".container"))


def module_names(network: nn.Module) -> dict[int, str]:
    """Dotted names by id, with those that hide in plain lists, tuples and dicts (``hidden[0]``)."""
    names: dict[int, str] = {}
    waiting: list[tuple[str, object]] = [("", network)]
    while waiting:
        name, value = waiting.pop(0)
        if id(value) in names or len(names) > 20_000:
            continue
        if isinstance(value, nn.Module):
            names[id(value)] = name
            dot = f"{name}." if name else ""
            waiting += [(dot + key, child) for key, child in value._modules.items()]
            waiting += [
                (dot + key, held)
                for key, held in vars(value).items()
                if isinstance(held, (list, tuple, dict)) and not key.startswith("_")
            ]
        elif isinstance(value, (list, tuple)):
            waiting += [(f"{name}[{place}]", item) for place, item in enumerate(value[:1_000])]
        elif isinstance(value, dict):
            waiting += [(f"{name}[{key!r}]", item) for key, item in list(value.items())[:1_000]]
    return names


@dataclass
class Trace:
    """Collects operations while it is active, and what their masks and their padding show."""

    active: bool = False
    done: bool = False
    operations: list[Operation] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    _inputs: list[Tensor] = field(default_factory=list)
    _producers: dict[int, int] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)  # ids are used again as soon as an object is gone

    def begin(self, inputs: Sequence[Tensor], *, anew: bool) -> None:
        """A forward pass starts; ``anew`` forgets what an earlier one left."""
        if anew:
            self.operations.clear()
            self._producers.clear()
            self._kept.clear()
            self._inputs.clear()
            self.facts.clear()
        self.active = True
        for tensor in inputs:
            self._producers.setdefault(id(tensor), -1)
        self._inputs.extend(inputs)

    def end(self) -> None:
        """The backward pass has come: the trace is complete."""
        if self.operations:
            self.active, self.done = False, True
            self._producers.clear()
            self._kept.clear()
            self._inputs.clear()

    def add(
        self,
        kind: str,
        owner: str,
        given: Sequence[Tensor],
        returned: object,
        called: Site | None,
        settings: Mapping[str, bool | int | float | str | tuple[float, ...] | None],
        *,
        name: str | None = None,
        module: nn.Module | None = None,
        made: Site | None = None,
    ) -> None:
        """Record a step, where it gives a tensor."""
        outs = tensors_in(returned)
        if not outs or len(self.operations) >= _MOST:
            return
        inputs = [self._producers[id(tensor)] for tensor in given if id(tensor) in self._producers]
        own = [] if module is None else list(module.parameters())
        self.operations.append(
            Operation(
                kind=kind,
                module=name,
                owner=owner,
                settings=dict(settings),
                inputs=tuple(dict.fromkeys(inputs)),
                received=describe(given[0] if given else outs[0]),
                returned=describe(outs[0]),
                made=made,
                called=called,
                trainable=sum(parameter.numel() for parameter in own if parameter.requires_grad),
                frozen=sum(parameter.numel() for parameter in own if not parameter.requires_grad),
                weights=None if module is None else kernel(module),
            )
        )
        self._kept += [given, outs]
        for tensor in outs:
            self._producers[id(tensor)] = len(self.operations) - 1

    def function(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        returned: object,
        owner: str,
        called: Site | None,
    ) -> None:
        """Record a functional call on something that comes from the rows of the batch."""
        given = tensors_in(*args, *kwargs.values())
        if not any(id(tensor) in self._producers for tensor in given):
            return
        name = function_name(function)
        if name not in ("grad", "grad_fn", "requires_grad"):
            self.add(name, owner, given, returned, called, call_settings(function, args, kwargs))
            self._look(function_mask, name, args, kwargs, called)

    def module(
        self,
        module: nn.Module,
        name: str | None,
        owner: str,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        returned: object,
        made: Site | None,
        called: Site | None,
    ) -> None:
        """Record a leaf module."""
        for look in (module_mask, padded_rows):
            self._look(look, module, args, kwargs, called)
        self.add(
            type(module).__name__,
            owner,
            tensors_in(*args, *kwargs.values()),
            returned,
            called,
            module_settings(module),
            name=name,
            module=module,
            made=made,
        )

    def _look(
        self,
        look: Callable[..., Fact | None],
        what: object,
        args: Sequence[object],
        kwargs: Mapping[str, object],
        site: Site | None,
    ) -> None:
        """Note what a look at a call shows."""
        with suppress(TypeError, ValueError, RuntimeError):  # of a call in a form that is not known
            fact = look(what, args, kwargs, self._inputs, site)
            if fact is not None:
                self.facts.append(fact)

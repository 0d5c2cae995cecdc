"""Layers that were made behind an optimizer, in the place of those that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn

from netmend.env.script.site import Site

Made: TypeAlias = Mapping[int, tuple[nn.Module, Site | None]]
"""Modules by id, with where they were made, in that order."""


@dataclass(frozen=True)
class Late:
    """A layer that an optimizer should have, and that was made behind it.

    Attributes:
        parameters: their names; site: where it is made.
        replaces: whether the optimizer has another in its place, which stands in no network any more.
    """

    parameters: tuple[str, ...]
    site: Site | None
    replaces: bool


def late_layer(
    given: Sequence[Tensor], held: Collection[int], networks: Sequence[nn.Module], made: Made, before: int
) -> Late | None:
    """The layer that gradients reach, that no optimizer has, and that was made behind one; None without.

    A network that is made behind it is such a layer where the optimizer has an old one like it, or nothing
    that gradients reach: any other may be there to judge.

    Args:
        given: parameters of the optimizer, behind a backward pass.
        held: ids of those of all optimizers.
        networks: that were applied.
        made: all modules; before: how many of these there were when the optimizer was made.
    """
    idle = {id(one) for one in given if one.requires_grad and one.grad is None}
    at_work = [network for network in networks if any(one.grad is not None for one in network.parameters())]
    idle -= {id(one) for network in at_work for one in network.parameters()}
    in_vain = len(idle) == len(given)
    modules = list(made.values())
    old = [module for module, _ in modules[:before] if not idle.isdisjoint(map(id, module.parameters()))]
    places = {id(module): (place, site) for place, (module, site) in enumerate(modules[before:])}
    for network in at_work:
        if id(network) in places and not in_vain and not any(map(partial(_is_like, network), old)):
            continue
        left = {id(one): name for name, one in network.named_parameters() if one.grad is not None}
        found = list(_outermost(network, places, left, held))
        if found:
            names = (left.get(id(one)) for module in found for one in module.parameters())
            site = max(places[id(module)] for module in found)[1]
            return Late(tuple(name for name in names if name), site, bool(old))
    return None


def _is_like(new: nn.Module, old: nn.Module) -> bool:
    return [one.shape for one in new.parameters()] == [one.shape for one in old.parameters()]


def _outermost(
    network: nn.Module, late: Collection[int], left: Collection[int], held: Collection[int]
) -> Iterator[nn.Module]:
    """Late modules that gradients reach and of which no optimizer has anything."""
    inside: set[int] = set()
    for module in network.modules():
        own = set(map(id, module.parameters()))
        works = not own.isdisjoint(left) and own.isdisjoint(held)
        if works and id(module) in late and id(module) not in inside:
            inside |= set(map(id, module.modules()))
            yield module

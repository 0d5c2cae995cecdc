"""What a repair action is, and where in a program it acts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias

from netmend.env.program import Activation, ActivationName, Layer, Program, Task
from netmend.env.program.part import changed, with_value
from netmend.env.program.sites import MAX_SITES, hidden_layers, output_layer, weighted_layers

Edit: TypeAlias = Callable[[Program, Task], Program]

LAYER_SITES: tuple[str, ...] = tuple(f"layer{n}" for n in range(1, MAX_SITES + 1))
"""The first hidden layers with a kernel, counted from the input."""

SITES: tuple[str, ...] = ("program", "inputs", "targets", "hidden", "all", "output", *LAYER_SITES)


@dataclass(frozen=True, eq=False)
class RepairAction:
    """One concrete edit; two actions are equal only if they are the same object, which keeps look-ups fast.

    Attributes:
        pattern: fix pattern of the ICSE 2020 study, the name of the module that defines the action.
        edit: what is done, ``[a-z0-9_.]+``.
        site: where, one of ``SITES``.
        description: what it does, one sentence without a full stop.
        apply: the edit itself. Pure; returns a program equal to its input where it does not apply.
        edits: names of the actions that it is made of, where it is made of others.
    """

    pattern: str
    edit: str
    site: str
    description: str
    apply: Edit
    edits: Callable[[Program, Task], tuple[str, ...]] | None = None

    @property
    def name(self) -> str:
        """``pattern/edit@site``: the id that policies, patches and configurations use."""
        return f"{self.pattern}/{self.edit}@{self.site}"

    def patch(self, program: Program, task: Task) -> tuple[str, ...]:
        """What applying it adds to the patch of a program: its name, or those of its edits."""
        return (self.name,) if self.edits is None else self.edits(program, task)


def site_layers(program: Program, site: str) -> tuple[int, ...]:
    """Positions in ``program.layers`` of the layers with a kernel that a site stands for, often none."""
    if site == "all":
        return weighted_layers(program)
    if site == "hidden":
        return hidden_layers(program)
    if site == "output":
        output = output_layer(program)
        return () if output is None else (output,)
    number = LAYER_SITES.index(site)
    return hidden_layers(program)[number : number + 1]


def change_layers(program: Program, site: str, change: Callable[[Layer], Layer]) -> Program:
    """The program with every layer of the site changed."""
    layers = list(program.layers)
    for index in site_layers(program, site):
        layers[index] = change(layers[index])
    return changed(program, layers=tuple(layers))


def set_field(program: Program, _task: Task, *, path: str, value: Hashable) -> Program:
    """An edit: another value of one setting of a program, by its path."""
    return with_value(program, path, value)


def set_layers(program: Program, _task: Task, *, site: str = "", **values: Hashable) -> Program:
    """An edit: other values of the layers of a site, or of the program, that have fields of these names."""

    def edited(layer: Layer) -> Layer:
        return changed(layer, **values) if all(hasattr(layer, name) for name in values) else layer

    if site:
        return change_layers(program, site, edited)
    return changed(program, layers=tuple(map(edited, program.layers)))


def followers(program: Program, index: int) -> range:
    """Positions behind the layer at ``index`` up to the next layer with a kernel, or to the end."""
    later = [i for i in weighted_layers(program) if i > index]
    return range(index + 1, later[0] if later else len(program.layers))


def with_width(layer: Layer, units: int) -> Layer:
    """The layer with this many units or filters, inside of an attention; unchanged where it has neither."""
    return changed(layer, **{layer.sized_by: units}) if layer.sized_by else layer


def with_activation(program: Program, index: int, function: ActivationName) -> Program:
    """The program with this activation of a layer.

    An activation layer behind the layer is the one to change; the layer itself is then linear.
    """
    layers: list[Layer] = list(program.layers)
    own = [i for i in followers(program, index) if isinstance(layers[i], Activation)]
    layer = layers[index]
    if layer.activated_by:
        layers[index] = changed(layer, **{layer.activated_by: "linear" if own else function})
    if own:
        layers[own[-1]] = Activation(function=function)
    return changed(program, layers=tuple(layers))

"""Building blocks of the operators that know all their mutations of a program, and pick one that fits.

What crashes is found without running it, so an operator for crashes draws from the mutations that do crash
where it promises, and one for silent faults from those that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from netmend.env.bugs.mutation import Draw, Group, Mutation, Operator, with_layers
from netmend.env.program.api import resolved
from netmend.env.program.checks import check
from netmend.env.program.crashes import Phase, find_crash
from netmend.env.program.layers import Layer
from netmend.env.program.part import changed
from netmend.env.program.schema import Prep, Program

Options: TypeAlias = Callable[[Draw], Iterable[Mutation]]
"""All mutations of one kind that a program may get; the one among them is drawn by the operator."""


def crash_operator(name: str, group: Group, description: str, options: Options, *phases: Phase) -> Operator:
    """An operator whose mutations make the program crash in one of the phases."""

    def propose(draw: Draw) -> Mutation | None:
        return draw.pick([option for option in _valid(options, draw) if _phase(option, draw) in phases])

    return Operator(
        name=name,
        group=group,
        description=description,
        propose=propose,
        source="field",
        crash=frozenset(phases),
    )


def silent_operator(name: str, group: Group, description: str, options: Options) -> Operator:
    """An operator after whose mutations another program than before still runs."""

    def propose(draw: Draw) -> Mutation | None:
        return draw.pick([option for option in _valid(options, draw) if _is_silent(option, draw)])

    return Operator(name=name, group=group, description=description, propose=propose, source="field")


def always(*mutations: Mutation) -> Options:
    """The same mutations for every program."""
    return lambda _: mutations


def of_program(description: str, *touches: str, **values: object) -> Mutation:
    """Other values of fields of the program; it touches these fields if it is not told what."""
    parts = frozenset(touches or values)
    return Mutation(description=description, touches=parts, apply=lambda p: changed(p, **values))


def of_data(description: str, *touches: str, **values: object) -> Mutation:
    """Other values of fields of the data."""
    parts = frozenset(touches or values)
    return Mutation(
        description=description,
        touches=parts,
        apply=lambda p: changed(p, data=changed(p.data, **values)),
    )


def of_loop(description: str, **values: object) -> Mutation:
    """Other settings of the training loop."""
    return Mutation(
        description=description,
        touches=frozenset(f"loop: {name}" for name in values),
        apply=lambda p: changed(p, loop=changed(p.loop, **values)),
    )


def of_layer(description: str, site: int, part: str, **values: object) -> Mutation:
    """Other values of fields of a layer; ``part`` is what all operators call them, so that two never meet."""
    return Mutation(
        description=f"{description} (layer {site})",
        touches=frozenset({f"{part} of layer {site}"}),
        apply=lambda p: with_layers(p, {site: changed(p.layers[site], **values)}),
    )


def one_step_more(step: Prep, description: str) -> Mutation:
    """A preparation step too many, behind the others."""
    part = "targets" if step.kind.endswith("_target") else "inputs"
    return Mutation(
        description=description,
        touches=frozenset({f"prep of {part}"}),
        apply=lambda p: changed(p, data=changed(p.data, prep=(*p.data.prep, step))),
    )


def replaced(site: int, layer: Layer, description: str) -> Mutation:
    """Another layer at a position."""
    return Mutation(
        description=f"{description} (layer {site})",
        touches=frozenset({f"kind of layer {site}"}),
        apply=lambda p: with_layers(p, {site: layer}),
    )


def inserted(site: int, layer: Layer, description: str) -> Mutation:
    """One layer more, in front of a position."""
    return _structural(description, lambda p: (*p.layers[:site], layer, *p.layers[site:]))


def left_out(site: int, description: str) -> Mutation:
    """One layer less."""
    text = f"{description} (layer {site}) left out"
    return _structural(text, lambda p: p.layers[:site] + p.layers[site + 1 :])


def _structural(description: str, layers: Callable[[Program], tuple[Layer, ...]]) -> Mutation:
    return Mutation(
        description=description,
        touches=frozenset({"structure"}),
        apply=lambda p: replace(p, layers=layers(p)),
        structural=True,
    )


def _valid(options: Options, draw: Draw) -> list[Mutation]:
    return [option for option in options(draw) if not check(option.apply(draw.program), draw.task)]


def _is_silent(option: Mutation, draw: Draw) -> bool:
    # a fault that is none on the current release, as an old level without old defaults, is left out
    return _phase(option, draw) is None and resolved(option.apply(draw.program)) != resolved(draw.program)


def _phase(option: Mutation, draw: Draw) -> Phase | None:
    crash = find_crash(option.apply(draw.program), draw.task)
    return None if crash is None else crash.phase

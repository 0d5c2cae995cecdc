"""Mutations: single faults of a good program, the operators that list them, and mutants that hold some.

An operator lists all its mutations of a program. A suite draws some of them, DeepCrime's search walks through
them or bisects them. What crashes is found without running it, so that an operator can keep to mutations that
crash where it promises, or that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from numpy.random import Generator

from netmend.env.program.api import resolved
from netmend.env.program.checks import check
from netmend.env.program.crashes import Phase, find_crash
from netmend.env.program.kinds import is_of_targets
from netmend.env.program.layers import Layer
from netmend.env.program.part import changed, with_value
from netmend.env.program.schema import Prep, Program
from netmend.env.program.task import Task

Group = Literal[
    "hyper-parameters",
    "activation",
    "weights",
    "loss",
    "optimizer",
    "regularisation",
    "data",
    "layers",
    "shapes",
    "types and labels",
    "loop",
    "release",
    "validation",
]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One fault.

    Attributes:
        description: what was changed into what.
        touches: the parts of the program that it changes; two mutations of one mutant share none.
        apply: puts the fault into a program of the same layers.
        structural: whether it changes the number of layers; such a mutation is applied last.
        value: the number that was set, where it is one (a switch is 0 or 1).
    """

    description: str
    touches: frozenset[str]
    apply: Callable[[Program], Program]
    structural: bool = False
    value: float | None = None


Options: TypeAlias = Callable[[Program, Task], Iterable[Mutation]]
"""Mutations of one kind that a program may get, in a fixed order; some may not fit it."""
Relative: TypeAlias = Callable[[float], Iterable[float]]
"""Numbers by the one that a program has."""


@dataclass(frozen=True)
class Operator:
    """A mutation operator: lists its mutations of a program.

    Attributes:
        name: DeepCrime's id in lower case, or one in its style.
        group: what kind of thing it changes.
        description: the fault in a few words.
        options: what it may do to a program.
        crash: phases in one of which each of its mutations alone makes the program crash. Empty: none does,
            and each is another program on the current release too. None: some crash, some do not.
    """

    name: str
    group: Group
    description: str
    options: Options
    crash: tuple[Phase, ...] | None = None

    def mutations(self, program: Program, task: Task) -> Iterator[Mutation]:
        """All its mutations of a program: other programs that pass the checks, and crash as promised."""
        return (option for option in self.options(program, task) if self._fits(option, program, task))

    def draw(self, program: Program, task: Task, rng: Generator) -> Mutation | None:
        """One of them, each as likely as another; None where there is none."""
        options = tuple(self.options(program, task))
        order = (options[i] for i in rng.permutation(len(options)))
        return next((option for option in order if self._fits(option, program, task)), None)

    def _fits(self, mutation: Mutation, program: Program, task: Task) -> bool:
        mutant = mutation.apply(program)
        if mutant == program or check(mutant, task):
            return False
        if self.crash is None:
            return True
        crash = find_crash(mutant, task)
        if self.crash:
            return crash is not None and crash.phase in self.crash
        # an old level without old defaults is no fault on the current release
        return crash is None and resolved(mutant) != resolved(program)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A faulty program with the operators and the mutations that made it from its base."""

    program: Program
    operators: tuple[str, ...]
    mutations: tuple[Mutation, ...]

    @property
    def description(self) -> str:
        """All faults in a line."""
        return "; ".join(mutation.description for mutation in self.mutations)


def mutate(base: Program, task: Task, operators: Sequence[Operator], rng: Generator) -> Mutant | None:
    """Draw one mutation of each operator and apply them.

    None where an operator has none, where two touch the same part, or where nothing changed.
    """
    drawn: list[tuple[str, Mutation]] = []
    for operator in operators:
        mutation = operator.draw(base, task, rng)
        if mutation is None or any(mutation.touches & other.touches for _, other in drawn):
            return None
        drawn.append((operator.name, mutation))
    drawn.sort(key=lambda pair: pair[1].structural)
    mutations = tuple(mutation for _, mutation in drawn)
    program = apply_all(base, mutations)
    names = tuple(name for name, _ in drawn)
    return None if program == base else Mutant(program=program, operators=names, mutations=mutations)


def apply_all(base: Program, mutations: Iterable[Mutation]) -> Program:
    """Apply mutations in order."""
    for mutation in mutations:
        base = mutation.apply(base)
    return base


def remainders(base: Program, mutant: Mutant) -> tuple[Program, ...]:
    """The programs in which one of the mutant's faults is mended and the others stay."""
    faults = mutant.mutations
    return tuple(apply_all(base, faults[:i] + faults[i + 1 :]) for i in range(len(faults)))


def always(*mutations: Mutation) -> Options:
    """The same mutations for every program."""
    return lambda _program, _task: mutations


def given(condition: Callable[[Program, Task], bool], options: Options) -> Options:
    """Mutations of the programs of which something is true, none of the others."""
    return lambda program, task: options(program, task) if condition(program, task) else ()


def setting(path: str, values: Sequence[object] | Relative, text: str, *touches: str) -> Options:
    """Other values of one setting, none where it is not set.

    Args:
        path: its field: ``epochs``, ``optimizer.lr``, ``data.labels``, ``loop.order``.
        values: the values, or numbers by the one that the program has.
        text: the description, with ``{old}`` and ``{new}``.
        touches: parts that it touches besides.
    """

    def options(program: Program, _task: Task) -> Iterator[Mutation]:
        part, _, name = path.rpartition(".")
        old = getattr(getattr(program, part) if part else program, name)
        if old is not None:
            for new in values(old) if callable(values) else values:
                yield sets(text.format(old=old, new=new), {path: new}, *touches)

    return options


def sets(description: str, values: Mapping[str, object], *touches: str) -> Mutation:
    """Other values of settings, by their paths; it touches these, and what else is named."""
    new = next(iter(values.values()))
    return Mutation(
        description=description,
        touches=frozenset({*values, *touches}),
        apply=lambda program: _with_values(program, values),
        value=float(new) if isinstance(new, int | float) and len(values) == 1 else None,
    )


def _with_values(program: Program, values: Mapping[str, object]) -> Program:
    for path, value in values.items():
        program = with_value(program, path, value)
    return program


def on_layers(description: str, sites: Iterable[int], part: str, **values: object) -> Mutation:
    """Other values of fields of layers.

    Args:
        description: what is changed.
        sites: positions of the layers.
        part: what all operators call the fields, so that two never meet.
        values: by field. ``activation`` is also the function of an activation layer, ``units`` also filters
            or the width of an attention, ``rate`` also its dropout.
    """
    where = tuple(sites)
    return Mutation(
        description=description,
        touches=frozenset(f"{part} of layer {site}" for site in where),
        apply=lambda p: with_layers(p, {site: with_fields(p.layers[site], values) for site in where}),
    )


def with_fields(layer: Layer, values: Mapping[str, object]) -> Layer:
    """A layer with other values of fields, whatever its kind calls them."""
    return changed(layer, **{_name_in(layer, name): value for name, value in values.items()})


_OTHER_NAMES = {"activation": ("function",), "units": ("filters", "width"), "rate": ("dropout",)}


def _name_in(layer: Layer, name: str) -> str:
    return next(own for own in (name, *_OTHER_NAMES.get(name, ())) if hasattr(layer, own))


def with_layers(program: Program, others: Mapping[int, Layer]) -> Program:
    """The program with other layers at some positions."""
    layers = tuple(others.get(i, layer) for i, layer in enumerate(program.layers))
    return changed(program, layers=layers)


def prepared(description: str, part: str, change: Callable[[tuple[Prep, ...]], Iterable[Prep]]) -> Mutation:
    """Other steps of preparation of one part, the inputs or the targets."""
    return Mutation(
        description=description,
        touches=frozenset({f"prep of {part}"}),
        apply=lambda p: changed(p, data=changed(p.data, prep=tuple(change(p.data.prep)))),
    )


def one_step_more(step: Prep, description: str) -> Mutation:
    """A preparation step too many, behind the others."""
    part = "targets" if is_of_targets(step) else "inputs"
    return prepared(description, part, lambda steps: (*steps, step))


def exchanged(site: int, layer: Layer, description: str) -> Mutation:
    """Another layer at a position."""
    return Mutation(
        description=f"{description} (layer {site})",
        touches=frozenset({f"kind of layer {site}"}),
        apply=lambda p: with_layers(p, {site: layer}),
    )


def inserted(site: int, layer: Layer, description: str) -> Mutation:
    """One layer more, in front of a position."""
    return _structural(description, lambda layers: (*layers[:site], layer, *layers[site:]))


def left_out(site: int, description: str) -> Mutation:
    """One layer less."""
    text = f"{description} (layer {site}) left out"
    return _structural(text, lambda layers: layers[:site] + layers[site + 1 :])


def _structural(description: str, change: Callable[[tuple[Layer, ...]], tuple[Layer, ...]]) -> Mutation:
    return Mutation(
        description=description,
        touches=frozenset({"structure"}),
        apply=lambda p: changed(p, layers=change(p.layers)),
        structural=True,
    )


def together(description: str, *mutations: Mutation) -> Mutation:
    """Several changes that are one fault, or one choice."""
    return Mutation(
        description=description,
        touches=frozenset().union(*(mutation.touches for mutation in mutations)),
        apply=lambda p: apply_all(p, mutations),
        structural=any(mutation.structural for mutation in mutations),
    )

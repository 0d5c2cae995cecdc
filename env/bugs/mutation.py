"""Mutations: single faults put into a good program, and mutants: one or several of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from numpy.random import Generator

from netmend.env.program.crashes import Phase
from netmend.env.program.layers import Layer
from netmend.env.program.schema import Program
from netmend.env.program.task import Task

T = TypeVar("T")
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
]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One fault.

    Attributes:
        description: what was changed into what.
        touches: the parts of the program that it changes; two mutations of one mutant share none.
        apply: puts the fault into a program of the same layers.
        structural: whether it changes the number of layers; such a mutation is applied last.
    """

    description: str
    touches: frozenset[str]
    apply: Callable[[Program], Program]
    structural: bool = False


@dataclass(frozen=True)
class Draw:
    """What an operator draws a mutation from: a good program, its task, and a source of randomness."""

    program: Program
    task: Task
    rng: Generator

    def pick(self, choices: Sequence[T]) -> T | None:
        """One of the choices, None where there are none."""
        return choices[int(self.rng.integers(len(choices)))] if choices else None


Propose: TypeAlias = Callable[[Draw], Mutation | None]


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A mutation operator: draws one of its mutations for a program, None where it has none.

    Attributes:
        name: DeepCrime's id in lower case, or one in its style.
        group: what kind of thing it changes.
        description: the fault in a few words.
        propose: draws a mutation.
        source: ``deepcrime``, or ``field`` for a fault that bug studies report beside DeepCrime's.
        crash: phases in one of which each of its mutations alone makes the program crash; empty where that is
            not what it is for.
    """

    name: str
    group: Group
    description: str
    propose: Propose
    source: Literal["deepcrime", "field"] = "deepcrime"
    crash: frozenset[Phase] = frozenset()


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
        mutation = operator.propose(Draw(base, task, rng))
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


def with_layers(program: Program, changed: dict[int, Layer]) -> Program:
    """The program with other layers at some positions."""
    layers = tuple(changed.get(i, layer) for i, layer in enumerate(program.layers))
    return replace(program, layers=layers)

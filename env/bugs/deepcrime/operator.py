"""What an operator of DeepCrime is: the mutants of one program, and how they are searched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from netmend.env.bugs.mutation import Group, Mutation
from netmend.env.program.checks import check
from netmend.env.program.crashes import find_crash
from netmend.env.program.schema import Program
from netmend.env.program.task import Task

Search = Literal["binary", "exhaustive", "none"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A parameter between what changes nothing and what does most harm.

    Attributes:
        mildest: the value that the good program has.
        strongest: the other end.
        precision: a search ends when it knows the threshold that well.
        step: values are multiples of it.
        mutation: the fault with a value of the parameter.
    """

    mildest: float
    strongest: float
    precision: float
    step: float
    mutation: Callable[[float], Mutation]

    def between(self, one: float, other: float) -> float:
        """The value half way between two others."""
        return float(f"{round((one + other) / 2 / self.step) * self.step:.10g}")


Space: TypeAlias = Scale | tuple[Mutation, ...]
"""The mutants of a program: along a scale, or one by one; an empty tuple where there are none."""


@dataclass(frozen=True, kw_only=True)
class DeepCrimeOperator:
    """One of the 24 operators.

    Attributes:
        name: DeepCrime's id in lower case.
        group: what kind of thing it changes.
        description: the fault in a few words.
        parameter: what is searched, in words; empty where there is nothing to choose.
        search: ``binary`` finds the mildest value that is killed, ``exhaustive`` tries every value on every
            layer, ``none`` has no value to choose, only layers or variants.
        space: the mutants of a program with a task.
    """

    name: str
    group: Group | Literal["validation"]
    description: str
    search: Search
    space: Callable[[Program, Task], Space]
    parameter: str = ""

    def scale(self, program: Program, task: Task) -> Scale | None:
        """The range of a binary search; None for other searches, and where it is not applicable."""
        space = self.space(program, task)
        if not isinstance(space, Scale) or not is_sound(program, space.mutation(space.strongest), task):
            return None
        return space

    def mutants(self, program: Program, task: Task) -> tuple[Mutation, ...]:
        """Every mutant that can be trained; of a binary search only the strongest. Empty: not applicable."""
        space = self.space(program, task)
        if isinstance(space, Scale):
            space = (space.mutation(space.strongest),)
        return tuple(mutation for mutation in space if is_sound(program, mutation, task))


def is_sound(program: Program, mutation: Mutation, task: Task) -> bool:
    """Whether a mutant is another program that passes the checks and does not crash."""
    mutant = mutation.apply(program)
    return mutant != program and not check(mutant, task) and find_crash(mutant, task) is None

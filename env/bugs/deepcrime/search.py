"""DeepCrime's search: which mutants of a good program are killed, and how mild they may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TypeAlias

from netmend.env.bugs.deepcrime.table import DeepCrimeOperator
from netmend.env.bugs.killing import Sample, Test, cohens_d, is_killed_deepcrime, measure, p_value
from netmend.env.bugs.mutation import Mutation
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program import Program, Task, check, find_crash
from netmend.env.training.trial import Budget, Trainer


@dataclass(frozen=True, kw_only=True)
class Tested:
    """One mutant that was trained.

    Attributes:
        mutation: its fault.
        skills: hold-out skill by seed: DeepCrime's test set is the hold-out part.
        p: of the test against the good program.
        effect: Cohen's d, positive where the mutant is worse.
        killed: DeepCrime's verdict.
    """

    mutation: Mutation
    skills: Sample
    p: float
    effect: float
    killed: bool

    @property
    def mean(self) -> float:
        """Mean skill."""
        return sum(self.skills) / len(self.skills)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the search of one operator found.

    Attributes:
        operator: the operator.
        tested: its mutants in the order in which they were trained; none where it is not applicable.
    """

    operator: DeepCrimeOperator
    tested: tuple[Tested, ...] = ()

    @property
    def killed(self) -> tuple[Tested, ...]:
        """The mutants that are killed."""
        return tuple(tested for tested in self.tested if tested.killed)

    @property
    def killing(self) -> Tested | None:
        """The mildest mutant that is killed: the last one of a binary search, else that with most skill."""
        if self.operator.search == "binary":
            return self.killed[-1] if self.killed else None
        return max(self.killed, key=lambda tested: tested.mean, default=None)


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What the good program reaches, by seed, and what was found, in the order of the operators."""

    original: Sample
    found: tuple[Found, ...]


Judge: TypeAlias = Callable[[Mutation, Sample], Tested]
"""Compares a mutant with the good program."""


@dataclass(frozen=True, kw_only=True)
class _Trainings:
    """Who trains what, and how often."""

    good: Program
    trainer: Trainer
    budget: Budget
    seeds: Sequence[int]
    report: Callable[[str], None]

    def skills(self, mutations: Sequence[Mutation], *, with_good: bool = False) -> list[Sample]:
        """Hold-out skills of mutants, in front of them those of the good program where they are wanted."""
        programs = [self.good] if with_good else []
        programs += [mutation.apply(self.good) for mutation in mutations]
        self.report(f"training {len(programs)} programs with {len(self.seeds)} seeds each")
        return [skills.holdout for skills in measure(self.trainer, programs, self.budget, self.seeds)]


def search(
    good: Program,
    operators: Sequence[DeepCrimeOperator],
    trainer: Trainer,
    budget: Budget,
    seeds: Sequence[int],
    *,
    test: Test = "glm",
    report: Callable[[str], None] = lambda _: None,
) -> Searched:
    """Search every operator on a good program.

    The first call of the trainer has the good program, every mutant of the operators that try all, and the
    strongest of those that bisect; each call after it has the next value of every search that goes on.

    Args:
        good: the good program.
        operators: of ``DEEPCRIME``.
        trainer: who trains.
        budget: of a training.
        seeds: of the trainings of each program; DeepCrime takes 10 to 20.
        test: of the killing rule.
        report: takes a line of progress.

    Raises:
        NetmendError: the program is none that can be trained, or its data are missing.
    """
    task = load_dataset(good.data.dataset).task
    _refuse(good, task)
    trainings = _Trainings(good=good, trainer=trainer, budget=budget, seeds=seeds, report=report)
    mutants = [tuple(operator.mutations(good, task)) for operator in operators]
    first = [
        own[-1:] if operator.search == "binary" else own
        for operator, own in zip(operators, mutants, strict=True)
    ]
    original, *skills = trainings.skills(list(chain.from_iterable(first)), with_good=True)
    judge, left = partial(_judged, original, test), iter(skills)
    found = [
        Found(operator=operator, tested=tuple(judge(mutation, next(left)) for mutation in own))
        for operator, own in zip(operators, first, strict=True)
    ]
    return Searched(original=original, found=tuple(_bisect(found, mutants, trainings, judge)))


def _judged(original: Sample, test: Test, mutation: Mutation, skills: Sample) -> Tested:
    return Tested(
        mutation=mutation,
        skills=skills,
        p=p_value(original, skills, test),
        effect=cohens_d(original, skills),
        killed=is_killed_deepcrime(original, skills, test),
    )


def _bisect(
    begun: Sequence[Found], mutants: Sequence[Sequence[Mutation]], trainings: _Trainings, judge: Judge
) -> list[Found]:
    """Halve the intervals of all binary searches whose strongest mutant is killed, side by side."""
    found = list(begun)
    # of each search, a place among its mutants that is not killed, at first in front of them, and one that is
    places = {
        n: (-1, len(mutants[n]) - 1)
        for n, one in enumerate(found)
        if one.operator.search == "binary" and one.killed
    }
    while places := {n: (mild, strong) for n, (mild, strong) in places.items() if strong - mild > 1}:
        middles = {n: sum(ends) // 2 for n, ends in places.items()}
        mutations = [mutants[n][middle] for n, middle in middles.items()]
        samples = trainings.skills(mutations)
        for (n, middle), mutation, skills in zip(middles.items(), mutations, samples, strict=True):
            tested = judge(mutation, skills)
            found[n] = replace(found[n], tested=(*found[n].tested, tested))
            places[n] = (places[n][0], middle) if tested.killed else (middle, places[n][1])
    return found


def _refuse(good: Program, task: Task) -> None:
    problems = check(good, task)
    crash = None if problems else find_crash(good, task)
    if crash is not None:
        problems = [f"it crashes ({crash.phase}): {crash.message}"]
    if problems:
        raise NetmendError(f"mutants are made from a good program, but of this one: {'; '.join(problems)}")

"""DeepCrime's search: which mutants of a good program are killed, and how mild they may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from netmend.env.bugs.deepcrime.kill import Test, is_killed_deepcrime, p_value
from netmend.env.bugs.deepcrime.operator import DeepCrimeOperator, Scale
from netmend.env.bugs.killing import Sample, cohens_d, measure
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
        value: of the parameter of a binary search, else None.
        skills: hold-out skill by seed: DeepCrime's test set is the hold-out part.
        p: of the test against the good program.
        effect: Cohen's d, positive where the mutant is worse.
        killed: DeepCrime's verdict.
    """

    mutation: Mutation
    value: float | None
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
        scale: of a binary search.
    """

    operator: DeepCrimeOperator
    tested: tuple[Tested, ...] = ()
    scale: Scale | None = None

    @property
    def killed(self) -> tuple[Tested, ...]:
        """The mutants that are killed."""
        return tuple(tested for tested in self.tested if tested.killed)

    @property
    def killing(self) -> Tested | None:
        """The mildest mutant that is killed: closest to the good value, or else with most skill."""
        scale = self.scale
        if scale is None:
            return max(self.killed, key=lambda tested: tested.mean, default=None)
        return min(self.killed, key=lambda tested: abs((tested.value or 0) - scale.mildest), default=None)


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What the good program reaches, by seed, and what was found, in the order of the operators."""

    original: Sample
    found: tuple[Found, ...]


@dataclass(frozen=True)
class _Interval:
    """Where a binary search looks for its threshold; the strong end is killed, the mild one is not."""

    scale: Scale
    mild: float
    strong: float

    @property
    def is_open(self) -> bool:
        return abs(self.strong - self.mild) > self.scale.precision * (1 + 1e-9)

    @property
    def middle(self) -> float:
        return self.scale.between(self.mild, self.strong)

    def after(self, *, killed: bool) -> _Interval:
        return replace(self, strong=self.middle) if killed else replace(self, mild=self.middle)


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


@dataclass(frozen=True)
class _Judge:
    """Compares mutants with the good program."""

    original: Sample
    test: Test

    def __call__(self, mutation: Mutation, value: float | None, skills: Sample) -> Tested:
        return Tested(
            mutation=mutation,
            value=value,
            skills=skills,
            p=p_value(self.original, skills, self.test),
            effect=cohens_d(self.original, skills),
            killed=is_killed_deepcrime(self.original, skills, self.test),
        )


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
    mutants = [one.mutants(good, task) for one in operators]
    original, *skills = trainings.skills([one for own in mutants for one in own], with_good=True)
    judge, left = _Judge(original, test), iter(skills)
    found = []
    for operator, own in zip(operators, mutants, strict=True):
        scale = operator.scale(good, task)
        value = None if scale is None else scale.strongest
        tested = tuple(judge(mutation, value, next(left)) for mutation in own)
        found.append(Found(operator=operator, tested=tested, scale=scale))
    return Searched(original=original, found=tuple(_bisect(found, trainings, judge)))


def _bisect(begun: Sequence[Found], trainings: _Trainings, judge: _Judge) -> list[Found]:
    """Halve the intervals of all binary searches whose strongest mutant is killed, side by side."""
    found = list(begun)
    intervals = {
        n: _Interval(one.scale, one.scale.mildest, one.scale.strongest)
        for n, one in enumerate(found)
        if one.scale is not None and one.killed
    }
    while intervals := {n: interval for n, interval in intervals.items() if interval.is_open}:
        values = {n: interval.middle for n, interval in intervals.items()}
        mutations = [intervals[n].scale.mutation(value) for n, value in values.items()]
        samples = trainings.skills(mutations)
        for (n, value), mutation, skills in zip(values.items(), mutations, samples, strict=True):
            tested = judge(mutation, value, skills)
            found[n] = replace(found[n], tested=(*found[n].tested, tested))
            intervals[n] = intervals[n].after(killed=tested.killed)
    return found


def _refuse(good: Program, task: Task) -> None:
    problems = check(good, task)
    crash = None if problems else find_crash(good, task)
    if crash is not None:
        problems = [f"it crashes ({crash.phase}): {crash.message}"]
    if problems:
        raise NetmendError(f"mutants are made from a good program, but of this one: {'; '.join(problems)}")

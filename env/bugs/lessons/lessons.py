"""Lessons: faulty programs, what one trial of each showed, and the programs that they should become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from numpy.random import Generator

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.killing import LEAST_HARM
from netmend.env.bugs.lessons.leaks import is_judged
from netmend.env.bugs.lessons.networks import chance, pick, pick_weighted
from netmend.env.bugs.lessons.teaching import LessonBase
from netmend.env.bugs.mutation import Mutant, mutate
from netmend.env.bugs.operators import CRASHING, EITHER, OPERATORS, SILENT, draw_operators
from netmend.env.data import load_dataset
from netmend.env.program import Program, check
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest

FAULTS = {1: 0.45, 2: 0.37, 3: 0.18}
"""How often a mutant has so many faults."""
KINDS = {"plain": 0.6, "crashing": 0.25, "silent": 0.15}
"""How often one has faults as in ``mutants-v1`` only, one of an operator for crashes, or a silent one."""
HARMLESS = 0.05
"""Share of the mutants without harm that are lessons too: a good program is left as it is."""
SEEDS = 4
"""Seeds that the trials of faulty programs are drawn from."""
CHUNK = 256
"""Mutants that are trained together."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A faulty program to learn from.

    Attributes:
        program: the faulty program.
        original: the good program that it was made from.
        target: where a repair should lead, see ``LessonBase``.
        trial: of the faulty program.
        seed: of that trial.
        goal: skill of the target.
        operators: what made it, where it is a mutant.
        base: name of the good program, or of the bug.
        budget: of its trials, where it has one of its own.
    """

    program: Program
    original: Program
    target: Program
    trial: Trial
    seed: int
    goal: float
    operators: tuple[str, ...]
    base: str
    budget: Budget | None = None


def draw_lessons(
    bases: Sequence[LessonBase], trainer: Trainer, rng: Generator, count: int, budget: Budget
) -> Iterator[Lesson]:
    """Mutants of good programs, one after another; no two of a call are equal, and none is of a judged bug.

    Each is trained once, many in a call of the trainer. Operators are drawn the likelier the fewer lessons
    they have made. The same arguments give the same lessons.

    Args:
        bases: good programs.
        trainer: who trains.
        rng: of everything that is drawn.
        count: how many lessons.
        budget: of each trial.
    """
    drawing = _Drawing(bases, rng)
    while count > 0:
        mutants = [drawing.mutant() for _ in range(min(CHUNK, 2 * count))]
        seeds = [int(rng.integers(SEEDS)) for _ in mutants]
        requests = [
            TrialRequest(program=mutant.program, budget=budget, seed=seed)
            for (_, mutant), seed in zip(mutants, seeds, strict=True)
        ]
        for (base, mutant), seed, trial in zip(mutants, seeds, trainer.run(requests), strict=True):
            harms = trial.skill < base.skill - LEAST_HARM
            if count > 0 and not trial.says_nothing and (harms or chance(rng, HARMLESS)):
                count -= 1
                drawing.uses.update(mutant.operators)
                yield Lesson(
                    program=mutant.program,
                    original=base.original,
                    target=base.target,
                    trial=trial,
                    seed=seed,
                    goal=base.target_skill,
                    operators=mutant.operators,
                    base=base.name,
                )


def published_lessons(
    bugs: Iterable[Bug], trainer: Trainer, rng: Generator, budget: Budget
) -> Iterator[Lesson]:
    """Real bugs with their published fixes as targets, where these help.

    Left out are mutants, of which there are enough, bugs with a metric of their own, and those whose dataset
    and architecture a policy is judged by. All are trained in one call of the trainer.

    Args:
        bugs: of the training split.
        trainer: who trains.
        rng: of the seeds.
        budget: of each trial, where a bug has none of its own.
    """
    asked: list[tuple[Bug, Program, float, TrialRequest]] = []
    for bug in bugs:
        goal, fixed = bug.goal("validation"), bug.fixed
        if bug.base or fixed is None or goal is None or bug.fix_helps or bug.task_metric:
            continue
        if is_judged(bug.program) or is_judged(fixed):
            continue
        seed = int(rng.integers(SEEDS))
        request = TrialRequest(program=bug.program, budget=bug.budget or budget, seed=seed)
        asked.append((bug, fixed, goal, request))
    trials = trainer.run([request for *_, request in asked]) if asked else []
    for (bug, fixed, goal, request), trial in zip(asked, trials, strict=True):
        if not trial.says_nothing:
            yield Lesson(
                program=bug.program,
                original=fixed,
                target=fixed,
                trial=trial,
                seed=request.seed,
                goal=goal,
                operators=(),
                base=bug.id,
                budget=bug.budget,
            )


@dataclass
class _Drawing:
    """Mutants of bases that were not drawn before."""

    bases: Sequence[LessonBase]
    rng: Generator
    uses: Counter[str] = field(default_factory=Counter)
    seen: set[Program] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = {program for base in self.bases for program in (base.original, base.target)}

    def mutant(self) -> tuple[LessonBase, Mutant]:
        """A new mutant with its base; which kind it is and how many faults it has is decided first."""
        kind, faults = pick_weighted(self.rng, KINDS), pick_weighted(self.rng, FAULTS)
        while True:
            base = pick(self.rng, self.bases)
            task = load_dataset(base.original.data.dataset).task
            operators = [OPERATORS[name] for name in self._operators(kind, faults)]
            mutant = mutate(base.original, task, operators, self.rng)
            if mutant is None or mutant.program in self.seen or check(mutant.program, task):
                continue
            self.seen.add(mutant.program)
            if not is_judged(mutant.program):
                return base, mutant

    def _operators(self, kind: str, faults: int) -> list[str]:
        if kind == "plain":
            return self._drawn(EITHER, faults)
        first = self._drawn(CRASHING if kind == "crashing" else SILENT, 1)
        others = [name for name in EITHER + SILENT if name not in first]
        return [*first, *self._drawn(others, faults - 1)]

    def _drawn(self, names: Sequence[str], count: int) -> list[str]:
        even = (1 + self.uses.total()) / len(OPERATORS)
        return draw_operators(names, count, self.uses, even, self.rng)

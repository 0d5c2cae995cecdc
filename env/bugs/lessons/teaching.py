"""Programs to teach with: those that learn, each with the best program that a few edits make of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from numpy.random import Generator

from netmend.env.bugs.lessons.drawing import draw_bases, is_sound
from netmend.env.bugs.making import LEAST_SKILL
from netmend.env.data import load_dataset
from netmend.env.findings import faults
from netmend.env.program import Program, multiply_accumulates
from netmend.env.program.changes import replaced
from netmend.env.reward import Rules, capped
from netmend.env.training.trial import Budget, Trainer, TrialRequest, answered
from netmend.repair_actions.patch import applied
from netmend.repair_actions.recipes import ADAM_LR, default_actions, effective_edits, rewrite_actions

SEEDS = 2
"""Of the trials of a program, at least."""
BATCH = 64
"""Programs that are drawn before they are trained together."""
LEAST_GAIN = 0.02
"""Skill that a better program has to gain beyond its price; less is noise."""
MOST_STEPS = 3
MOST_TIMES_WORK = 4
"""Of the original: a better program may not be larger than that."""
FINALISTS = 4
"""Of the candidates of one seed, those that get the others."""

_CAPACITY = (
    ("layer_dimension/units_x2@hidden",),
    ("add_layer/dense_64@output",),
    ("add_layer/batch_norm@hidden",),
    ("add_layer/layer_norm@hidden",),
    ("iterations/epochs_x2@program",),
    ("iterations/batch_16@program",),
    (f"optimizer/lr_{ADAM_LR}@program",),
    ("optimizer/adam@program", f"optimizer/lr_{ADAM_LR}@program"),
)
"""Edits that may make a good program better, beside those of the recipes."""


@dataclass(frozen=True, kw_only=True)
class LessonBase:
    """A good program, and the program that a repair of its mutants should lead to.

    Attributes:
        name: of the good program.
        original: the good program.
        target: a better one that a few edits make of it, or the good program itself.
        skill, target_skill: mean validation skill of both.
    """

    name: str
    original: Program
    target: Program
    skill: float
    target_skill: float


def make_bases(
    rng: Generator, trainer: Trainer, budget: Budget, datasets: Sequence[str]
) -> Iterator[LessonBase]:
    """Draw programs, keep those that learn, and look for better ones: without end, some sixty at a time.

    Args:
        rng: of everything that is drawn.
        trainer: who trains.
        budget: of each trial.
        datasets: names to draw from; see ``training_datasets``.
    """
    drawn = enumerate(draw_bases(rng, datasets), start=1)
    programs = ((f"{family}-{number}", program) for number, (family, program) in drawn)
    while True:
        yield from improved(kept(itertools.islice(programs, BATCH), trainer, budget), trainer, budget)


def kept(
    programs: Iterable[tuple[str, Program]], trainer: Trainer, budget: Budget, seeds: int = SEEDS
) -> list[LessonBase]:
    """The programs that learn, with every seed, and have no finding of severity ``fault``.

    Args:
        programs: with their names.
        trainer: trains them all in one call.
        budget: of each trial.
        seeds: number of trials of each.
    """
    sound = [
        (name, program)
        for name, program in programs
        if not faults(program, load_dataset(program.data.dataset))
    ]
    skills = _skills([program for _, program in sound], trainer, budget, range(seeds))
    return [
        LessonBase(name=name, original=program, target=program, skill=fmean(some), target_skill=fmean(some))
        for (name, program), some in zip(sound, skills, strict=True)
        if min(some) >= LEAST_SKILL[load_dataset(program.data.dataset).task.kind]
    ]


def improved(
    bases: Sequence[LessonBase], trainer: Trainer, budget: Budget, seeds: int = SEEDS
) -> list[LessonBase]:
    """The bases, each with the best target that up to three steps of one edit lead to.

    A step goes to the program whose skill, less the price of all that it replaces, is largest; the edits are
    those of the recipes and those that give a network more to learn with. What was chosen by some seeds is
    then measured with as many others, and so is the original: it is the target where the other gains no more
    there than its price and ``LEAST_GAIN``.

    Args:
        bases: good programs.
        trainer: trains all programs of a step in one call.
        budget: of each trial.
        seeds: number of trials that choose, and of those that confirm.
    """
    searches = [_Search(base, base.original, base.skill) for base in bases]
    for _ in range(MOST_STEPS):
        searching = [search for search in searches if not search.ended]
        found = [(search, program) for search in searching for program in search.candidates(budget)]
        for search in searching:
            search.ended = True
        for search, program, skill in _best_of(found, trainer, budget, seeds):
            search.go_on(program, skill)
    return _confirmed(searches, trainer, budget, range(seeds, 2 * seeds))


@dataclass
class _Search:
    """The best program so far, and its worth: its skill, less the price of what it replaces."""

    base: LessonBase
    program: Program
    worth: float
    ended: bool = False

    def candidates(self, budget: Budget) -> list[Program]:
        """Sound programs that one edit makes of the best so far and whose trials differ from its own."""
        if self.worth > 1 - LEAST_GAIN:
            return []
        dataset, program = load_dataset(self.program.data.dataset), self.program
        task = dataset.task
        recipes = (recipe(program, task) for recipe in (default_actions, rewrite_actions))
        names = dict.fromkeys(
            name for recipe in recipes for name in effective_edits(program, task, recipe)[0]
        )
        edited = [applied(program, task, patch) for patch in (*_CAPACITY, *((name,) for name in names))]
        distinct = {capped(other, budget.epochs): other for other in edited}
        distinct.pop(capped(program, budget.epochs), None)
        largest = MOST_TIMES_WORK * multiply_accumulates(self.base.original, task)
        return [other for other in distinct.values() if is_sound(other, dataset, largest)]

    def price(self, program: Program) -> float:
        """Of what a program replaces of the original."""
        return Rules.part_price * replaced(self.base.original, program)

    def go_on(self, program: Program, skill: float) -> None:
        """Take a program if it is better, and look further from there."""
        worth = skill - self.price(program)
        if worth > self.worth + LEAST_GAIN / MOST_STEPS:
            self.program, self.worth, self.ended = program, worth, False


def _best_of(
    found: Sequence[tuple[_Search, Program]], trainer: Trainer, budget: Budget, seeds: int
) -> list[tuple[_Search, Program, float]]:
    """The candidate of each search that is worth most, with its skill; one seed sorts out most of them."""
    entries: list[tuple[_Search, Program, tuple[float, ...]]] = [(*entry, ()) for entry in found]
    for some, most in ((range(1), FINALISTS), (range(1, seeds), 1)):
        skills = _skills([program for _, program, _ in entries], trainer, budget, some)
        measured = [
            (search, program, (*old, *new))
            for (search, program, old), new in zip(entries, skills, strict=True)
        ]
        measured.sort(key=lambda entry: entry[0].price(entry[1]) - fmean(entry[2]))
        ranks: Counter[Program] = Counter()
        entries = []
        for entry in measured:
            ranks[entry[0].base.original] += 1
            if ranks[entry[0].base.original] <= most:
                entries.append(entry)
    return [(search, program, fmean(some)) for search, program, some in entries]


def _confirmed(
    searches: Sequence[_Search], trainer: Trainer, budget: Budget, seeds: range
) -> list[LessonBase]:
    """Each base with the program that was found, where fresh seeds show that it is better."""
    moved = [search for search in searches if search.program != search.base.original]
    programs = [program for search in moved for program in (search.base.original, search.program)]
    skills = iter(_skills(programs, trainer, budget, seeds))
    better = {}
    for search in moved:
        original, target = fmean(next(skills)), fmean(next(skills))
        if target - original > search.price(search.program) + LEAST_GAIN:
            better[search.base.original] = replace(search.base, target=search.program, target_skill=target)
    return [better.get(search.base.original, search.base) for search in searches]


def _skills(
    programs: Sequence[Program], trainer: Trainer, budget: Budget, seeds: range
) -> list[tuple[float, ...]]:
    """Validation skills of programs by seed, in one call of the trainer."""
    requests = [
        TrialRequest(program=program, budget=budget, seed=seed) for program in programs for seed in seeds
    ]
    trials = iter(answered(trainer.run(requests)))
    return [tuple(next(trials).skill for _ in seeds) for _ in programs]

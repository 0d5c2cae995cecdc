"""Repairs of mutants by the teacher, whose trials are instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.imitation.distance import Distance
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.lessons import Lesson
from netmend.env.bugs.mutation import mutate
from netmend.env.bugs.operators import OPERATORS
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.program import Program, check, find_crash
from netmend.env.reward import Rules
from netmend.env.setting import Setting
from netmend.env.training.trial import Curves, Status, Trial, TrialRequest
from netmend.repair_actions import select
from netmend.repair_actions.recipes import WITH_RECIPES

ACTIONS = select(["*"], WITH_RECIPES)
BASE = "circles_logit"


def task_of(program: Program):
    return load_dataset(program.data.dataset).task


def trial_of(program: Program, skill: float) -> Trial:
    """An instant trial: it crashes where the program does, and ran its epochs else."""
    crash = find_crash(program, task_of(program))
    trial = Trial(status=Status.CRASHED if crash else Status.OK, skill=-0.25 if crash else skill)
    curves = Curves(train_loss=(1.0,) * min(program.epochs, 12))
    return replace(trial, curves=curves, symptoms=replace(trial.symptoms, crash=crash))


class Nearness:
    """Trains nothing: the skill of a program is the larger the nearer it is to the base."""

    def __init__(self) -> None:
        base = BASES[BASE].program
        self.distance = Distance(base, task_of(base), 12)
        self.trials = 0

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.trials += len(requests)
        return [trial_of(own.program, 0.95 - 0.2 * self.distance(own.program)) for own in requests]

    def close(self) -> None:
        pass


def lesson_of(program: Program, good: Program, trial: Trial, goal: float, seed: int = 0) -> Lesson:
    """A lesson that leads back to the good program."""
    return Lesson(
        program=program,
        original=good,
        target=good,
        trial=trial,
        seed=seed,
        goal=goal,
        operators=(),
        base=BASE,
    )


@pytest.fixture
def setting() -> Setting:
    bug = Bug(id="", program=BASES[BASE].program)
    return Setting(bugs=(bug,), actions=ACTIONS, rules=Rules(compose=True))


@pytest.fixture
def make_lessons() -> Callable[[int], list[Lesson]]:
    """Lessons of one base, with instant trials."""

    def make(count: int) -> list[Lesson]:
        trainer, rng = Nearness(), np.random.default_rng(0)
        good, names, found = BASES[BASE].program, sorted(OPERATORS), []
        while len(found) < count:
            mutant = mutate(good, task_of(good), [OPERATORS[str(rng.choice(names))]], rng)
            if mutant is None or check(mutant.program, task_of(good)):
                continue
            (trial,) = trainer.run([TrialRequest(program=mutant.program, budget=Rules().budget, seed=0)])
            if trial.skill < 0.9:
                found.append(lesson_of(mutant.program, good, trial, 0.95))
        return found

    return make


def begun(program: Program, skill: float = 0.1) -> Episode:
    """A repair of a program whose edits compose, after its first trial."""
    episode = Episode(Bug(id="", program=program), task_of(program), ACTIONS, Rules(compose=True), 0)
    episode.begin(trial_of(program, skill))
    return episode

"""The first stage of ``netmend train``: rounds of roll-outs and supervised steps of the agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.random import Generator
from stable_baselines3.common.base_class import BaseAlgorithm

from netmend.agents.algorithms import network_of
from netmend.agents.imitation.bases import good_programs
from netmend.agents.imitation.fit import Agreement, fit
from netmend.agents.imitation.rollouts import roll_out
from netmend.agents.imitation.rounds import Rounds
from netmend.agents.imitation.states import States, together
from netmend.agents.policy import Policy
from netmend.agents.progress import StageProgress, Totals
from netmend.agents.statistics import Scalars, Validation
from netmend.agents.verbs.train import ImitationConfig
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.lessons import LessonBase, draw_lessons, published_lessons
from netmend.env.setting import Setting
from netmend.env.training.front import TrialFront

STREAM = 1
"""Of the seed's streams of random numbers, the one that imitation draws from; a child for each round."""


@dataclass(frozen=True, kw_only=True)
class Classroom:
    """What an imitation is made of.

    Attributes:
        config: its part of the configuration.
        seed: of everything that is drawn.
        without: bugs on whose datasets there are no lessons.
        setting: of the roll-outs.
        trainer: of all trials.
        model: the agent, whose network learns.
        policy_of: its policy as it is now.
        look: what that policy does to the validation bugs; None where there are none.
        log: takes figures by tag, and the number of the epoch.
        tell: is told how far it is.
    """

    config: ImitationConfig
    seed: int
    without: Sequence[Bug]
    setting: Setting
    trainer: TrialFront
    model: BaseAlgorithm
    policy_of: Callable[[], Policy]
    look: Callable[[], Validation | None]
    log: Callable[[Scalars, int], None]
    tell: StageProgress


def imitate(room: Classroom, rounds: Rounds) -> Totals:
    """Go through the rounds that are not done yet; each is kept by ``rounds`` as soon as it is done.

    A round draws its lessons, rolls them out, the first one led by the teacher and the others by the network
    as it is, and fits the network to the states of all rounds. What a round draws depends on the seed and on
    its number alone, and no global random state is touched, so a run that was cut off ends as one that was
    not.

    Returns:
        the totals so far: trials and time.

    Raises:
        NetmendError: a trial hung.
    """
    done, states, totals = rounds.load(room.model)
    bases: list[LessonBase] = []
    for number in range(done + 1, room.config.rounds + 1):
        before = room.trainer.trials, room.trainer.hits, time.monotonic()
        bases = bases or _bases(room)
        streams = np.random.default_rng([room.seed, STREAM, number]).spawn(3)
        states = [*states, _rolled_out(room, number, bases, streams[0], streams[1])]
        found = _fitted(room, number, together(states), streams[2])
        validation = room.look()
        if validation is not None and validation.fixed is not None:
            room.log({"imitation/fixed": validation.fixed}, number * room.config.epochs)
        totals = replace(
            totals,
            trials=totals.trials + room.trainer.trials - before[0],
            stored=totals.stored + room.trainer.hits - before[1],
            seconds=totals.seconds + time.monotonic() - before[2],
        )
        rounds.save(room.model, number, states, totals)
        room.tell.say(_summary(number, room.config.rounds, states, found, validation))
    return totals


def _bases(room: Classroom) -> list[LessonBase]:
    rng = np.random.default_rng([room.seed, STREAM, 0])
    bases = good_programs(rng, room.trainer, room.setting.rules.budget, room.config.bases, room.without)
    room.tell.say(f"imitation: {len(bases)} good programs, {room.trainer.trials} trials")
    return bases


def _rolled_out(
    room: Classroom, number: int, bases: Sequence[LessonBase], drawing: Generator, acting: Generator
) -> States:
    config, budget = room.config, room.setting.rules.budget
    count = config.lessons * number // config.rounds - config.lessons * (number - 1) // config.rounds
    lessons = chain(
        published_lessons(room.setting.bugs, room.trainer, drawing, budget),
        draw_lessons(bases, room.trainer, drawing, count, budget),
    )
    label = f"imitation {number}/{config.rounds}: lessons"

    def tell(done: int, states: int) -> None:
        room.tell.show(label, done, count, f"states {states}  trials {room.trainer.trials}")

    policy = room.policy_of() if number > 1 else None
    return roll_out(lessons, room.setting, room.trainer, acting, policy, tell)


def _fitted(room: Classroom, number: int, states: States, rng: Generator) -> Agreement:
    config = room.config
    label = f"imitation {number}/{config.rounds}: epochs"

    def tell(epoch: int, found: Agreement) -> None:
        figures = {"loss": found.loss, "accuracy": found.accuracy, "go_accuracy": found.go}
        room.log({f"imitation/{name}": value for name, value in figures.items()}, _epoch(epoch))
        room.tell.show(label, epoch, config.epochs, _described(found))

    def _epoch(epoch: int) -> int:
        return (number - 1) * config.epochs + epoch

    return fit(
        network_of(room.model),
        states,
        rng,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        tell=tell,
    )


def _described(found: Agreement) -> str:
    return f"loss {found.loss:.3f}  right {found.accuracy:.0%}  go {found.go:.0%}"


def _summary(
    number: int, rounds: int, states: list[States], found: Agreement, validation: Validation | None
) -> str:
    fixed = None if validation is None else validation.fixed
    shown = "" if fixed is None else f"  validation {fixed:.0%}"
    return f"imitation {number}/{rounds}: {sum(map(len, states))} states  {_described(found)}{shown}"

"""Roll-outs (DAgger): repairs of lessons by the teacher or its pupil, with the teacher's word on every state.

A pupil that only saw the teacher's own repairs would not know what to do after a mistake of its own; so later
rounds let it act, and the teacher says at each state what would have been right (Ross, Gordon, Bagnell 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.agents.imitation.distance import Distance
from netmend.agents.imitation.labels import labels
from netmend.agents.imitation.states import States, pack, together
from netmend.agents.policy import Policy
from netmend.agents.statistics import trials_used
from netmend.env.bugs.bug import LEAST_SPREAD, Bug
from netmend.env.bugs.lessons import Lesson
from netmend.env.episode import Episode, advance
from netmend.env.errors import NetmendError
from netmend.env.observation import observe
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer

CHUNK = 128
"""Repairs side by side."""
RANDOM = 0.08
"""Share of steps that are any legal edit, so that the pupil sees how to go on after one."""
FOLLOWED = 0.5
"""Share of a pupil's repairs that follow the teacher."""
BEST = 0.5
"""Share of a pupil's steps that are its most likely action; the others are drawn."""
MOST_TRIALS = 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Repair:
    """One repair of one lesson, and whether the teacher leads it."""

    episode: Episode
    distance: Distance
    goal: float
    led: bool

    def is_over(self) -> bool:
        """Whether it is fixed, has spent its trials or has ended."""
        episode = self.episode
        fixed = episode.best_trial.skill >= self.goal - LEAST_SPREAD
        return episode.done or fixed or trials_used(episode) >= MOST_TRIALS


def roll_out(
    lessons: Iterable[Lesson],
    setting: Setting,
    trainer: Trainer,
    rng: Generator,
    policy: Policy | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> States:
    """Repair each lesson once, in a setting whose edits compose; returns the states that were met.

    Args:
        lessons: trained at the budget of the setting, or at their own.
        setting: of the repairs; its bugs and seeds are not used.
        trainer: of the trials.
        rng: what is drawn, all of it.
        policy: the pupil, which takes its most likely action or draws one; without it the teacher leads.
        tell: is told the number of lessons and of states after each chunk.

    Raises:
        NetmendError: no lesson had anything to learn from.
    """
    parts: list[States] = []
    done, source = 0, iter(lessons)
    while chunk := list(islice(source, CHUNK)):
        live = [_begun(lesson, setting, led=policy is None or rng.random() < FOLLOWED) for lesson in chunk]
        parts += _repaired(live, trainer, rng, policy)
        done += len(chunk)
        if tell is not None:
            tell(done, sum(map(len, parts)))
    if not parts:
        raise NetmendError("imitation: no edit that is allowed brings any lesson nearer to its good program")
    return together(parts)


def _begun(lesson: Lesson, setting: Setting, *, led: bool) -> _Repair:
    episode = setting.episode(Bug(id="", program=lesson.program, budget=lesson.budget), lesson.seed)
    episode.begin(lesson.trial)
    distance = Distance(lesson.target, episode.task, episode.rules.budget.epochs)
    return _Repair(episode, distance, lesson.goal, led)


def _repaired(
    repairs: Sequence[_Repair], trainer: Trainer, rng: Generator, policy: Policy | None
) -> Iterator[States]:
    """Go on with repairs until all are over; their trials wait for one call to the trainer."""
    waiting: list[_Repair] = []
    editing = [repair for repair in repairs if not repair.is_over()]
    while editing or waiting:
        if not editing:
            advance([own.episode for own in waiting], [own.episode.stop for own in waiting], trainer)
            editing, waiting = [own for own in waiting if not own.is_over()], []
            continue
        right = [labels(repair.episode, repair.distance) for repair in editing]
        known = np.array([bool(own.any()) for own in right])
        observations = observe([repair.episode.state() for repair in editing])
        masks = np.stack([repair.episode.mask() for repair in editing])
        if known.any():
            yield pack(observations[known], masks[known], np.stack(right)[known])
        likely = None if policy is None else policy.probabilities(observations, masks)
        going = []
        for number, repair in enumerate(editing):
            own = None if repair.led or likely is None else likely[number]
            action = _action(right[number], masks[number], own, rng)
            if action == repair.episode.stop:
                waiting += [repair] if repair.episode.pending_edits else []
            else:
                advance([repair.episode], [action], trainer)
                going.append(repair)
        editing = going


def _action(right: Mask, mask: Mask, likely: NDArray[np.float32] | None, rng: Generator) -> int:
    """An action: now and then any legal edit, else the pupil's where it acts, else one that is right."""
    edits = np.flatnonzero(mask[:-1])
    if rng.random() < RANDOM and edits.size:
        return int(rng.choice(edits))
    if likely is None:
        # Where the teacher has nothing to say the repair ends, or goes on from a program that was tried.
        known = np.flatnonzero(right) if right.any() else edits
        return len(mask) - 1 if mask[-1] and not right.any() else int(rng.choice(known))
    if rng.random() < BEST:
        return int(likely.argmax())
    return int(rng.choice(len(likely), p=likely.astype(np.float64) / likely.sum(dtype=np.float64)))

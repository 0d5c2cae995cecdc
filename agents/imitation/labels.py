"""What the teacher would do: all edits that bring a program nearer to the good one, else its trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netmend.agents.imitation.distance import Distance
from netmend.env.episode import Episode
from netmend.env.program.changes import differing
from netmend.repair_actions import edited, select
from netmend.repair_actions.recipes import RECIPES

LEAST = 0.12
"""Least decrease of the distance that is worth an edit: what twins of a good choice differ by is not."""
SHARE = 0.8
"""Share of the best decrease of a field with which an edit counts as as good."""
CANONICAL = frozenset(
    action.name
    for action in select(
        (
            "optimizer/lr_*",
            "optimizer/adam@program",
            "activation/relu@hidden",
            "neural_connection/glorot_uniform@all",
            "layer_dimension/units_64@hidden",
            "data_wrangling/standardize@inputs",
            "iterations/batch_32@program",
            "iterations/epochs_16@program",
        )
    )
)
"""Of several edits that do the same, those that the teacher prefers, so that a pupil can tell which."""


def labels(episode: Episode, distance: Distance) -> NDArray[np.bool_]:
    """What is right now in a repair whose edits compose, shape ``(actions + 1,)``.

    All legal edits that bring the pending program nearer, in every field that they change by at least
    ``SHARE`` of what the best edit of that field does. Where there are none, and edits are pending: *go*.
    Nothing at all where nothing is pending, for the teacher does not say when to give up; and where the
    program was tried.

    Recipes are never right: what they do is done by fewer edits, those of the faults.
    """
    right = np.zeros(episode.stop + 1, np.bool_)
    right[_canonical(_best(_gains(episode, distance)), episode, distance)] = True
    if not right.any():
        right[episode.stop] = bool(episode.pending_edits) and episode.mask()[episode.stop]
    return right


class _Gain(NamedTuple):
    """What an edit does: by how much it brings the program nearer, and which fields it changes."""

    nearer: float
    fields: Sequence[str]


def _gains(episode: Episode, distance: Distance) -> dict[int, _Gain]:
    """The legal edits that bring the program nearer.

    Those that get past a crash and do harm elsewhere count only where no others get nearer.
    """
    clean: dict[int, _Gain] = {}
    harmful: dict[int, _Gain] = {}
    pending, after = episode.pending, episode.successors()
    faults, crash = distance.faults(pending), distance.crash(pending)
    for number in np.flatnonzero(episode.mask()[:-1]).tolist():
        program = after[number]
        assert program is not None
        if episode.actions[number].name in RECIPES:
            continue
        left = distance.faults(program)
        nearer = faults + crash - left - distance.crash(program)
        if nearer >= LEAST:
            gains = clean if left < faults + LEAST else harmful
            gains[number] = _Gain(nearer, differing(pending, program))
    return clean or harmful


def _best(gains: Mapping[int, _Gain]) -> list[int]:
    best: dict[str, float] = {}
    for gain in gains.values():
        best |= {name: max(gain.nearer, best.get(name, 0.0)) for name in gain.fields}
    return [
        number
        for number, gain in gains.items()
        if all(gain.nearer >= SHARE * best[name] for name in gain.fields)
    ]


def _canonical(numbers: list[int], episode: Episode, distance: Distance) -> list[int]:
    """The edits without those that a canonical one among them makes redundant.

    An edit is redundant where, after the canonical one, it would bring the program no nearer.
    """
    preferred = [number for number in numbers if episode.actions[number].name in CANONICAL]
    return [
        number
        for number in numbers
        if number in preferred or not any(_settles(episode, first, number, distance) for first in preferred)
    ]


def _settles(episode: Episode, first: int, second: int, distance: Distance) -> bool:
    """Whether the second edit is illegal or in vain after the first."""
    program = episode.successors()[first]
    assert program is not None
    both = edited(episode.actions[second], program, episode.task)
    return both is None or distance(program) - distance(both) < LEAST

"""What a policy sees comes from the program and its trials: nothing says which faults were put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.methods import blinded
from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.operators import OPERATORS
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.observation import slot_names
from netmend.env.program.crashes import find_crash
from netmend.env.reward import Rules
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import Status, Trial
from netmend.repair_actions import select
from netmend.repair_actions.recipes import WITH_RECIPES

OTHER_LABELS = {
    "id": "another",
    "fixed": None,
    "base": "another",
    "operators": ("xgr", "another"),
    "provenance": "another",
    "faulty_score": None,
    "fixed_score": None,
}


def _trial(bug: Bug) -> Trial:
    crash = find_crash(bug.program, load_dataset(bug.program.data.dataset).task)
    if crash is None:
        return Trial(status=Status.OK, skill=0.3, metric=0.5)
    return Trial(status=Status.CRASHED, message=crash.message, symptoms=Symptoms(crash=crash))


def _begun(bug: Bug, compose: bool) -> Episode:
    task = load_dataset(bug.program.data.dataset).task
    episode = Episode(bug, task, select(["*"], WITH_RECIPES), Rules(compose=compose), 0)
    episode.begin(_trial(bug))
    return episode


@pytest.mark.parametrize("compose", [False, True])
@pytest.mark.parametrize("suite", ["mutants-v1", "crashes-v1"])
def test_labels_of_a_bug_change_neither_observation_nor_mask(suite: str, compose: bool) -> None:
    for bug in load_suite(suite).bugs[::17]:
        told = _begun(bug, compose)
        for other in (replace(bug, **OTHER_LABELS), blinded(bug)):  # type: ignore[arg-type]
            same = _begun(other, compose)
            np.testing.assert_array_equal(same.observation(), told.observation())
            np.testing.assert_array_equal(same.mask(), told.mask())


def test_no_slot_and_no_action_is_called_like_an_operator() -> None:
    words = {
        word
        for name in (*slot_names(compose=True), *WITH_RECIPES)
        for word in name.replace("/", " ").replace("@", " ").split()
    }
    assert not words & set(OPERATORS)

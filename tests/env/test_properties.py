"""Whatever legal actions follow each other, from whatever bug: nothing raises, and every result has a label.

A walk keeps every edit, however bad, so that the programs drift far from those that anybody wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import pytest
from numpy.typing import NDArray

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.errors import DataError
from netmend.env.observation import LIMIT, slot_names
from netmend.env.program import PHASES, Program, Task, check, digest, find_crash, to_plain
from netmend.env.program.crashes import same_place
from netmend.env.reward import Rules
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trial
from netmend.env.vector import RepairVectorEnv
from netmend.repair_actions.patch import applied

RULES = Rules(trials=8, budget=Budget(samples=32, epochs=2, updates=4), tolerance=10.0)
ILLEGAL = 0.01
"""Share of the actions that are drawn from those that are not legal."""
DYNAMIC = ("Expected more than 1 value per channel",)
"""What only a running program shows: a batch of one row in a batch normalisation."""


def test_short_walks_from_any_bug(crash_bugs: tuple[Bug, ...], silent_bugs: tuple[Bug, ...]) -> None:
    rng = np.random.default_rng(0)
    bugs = [*load_suite("tiny").bugs, *crash_bugs, *silent_bugs]
    statuses = walk(bugs, steps=320, rng=rng)
    assert set(statuses) >= {Status.OK, Status.CRASHED}


@pytest.mark.slow
def test_twenty_thousand_steps_from_any_bug(
    crash_bugs: tuple[Bug, ...], silent_bugs: tuple[Bug, ...]
) -> None:
    rng = np.random.default_rng(1)
    mutants = [*load_suite("mutants-v1").bugs, *load_suite("crashes-v1").bugs]
    sample = [mutants[i] for i in rng.choice(len(mutants), 120, replace=False)]
    others = [bug for name in ("tiny", "real-v1") for bug in load_suite(name).bugs if has_data(bug)]
    statuses = walk([*sample, *others, *crash_bugs, *silent_bugs], steps=20_000, rng=rng)
    assert set(statuses) >= {Status.OK, Status.CRASHED, Status.DIVERGED}
    assert statuses[Status.INVALID] == 0


def has_data(bug: Bug) -> bool:
    """Whether the data are here: some real bugs need a data pack."""
    try:
        load_dataset(bug.program.data.dataset)
    except DataError:
        return False
    return True


def walk(bugs: Sequence[Bug], steps: int, rng: np.random.Generator) -> Counter[Status]:
    """So many random steps of 32 repairs side by side; how often each status was seen."""
    statuses: Counter[Status] = Counter()
    with closing(RepairVectorEnv(32, bugs, rules=RULES, seeds=4, autoreset_mode="SameStep")) as env:
        observations, _ = env.reset(seed=int(rng.integers(1 << 30)))
        check_observations(observations)
        for _ in range(-(-steps // env.num_envs)):
            masks = env.action_masks()
            actions = np.array([choose(mask, rng) for mask in masks])
            before = list(env.episodes)
            check_patches(before)
            proposals = [propose(episode, action) for episode, action in zip(before, actions, strict=True)]
            programs = [(episode.program, to_plain(episode.program)) for episode in before]
            observations, rewards, *_ = env.step(actions)
            check_observations(observations)
            for episode, after, (program, plain), reward in zip(
                before, proposals, programs, rewards, strict=True
            ):
                assert to_plain(program) == plain, "an edit has changed its input"
                statuses[check_step(episode, after, float(reward))] += 1
    return statuses


def check_patches(episodes: Sequence[Episode]) -> None:
    """A patch leads to the program that stands, and not one of its edits can be left out."""
    for episode in episodes:
        faulty, task, patch = episode.bug.program, episode.task, episode.patch
        assert applied(faulty, task, patch) == episode.program
        for left_out in range(len(patch)):
            rest = (*patch[:left_out], *patch[left_out + 1 :])
            assert applied(faulty, task, rest) != episode.program, patch[left_out]


def choose(mask: NDArray[np.bool_], rng: np.random.Generator) -> int:
    """A legal action, the stop action seldom; now and then one that is not legal."""
    legal, illegal = np.flatnonzero(mask[:-1]), np.flatnonzero(~mask)
    if len(illegal) and rng.random() < ILLEGAL:
        return int(rng.choice(illegal))
    return int(rng.choice(legal)) if len(legal) and rng.random() > ILLEGAL else len(mask) - 1


def propose(episode: Episode, action: int) -> Program | None:
    """The program that an action leads to, after a look at what makes the action legal."""
    after = episode.request(action).program
    if after is not None:
        check_edit(episode.program, after, episode.task, episode.actions[action].name)
    return after


def check_edit(before: Program, after: Program, task: Task, name: str) -> None:
    """A legal edit changes something, breaks no rule, and takes no step back on the way to a training."""
    assert after != before, name
    assert digest(after) != digest(before), name
    assert check(after, task) == [], name
    old, new = find_crash(before, task), find_crash(after, task)
    if old is not None and old.phase != "predict":
        assert new is None or new.expected != old.expected or not same_place(old, before, new, after), name
    if new is not None:
        first = PHASES.index(old.phase) if old is not None else PHASES.index("loss")
        assert PHASES.index(new.phase) >= first, (name, new)


def check_step(episode: Episode, after: Program | None, reward: float) -> Status | None:
    """What the episode made of a step; returns the status of its trial."""
    step = episode.steps[-1]
    assert np.isfinite(reward)
    assert step.legal == (after is not None or step.action == "stop")
    if after is None:
        assert reward == (0.0 if step.action == "stop" else -RULES.price)
        return None
    if step.kept:
        assert episode.program == after
        check_trial(episode.trial, after, episode.task)
    return step.status


def check_trial(trial: Trial, program: Program, task: Task) -> None:
    """A trial ends as the program's crash says, or with another label and a reason."""
    crash = find_crash(program, task)
    seen = trial.symptoms.crash
    assert (trial.status is Status.CRASHED) == (seen is not None)
    assert SKILL_FLOOR <= trial.skill <= 1
    assert (trial.message == "") == (trial.status is Status.OK)
    if crash is not None:
        assert trial.skill == SKILL_FLOOR
        assert trial.status is not Status.OK
        assert seen == crash or crash.phase == "predict"
    if seen is not None and seen != crash:
        assert seen.kind == "other"
        assert any(words in seen.message for words in DYNAMIC), trial.message


def check_observations(rows: NDArray[np.float32]) -> None:
    assert rows.shape[1:] == (len(slot_names()),)
    assert rows.dtype == np.float32
    assert np.all(np.abs(rows) <= LIMIT)

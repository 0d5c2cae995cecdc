"""What one repair allows, takes back, counts and ends with, told by trials that a test makes up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.episode import Episode
from netmend.env.findings import findings
from netmend.env.program import (
    Conv2d,
    Data,
    Dense,
    Flatten,
    Loop,
    Optimizer,
    Program,
    Task,
    find_crash,
)
from netmend.env.program.changes import replaced
from netmend.env.reward import Rules
from netmend.env.training.loop import train
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trial
from netmend.repair_actions import select
from netmend.repair_actions.mend import MEND
from netmend.repair_actions.patch import applied

ALL = select(["*"])
IMAGES = Task(dataset="digits_images", kind="classification", input_shape=(1, 8, 8), outputs=10)
RUNS = Program(
    data=Data(dataset="digits_images"),
    layers=(Flatten(), Dense(units=8, activation="sigmoid"), Dense(units=10)),
    loss="cross_entropy",
    optimizer=Optimizer(kind="sgd", lr=1.0),
)
CRASHES = replace(RUNS, layers=(Conv2d(filters=4, padding="same"), Flatten(), Dense(units=10, inputs=999)))


def trial_of(program: Program, skill: float = 0.2) -> Trial:
    crash = find_crash(program, IMAGES)
    if crash is None:
        return Trial(status=Status.OK, skill=skill)
    return Trial(status=Status.CRASHED, message="no", skill=SKILL_FLOOR, symptoms=Symptoms(crash=crash))


def started(program: Program, skill: float = 0.2, rules: Rules | None = None) -> Episode:
    episode = Episode(Bug(id="bug", program=program), IMAGES, ALL, rules or Rules(trials=9), seed=0)
    episode.begin(trial_of(program, skill))
    return episode


def number(name: str) -> int:
    return next(index for index, action in enumerate(ALL) if action.name == name)


def play(episode: Episode, name: str, skill: float = 0.2) -> float:
    pending = episode.request(number(name))
    assert pending.program is not None, name
    return episode.tell(pending, trial_of(pending.program, skill))


def legal(episode: Episode) -> set[str]:
    return {ALL[index].name for index in np.flatnonzero(episode.mask()[:-1])}


def test_the_only_remedy_of_a_crash_comes_first() -> None:
    episode = started(CRASHES)
    assert legal(episode) == {"layer_dimension/fit_inputs@all", MEND.name}
    assert episode.mask()[episode.stop]
    play(episode, "layer_dimension/fit_inputs@all")
    assert len(legal(episode)) > 20


def test_a_remedy_that_was_tried_is_not_waited_for() -> None:
    episode = started(CRASHES)
    pending = episode.request(number(MEND.name))
    episode.tell(pending, replace(trial_of(CRASHES), symptoms=Symptoms()))
    assert episode.steps[-1].status is Status.CRASHED
    assert legal(episode)


def test_the_mend_of_a_crash_stands_in_the_patch_as_its_edits() -> None:
    episode = started(CRASHES)
    play(episode, MEND.name)
    assert episode.steps[-1].action == MEND.name
    assert episode.patch == ("layer_dimension/fit_inputs@all",)
    assert applied(CRASHES, IMAGES, episode.patch) == episode.program


def test_an_edit_after_which_it_crashes_where_it_did_is_taken_back() -> None:
    episode = started(CRASHES)
    crash = find_crash(CRASHES, IMAGES)
    assert crash is not None
    crash = replace(crash, found=(2,))
    again = Trial(status=Status.CRASHED, message="no", symptoms=Symptoms(crash=crash))
    reward = episode.tell(episode.request(number(MEND.name)), again)
    assert not episode.steps[-1].kept
    assert reward == pytest.approx(-episode.rules.price)
    assert episode.patch == ()
    assert episode.program == CRASHES


def test_the_reward_counts_the_parts_that_an_edit_replaces() -> None:
    episode = started(RUNS)
    rules = episode.rules
    setting = play(episode, "activation/relu@hidden", skill=0.5)
    assert setting == pytest.approx(0.3 - rules.price - rules.part_price)
    before = episode.program
    network = play(episode, "change_neural_architecture/mlp_64_64@hidden", skill=0.5)
    parts = replaced(before, episode.program)
    assert parts >= 3
    assert network == pytest.approx(-rules.price - parts * rules.part_price)


def test_an_edit_that_is_taken_back_replaces_nothing() -> None:
    episode = started(RUNS, skill=0.5)
    reward = play(episode, "change_neural_architecture/mlp_64_64@hidden", skill=0.1)
    assert reward == pytest.approx(-episode.rules.price)


def test_an_edit_that_a_later_one_makes_idle_leaves_the_patch() -> None:
    episode = started(RUNS)
    play(episode, "optimizer/lr_0.1@program")
    play(episode, "iterations/batch_64@program", skill=0.3)
    play(episode, "optimizer/lr_0.01@program", skill=0.4)
    assert episode.best_patch == ("iterations/batch_64@program", "optimizer/lr_0.01@program")
    assert applied(RUNS, IMAGES, episode.best_patch) == episode.best_program


def test_a_repair_ends_where_nothing_is_left_to_gain() -> None:
    episode = started(RUNS)
    play(episode, "activation/relu@hidden", skill=1.0)
    assert episode.done
    perfect = started(RUNS, skill=1.0)
    assert legal(perfect) == set()
    assert perfect.mask()[perfect.stop]


def test_what_must_be_kept_is_masked() -> None:
    free = started(RUNS)
    kept = started(RUNS, rules=Rules(keep=("architecture", "optimizer/*")))
    gone = legal(free) - legal(kept)
    assert legal(kept) <= legal(free)
    assert {"add_layer/batch_norm@hidden", "optimizer/adam@program"} <= gone
    assert "activation/relu@hidden" in legal(kept)


def test_a_kept_part_rules_out_the_remedy_too() -> None:
    kept = started(CRASHES, rules=Rules(keep=("layer_dimension/*",)))
    assert not any(name.startswith("layer_dimension/") for name in legal(kept))
    assert MEND.name not in legal(kept)


def test_a_trial_that_hung_cuts_the_repair_off_and_shows_nothing() -> None:
    episode = started(RUNS)
    play(episode, "optimizer/lr_0.1@program", skill=0.4)
    seen, stands = episode.observation(), episode.program
    pending = episode.request(number("activation/relu@hidden"))
    reward = episode.tell(pending, Trial(status=Status.HUNG, message="no answer"))
    assert reward == 0.0
    assert episode.done
    assert episode.cut_off
    assert episode.program == stands
    np.testing.assert_array_equal(episode.observation(), seen)


def test_the_metric_that_a_bug_names_judges_every_trial_and_no_edit_changes_it() -> None:
    bug = Bug(id="bug", program=RUNS, task_metric="f1")
    episode = Episode(bug, IMAGES, ALL, Rules(trials=9), seed=0)
    assert episode.request_first().metric == "f1"
    episode.begin(trial_of(RUNS))
    requests = [episode.request(index).request for index in np.flatnonzero(episode.mask()[:-1])]
    assert {request.metric for request in requests if request is not None} == {"f1"}


ADDS_UP = replace(RUNS, loop=Loop(zero_grad=False))


def test_the_one_answer_to_a_fault_that_is_certain_comes_first() -> None:
    episode = started(ADDS_UP)
    assert legal(episode) == {"api_contract/zero_grad@program"}
    assert episode.mask()[episode.stop]
    play(episode, "api_contract/zero_grad@program", skill=0.3)
    assert len(legal(episode)) > 20


def test_of_two_such_faults_either_comes_first() -> None:
    episode = started(replace(ADDS_UP, data=replace(RUNS.data, shuffle=False)))
    assert legal(episode) == {"api_contract/zero_grad@program", "data_wrangling/shuffle@program"}
    play(episode, "data_wrangling/shuffle@program")
    assert legal(episode) == {"api_contract/zero_grad@program"}


def test_an_answer_that_did_harm_or_must_not_be_given_is_not_waited_for() -> None:
    episode = started(ADDS_UP, skill=0.9)
    play(episode, "api_contract/zero_grad@program", skill=0.1)
    assert len(legal(episode)) > 20
    kept = started(ADDS_UP, rules=Rules(keep=("api_contract/zero_grad@program",)))
    assert len(legal(kept)) > 20


def test_a_fault_with_several_answers_and_a_good_program_leave_the_choice() -> None:
    squashed = replace(RUNS, layers=(*RUNS.layers[:-1], Dense(units=10, activation="softmax")))
    assert len(legal(started(squashed))) > 20
    assert len(legal(started(RUNS))) > 20
    # a mode that no layer of the network knows changes nothing
    assert len(legal(started(replace(RUNS, loop=Loop(evaluation_mode=False))))) > 20


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_missing_values_are_told_first_and_filled_first(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    x[::5, 1] = np.nan
    path = tmp_path / f"people.{suffix}"
    if suffix == "npz":
        np.savez(path, x=x, y=y)
    else:
        numbers = [["" if np.isnan(value) else f"{value:.5f}" for value in row] for row in x]
        cells = [",".join([*row, str(label)]) for row, label in zip(numbers, y, strict=True)]
        path.write_text("\n".join(["height,age,weight,class", *cells]))
    program = Program(
        data=Data(dataset=str(path)),
        layers=(Dense(units=8, activation="relu"), Dense(units=2)),
        loss="cross_entropy",
        optimizer=Optimizer(lr=0.01),
    )
    dataset = load_dataset(str(path))
    first = train(program, dataset, Budget(), 0)
    told = findings(program, dataset, first)[0]
    column = "column age" if suffix == "csv" else "feature 2"
    assert told.text == f"{column}: 19 % missing, and the program fills no gaps"
    episode = Episode(Bug(id="bug", program=program), dataset.task, ALL, Rules(), seed=0)
    episode.begin(first)
    assert legal(episode) == {"data_wrangling/fill_missing@inputs"}
    filled = episode.request(number("data_wrangling/fill_missing@inputs")).program
    assert filled is not None
    assert train(filled, dataset, Budget(), 0).skill > 0.7

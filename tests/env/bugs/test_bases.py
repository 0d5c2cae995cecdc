"""The good programs."""

from __future__ import annotations

import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import SPLITS
from netmend.env.data import load_dataset
from netmend.env.program import Conv1d, Conv2d, Embedding, Recurrent, check, infer_shapes
from netmend.env.training.local import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest


@pytest.mark.parametrize("name", BASES)
def test_every_base_fits_its_task(name: str) -> None:
    program = BASES[name].program
    task = load_dataset(program.data.dataset).task
    assert check(program, task) == []
    assert len(infer_shapes(program.layers, task)) == len(program.layers)


def test_no_base_wants_more_epochs_than_a_trial_gives() -> None:
    assert {base.program.epochs for base in BASES.values()} <= set(range(10, Budget().epochs + 1))


def test_there_are_enough_of_them_and_all_kinds_in_train_and_held_out() -> None:
    assert len(BASES) >= 16
    assert len({base.program.data.dataset for base in BASES.values()}) >= 12
    for split in ("train", "held-out"):
        programs = [base.program for base in BASES.values() if base.split == split]
        kinds = {type(layer) for program in programs for layer in program.layers}
        assert {Conv1d, Conv2d, Recurrent, Embedding} <= kinds
        tasks = {load_dataset(program.data.dataset).task.kind for program in programs}
        assert tasks == {"classification", "regression"}
    assert {base.split for base in BASES.values()} == set(SPLITS)


@pytest.mark.parametrize("name", ["circles_logit", "friedman2_sgd", "digits_keras"])
def test_a_base_is_good_at_the_default_budget(name: str) -> None:
    trainer = LocalTrainer()
    (trial,) = trainer.run([TrialRequest(program=BASES[name].program, budget=Budget(), seed=0, holdout=True)])
    assert trial.status is Status.OK
    assert trial.skill > 0.8

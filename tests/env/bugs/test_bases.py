"""The good programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.bugs.bases import BASES, read_bases
from netmend.env.data import load_dataset
from netmend.env.errors import ProgramError
from netmend.env.program import Conv1d, Conv2d, Embedding, Recurrent, check, infer_shapes
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest

NAMES = {
    "train": """
        digits_keras cancer_sigmoid circles_logit blobs_torch xor_tanh digits_norm circles_keras cancer_deep
        xor_relu shells_deep gestures_dense friedman1_relu friedman2_sgd prices_huber friedman1_l2
        friedman2_adam spot_dense waveforms_conv gestures_conv digits_lenet spot_conv pulses_gru tank_gru
        digits_rows_lstm reviews_mean volumes_conv3d digits_autoencoder grammar_transformer
        pumps_weighted
    """,
    "validation": """
        moons_elu wine_single iris_tanh friedman3_elu shapes_norm grammar_gru trends_lstm
    """,
    "held-out": """
        spirals_deep faults_keras digits_wide moons_sigmoid blobs_keras projectile_mae robot_tanh
        prices_deep textures_conv pitch_conv tank_lstm battery_gru topics_conv pulses_transformer rooms_lstm
    """,
}
"""Every base by its split: moving one would let a policy train on what it is judged by."""
WRONG = """
netmend: 1
one: {split: test, program: {layers: [{dense: {units: 0}}]}}
two: {split: train}
"""


def test_the_bases_and_their_splits() -> None:
    assert len(BASES) == 51
    for split, names in NAMES.items():
        assert [name for name, base in BASES.items() if base.split == split] == names.split()


def test_a_wrong_file_lists_every_problem_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "bases.yaml").write_text(WRONG)
    with pytest.raises(ProgramError) as caught:
        read_bases(tmp_path / "bases.yaml")
    problems = "\n".join(caught.value.problems)
    for path in ("one.split", "one.program.layers[0].units", "one.program.data", "two"):
        assert f"{path}: " in problems
    (tmp_path / "bases.yaml").write_text("- 1")
    with pytest.raises(ProgramError, match="not a mapping"):
        read_bases(tmp_path / "bases.yaml")


@pytest.mark.parametrize("name", BASES)
def test_every_base_fits_its_task(name: str) -> None:
    program = BASES[name].program
    task = load_dataset(program.data.dataset).task
    assert check(program, task) == []
    assert len(infer_shapes(program.layers, task)) == len(program.layers)


def test_no_base_wants_more_epochs_than_a_trial_gives() -> None:
    assert {base.program.epochs for base in BASES.values()} <= set(range(10, Budget().epochs + 1))


def test_there_are_all_kinds_in_train_and_held_out() -> None:
    assert len({base.program.data.dataset for base in BASES.values()}) >= 12
    for split in ("train", "held-out"):
        programs = [base.program for base in BASES.values() if base.split == split]
        kinds = {type(layer) for program in programs for layer in program.layers}
        assert {Conv1d, Conv2d, Recurrent, Embedding} <= kinds
        tasks = {load_dataset(program.data.dataset).task.kind for program in programs}
        assert tasks == {"classification", "regression"}


@pytest.mark.parametrize("name", ["circles_logit", "friedman2_sgd", "digits_keras"])
def test_a_base_is_good_at_the_default_budget(name: str) -> None:
    trainer = LocalTrainer()
    (trial,) = trainer.run([TrialRequest(program=BASES[name].program, budget=Budget(), seed=0, holdout=True)])
    assert trial.status is Status.OK
    assert trial.skill > 0.8

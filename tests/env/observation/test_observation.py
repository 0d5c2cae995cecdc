"""What is kept of an observation's parts is what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.history import History, Step
from netmend.env.observation import LIMIT, State, observe, slot_names
from netmend.env.observation.program_slots import program_slots, program_values
from netmend.env.observation.trial_slots import DATA_SYMPTOMS, TRIAL_SLOTS, trial_values
from netmend.env.program import (
    Attention,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Crash,
    Data,
    Dense,
    Detach,
    GlobalPool,
    Loop,
    Monitor,
    Optimizer,
    Position,
    Prep,
    Program,
    Schedule,
    Task,
    find_crash,
)
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import SKILL_FLOOR, Status, Trial

EDITS: tuple[dict[str, object], ...] = (
    {"epochs": 3},
    {"loss": "mse"},
    {"patience": 2},
    {"patience": 2, "stop_on": "metric"},
    {"metric": "r2"},
    {"reduction": "sum"},
    {"input": (8, 8)},
    {"input": (4,)},
    {"schedule": Schedule(gamma=0.5)},
    {"loop": Loop(zero_grad=False)},
    {"api": "torch_0"},
    {"monitor": Monitor(rates=True)},
    {"data": Data(dataset="iris", input_type="int64", split="leaky")},
    {"data": Data(dataset="iris", prep=(Prep(kind="add_axis", rows="train"),))},
    {"data": Data(dataset="iris", prep=(Prep(kind="drop_axis_target"),))},
)
HISTORY = History(trials=5, trials_left=3, faulty_skill=0.1, best_skill=0.5, edits=1)
TRIAL = Trial(
    status=Status.DIVERGED,
    skill=0.25,
    symptoms=Symptoms(input_spread=3.0, outliers=0.01, imbalance=-1e9),
)


def named(program: Program, task: Task, trial: Trial = TRIAL) -> dict[str, float]:
    (row,) = observe([State(program, task, trial, HISTORY)])
    return dict(zip(slot_names(), row.tolist(), strict=True))


def test_slots_hold_what_their_names_say(mlp_program: Program, mlp_task: Task) -> None:
    slots = named(mlp_program, mlp_task)
    assert len(slots) == len(slot_names())
    assert slots["layer2/units"] == 3 / 6
    assert slots["layer3/present"] == 0
    assert slots["optimizer/adam"] == slots["prep/standardize"] == slots["status/diverged"] == 1
    assert slots["skill"] == 0.25
    assert (slots["symptom/outliers"], slots["symptom/input_spread"]) == (0.5, 1.0)
    assert slots["symptom/imbalance"] == -LIMIT
    assert slots["gain"] == np.float32(0.4)


def test_a_transformer_is_told_by_its_slots(mlp_program: Program) -> None:
    series = Task(dataset="series", kind="classification", input_shape=(8, 6), outputs=3)
    blocks = (Attention(heads=4, dropout=0.5), Attention(heads=2, width=8, norm="none"))
    slots = named(replace(mlp_program, layers=(Position(), *blocks, GlobalPool(), Dense(units=3))), series)
    assert (slots["layers/attention"], slots["layers/position"]) == (2 / 4, 1 / 4)
    assert slots["attention/heads"] == 2 / 4
    assert slots["attention/norm_behind"] == slots["attention/no_norm"] == 1
    assert (slots["dropout/layers"], slots["dropout/rate"]) == (1 / 4, 0.5)
    assert (slots["layer1/units"], slots["layer2/units"]) == (0, 3 / 6)
    assert (slots["width/least"], slots["width/most"]) == (3 / 6, 3 / 6)


def test_kinds_of_convolutions_are_counted(mlp_program: Program, mlp_task: Task) -> None:
    layers = (Conv3d(filters=4), Conv2d(filters=4), Conv2dTranspose(filters=8), Conv1dTranspose(filters=2))
    slots = named(replace(mlp_program, layers=layers), mlp_task)
    assert slots["layers/conv"] == slots["layers/conv_transpose"] == 0.5
    assert slots["layer3/units"] == 3 / 6


def test_a_crash_is_read_by_the_layers_of_the_program(mlp_program: Program, mlp_task: Task) -> None:
    crash = Crash(phase="forward", kind="size", layer=2, message="")
    trial = Trial(status=Status.CRASHED, skill=SKILL_FLOOR, symptoms=Symptoms(crash=crash))
    deeper = replace(mlp_program, layers=(Dense(units=4), *mlp_program.layers))
    for program, site in ((mlp_program, "output"), (deeper, "layer3"), (mlp_program, "output")):
        assert named(program, mlp_task, trial)[f"crash/layer/{site}"] == 1
    first = trial_values(trial, mlp_program, mlp_task)
    assert trial_values(trial, replace(mlp_program, epochs=3), mlp_task) is first


def test_what_is_kept_of_parts_never_mixes_them_up(
    mlp_program: Program, mlp_task: Task, conv_program: Program, image_task: Task
) -> None:
    again = ({"layers": mlp_program.layers[-1:]}, {"layers": (Dense(units=4), Detach(), Dense(units=3))})
    for program, task in ((mlp_program, mlp_task), (conv_program, image_task)):
        for edit in (*EDITS, *again):
            changed = replace(program, **edit)
            values = [value for _, value in program_slots(changed, task)]
            np.testing.assert_array_equal(program_values(changed, task), np.float32(values))
            assert len(values) == len({name for name, _ in program_slots(changed, task)})


def test_no_value_leaves_the_limits(mlp_program: Program, mlp_task: Task) -> None:
    wild = dict.fromkeys(DATA_SYMPTOMS, float("nan"))
    trial = replace(TRIAL, skill=-1e30, symptoms=Symptoms(**wild))
    (row,) = observe([State(mlp_program, mlp_task, trial, replace(HISTORY, best_skill=1e300))])
    assert row.dtype == np.float32
    assert np.all(np.isfinite(row))
    assert np.abs(row).max() == LIMIT


def crashed(program: Program, task: Task) -> dict[str, float]:
    """Slots of a program that crashes."""
    symptoms = Symptoms(crash=find_crash(program, task))
    return named(program, task, Trial(status=Status.CRASHED, skill=SKILL_FLOOR, symptoms=symptoms))


TELLING: dict[str, dict[str, float]] = {
    "list_inputs": {"crash/phase/data": 1, "crash/found_type/list": 1, "input_type/list": 1},
    "list_labels": {"crash/phase/data": 1, "crash/found_type/list": 1, "label_type/list": 1},
    "no_axis_to_drop": {"crash/phase/data": 1, "crash/kind/rank": 1, "prep/drop_axis": 1, "row/rank": 0},
    "one_hot_values": {"crash/kind/label": 1, "labels/one_hot": 1, "task/classification": 0},
    "one_hot_below_0": {"crash/kind/label": 1, "labels/one_hot": 1, "targets/lowest": -1 / 3},
    "keras_1": {"crash/phase/build": 1, "crash/kind/name": 1, "api/keras_1": 1},
    "vectors_to_a_convolution": {"crash/rank_difference": -1, "crash/layer/first": 1, "crash/layer/conv": 1},
    "sequences_to_a_convolution": {"crash/rank_difference": -0.5, "crash/layer/first": 1},
    "images_to_a_recurrent": {"crash/rank_difference": 0.5, "crash/found/unit_axis": 1},
    "kernel_too_large": {"crash/layer/layer2": 1, "crash/kind/size": 1, "crash/features_ratio": 0},
    "channels_behind": {"crash/channels_behind": 1, "crash/same_size": 1, "crash/expected/raw_row": 1},
    "reshape_misfit": {"crash/layer/reshape": 1, "crash/kind/size": 1, "network/builds": 0},
    "skip_misfit": {"crash/layer/skip": 1, "network/builds": 0},
    "shared_misfit": {"crash/layer/shared": 1},
    "nothing_optimized": {"crash/kind/graph": 1, "crash/phase/build": 1, "loop/optimized/all": 0},
    "declared_other_size": {"crash/phase/forward": 1, "declared/rank": 1 / 3, "declared/equal": 0},
    "declared_flat": {"crash/found/raw_row": 1, "declared/other_rank": 1, "crash/same_size": 1},
    "layer_declares_other": {"crash/layer/output": 1, "network/declares_other": 0.25},
    "double_inputs": {"crash/found_type/float64": 1, "crash/expected_type/float32": 1, "input_type/wrong": 1},
    "float_tokens": {
        "crash/expected_type/int64": 1,
        "crash/found_type/float32": 1,
        "crash/layer/embedding": 1,
    },
    "small_table": {"crash/layer/embedding": 1, "crash/kind/size": 1},
    "torch_0": {"crash/phase/loss": 1, "crash/kind/name": 1, "api/torch_0": 1},
    "not_flattened": {"crash/phase/loss": 1, "crash/found/rank": 1, "network/output_rank": 1},
    "all_steps": {"crash/found/rank": 2 / 3, "recurrent/returns_sequences": 1},
    "ids_for_probabilities": {"crash/expected/one": 1, "crash/found/outputs": 1, "targets/as_output": 0},
    "one_output_for_one_hot": {"crash/expected/outputs": 1, "crash/found/one": 1},
    "targets_with_an_axis": {"prep/add_axis_target": 1, "crash/rank_difference": -0.5, "targets/rank": 1},
    "fewer_outputs_than_classes": {"crash/kind/label": 1, "targets/beyond": 0, "crash/found/outputs": 1},
    "ids_from_1": {"crash/kind/label": 1, "targets/beyond": 1 / 3, "crash/expected/outputs": 1},
    "values_for_ids": {"crash/kind/label": 1, "loss/on_ids": 1, "task/classification": 0},
    "labels_for_ids": {"crash/kind/label": 1, "loss/on_ids": 1, "task/multilabel": 1},
    "one_hot_for_ids": {"crash/kind/label": 1, "loss/on_ids": 1, "labels/one_hot": 1},
    "float_ids": {"crash/phase/loss": 1, "crash/kind/type": 1, "label_type/wrong": 1},
    "no_graph": {"crash/phase/backward": 1, "loop/loss_graph": 0},
    "single_row": {"crash/phase/predict": 1, "loop/predict/batch": 0, "loop/predict/row": 1},
    "transposed": {"crash/phase/predict": 1, "loop/predict/batch": 0, "loop/predict/row": 0},
}
"""What tells, of a crash, which repair it needs."""


@pytest.mark.parametrize("name", TELLING)
def test_a_crash_is_told_by_its_slots(crash_bugs: tuple[Bug, ...], name: str) -> None:
    (program,) = (bug.program for bug in crash_bugs if bug.id == f"crash/{name}")
    slots = crashed(program, load_dataset(program.data.dataset).task)
    assert slots["crash"] == slots["status/crashed"] == 1
    assert {slot: slots[slot] for slot in TELLING[name]} == pytest.approx(TELLING[name])


def test_a_trial_without_a_crash_has_none_in_its_slots(mlp_program: Program, mlp_task: Task) -> None:
    slots = named(mlp_program, mlp_task)
    assert not any(value for name, value in slots.items() if name.partition("/")[0] == "crash")


def test_a_crash_is_read_by_the_program_that_stands(conv_program: Program, image_task: Task) -> None:
    program = replace(
        conv_program, layers=(*conv_program.layers[:2], Conv2d(filters=1), *conv_program.layers[2:])
    )
    crash = find_crash(replace(program, layers=(*program.layers[:2], Dense(units=10))), image_task)
    trial = Trial(status=Status.CRASHED, symptoms=Symptoms(crash=crash))
    assert named(program, image_task, trial)["crash/layer/none"] == 1
    assert named(program, replace(image_task, outputs=6), trial)["crash/found/outputs"] == 0


def test_every_fault_that_does_not_crash_is_seen_in_the_program(
    silent_bugs: tuple[Bug, ...], mlp_program: Program
) -> None:
    good = Program(data=Data(dataset="iris"), layers=(), loss="mse", optimizer=Optimizer())
    for bug in silent_bugs:
        program = bug.program
        task = load_dataset(program.data.dataset).task
        for field in ("loop", "api", "monitor", "schedule", "reduction", "stop_on"):
            if getattr(program, field) != getattr(good, field):
                usual = replace(program, **{field: getattr(good, field)})
                assert not np.array_equal(program_values(program, task), program_values(usual, task)), field


def test_the_history_says_that_the_last_step_failed(mlp_program: Program, mlp_task: Task) -> None:
    step = Step(action="optimizer/adam@program", status=Status.CRASHED, skill=SKILL_FLOOR)
    for steps, failed in (((step,), 1.0), ((step, replace(step, status=Status.OK)), 0.0), ((), 0.0)):
        state = State(mlp_program, mlp_task, TRIAL, replace(HISTORY, steps=steps))
        assert dict(zip(slot_names(), observe([state])[0], strict=True))["last/failed"] == failed


def test_every_end_has_a_slot_but_the_one_that_says_nothing() -> None:
    shown = {slot.removeprefix("status/") for slot in TRIAL_SLOTS if slot.startswith("status/")}
    assert shown == set(Status) - {Status.HUNG}

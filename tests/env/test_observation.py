"""What is kept of an observation's parts is what they are."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from netmend.env.observation import (
    LIMIT,
    History,
    State,
    observe,
    program_slots,
    program_values,
    slot_names,
    trial_values,
)
from netmend.env.program import Dense, Program, Task
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Curves, Status, Trial

HISTORY = History(trials=5, trials_left=3, faulty_skill=0.1, best_skill=0.5, edits=1)
TRIAL = Trial(
    status=Status.DIVERGED,
    skill=0.25,
    curves=Curves(train_loss=(10.0, 1.0), train_score=(0.5, 0.75), validation_score=(0.25, 0.5)),
    symptoms=Symptoms(
        oscillation=0.5,
        input_spread=3.0,
        layers=(LayerSymptoms(index=0, gradient=-2.0, dead=0.75), LayerSymptoms(index=2, gradient=1e9)),
    ),
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
    assert slots["curve/train_loss/3"] == np.float32(-1 / 3)
    assert (slots["curve/train_score/0"], slots["curve/validation_score/3"]) == (0.5, 0.5)
    assert (slots["symptom/oscillation"], slots["symptom/input_spread"]) == (0.5, 1.0)
    assert (slots["layer1/gradient"], slots["layer1/dead"], slots["layer2/gradient"]) == (-0.5, 0.75, 0)
    assert slots["output/gradient"] == LIMIT
    assert slots["gain"] == np.float32(0.4)


def test_a_trial_is_read_by_the_layers_of_the_program(mlp_program: Program, mlp_task: Task) -> None:
    deeper = replace(mlp_program, layers=(Dense(units=4), *mlp_program.layers))
    for program, site in ((mlp_program, "output"), (deeper, "layer3"), (mlp_program, "output")):
        assert named(program, mlp_task)[f"{site}/gradient"] == LIMIT
    assert trial_values(TRIAL, mlp_program) is trial_values(TRIAL, replace(mlp_program, epochs=3))


def test_what_is_kept_of_parts_never_mixes_them_up(
    mlp_program: Program, mlp_task: Task, conv_program: Program, image_task: Task
) -> None:
    for program, task in ((mlp_program, mlp_task), (conv_program, image_task)):
        for edit in ({"epochs": 3}, {"loss": "mse"}, {"layers": program.layers[-1:]}, {"patience": 2}):
            changed = replace(program, **edit)
            values = [value for _, value in program_slots(changed, task)]
            np.testing.assert_array_equal(program_values(changed, task), np.float32(values))
            assert len(values) == len({name for name, _ in program_slots(changed, task)})


def test_no_value_leaves_the_limits(mlp_program: Program, mlp_task: Task) -> None:
    wild = {field.name: float("nan") for field in fields(Symptoms) if field.name != "layers"}
    trial = replace(TRIAL, skill=-1e30, symptoms=Symptoms(**wild))
    (row,) = observe([State(mlp_program, mlp_task, trial, replace(HISTORY, best_skill=1e300))])
    assert row.dtype == np.float32
    assert np.all(np.isfinite(row))
    assert np.abs(row).max() == LIMIT

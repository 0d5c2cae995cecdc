from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.random import Generator

from netmend.agents.bench import eager
from netmend.agents.bench.eager import EagerTrainer, build, plain
from netmend.env.data import load_dataset
from netmend.env.program import (
    Conv1d,
    Conv2d,
    Data,
    Dense,
    Embedding,
    Flatten,
    Pool,
    Program,
    Recurrent,
    check,
    parameter_count,
)
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest

Draw = Callable[[Generator, int], list[Program]]
DRAWS: list[Draw] = [eager.one_shape, eager.mixed_shape, eager.convolutional, eager.recurrent]
SHORT = Budget(samples=64, epochs=1, updates=2)


@pytest.mark.parametrize("draw", DRAWS)
def test_programs_are_sound_and_repeat_and_the_reference_knows_them(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(1), 24)
    assert drawn == draw(np.random.default_rng(1), 24)
    assert drawn != draw(np.random.default_rng(2), 24)
    assert len({program.loss for program in drawn}) > 3
    for program in drawn:
        task = load_dataset(program.data.dataset).task
        assert check(program, task) == []
        network = build(program, task)
        assert sum(weight.numel() for weight in network.parameters()) == parameter_count(program, task)
    requests = [TrialRequest(program=program, budget=SHORT, seed=0) for program in drawn[:8]]
    for trainer in (LocalTrainer(), EagerTrainer()):
        assert {trial.status for trial in trainer.run(requests)} == {Status.OK}


@pytest.mark.parametrize("draw", [eager.convolutional, eager.recurrent])
def test_full_size_is_the_same_with_more_weights(draw: Callable[..., list[Program]]) -> None:
    small, large = (draw(np.random.default_rng(3), 6, scale) for scale in (1, 8))
    for a, b in zip(small, large, strict=True):
        task = load_dataset(a.data.dataset).task
        assert parameter_count(b, task) > 4 * parameter_count(a, task)
        assert replace(a, layers=()) == replace(b, layers=())


@pytest.mark.parametrize("dataset", ["digits", "digits_images", "gestures", "digits_rows"])
def test_the_reference_learns_what_the_loop_learns(dataset: str) -> None:
    """Its initial weights are others, so that what trains well is held against the loop."""
    convolution = Conv1d if dataset == "gestures" else Conv2d
    layers = {
        "digits": plain(64).layers[:-1],
        "digits_rows": (Recurrent(cell="gru", units=32),),
    }.get(dataset, (convolution(filters=16, padding="same", activation="relu"), Pool(), Flatten()))
    output = Dense(units=load_dataset(dataset).task.outputs)
    base = plain(64)
    program = replace(base, data=replace(base.data, dataset=dataset), layers=(*layers, output))
    request = TrialRequest(program=program, budget=Budget(), seed=0)
    (reference,), (loop,) = EagerTrainer().run([request]), LocalTrainer().run([request])
    assert loop.skill > 0.6
    assert reference.skill == pytest.approx(loop.skill, abs=0.2)


def test_the_reference_keeps_to_the_budget_and_to_the_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def counted(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        batches.append(len(outputs))
        return torch.nn.functional.cross_entropy(outputs, targets)

    monkeypatch.setitem(eager.ENDS, "cross_entropy", (lambda: counted, "index", "linear"))
    budget = Budget(samples=80, epochs=3, updates=7)
    before = torch.get_rng_state()
    EagerTrainer().run([TrialRequest(program=plain(64), budget=budget, seed=0)])
    rows = len(load_dataset("digits").validation)
    assert batches == [32, 32, 16, rows, 32, 32, 16, rows, 32, rows]
    assert torch.equal(before, torch.get_rng_state())


def test_the_reference_refuses_what_it_lacks() -> None:
    text = replace(plain(64), layers=(Embedding(units=4),))
    strided = Conv2d(filters=4, stride=2, padding="same")
    images = replace(text, data=Data(dataset="digits_images"), layers=(strided,))
    for wrong, task in ((text, "reviews"), (images, "digits_images")):
        with pytest.raises(ValueError, match="eager reference does not know"):
            build(wrong, load_dataset(task).task)

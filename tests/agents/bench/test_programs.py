from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import Generator

from netmend.agents.bench import programs
from netmend.agents.bench.eager import ACTIVATIONS, EagerTrainer, build, make_loss, make_optimizer
from netmend.env.data import load_dataset
from netmend.env.program import (
    ACTIVATIONS as ACTIVATION_NAMES,
    LOSSES,
    OPTIMIZERS,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Program,
    Recurrent,
    check,
    parameter_count,
)
from netmend.env.program.api import SPARSE
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest

Draw = Callable[[Generator, int], list[Program]]
DRAWS: list[Draw] = [
    programs.one_shape,
    programs.mixed_shape,
    programs.convolutional_and_recurrent,
    programs.small_convolutional,
]
SHORT = Budget(samples=64, epochs=1, updates=2)


@pytest.mark.parametrize("draw", DRAWS)
def test_programs_are_sound_and_repeat(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(1), 24)
    assert drawn == draw(np.random.default_rng(1), 24)
    assert drawn != draw(np.random.default_rng(2), 24)
    assert len(set(drawn)) == 24
    for program in drawn:
        assert check(program, load_dataset(program.data.dataset).task) == []
        assert program.epochs == Budget().epochs


@pytest.mark.parametrize("draw", DRAWS)
def test_programs_train_to_the_end(draw: Draw) -> None:
    requests = [
        TrialRequest(program=program, budget=SHORT, seed=0) for program in draw(np.random.default_rng(0), 8)
    ]
    assert [trial.status for trial in LocalTrainer().run(requests)] == [Status.OK] * 8


def test_one_shape_differs_in_everything_but_the_shape() -> None:
    drawn = programs.one_shape(np.random.default_rng(0), 64)
    dense = [[layer for layer in program.layers if isinstance(layer, Dense)] for program in drawn]
    assert {tuple(layer.units for layer in layers) for layers in dense} == {(64, 64, 10)}
    assert {program.batch_size for program in drawn} == {32}
    assert {layers[0].activation for layers in dense} == set(programs.HIDDEN)
    assert {layers[0].kernel_init for layers in dense} == set(programs.INITIALISERS)
    assert {program.optimizer.kind for program in drawn} == set(OPTIMIZERS)
    assert len({program.loss for program in drawn}) == len(programs.ENDS)
    rates = {layer.rate for program in drawn for layer in program.layers if isinstance(layer, Dropout)}
    assert rates == {0.1, 0.3, 0.5}
    assert any(len(program.layers) == 3 for program in drawn)


def test_mixed_shape_has_every_depth_and_batch_size() -> None:
    drawn = programs.mixed_shape(np.random.default_rng(0), 64)
    depths = {sum(isinstance(layer, Dense) for layer in program.layers) - 1 for program in drawn}
    assert depths == set(programs.DEPTHS)
    assert {program.batch_size for program in drawn} == set(programs.BATCH_SIZES)


def test_half_are_recurrent() -> None:
    drawn = programs.convolutional_and_recurrent(np.random.default_rng(0), 16)
    assert sum(isinstance(program.layers[0], Recurrent) for program in drawn) == 8


@pytest.mark.parametrize("name", list(programs.alone()))
def test_the_eager_network_has_the_programs_weights(name: str) -> None:
    program = programs.alone()[name]
    task = load_dataset(program.data.dataset).task
    network = build(program, task)
    assert sum(weight.numel() for weight in network.parameters()) == parameter_count(program, task)


def test_eager_learns_what_the_loop_learns() -> None:
    requests = [
        TrialRequest(program=program, budget=Budget(), seed=0)
        for name, program in programs.alone().items()
        if name in ("dense", "conv1d")
    ]
    pairs = zip(EagerTrainer().run(requests), LocalTrainer().run(requests), strict=True)
    assert all(eager.skill > 0.8 and abs(eager.skill - loop.skill) < 0.1 for eager, loop in pairs)


def test_eager_keeps_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def counted(name: str) -> object:
        loss = make_loss("cross_entropy")
        return lambda outputs, targets: batches.append(len(outputs)) or loss(outputs, targets)

    monkeypatch.setattr("netmend.agents.bench.eager.make_loss", counted)
    budget = Budget(samples=80, epochs=3, updates=7)
    EagerTrainer().run([TrialRequest(program=programs.alone()["dense"], budget=budget, seed=0)])
    rows = len(load_dataset("digits").validation)
    assert batches == [32, 32, 16, rows, 32, 32, 16, rows, 32, rows]


def test_eager_knows_every_name() -> None:
    program = programs.alone()["dense"]
    network = build(program, load_dataset("digits").task)
    assert set(ACTIVATIONS) == {*ACTIVATION_NAMES} - {"linear"}
    for loss in {*LOSSES} - {SPARSE}:  # no resolved program has that one
        assert callable(make_loss(loss))
    for kind in OPTIMIZERS:
        made = make_optimizer(replace(program, optimizer=replace(program.optimizer, kind=kind)), network)
        assert type(made).__name__.lower() == kind


def test_eager_refuses_what_it_lacks() -> None:
    program = replace(programs.alone()["dense"], layers=(Embedding(units=4),))
    strided = Conv2d(filters=4, stride=2, padding="same")
    images = replace(program, data=Data(dataset="digits_images"), layers=(strided,))
    for wrong, task in ((program, "reviews"), (images, "digits_images")):
        with pytest.raises(ValueError, match="eager reference does not know"):
            build(wrong, load_dataset(task).task)

"""Changes as words: every change has a line, and what is equal has none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.data.loading import needs_pack
from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Clip,
    Conv3d,
    Dense,
    Dropout,
    Loop,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Schedule,
)
from netmend.env.program.wording import in_words
from netmend.repair_actions import CATALOGUE, successors

SUITES = ("mutants-v1", "crashes-v1", "real-v1")


@pytest.fixture(scope="module")
def programs() -> list[Program]:
    """Sixty faulty programs of all kinds, whose data are here."""
    rng = np.random.default_rng(0)
    bugs = [bug for name in SUITES for bug in load_suite(name).bugs]
    own = [bug.program for bug in bugs if not needs_pack(bug.program.data.dataset)]
    return [own[index] for index in rng.choice(len(own), 60, replace=False)]


def relu_output(program: Program) -> Program:
    return replace(program, layers=(*program.layers[:-1], Dense(units=3, activation="relu")))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda p: relu_output(p), "output layer (dense): activation none -> relu"),
        (
            lambda p: replace(p, layers=(p.layers[0], replace(p.layers[1], units=64), p.layers[2])),
            "layer 2 (dense): units 8 -> 64",
        ),
        (
            lambda p: replace(p, optimizer=Optimizer(kind="sgd", lr=10.0, momentum=0.9)),
            "optimizer: adam, learning rate 0.01, momentum 0 -> sgd, learning rate 10, momentum 0.9",
        ),
        (
            lambda p: replace(p, layers=(Pool(size=3, stride=2, padding="same"), *p.layers)),
            "pool (size 3, stride 2, padding same) added in front of layer 1",
        ),
        (
            lambda p: replace(p, layers=(Conv3d(filters=4, padding=2), *p.layers)),
            "conv3d (filters 4, padding 2) added in front of layer 1",
        ),
        (
            lambda p: replace(p, layers=(replace(p.layers[0], kernel_init="torch_default"), *p.layers[1:])),
            "layer 1 (dense): kernel_init glorot_uniform -> torch_default",
        ),
        (
            lambda p: replace(p, optimizer=replace(p.optimizer, lr=0.001)),
            "optimizer adam: learning rate 0.01 -> 0.001",
        ),
        (lambda p: replace(p, class_weights="balanced"), "class weights: none -> balanced"),
        (lambda p: replace(p, class_weights=(1.0, 2.5, 1.0)), "class weights: none -> [1, 2.5, 1]"),
        (
            lambda p: replace(p, layers=(p.layers[0], BatchNorm(), *p.layers[1:])),
            "batch_norm added behind layer 1",
        ),
        (
            lambda p: replace(p, layers=(p.layers[0], Position(encoding="sinusoidal"), *p.layers[1:])),
            "position (encoding sinusoidal) added behind layer 1",
        ),
        (
            lambda p: replace(p, layers=(p.layers[0], Attention(heads=4, width=32), *p.layers[1:])),
            "attention (heads 4, width 32) added behind layer 1",
        ),
        (
            lambda p: replace(p, layers=(Dropout(rate=0.5), *p.layers)),
            "dropout (rate 0.5) added in front of layer 1",
        ),
        (
            lambda p: replace(p, layers=p.layers[:-1]),
            "output layer removed: dense (units 3)",
        ),
        (lambda p: replace(p, loop=Loop(zero_grad=False)), "loop.zero_grad: true -> false"),
        (lambda p: replace(p, clip=Clip(kind="norm", limit=1.0)), "clip: none -> norm, limit 1"),
        (
            lambda p: replace(p, schedule=Schedule()),
            "schedule: none -> gamma 0.95, every epoch, patience 5, floor 0",
        ),
        (lambda p: replace(p, data=replace(p.data, prep=())), "data.prep: standardize removed"),
        (
            lambda p: replace(p, data=replace(p.data, prep=(Prep(kind="min_max"),))),
            "data.prep: standardize -> min_max",
        ),
        (
            lambda p: replace(p, data=replace(p.data, prep=(*p.data.prep, Prep(kind="scale", factor=0.5)))),
            "data.prep: scale (factor 0.5) added behind standardize",
        ),
        (lambda p: replace(p, data=replace(p.data, labels="one_hot")), "data.labels: index -> one_hot"),
        (lambda p: replace(p, batch_size=64), "batch size: 16 -> 64"),
        (lambda p: replace(p, input=(1, 28, 28)), "input: none -> [1, 28, 28]"),
    ],
)
def test_one_change_is_one_line(change: object, line: str, mlp_program: Program) -> None:
    assert in_words(mlp_program, change(mlp_program)) == (line,)  # type: ignore[operator]


def test_what_the_new_output_layer_lacks_is_said(mlp_program: Program) -> None:
    closed = replace(mlp_program, layers=(*mlp_program.layers, Activation(function="relu")))
    assert in_words(relu_output(mlp_program), mlp_program) == (
        "output layer (dense): activation relu -> none",
    )
    assert in_words(closed, mlp_program) == ("layer 4 removed: activation (function relu)",)


def test_values_that_look_alike_are_told_in_full(mlp_program: Program) -> None:
    near = replace(mlp_program, optimizer=replace(mlp_program.optimizer, lr=0.0100000001))
    assert in_words(mlp_program, near) == ("optimizer adam: learning rate 0.01 -> 0.0100000001",)


def test_every_action_that_changes_a_program_has_a_line(programs: list[Program]) -> None:
    actions = tuple(CATALOGUE.values())
    told = 0
    for program in programs:
        for after in successors(actions, program, load_dataset(program.data.dataset).task):
            if after is not None:
                assert bool(in_words(program, after)) == (after != program)
                told += 1
    assert told > 1000


def test_any_two_programs(programs: list[Program]) -> None:
    for before, after in pairwise(programs):
        assert bool(in_words(before, after)) == (before != after)
        assert not in_words(before, before)

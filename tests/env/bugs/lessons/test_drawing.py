"""Programs drawn at random."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.lessons import draw_bases, training_datasets
from netmend.env.bugs.lessons.drawing import MOST_LAYERS, MOST_WORK, SHARES
from netmend.env.bugs.lessons.networks import form_of
from netmend.env.data import load_dataset
from netmend.env.findings import faults
from netmend.env.program import (
    Attention,
    Embedding,
    LayerNorm,
    Program,
    Recurrent,
    Shared,
    Skip,
    Weighted,
    check,
    find_crash,
    multiply_accumulates,
)

COUNT = 400


def _drawn(seed: int, count: int, datasets: tuple[str, ...] = ()) -> list[tuple[str, Program]]:
    bases = draw_bases(np.random.default_rng(seed), datasets or training_datasets())
    return list(islice(bases, count))


@pytest.fixture(scope="module")
def drawn() -> list[tuple[str, Program]]:
    return _drawn(0, COUNT)


def test_every_program_is_sound_and_a_new_one(drawn: list[tuple[str, Program]]) -> None:
    assert len({program for _, program in drawn}) == COUNT
    for _, program in drawn:
        dataset = load_dataset(program.data.dataset)
        assert check(program, dataset.task) == []
        assert find_crash(program, dataset.task) is None
        assert faults(program, dataset) == ()
        assert len(program.layers) <= MOST_LAYERS
        assert multiply_accumulates(program, dataset.task) <= MOST_WORK


def test_all_families_forms_tasks_and_styles_appear(drawn: list[tuple[str, Program]]) -> None:
    tasks = [load_dataset(program.data.dataset).task for _, program in drawn]
    assert {(family, form_of(task)) for (family, _), task in zip(drawn, tasks, strict=True)} == set(SHARES)
    assert {task.kind for task in tasks} == {"classification", "regression", "multilabel"}
    programs = [program for _, program in drawn]
    assert {len(program.layers) for program in programs} == set(range(1, MOST_LAYERS + 1))
    layers = [layer for program in programs for layer in program.layers]
    assert {Attention, Embedding, LayerNorm, Shared, Skip} <= {type(layer) for layer in layers}
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    assert {layer.cell for layer in recurrent} == {"gru", "lstm", "rnn"}
    assert {layer.bidirectional for layer in recurrent} == {False, True}
    assert {program.data.labels for program in programs} == {"index", "one_hot", "value"}
    losses = {program.loss for program in programs}
    assert {"cross_entropy", "bce_with_logits", "binary_crossentropy", "categorical_crossentropy"} < losses
    assert len({program.optimizer.kind for program in programs}) == 7


def test_declared_shapes_are_right_and_networks_that_do_not_fit_are_passed_over() -> None:
    # small volumes and wide pictures, which windows soon use up
    drawn = _drawn(0, 200, ("doodles", "arrays_1x20x56_10", "volumes", "arrays_3x30x30_50"))
    assert any(program.input for _, program in drawn)
    assert any(layer.inputs for _, p in drawn for layer in p.layers if isinstance(layer, Weighted))
    for _, program in drawn:
        assert find_crash(program, load_dataset(program.data.dataset).task) is None


def test_most_architectures_are_different(drawn: list[tuple[str, Program]]) -> None:
    kinds = {tuple(layer.name for layer in program.layers) for _, program in drawn}
    assert len(kinds) > COUNT / 3


def test_the_seed_decides() -> None:
    assert _drawn(1, 40) == _drawn(1, 40)
    assert _drawn(1, 40) != _drawn(2, 40)


def test_only_the_datasets_that_are_given() -> None:
    assert {program.data.dataset for _, program in _drawn(0, 30, ("circles", "tank"))} == {"circles", "tank"}
    assert {family for family, _ in _drawn(0, 30, ("reviews",))} == {
        *("embedding", "convolutional", "recurrent", "attention")
    }


def test_what_a_benchmark_is_on_can_be_left_out() -> None:
    without = training_datasets(load_suite("mutants-v1").split("train"))
    assert "alarms" in without
    assert not {"circles", "digits", "tank"} & set(without)

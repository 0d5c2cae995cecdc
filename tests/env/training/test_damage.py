from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from netmend.env.data import Dataset, Part
from netmend.env.observation.program_slots import program_slots
from netmend.env.program import (
    DAMAGES,
    Damage,
    DamageKind,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Optimizer,
    Program,
    check,
    digest,
    dump,
)
from netmend.env.training.damage import damaged, labels_of
from netmend.env.training.loop import train
from netmend.env.training.prepare import prepare
from netmend.env.training.trial import Budget, Trial
from netmend.repair_actions import CATALOGUE

ROWS = Part(
    np.arange(300, dtype=np.float32).reshape(100, 3),
    np.array([2] * 50 + [0] * 30 + [1] * 20, np.int64),
)
TARGETS = Part(ROWS.x, np.linspace(-2, 2, 200, dtype=np.float32).reshape(100, 2))


def after(kind: DamageKind, percent: float, rows: Part = ROWS, task: str = "classification") -> Part:
    return damaged(rows, (Damage(kind=kind, percent=percent),), task)


def counts(rows: Part) -> list[int]:
    return np.bincount(rows.y, minlength=3).tolist()


def test_without_damage_the_rows_are_the_same_object() -> None:
    assert damaged(ROWS, (), "classification") is ROWS


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_kind_is_deterministic_leaves_the_source_alone_and_does_nothing_at_0(kind: DamageKind) -> None:
    before = ROWS.x.copy(), ROWS.y.copy()
    one, two, none = after(kind, 60), after(kind, 60), after(kind, 0)
    assert np.array_equal(one.x, two.x)
    assert np.array_equal(one.y, two.y)
    assert len(one.x) == len(one.y)
    assert (one.x.dtype, one.y.dtype) == (np.float32, np.int64)
    assert not (np.array_equal(one.x, ROWS.x) and np.array_equal(one.y, ROWS.y))
    assert np.array_equal(none.x, ROWS.x)
    assert np.array_equal(none.y, ROWS.y)
    assert np.array_equal(ROWS.x, before[0])
    assert np.array_equal(ROWS.y, before[1])
    assert (len(one) == len(ROWS)) == (kind in {"change_labels", "noise"})


def test_labels_of_the_commonest_class_become_others() -> None:
    rows = after("change_labels", 40)
    changed = np.flatnonzero(rows.y != ROWS.y)
    assert len(changed) == 20
    assert set(ROWS.y[changed]) == {2}
    assert set(rows.y[changed]) == {0, 1}
    assert np.array_equal(rows.x, ROWS.x)


def test_more_damage_takes_in_the_rows_of_less() -> None:
    less, more = after("change_labels", 30), after("change_labels", 70)
    changed = less.y != ROWS.y
    assert np.array_equal(more.y[changed], less.y[changed])
    rest, fewer = after("delete_rows", 30).x[:, 0], after("delete_rows", 70).x[:, 0]
    assert set(fewer.tolist()) < set(rest.tolist())


def test_real_targets_get_noise_with_a_share_of_their_deviation() -> None:
    rows = after("change_labels", 50, TARGETS, "regression")
    noise = rows.y - TARGETS.y
    assert noise.std() == pytest.approx(0.5 * TARGETS.y.std(), rel=0.15)
    assert rows.y.dtype == np.float32


def test_rows_of_every_class_are_deleted_and_one_of_each_stays() -> None:
    assert counts(after("delete_rows", 50)) == [15, 10, 25]
    assert counts(after("delete_rows", 100)) == [1, 1, 1]


def test_only_classes_rarer_than_the_mean_are_thinned_out() -> None:
    assert counts(after("unbalance", 50)) == [15, 10, 50]
    assert counts(after("unbalance", 100)) == [0, 0, 50]
    even = Part(ROWS.x[:99], np.arange(99) % 3)
    assert counts(after("unbalance", 100, even)) == [33, 33, 33]


def test_noise_is_a_share_of_the_deviation_of_each_row_that_gets_it() -> None:
    wide = Part(np.tile(np.arange(200, dtype=np.float32), (100, 1)), ROWS.y)
    wide.x[:, 0] = np.nan
    noise = after("noise", 40, wide).x[:, 1:] - wide.x[:, 1:]
    touched = noise.any(1)
    assert touched.sum() == 40
    assert noise[touched].std() == pytest.approx(0.4 * wide.x[0, 1:].std(), rel=0.05)


def test_overlap_repeats_the_commonest_class_as_the_second_commonest() -> None:
    rows = after("overlap", 40)
    assert counts(rows) == [50, 20, 50]
    assert np.array_equal(rows.x[:100], ROWS.x)
    assert set(rows.x[100:, 0].tolist()) <= set(ROWS.x[:50, 0].tolist())
    assert len(after("overlap", 40, Part(ROWS.x[:50], ROWS.y[:50]))) == 50


@pytest.mark.parametrize("kind", DAMAGES)
def test_real_targets_fall_into_ranges(kind: DamageKind) -> None:
    labels = labels_of(TARGETS.y, "regression")
    assert np.bincount(labels).argmax() == labels[50]
    rows = after(kind, 50, TARGETS, "regression")
    assert rows.y.shape == (len(rows), 2)
    assert np.isfinite(rows.y).all()


def test_each_row_of_labels_is_a_label() -> None:
    y = np.array([[0, 1]] * 50 + [[1, 1]] * 30 + [[0, 0]] * 20, np.float32)
    rows = after("change_labels", 100, Part(ROWS.x, y), "multilabel")
    assert {tuple(row) for row in rows.y[:50].tolist()} == {(1, 1), (0, 0)}


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["table", "values", "images", "series"])
def test_validation_and_holdout_rows_stay_as_they_are(
    kind: DamageKind, name: str, datasets: dict[str, Dataset], dense: Callable[..., Program]
) -> None:
    dataset = datasets[name]
    good = dense(dataset)
    bad = replace(good, data=replace(good.data, damage=(Damage(kind=kind, percent=80),)))
    clean, harmed = prepare(good, dataset, 100, "cpu"), prepare(bad, dataset, 100, "cpu")
    assert np.array_equal(clean.validation.x, harmed.validation.x)
    for part, raw in ((harmed.validation, dataset.validation), (None, dataset.holdout)):
        ready = harmed.preparation.apply(raw) if part is None else part
        assert np.array_equal(ready.truth.numpy(), raw.y)
        assert len(ready.x) == len(raw)
    same = [
        np.array_equal(getattr(clean.train, name), getattr(harmed.train, name)) for name in ("x", "truth")
    ]
    assert not all(same)


def test_damage_does_not_depend_on_the_seed_of_the_trial(
    datasets: dict[str, Dataset], dense: Callable[..., Program]
) -> None:
    good = dense(datasets["table"])
    bad = replace(good, data=replace(good.data, damage=(Damage(kind="change_labels", percent=100),)))
    budget = Budget(samples=100)
    skills = [train(bad, datasets["table"], budget, seed).skill for seed in range(3)]
    assert max(skills) < train(good, datasets["table"], budget, 0).skill - 0.1


@pytest.fixture
def dense() -> Callable[[Dataset], Program]:
    def make(dataset: Dataset) -> Program:
        real = dataset.task.kind == "regression"
        return Program(
            data=Data(dataset=dataset.task.dataset),
            layers=(Flatten(), Dense(units=8, activation="relu"), Dense(units=dataset.task.outputs)),
            loss="mse" if real else "cross_entropy",
            optimizer=Optimizer(kind="adam", lr=0.02),
            epochs=8,
        )

    return make


def test_a_program_without_validation_part_never_runs_out_of_patience(
    datasets: dict[str, Dataset], dense: Callable[[Dataset], Program]
) -> None:
    impatient = replace(dense(datasets["table"]), patience=1, optimizer=Optimizer(kind="adam", lr=3.0))
    blind = replace(impatient, data=replace(impatient.data, split="none"))

    def epochs(program: Program) -> int:
        trial: Trial = train(program, datasets["table"], Budget(samples=100), 0)
        return len(trial.curves.train_loss)

    assert epochs(impatient) < epochs(blind) == 8


def test_noise_is_refused_for_token_ids(datasets: dict[str, Dataset]) -> None:
    program = Program(
        data=Data(dataset="tokens", damage=(Damage(kind="noise", percent=5),)),
        layers=(Embedding(units=4), GlobalPool(), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(),
    )
    assert check(program) == []
    (problem,) = check(program, datasets["tokens"].task)
    assert "data.damage[0]: noise is for numbers" in problem


def test_the_form_of_programs_without_damage_is_what_it_was(
    datasets: dict[str, Dataset], dense: Callable[[Dataset], Program]
) -> None:
    program = dense(datasets["table"])
    assert "damage" not in dump(program)
    bad = replace(program, data=replace(program.data, damage=(Damage(kind="overlap", percent=5),)))
    assert "overlap: {percent: 5.0}" in dump(bad)
    assert digest(bad) != digest(program)


def test_neither_an_observation_nor_a_mask_knows_of_damage(
    datasets: dict[str, Dataset], dense: Callable[[Dataset], Program]
) -> None:
    good, task = dense(datasets["table"]), datasets["table"].task
    damages = tuple(Damage(kind=kind, percent=50) for kind in DAMAGES)
    for harm in ({"damage": damages}, {"split": "none"}):
        bad = replace(good, data=replace(good.data, **harm))
        assert list(program_slots(bad, task)) == list(program_slots(good, task))
        edits = {name: action.apply(bad, task) for name, action in CATALOGUE.items()}
        assert all(program.data.damage == bad.data.damage for program in edits.values())

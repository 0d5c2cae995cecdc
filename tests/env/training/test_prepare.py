"""What a program may do to the rows that it trains on, and what stays out of its reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from netmend.env.data import Part, load_dataset, make_dataset
from netmend.env.program import (
    PREPS,
    Activation,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Optimizer,
    Prep,
    Program,
    Task,
    check,
    find_crash,
    prepared_task,
    resolved,
)
from netmend.env.training.monitors import data_symptoms, imbalance, outliers
from netmend.env.training.prepare import PreparedCache, balanced, prepare, training_rows
from netmend.env.training.scores import predictions


def program(dataset, *prep, units=3, loss="cross_entropy", labels="index", layers=(), **data):
    return Program(
        data=Data(dataset=dataset, prep=prep, labels=labels, **data),
        layers=(*layers, Flatten(), Dense(units=units)),
        loss=loss,
        optimizer=Optimizer(),
    )


def values(*prep, **changes):
    return program("values", *prep, units=2, loss="mse", labels="value", **changes)


def step(kind, **changes):
    return Prep(kind=kind, **changes)


@pytest.fixture
def ready(datasets):
    """Prepare a program with 100 training rows."""

    def ready(own, samples=100):
        return prepare(own, datasets[own.data.dataset], samples, "cpu")

    return ready


@pytest.fixture(scope="session")
def labels():
    """A dataset with three labels a row and holes in its inputs."""
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (200, 4)).astype(np.float32)
    y = (x[:, :3] > [-1, 0, 1]).astype(np.float32)
    x[::7, 3] = np.nan
    task = Task(dataset="labels", kind="multilabel", input_shape=(4,), outputs=3)
    cut = (slice(0, 120), slice(120, 160), slice(160, 200))
    return make_dataset(task, *(Part(x[rows], y[rows]) for rows in cut))


def test_rows_of_training_only_are_left_out_elsewhere(ready, datasets):
    raw = datasets["table"]
    data = ready(program("table", step("scale", factor=10.0), step("shift", factor=5.0, rows="train")))
    np.testing.assert_allclose(data.train.x, 10 * raw.train.x[:100] + 5, rtol=1e-5)
    np.testing.assert_allclose(data.validation.x, 10 * raw.validation.x, rtol=1e-5)
    held = data.preparation.apply(raw.holdout)
    np.testing.assert_allclose(held.x, 10 * raw.holdout.x, rtol=1e-5)


def test_shapes_are_for_all_rows(ready):
    data = ready(program("images", step("channels_last", rows="train"), step("resize", size=4, rows="train")))
    assert data.train.x.shape[1:] == data.validation.x.shape[1:] == (8, 4, 4)


def test_targets_of_training_only_are_not_put_back(ready, datasets):
    own = values(step("scale_target", factor=10.0, rows="train"))
    data = ready(own)
    np.testing.assert_allclose(data.train.targets, 10 * data.train.truth, rtol=1e-5)
    assert torch.equal(data.validation.targets, data.validation.truth)
    outputs = torch.ones(3, 2)
    assert torch.equal(predictions(outputs, data.preparation), outputs)
    everywhere = ready(replace(own, data=replace(own.data, prep=(step("scale_target", factor=10.0),))))
    torch.testing.assert_close(predictions(outputs, everywhere.preparation), outputs / 10)


def test_label_faults_reach_the_loss_and_not_the_truth(ready, datasets):
    faulty = ready(program("table", step("scale_target", factor=0.5), step("shift_target", factor=1.0)))
    truth = torch.tensor(datasets["table"].train.y[:100])
    assert torch.equal(faulty.train.truth, truth)
    assert torch.equal(faulty.train.targets, (truth * 0.5).long() + 1)
    wide = ready(program("table", step("shift_target", factor=2.0), units=5, labels="one_hot", loss="mse"))
    assert torch.equal(wide.train.targets.argmax(1), truth + 2)
    assert wide.validation.targets.shape[1] == 5


def test_a_label_fault_of_training_only(ready):
    data = ready(program("table", step("shift_target", factor=1.0, rows="train"), units=4))
    assert torch.equal(data.train.targets, data.train.truth + 1)
    assert torch.equal(data.validation.targets, data.validation.truth)


def test_huge_label_faults_stay_numbers(ready):
    steps = [step("scale_target", factor=1e9)] * 4
    data = ready(program("table", *steps, units=1, labels="value", loss="mse"))
    assert torch.isfinite(data.train.targets).all()


def test_a_resolved_sparse_loss_may_have_more_outputs_than_classes(ready, datasets):
    own = program("table", units=5, loss="sparse_categorical_crossentropy")
    assert find_crash(own, datasets["table"].task) is None
    assert ready(resolved(own)).train.targets.shape == (100, 5)


def test_balance_makes_every_class_as_frequent_as_the_commonest():
    y = np.array([0] * 7 + [2] * 2 + [1] * 3)
    rows = Part(np.arange(12, dtype=np.float32)[:, None], y)
    more = balanced(rows)
    assert np.bincount(more.y).tolist() == [7, 7, 7]
    assert np.array_equal(more.x[:12], rows.x)
    assert np.array_equal(more.y, y[more.x[:, 0].astype(int)])
    assert np.bincount(more.x[more.y == 2, 0].astype(int))[7:9].tolist() == [4, 3]


def test_balance_changes_the_training_rows_only_and_comes_before_the_statistics(ready, datasets):
    plain, more = ready(program("two")), ready(program("two", step("standardize"), step("balance")))
    assert len(set(torch.bincount(more.train.truth).tolist())) == 1
    assert len(more.train.x) > len(plain.train.x) == 100
    assert len(more.unshuffled) == len(more.train.x)
    assert torch.equal(more.validation.truth, plain.validation.truth)
    assert more.train.x.mean(0).abs().max() < 1e-5


def test_an_ordered_split_leaves_the_last_targets_out(ready, datasets):
    y = datasets["table"].train.y[:100]
    data = ready(program("table", split="ordered"))
    assert data.train.truth.tolist() == sorted(y.tolist())[:80]
    assert len(data.validation.x) == len(datasets["table"].validation)
    assert data.own_validation is None
    by_value = ready(values(split="ordered")).train.truth[:, 0]
    assert by_value.max() <= np.sort(datasets["values"].train.y[:100, 0])[79]


def test_a_leaky_split_validates_on_rows_that_it_trains_on(ready):
    data = ready(program("table", step("standardize"), step("shift", rows="train"), split="leaky"))
    own = data.own_validation
    assert own is not None
    assert torch.equal(own.truth, data.train.truth[:20])
    torch.testing.assert_close(own.x + 1, data.train.x[:20])
    assert len(data.train.x) == 100
    assert len(data.validation.x) > 20


def test_half_precision_makes_large_inputs_infinite_and_rounds_others(ready):
    half = ready(program("table", input_type="float16"))
    full = ready(program("table"))
    assert torch.equal(half.train.x, full.train.x.half().float())
    assert half.validation.x.dtype == torch.float32
    assert not torch.equal(half.train.x, full.train.x)
    huge = ready(program("table", step("scale", factor=1e6), input_type="float16"))
    assert torch.isinf(huge.train.x).any()
    assert np.isfinite([huge.unscaled_inputs, huge.input_spread]).all()


def test_tokens_take_shapes_and_balance(ready, datasets):
    layers = (Embedding(units=2), GlobalPool())
    own = program("tokens", step("balance"), step("resize", size=9), layers=layers)
    data = ready(own)
    assert data.train.x.dtype == torch.int64
    assert data.train.x.shape[1:] == (9,)
    assert not data.train.x[:, 7:].any()
    assert torch.equal(data.train.x[:100, :7], torch.tensor(datasets["tokens"].train.x[:100]))
    assert len(set(torch.bincount(data.train.truth).tolist())) == 1
    short = ready(program("tokens", step("resize", size=3), layers=layers))
    assert torch.equal(short.train.x, torch.tensor(datasets["tokens"].train.x[:100, :3]))


def test_missing_inputs_keep_the_symptoms_finite_and_can_be_filled(labels):
    own = program("labels", loss="bce_with_logits", labels="value")
    data = prepare(own, labels, 100, "cpu")
    assert np.isfinite([data.unscaled_inputs, data.input_spread, *data.target_range]).all()
    assert data.missing_values == pytest.approx(15 / 400)
    steps = (step("fill_missing", factor=0.0), step("standardize"))
    filled = prepare(replace(own, data=replace(own.data, prep=steps)), labels, 100, "cpu")
    for part in (filled.train, filled.validation, filled.preparation.apply(labels.holdout)):
        assert torch.isfinite(part.x).all()


def test_several_labels(labels):
    data = prepare(program("labels", loss="hinge", labels="value"), labels, 100, "cpu")
    assert data.train.truth.dtype == torch.int64
    assert torch.equal(data.train.targets, 2.0 * data.train.truth - 1)
    outputs = torch.tensor([[-0.5, 0.0, 0.7]])
    assert predictions(outputs, data.preparation).tolist() == [[0, 0, 1]]
    soft = prepare(program("labels", loss="binary_crossentropy", labels="value"), labels, 100, "cpu")
    assert predictions(outputs + 0.4, soft.preparation).tolist() == [[0, 0, 1]]
    likely = program("labels", loss="bce_with_logits", labels="value")
    likely = replace(likely, layers=(Flatten(), Dense(units=3, activation="sigmoid")))
    read = prepare(likely, labels, 100, "cpu").preparation
    assert predictions(outputs + 0.4, read).tolist() == [[0, 0, 1]]


def test_the_cache_tells_programs_apart_whose_outputs_are_read_in_other_ways(datasets):
    cache = PreparedCache()
    logit = program("two", units=1, loss="bce_with_logits")
    likely = replace(logit, layers=(*logit.layers, Activation(function="sigmoid")))
    for own in (logit, likely):
        data = cache.prepare(own, datasets["two"], 100, "cpu")
        assert predictions(torch.tensor([[0.3]]), data.preparation).tolist() == [own is logit]


def test_the_cache_tells_one_hot_rows_of_other_widths_apart(datasets):
    cache = PreparedCache()
    narrow, wide = (program("table", units=units, labels="one_hot") for units in (3, 4))
    shapes = [cache.prepare(own, datasets["table"], 50, "cpu").train.targets.shape for own in (narrow, wide)]
    assert shapes == [(50, 3), (50, 4)]
    again = cache.prepare(narrow, datasets["table"], 50, "cpu")
    assert again is cache.prepare(narrow, datasets["table"], 50, "cpu")


def test_data_symptoms_of_classes(ready, datasets):
    plain = data_symptoms(ready(program("two")), datasets["two"])
    assert 0.1 < plain["imbalance"] < 1
    assert (plain["missing_values"], plain["absent_targets"]) == (0, 0)
    assert data_symptoms(ready(program("two", step("balance"))), datasets["two"])["imbalance"] == 0
    ordered = data_symptoms(ready(program("two", split="ordered"), samples=20), datasets["two"])
    assert set(ordered) == {"missing_values", "outliers", "imbalance", "absent_targets"}
    few = data_symptoms(ready(program("table"), samples=1), datasets["table"])
    assert few["absent_targets"] == pytest.approx(2 / 3)


def test_data_symptoms_of_values_and_labels(ready, datasets, labels):
    whole = data_symptoms(ready(values(), samples=10_000), datasets["values"])
    assert (whole["absent_targets"], whole["imbalance"]) == (0, 0)
    assert data_symptoms(ready(values(split="ordered")), datasets["values"])["absent_targets"] > 0.2
    own = program("labels", loss="hinge", labels="value")
    found = data_symptoms(prepare(own, labels, 100, "cpu"), labels)
    assert found["absent_targets"] == 0
    assert found["missing_values"] > 0
    assert data_symptoms(prepare(own, labels, 1, "cpu"), labels)["absent_targets"] == 1


def test_outliers_are_far_from_their_own_feature():
    x = np.column_stack([np.tile([-1.0, 1.0], 100), np.tile([99.0, 101.0], 100), np.full(200, 7.0)])
    assert outliers(x) == 0
    x[0, 0], x[1, 1], x[2, 0] = 60.0, np.inf, np.nan
    assert outliers(x) == pytest.approx(2 / 600)
    cut = np.clip(x, -50, 150)
    assert outliers(cut[:, :1]) == pytest.approx(1 / 200)


def test_imbalance_is_capped():
    assert imbalance(np.array([0] * 100 + [1])) == 2
    assert imbalance(np.array([0] * 100_000 + [1])) == 3


PREPARED = st.builds(
    Data,
    dataset=st.sampled_from(["table", "two", "series", "images", "tokens", "values"]),
    prep=st.lists(
        st.builds(
            Prep,
            kind=st.sampled_from(PREPS),
            factor=st.sampled_from([0.5, 1.0, -2.0]),
            size=st.integers(1, 9),
            rows=st.sampled_from(["all", "train"]),
        ),
        max_size=4,
    ).map(tuple),
    labels=st.sampled_from(["index", "one_hot", "value"]),
    input_type=st.sampled_from(["auto", "float16"]),
    split=st.sampled_from(["random", "ordered", "leaky", "none"]),
)
LOSS_OF = {"index": "cross_entropy", "one_hot": "squared_hinge", "value": "mse"}


def fitting(data, dataset):
    """A program with these data that trains; others are passed over."""
    units = {"index": 6, "one_hot": dataset.task.outputs, "value": 1}[data.labels]
    if dataset.task.kind == "regression":
        units = dataset.task.outputs
    layers = (Embedding(units=2),) if dataset.task.vocabulary else ()
    own = program(data.dataset, units=units, loss=LOSS_OF[data.labels], layers=layers)
    own = replace(own, data=data)
    assume(not check(own, dataset.task) and find_crash(own, dataset.task) is None)
    return own


PROPERTY = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


@given(data=PREPARED)
@PROPERTY
def test_no_program_changes_the_truth_it_is_scored_by(datasets, data):
    dataset = datasets[data.dataset]
    own = fitting(data, dataset)
    prepared = prepare(own, dataset, 60, "cpu")
    holdout = prepared.preparation.apply(dataset.holdout)
    for part, raw in ((prepared.validation, dataset.validation), (holdout, dataset.holdout)):
        assert np.array_equal(part.truth.numpy(), raw.y)
        assert len(part.x) == len(raw)
        assert part.x.shape[1:] == prepared_task(own, dataset.task).input_shape
    rows = training_rows(data, dataset, 60)
    assert np.array_equal(prepared.train.truth[: len(rows)].numpy(), rows.y)
    assert np.isfinite([prepared.unscaled_inputs, prepared.input_spread, prepared.unscaled_targets]).all()
    assert np.isfinite(list(data_symptoms(prepared, dataset).values())).all()


@given(data=PREPARED)
@PROPERTY
def test_statistics_come_from_the_training_rows_only(datasets, data):
    dataset = datasets[data.dataset]
    own = fitting(data, dataset)
    before = prepare(own, dataset, 60, "cpu")
    other = replace(
        dataset,
        train=Part(
            np.concatenate([dataset.train.x[:60], dataset.train.x[60:] * 0]),
            np.concatenate([dataset.train.y[:60], dataset.train.y[60:] * 0]),
        ),
        validation=Part(dataset.validation.x[:1], dataset.validation.y[:1]),
    )
    after = prepare(own, other, 60, "cpu")
    for name in ("x", "targets", "truth"):
        assert torch.equal(getattr(before.train, name), getattr(after.train, name))
        assert torch.equal(getattr(before.validation, name)[:1], getattr(after.validation, name))


def test_rows_that_are_not_shuffled_come_as_the_file_has_them(tmp_path):
    rng = np.random.default_rng(5)
    x, y = np.arange(100, dtype=np.float32)[:, None], rng.integers(0, 3, 100)
    np.savez(tmp_path / "file.npz", x=x, y=y)
    dataset = load_dataset(str(tmp_path / "file.npz"))

    def rows(**changes: object) -> tuple[np.ndarray, np.ndarray]:
        data = Data(dataset="file", shuffle=False, **changes)
        program = Program(data=data, layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer())
        made = prepare(program, dataset, 30, "cpu")
        order = made.unshuffled
        return made.train.x[order, 0].numpy(), made.train.truth[order].numpy()

    sorted_x, sorted_y = rows()
    given_x, given_y = rows(row_order="given")
    assert (np.diff(sorted_y) >= 0).all()
    assert (np.diff(given_x) > 0).all()
    assert (np.diff(given_y) < 0).any()
    assert set(given_x) == set(sorted_x)
    kept_x, kept_y = rows(row_order="given", split="ordered")
    assert (np.diff(kept_x) > 0).all()
    assert len(kept_x) == 24
    np.testing.assert_array_equal(kept_y, y[kept_x.astype(int)])

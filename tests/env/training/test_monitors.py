from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from netmend.env.program import Data, Dense, Dropout, Monitor, Optimizer, Prep, Program, Task
from netmend.env.training.monitors import class_symptoms, rate_gain

MONITORED = (
    "worst_class",
    "unpredicted",
    "missing_values",
    "outliers",
    "imbalance",
    "absent_targets",
    "rate_gain",
)
ALL = Monitor(classes=True, data=True, rates=True)


def task(kind: str, outputs: int) -> Task:
    return Task(dataset="x", kind=kind, input_shape=(2,), outputs=outputs)


def test_classes():
    truth, predicted = torch.tensor([0, 0, 1, 1, 1, 3]), torch.tensor([0, 0, 1, 0, 0, 3])
    found = class_symptoms(predicted, truth, task("classification", 5))
    assert found == pytest.approx({"worst_class": 2 / 3, "unpredicted": 2 / 5})


def test_labels():
    truth, predicted = torch.tensor([[1, 0, 1], [1, 0, 0]]), torch.tensor([[1, 0, 0], [0, 0, 0]])
    found = class_symptoms(predicted, truth, task("multilabel", 3))
    assert found == pytest.approx({"worst_class": 1, "unpredicted": 2 / 3})


def test_targets():
    truth = torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    half = truth.clone()
    half[:, 1] = torch.tensor([1.5, 2.0, 2.5])
    assert class_symptoms(half, truth, task("regression", 2)) == pytest.approx({"worst_class": 0.25})
    assert class_symptoms(100 * truth, truth, task("regression", 2)) == {"worst_class": 1}
    diverged = torch.full_like(truth, torch.nan)
    assert class_symptoms(diverged, truth, task("regression", 2)) == {"worst_class": 1}


def test_rate_gain():
    assert rate_gain(1.0, [1.0, 1.0, 1.0]) == 0
    assert rate_gain(1.0, [0.99, 0.9, 0.1]) > 0.8
    assert rate_gain(1.0, [0.9, 2.0, 100.0]) < -0.8
    assert rate_gain(1.0, [0.9, 2.0, float("inf")]) == -1
    assert abs(rate_gain(1.0, [0.9, 0.1, 0.8])) < 0.1


@pytest.fixture
def noisy(good: Program) -> Program:
    return replace(good, layers=(good.layers[0], Dropout(rate=0.3), Dense(units=3)), epochs=3)


def unmonitored(symptoms):
    return replace(symptoms, **dict.fromkeys(MONITORED, 0.0))


@pytest.mark.parametrize("shuffle", [True, False])
def test_monitoring_changes_nothing_but_work_and_symptoms(run, noisy, shuffle):
    noisy = replace(noisy, data=replace(noisy.data, shuffle=shuffle))
    plain, monitored = run(noisy, holdout=True), run(replace(noisy, monitor=ALL), holdout=True)
    assert monitored.work > plain.work
    assert plain.symptoms == unmonitored(plain.symptoms)
    assert monitored.symptoms != plain.symptoms
    seen = replace(
        monitored, symptoms=unmonitored(monitored.symptoms), work=plain.work, seconds=plain.seconds
    )
    assert seen == plain


def test_what_monitoring_costs(run, good):
    products = 6 * 16 + 16 * 16 + 16 * 3
    plain = run(good).work
    for monitor, cost in (
        (Monitor(classes=True), 100 * products),
        (Monitor(rates=True), 13 * 16 * products),
        (Monitor(data=True), 200 * 6),
    ):
        assert run(replace(good, monitor=monitor)).work == pytest.approx(plain + cost / 1e6)


@pytest.mark.parametrize(("rate", "sign"), [(1e-5, 1), (1.0, -1)])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_rate_that_is_far_off_shows(run, good, kind, rate, sign):
    standard = Data(dataset="table", prep=(Prep(kind="standardize"),))
    program = replace(good, data=standard, optimizer=Optimizer(kind=kind, lr=rate), monitor=ALL)
    symptoms = run(program).symptoms
    assert sign * symptoms.rate_gain > 0.8


def test_a_class_that_is_never_predicted_shows(run, good):
    zeros = tuple(replace(layer, kernel_init="zeros") for layer in good.layers)
    symptoms = run(replace(good, layers=zeros, monitor=ALL)).symptoms
    assert symptoms.worst_class == 1
    assert symptoms.unpredicted == pytest.approx(2 / 3)
    assert run(replace(good, monitor=ALL)).symptoms.worst_class < 0.3


def test_data_that_are_left_out_show(run, good):
    ordered = replace(good, data=Data(dataset="table", split="ordered"), monitor=Monitor(data=True))
    assert run(ordered).symptoms.absent_targets == 0
    assert run(ordered).symptoms.imbalance > run(replace(good, monitor=ALL)).symptoms.imbalance

"""What each setting of a program's loop does to its training."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from netmend.env.program import (
    BatchNorm,
    Data,
    Dense,
    Dropout,
    GaussianNoise,
    Loop,
    Optimizer,
    Prep,
    Program,
    Schedule,
)
from netmend.env.training.trial import Budget, Status, Trial

OUT = Dense(units=3)


def same(one: Trial, other: Trial) -> bool:
    return replace(one, seconds=0) == replace(other, seconds=0)


def looping(program: Program, **changes: object) -> Program:
    return replace(program, loop=Loop(**changes))


def test_a_step_before_the_gradient_is_there_learns_nothing(run, good):
    trial = run(looping(good, order="step_backward"))
    assert trial.status is Status.OK
    assert trial.symptoms.unchanged_weights == 1
    assert trial.symptoms.layers[0].gradient > -3
    assert trial.skill < 0.5


def test_gradients_that_add_up_spoil_the_training(run, good):
    sgd = replace(good, optimizer=Optimizer(kind="sgd", lr=0.05))
    assert run(sgd).skill > 0.8
    gathered = run(looping(sgd, zero_grad=False))
    assert gathered.curves.train_loss[-1] > 3 * run(sgd).curves.train_loss[-1]


@pytest.mark.parametrize("order", ["backward_step", "step_backward"])
def test_measuring_does_not_disturb_gradients_that_add_up(run, good, monkeypatch, order):
    program = replace(looping(good, zero_grad=False, order=order), epochs=6)
    measured = run(program)
    monkeypatch.setattr("netmend.env.training.session.check_epochs", lambda _planned: set())
    assert measured.curves == run(program).curves


def test_without_training_mode_there_is_no_dropout(run, good):
    noisy = replace(good, layers=(good.layers[0], Dropout(rate=0.9), OUT))
    plain = replace(good, layers=(good.layers[0], OUT))
    assert run(looping(noisy, training_mode=False)).curves == run(plain).curves
    assert run(noisy).curves != run(plain).curves


def test_without_training_mode_a_batch_norm_keeps_its_first_statistics(run, good):
    program = replace(good, layers=(BatchNorm(epsilon=1e-9), good.layers[0], OUT))
    still = run(looping(replace(program, optimizer=Optimizer(kind="sgd", lr=1e-9)), training_mode=False))
    without = run(replace(good, layers=(good.layers[0], OUT), optimizer=Optimizer(kind="sgd", lr=1e-9)))
    assert still.curves.train_loss == pytest.approx(without.curves.train_loss, rel=1e-3)


def test_without_evaluation_mode_the_validation_is_noisy(run, good):
    program = replace(good, layers=(good.layers[0], Dropout(rate=0.5), OUT))
    quiet, noisy = run(program), run(looping(program, evaluation_mode=False))
    assert noisy.curves.train_loss[0] == quiet.curves.train_loss[0]
    assert noisy.curves.validation_loss[-1] > quiet.curves.validation_loss[-1]
    assert same(noisy, run(looping(program, evaluation_mode=False)))


def test_without_evaluation_mode_the_statistics_are_those_of_the_validation_rows(run, good):
    shifted = Data(dataset="table", prep=(Prep(kind="shift", factor=50.0),))
    program = replace(good, data=shifted, layers=(BatchNorm(momentum=1e-6), good.layers[0], OUT))
    quiet, noisy = run(program).curves, run(looping(program, evaluation_mode=False)).curves
    assert quiet.train_loss == noisy.train_loss
    assert noisy.validation_loss[-1] < 0.5 * quiet.validation_loss[-1]


@pytest.mark.parametrize(
    ("optimized", "moved"), [("hidden", [True, True, False]), ("output", [False, False, True])]
)
def test_only_the_optimized_part_learns(run, good, optimized, moved):
    layers = run(looping(good, optimized=optimized)).symptoms.layers
    assert [layer.weight_change > -12 for layer in layers] == moved
    assert all(layer.gradient > -12 for layer in layers)


def test_a_schedule_slows_the_training_down(run, good):
    for every in ("epoch", "update"):
        slowed = run(replace(good, schedule=Schedule(gamma=0.01, every=every)))
        assert slowed.curves.train_loss[-1] > 2 * run(good).curves.train_loss[-1]
    assert same(run(replace(good, schedule=Schedule(gamma=1.0))), run(good))


def test_a_rate_falls_where_the_validation_loss_no_longer_does(run, good):
    wild = replace(good, optimizer=Optimizer(kind="sgd", lr=2.0), epochs=6)
    waiting = replace(wild, schedule=Schedule(every="plateau", gamma=1e-6, patience=1))
    falls = run(waiting).curves.validation_loss
    assert run(wild).curves.validation_loss[-2:] != pytest.approx(falls[-2:], rel=1e-3)
    assert falls[-1] == pytest.approx(falls[-2], rel=1e-3)


def test_a_noisy_epoch_is_never_taken_for_one_that_changes_nothing(run, good):
    still = replace(good, layers=tuple(replace(layer, trainable=False, bias=False) for layer in good.layers))
    still = replace(still, data=replace(still.data, shuffle=False))
    noisy = replace(still, layers=(GaussianNoise(deviation=1.0), *still.layers))
    assert len(set(run(still).curves.train_loss)) == 1
    assert len(set(run(noisy).curves.train_loss)) == len(run(noisy).curves.train_loss)


def test_a_sum_is_the_mean_times_the_rows_of_a_batch(run, good):
    program = replace(good, batch_size=20, optimizer=Optimizer(kind="sgd", lr=0.05))
    mean = run(program)
    total = run(replace(program, reduction="sum", optimizer=Optimizer(kind="sgd", lr=0.05 / 20)))
    assert total.curves.train_loss == pytest.approx([20 * loss for loss in mean.curves.train_loss], rel=1e-3)
    assert total.curves.validation_loss == pytest.approx(
        [20 * loss for loss in mean.curves.validation_loss], rel=1e-3
    )
    steeper = total.symptoms.layers[0].gradient_first - mean.symptoms.layers[0].gradient_first
    assert steeper == pytest.approx(math.log10(20), abs=1e-3)


def test_patience_with_an_accuracy_of_real_values_stops_at_once(run, regression):
    trial = run(replace(regression, patience=2, stop_on="metric"))
    assert len(trial.curves.train_loss) == 3


def test_patience_looks_at_the_metric_that_is_named(run, good, regression):
    for program, metric in ((regression, "r2"), (good, "accuracy")):
        trial = run(replace(program, patience=2, stop_on="metric", metric=metric, epochs=12))
        scores = trial.curves.validation_score
        best = max(range(len(scores)), key=scores.__getitem__)
        assert len(scores) == min(12, best + 3)
    by_error = run(replace(regression, patience=2, stop_on="metric", metric="mse"))
    assert len(by_error.curves.train_loss) > 3


def test_a_leaky_split_hides_overfitting_from_the_patience(run, good):
    noisy = replace(
        good,
        data=Data(dataset="tokens", prep=(Prep(kind="standardize"),)),
        layers=(Dense(units=128, activation="relu"), OUT),
        patience=2,
        epochs=12,
    )
    leaky = replace(noisy, data=replace(noisy.data, split="leaky"))
    assert len(run(noisy).curves.train_loss) < len(run(leaky).curves.train_loss)
    by_metric = [run(replace(program, stop_on="metric")).curves.train_loss for program in (noisy, leaky)]
    assert len(by_metric[0]) != len(by_metric[1])


def test_sparse_labels_are_one_hot_labels(run, good):
    layers = (*good.layers[:-1], Dense(units=3, activation="softmax"))
    sparse = replace(good, layers=layers, loss="sparse_categorical_crossentropy")
    one_hot = replace(
        good, layers=layers, loss="categorical_crossentropy", data=Data(dataset="table", labels="one_hot")
    )
    assert same(run(sparse), run(one_hot))


def test_sparse_labels_may_leave_outputs_unused(run, good):
    layers = (*good.layers[:-1], Dense(units=7, activation="softmax"))
    trial = run(replace(good, layers=layers, loss="sparse_categorical_crossentropy"), holdout=True)
    assert trial.status is Status.OK
    assert trial.skill > 0.8


def test_an_old_program_trains_as_the_current_release_reads_it(run, good):
    old = replace(good, optimizer=Optimizer(kind="adagrad", lr=0.01))
    assert same(run(replace(old, api="keras_2")), run(replace(old, optimizer=Optimizer(kind="adagrad"))))
    assert not same(run(replace(old, api="keras_2")), run(old))


def test_rows_are_trained_in_their_prepared_shape(run, good):
    layers = (Dense(units=8, activation="relu"), OUT)
    program = replace(good, data=Data(dataset="images", prep=(Prep(kind="flatten"),)), layers=layers)
    trial = run(program, Budget(epochs=2))
    assert (trial.status, trial.message) == (Status.OK, "")
    assert trial.work == 3 * (64 * 8 + 8 * 3) * 200 * 2 / 1e6

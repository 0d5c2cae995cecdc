from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.data import load_dataset
from netmend.env.program import (
    Activation,
    BatchNorm,
    Data,
    Dense,
    Dropout,
    Optimizer,
    Prep,
    Program,
)
from netmend.env.training.measure import LayerCheck, reading_point
from netmend.env.training.rules import (
    Evidence,
    dying_relu,
    increasing_loss,
    oscillation,
    slow_convergence,
    turned_bad,
)
from netmend.env.training.trial import Curves

Change = Callable[[Program], Program]


def hidden(**changes: object) -> Change:
    return lambda p: replace(
        p, layers=(*(replace(layer, **changes) for layer in p.layers[:-1]), p.layers[-1])
    )


def deep(count: int, **changes: object) -> Change:
    return lambda p: replace(p, layers=(*(Dense(units=16, **changes) for _ in range(count)), p.layers[-1]))


def output(**changes: object) -> Change:
    return lambda p: replace(p, layers=(*p.layers[:-1], replace(p.layers[-1], **changes)))


def optimizer(kind: str, lr: float) -> Change:
    return lambda p: replace(p, optimizer=Optimizer(kind=kind, lr=lr))


def prep(*steps: Prep, labels: str = "index") -> Change:
    return lambda p: replace(p, data=Data(dataset=p.data.dataset, prep=steps, labels=labels))


def both(*changes: Change) -> Change:
    def change(program: Program) -> Program:
        for one in changes:
            program = one(program)
        return program

    return change


def few_epochs(program: Program) -> Program:
    return replace(program, epochs=3)


PROVOKED: dict[str, Change] = {
    "vanishing_gradient": deep(9, activation="sigmoid"),
    "exploding_gradient": deep(6, activation="linear", kernel_init="ones"),
    "dying_relu": hidden(kernel_init="zeros"),
    "oscillation": both(optimizer("adam", 1.0), lambda p: replace(p, epochs=16, batch_size=200)),
    "slow_convergence": optimizer("sgd", 1e-6),
    "not_converged": optimizer("sgd", 1e-6),
    "underfitting": optimizer("sgd", 1e-6),
    "increasing_loss": both(optimizer("adam", 20.0), hidden(activation="linear")),
    "collapsed_predictions": both(hidden(kernel_init="zeros"), optimizer("sgd", 1e-6)),
    "large_weights": optimizer("adam", 5.0),
    "unchanged_weights": hidden(trainable=False),
    "saturation": both(hidden(activation="tanh"), prep(Prep(kind="scale", factor=100.0))),
    "dead_units": both(prep(Prep(kind="shift", factor=-50.0)), optimizer("sgd", 1.0)),
    "abnormal_activations": prep(Prep(kind="scale", factor=1000.0)),
    "unscaled_inputs": prep(Prep(kind="scale", factor=1000.0)),
    "output_mismatch": output(activation="softmax"),
    "loss_mismatch": both(lambda p: replace(p, loss="mse"), prep(labels="one_hot")),
}


LEAST = {
    "vanishing_gradient": 0.25,
    "exploding_gradient": 0.25,
    "dying_relu": 0.25,
    "oscillation": 0.2,
    "underfitting": 0.4,
    "increasing_loss": 0.4,
    "collapsed_predictions": 0.9,
    "large_weights": 0.3,
    "unchanged_weights": 0.3,
    "saturation": 0.3,
    "dead_units": 0.4,
    "unscaled_inputs": 0.5,
}
"""Values that no good program reaches; 1 of the others, which hold or do not."""


@pytest.mark.parametrize("name", PROVOKED)
def test_a_symptom_shows_in_a_program_made_for_it_and_not_in_a_good_one(run, good, name):
    good = replace(good, data=Data(dataset="table", prep=(Prep(kind="standardize"),)))
    least = LEAST.get(name, 1.0)
    assert abs(getattr(run(PROVOKED[name](good)).symptoms, name)) >= least
    assert abs(getattr(run(good).symptoms, name)) < least


def test_overfitting(run, good):
    noisy = replace(
        good,
        data=Data(dataset="tokens", prep=(Prep(kind="standardize"),)),
        layers=(Dense(units=256, activation="relu"), Dense(units=256, activation="relu"), Dense(units=3)),
        epochs=16,
    )
    symptoms = run(noisy).symptoms
    assert symptoms.overfitting > 0.2
    assert symptoms.turned_bad > 0.3


def test_scales_of_a_regression(run, regression):
    scaled = prep(Prep(kind="scale_target", factor=1e4), labels="value")(regression)
    assert run(scaled).symptoms.unscaled_targets > 3
    standard = prep(Prep(kind="standardize_target"), Prep(kind="standardize"), labels="value")(regression)
    symptoms = run(standard).symptoms
    assert (symptoms.unscaled_targets, symptoms.unscaled_inputs) == (0, 0)
    assert symptoms.input_spread < 0.1
    assert symptoms.collapsed_predictions < 0.5
    assert (
        run(optimizer("sgd", 1e-9)(hidden(kernel_init="zeros")(standard))).symptoms.collapsed_predictions == 1
    )


@pytest.mark.parametrize(
    ("loss", "activation", "labels", "wrong"),
    [
        ("cross_entropy", "linear", "index", 0),
        ("cross_entropy", "relu", "index", 1),
        ("categorical_crossentropy", "softmax", "one_hot", 0),
        ("categorical_crossentropy", "linear", "one_hot", 1),
        ("categorical_crossentropy", "tanh", "one_hot", 1),
        ("mse", "sigmoid", "one_hot", 0),
        ("squared_hinge", "tanh", "one_hot", 0),
        ("squared_hinge", "sigmoid", "one_hot", 1),
    ],
)
def test_output_against_loss(run, good, loss, activation, labels, wrong):
    program = replace(
        output(activation=activation)(good), loss=loss, data=Data(dataset="table", labels=labels)
    )
    assert run(few_epochs(program)).symptoms.output_mismatch == wrong


def test_output_against_targets(run, regression):
    assert run(output(activation="tanh")(few_epochs(regression))).symptoms.output_mismatch == 1
    assert run(few_epochs(regression)).symptoms.output_mismatch == 0


def test_one_unit(run, good):
    program = replace(good, data=Data(dataset="two"), loss="binary_crossentropy")
    right = run(output(units=1, activation="sigmoid")(program)).symptoms
    assert (right.output_mismatch, right.loss_mismatch) == (0, 0)
    softmax = output(units=1, activation="softmax")(program)
    assert run(softmax).symptoms.output_mismatch == 1
    assert run(replace(softmax, loss="categorical_crossentropy")).symptoms.loss_mismatch == 1


def test_a_crash_still_tells_the_mismatch(run, good):
    crashed = run(replace(good, loss="categorical_crossentropy")).symptoms
    assert crashed.output_mismatch == 1
    assert crashed.layers == ()


def test_layers_are_read_behind_their_activation(run, good):
    layers = (Dense(units=16), BatchNorm(), Activation(function="relu"), Dense(units=3))
    program = replace(good, layers=layers)
    assert reading_point(program, 0) == (2, "relu")
    assert reading_point(program, 3) == (3, "linear")
    assert [layer.index for layer in run(program).symptoms.layers] == [0, 3]


def test_the_reading_point_passes_dropout_on_its_way_to_the_activation(good):
    layers = (Dense(units=16), BatchNorm(), Dropout(rate=0.5), Activation(function="tanh"), Dense(units=3))
    assert reading_point(replace(good, layers=layers), 0) == (3, "tanh")


def test_a_relu_is_dying_from_seven_tenths_of_a_kernels_gradient_on():
    program = Program(
        data=Data(dataset="iris"),
        layers=(Dense(units=8, activation="relu"), Dense(units=8, trainable=False), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(),
    )

    def share(*zeros: tuple[float, float, float]) -> float:
        alive = LayerCheck(1.0, 0.0, 0.0, 0.0, 1.0, 1.0)
        checks = tuple(tuple(alive._replace(gradient_zero=zero) for zero in check) for check in zeros)
        task = load_dataset("iris").task
        return dying_relu(
            Evidence(program=program, task=task, curves=Curves(), layers=(0, 1, 2), checks=checks)
        )

    assert share((0.69, 0.0, 0.69)) == 0
    assert share((0.7, 0.0, 0.0)) == share((0.0, 0.0, 0.7)) == 1
    assert share((0.0, 1.0, 0.0)) == 0, "a frozen kernel has no gradient to lose"
    assert share((0.7, 0.0, 0.0), (0.1, 0.0, 0.1), (0.0, 0.0, 1.0), (0.0, 0.0, 0.0)) == 0.5


def test_rules_on_curves():
    assert oscillation([0.1, 0.5, 0.1, 0.5, 0.1]) == pytest.approx(2 / 5)
    assert oscillation([0.1, 0.2, 0.3, 0.4, 0.5]) == 0
    assert increasing_loss([1.0, 2.0, 3.0, 1.0, 0.5]) == 0.5
    assert increasing_loss([0.6931601, 0.6931602, 0.6931601, 0.6931603]) == 0
    flat = Curves(train_score=(0.1, 0.105, 0.11), validation_score=(0.1, 0.1, 0.1))
    assert slow_convergence(flat) == 1
    assert slow_convergence(replace(flat, validation_score=(0.1, 0.3, 0.3))) == 0
    bad = Curves(train_loss=(3.0, 2.0, 1.0), validation_loss=(3.0, 3.1, 3.0))
    assert turned_bad(bad) == 0.5

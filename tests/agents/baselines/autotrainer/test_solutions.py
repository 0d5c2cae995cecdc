from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.agents.baselines.autotrainer.solutions import BALANCE, INITIALISERS, PLATEAU, tries_for
from netmend.env.program import (
    Activation,
    BatchNorm,
    Clip,
    Conv2d,
    Dense,
    Flatten,
    GaussianNoise,
    Optimizer,
    Prep,
    Recurrent,
    Skip,
    ThresholdedRelu,
    check,
    find_crash,
)


@pytest.fixture
def tries(network):
    def of(issue, program=network, seed=0):
        return list(tries_for(program, issue, np.random.default_rng(seed)))

    return of


def names(found):
    return [change.patch[0].partition("=")[0] for change in found]


@pytest.mark.parametrize(
    ("issue", "expected"),
    [
        ("vanish", ["selu", "relu", "batch_norm"]),
        ("explode", ["selu", "relu", "clip", "clip", "tanh", "batch_norm"]),
        (
            "dying_relu",
            ["selu", "batch_norm", *["kernel_init"] * 3, "leaky_relu", "elu", "thresholded_relu"],
        ),
        ("slow", [*["optimizer"] * 3, *["lr"] * 3, *["kernel_init"] * 3]),
        ("activation", ["output"]),
        ("loss", ["loss"]),
        ("abnormal_data", ["min_max"]),
    ],
)
def test_solutions_in_order(tries, issue, expected):
    assert names(tries(issue)) == expected


def test_solutions_of_an_oscillation_in_order(network, tries):
    program = replace(network, optimizer=Optimizer(kind="sgd", lr=0.5), batch_size=20)
    expected = ["optimizer", *["lr"] * 3, "reduce_on_plateau", *["batch_size"] * 4]
    expected += [*["optimizer"] * 3, "noise", *["kernel_init"] * 3]
    assert names(tries("oscillation", program)) == expected


@pytest.mark.parametrize("issue", BALANCE)
def test_every_change_is_a_program_that_can_be_tried(network, pictures, tries, issue):
    program = replace(network, layers=(*network.layers[:-1], Dense(units=10, activation="tanh")))
    for change in tries(issue, program):
        assert change.program != program
        assert not check(change.program, pictures)
        assert find_crash(change.program, pictures) is None


@pytest.mark.parametrize(
    ("nth", "activation", "kernel", "bias"),
    [
        (0, "selu", "lecun_uniform", "lecun_uniform"),
        (1, "relu", "he_uniform", "zeros"),
        (4, "tanh", "he_uniform", "zeros"),
    ],
)
def test_activations_bring_their_initialisers_to_the_hidden_layers(
    network, tries, nth, activation, kernel, bias
):
    after = tries("explode")[nth].program
    for index in (0, 2):
        layer = after.layers[index]
        assert (layer.activation, layer.kernel_init, layer.bias_init) == (activation, kernel, bias)
    assert after.layers[3] == network.layers[3]


def test_an_activation_that_is_a_layer_of_its_own_stays(network, tries):
    layers = (Dense(units=8), Activation(function="sigmoid"), Dense(units=10))
    after = tries("vanish", replace(network, layers=(Flatten(), *layers)))[0].program
    assert after.layers[1].activation == "linear"
    assert after.layers[1].kernel_init == "lecun_uniform"
    assert after.layers[2] == Activation(function="sigmoid")


def test_recurrent_layers_keep_their_initialisers(network, tries):
    cell = Recurrent(cell="lstm", units=4)
    after = tries("vanish", replace(network, layers=(cell, Dense(units=10))))[0].program
    assert after.layers[0] == cell


def test_normalisation_comes_behind_every_layer_with_a_kernel_but_the_last(network, tries):
    after = tries("vanish")[2].program
    kinds = [type(layer) for layer in after.layers]
    assert kinds == [Conv2d, BatchNorm, Flatten, Dense, BatchNorm, Dense]
    assert tries("vanish", after)[2].program == after


def test_layers_that_are_put_in_leave_skips_as_they_were(network, tries):
    layers = (Flatten(), Dense(units=64, activation="relu"), Dense(units=64), Skip(back=2), Dense(units=10))
    after = tries("vanish", replace(network, layers=layers))[2].program
    assert after.layers[5] == Skip(back=4)


def test_clipping_is_by_value_at_nine_to_ten(network, tries):
    clips = [change.program.clip for change in tries("explode")[2:4]]
    assert clips[0] != clips[1]
    assert all(clip.kind == "value" and 9 <= clip.limit <= 10 for clip in clips)
    clipped = replace(network, clip=Clip(kind="norm", limit=1.0))
    assert names(tries("explode", clipped)) == ["selu", "relu", "tanh", "batch_norm"]


def test_initialisers_are_drawn_for_kernel_and_bias(tries):
    seen = set()
    for seed in range(20):
        for change in tries("dying_relu", seed=seed)[2:5]:
            layers = [change.program.layers[i] for i in (0, 2)]
            assert len({(layer.kernel_init, layer.bias_init) for layer in layers}) == 1
            assert change.patch == (
                f"kernel_init={layers[0].kernel_init}",
                f"bias_init={layers[0].bias_init}",
            )
            seen |= {layers[0].kernel_init, layers[0].bias_init}
    assert seen == set(INITIALISERS)


def test_the_leaky_family(tries):
    leaky, elu, thresholded = (change.program for change in tries("dying_relu")[5:])
    assert [layer.activation for layer in (leaky.layers[0], leaky.layers[2])] == ["leaky_relu"] * 2
    assert [layer.activation for layer in (elu.layers[0], elu.layers[2])] == ["elu"] * 2
    assert [type(layer) for layer in thresholded.layers] == [
        Conv2d,
        ThresholdedRelu,
        Flatten,
        Dense,
        ThresholdedRelu,
        Dense,
    ]
    assert thresholded.layers[0].activation == "linear"
    assert thresholded.layers[-1].activation == "softmax"


@pytest.mark.parametrize(
    ("kind", "slow", "swinging"),
    [("sgd", [0.01, 0.1, 1.0], [0.01, 0.001, 0.0001]), ("adamax", [0.001, 0.01, 0.1], [1e-3, 1e-4, 1e-5])],
)
def test_rates_go_up_by_tens_where_it_is_slow_and_down_where_it_swings(network, tries, kind, slow, swinging):
    program = replace(network, optimizer=Optimizer(kind=kind, lr=0.5))

    def rates(issue):
        found = [change for change in tries(issue, program) if change.patch[0].startswith("lr=")]
        assert all(change.program.optimizer.kind == kind for change in found)
        return [change.program.optimizer.lr for change in found]

    assert rates("slow") == slow
    assert rates("oscillation") == swinging


def test_a_value_that_is_there_already_ends_its_tries(network, tries):
    assert "lr" not in names(tries("slow", replace(network, optimizer=Optimizer(kind="adam", lr=0.001))))
    assert "batch_size" not in names(tries("oscillation"))
    half = replace(network, batch_size=128)
    sizes = [c.program.batch_size for c in tries("oscillation", half) if c.patch[0].startswith("batch_size")]
    assert sizes == [32, 64]


def test_another_optimizer_comes_with_its_defaults_and_without_clipping(network, tries):
    program = replace(network, clip=Clip(kind="value", limit=1.0), optimizer=Optimizer(kind="adam", lr=0.5))
    seen = set()
    for seed in range(20):
        for change in tries("slow", program, seed)[:3]:
            kind = change.program.optimizer.kind
            assert change.program.optimizer == Optimizer(kind=kind, lr=0.01 if kind == "sgd" else 0.001)
            assert change.program.clip is None
            seen.add(kind)
    assert seen == {"sgd", "nadam", "adamax", "rmsprop"}


def test_what_an_oscillation_gets(network, tries):
    program = replace(network, optimizer=Optimizer(kind="rmsprop", lr=0.5), batch_size=20)
    found = tries("oscillation", program)
    assert found[0].program.optimizer == Optimizer(kind="adam", lr=0.001)
    assert found[4].program.schedule == PLATEAU
    assert (PLATEAU.gamma, PLATEAU.patience, PLATEAU.floor) == (0.2, 5, 0.001)
    assert [change.program.batch_size for change in found[5:9]] == [32, 64, 128, 256]
    for change in found[9:12]:
        optimizer = change.program.optimizer
        assert (optimizer.kind, optimizer.lr) == ("sgd", 0.01)
        assert 0.01 <= optimizer.momentum <= 0.9
    noisy = found[12].program
    assert noisy.layers[0] == GaussianNoise(deviation=0.1)
    assert "noise" not in names(tries("oscillation", noisy))
    assert "optimizer=adam" not in [change.patch[0] for change in tries("oscillation")]
    assert "reduce_on_plateau" not in names(tries("oscillation", found[4].program))


@pytest.mark.parametrize(
    ("loss", "units", "output"),
    [
        ("categorical_crossentropy", 10, "softmax"),
        ("mse", 10, "softmax"),
        ("binary_crossentropy", 1, "sigmoid"),
        ("mse", 1, "linear"),
        ("cross_entropy", 10, "linear"),
    ],
)
def test_the_output_activation_suits_units_and_loss(network, tries, loss, units, output):
    layers = (*network.layers[:-1], Dense(units=units, activation="tanh"))
    program = replace(network, loss=loss, layers=layers)
    (change,) = tries("activation", program)
    assert change.program.layers[-1] == Dense(units=units, activation=output)
    closed = replace(program, layers=(*layers[:-1], Dense(units=units), Activation(function="tanh")))
    (change,) = tries("activation", closed)
    assert change.program.layers[-1] == Activation(function=output)


@pytest.mark.parametrize(
    ("loss", "units", "labels", "expected"),
    [
        ("mse", 10, "one_hot", {"categorical_crossentropy"}),
        ("mse", 10, "index", {"sparse_categorical_crossentropy"}),
        ("mse", 1, "index", {"binary_crossentropy"}),
        ("categorical_crossentropy", 10, "one_hot", {"mse", "mae"}),
        ("sparse_categorical_crossentropy", 10, "index", {"mse", "mae"}),
    ],
)
def test_the_loss_suits_the_outputs(network, tries, loss, units, labels, expected):
    program = replace(
        network,
        loss=loss,
        layers=(*network.layers[:-1], Dense(units=units)),
        data=replace(network.data, labels=labels),
    )
    assert {tries("loss", program, seed)[0].program.loss for seed in range(10)} == expected


def test_data_are_scaled_last(network, tries):
    (change,) = tries("abnormal_data")
    assert change.program.data.prep == (*network.data.prep, Prep(kind="min_max"))


def test_one_seed_gives_one_sequence(tries):
    assert tries("slow", seed=3) == tries("slow", seed=3)
    assert tries("slow", seed=3) != tries("slow", seed=4)

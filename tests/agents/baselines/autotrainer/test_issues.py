from __future__ import annotations

import math
from dataclasses import replace

import pytest

from netmend.agents.baselines.autotrainer import diagnose
from netmend.agents.baselines.autotrainer.issues import (
    is_improper_activation,
    is_improper_loss,
    judged_at,
    swings,
    zero_share,
)
from netmend.env.program import Activation, Dense
from netmend.env.training.symptoms import LayerSymptoms
from netmend.env.training.trial import Curves, Status

RISING = (0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96)
LOW = (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FLAT = (0.1,) * 10
SAW = (0.9, 0.7) * 5
ALL_DEAD = {0: 1.0, 2: 1.0, 3: 1.0}


@pytest.fixture
def found(network, pictures, trial):
    """The problem of a trial, by the paper's rules or the later ones."""

    def find(*args, program=network, later=False, planned=10, **symptoms):
        return diagnose(program, pictures, trial(*args, **symptoms), planned, later_rules=later)

    return find


@pytest.mark.parametrize("later", [False, True])
def test_a_good_training_has_no_problem(found, later):
    assert found(later=later) is None


@pytest.mark.parametrize(
    ("symptoms", "issue"),
    [
        ({"vanishing_gradient": 0.25}, "vanish"),
        ({"exploding_gradient": 0.25}, "explode"),
        ({"zeros": ALL_DEAD}, "dying_relu"),
        ({"vanishing_gradient": 1.0, "exploding_gradient": 0.25}, "explode"),
        ({"vanishing_gradient": 1.0, "exploding_gradient": 1.0, "zeros": ALL_DEAD}, "dying_relu"),
        ({}, None),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_one_hit_of_a_gradient_rule_counts_where_the_program_is_bad(found, symptoms, issue, later):
    assert found(LOW, later=later, **symptoms) == issue
    assert found(RISING, later=later, **symptoms) is None


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("scores", "details"),
    [
        ((), {"status": Status.DIVERGED}),
        (RISING, {"losses": (1.0,) * 9 + (1000.0,)}),
        (RISING, {"non_finite": 1.0}),
    ],
)
def test_a_loss_out_of_bounds_is_an_explosion_whatever_else(found, scores, details, later):
    assert found(scores, later=later, **details) == "explode"


@pytest.mark.parametrize("later", [False, True])
def test_slow_convergence_has_no_gain_of_a_hundredth(found, later):
    assert found(FLAT, later=later) == "slow"
    assert found(FLAT, held=(0.1, 0.111, *FLAT[2:]), later=later) is None
    assert found(FLAT, held=(0.1, 0.109, *FLAT[2:]), later=later) == "slow"


def test_later_a_slow_training_must_also_be_bad(found):
    assert found((0.7,) * 10) == "slow"
    assert found((0.7,) * 10, later=True) is None


def test_bad_means_that_neither_accuracy_ever_reached_six_tenths(found):
    assert found(LOW, held=(0.6,) * 10, vanishing_gradient=1.0) is None
    assert found(LOW, held=(0.59,) * 10, vanishing_gradient=1.0) == "vanish"


def test_performance_is_judged_from_three_tenths_of_the_planned_epochs_on(found):
    late = (0.1, 0.3, 0.5, 0.55, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert found(late, vanishing_gradient=1.0) == "vanish"
    assert found(late, vanishing_gradient=1.0, planned=20) is None
    assert found(late, vanishing_gradient=1.0, planned=34) is None


@pytest.mark.parametrize(
    ("done", "planned", "at"),
    [(10, 10, 4), (12, 12, 4), (3, 3, 1), (50, 50, 16), (5, 20, 0), (6, 20, 6), (0, 10, 0), (1, 1, 1)],
)
def test_the_first_check_that_judges(done, planned, at):
    assert judged_at(done, planned) == at


def test_a_training_that_was_cut_off_early_is_not_judged(found):
    assert found(FLAT[:2], planned=10) is None
    assert found(FLAT[:4], planned=10) == "slow"


@pytest.mark.parametrize("later", [False, True])
def test_oscillation(found, later):
    assert found(SAW, later=later) == "oscillation"
    assert found((0.9, 0.88) * 5, later=later) is None


def test_in_the_paper_only_a_good_program_oscillates(found):
    saw = (0.5, 0.3) * 5
    assert found(saw) is None
    assert found(saw, later=True) == "oscillation"


@pytest.mark.parametrize(
    ("scores", "pairs"),
    [
        (SAW, 4),
        (RISING, 0),
        (FLAT, 0),
        ((0.5, 0.9, 0.5), 0),
        ((0.5, 0.9, 0.5, 0.9), 1),
        ((0.5, 0.53, 0.501, 0.6), 0),
    ],
)
def test_swings_pair_the_nth_maximum_with_the_nth_minimum(scores, pairs):
    assert swings(scores) == pairs


@pytest.mark.parametrize(
    "status", [Status.CRASHED, Status.INVALID, Status.TOO_MUCH_WORK, Status.OUT_OF_MEMORY]
)
def test_a_program_that_does_not_train_to_its_end_is_none_of_its_problems(found, status):
    assert found(FLAT, status=status) is None


def test_zeros_are_counted_over_all_gradients_together(network, pictures, trial):
    sizes = 4 * (9 + 1), 16 * (4 * 6 * 6 + 1), 10 * (16 + 1)
    half = zero_share(network, pictures, trial(zeros={0: 0.5, 2: 1.0, 3: 0.0}))
    assert half == pytest.approx((0.5 * sizes[0] + sizes[1]) / sum(sizes))
    small = trial(LOW, zeros={0: 1.0, 2: 0.0, 3: 0.0})
    assert diagnose(network, pictures, small, 10, later_rules=False) is None


def test_frozen_layers_have_no_gradient_to_count(network, pictures, trial):
    layers = (replace(network.layers[0], trainable=False), *network.layers[1:])
    program = replace(network, layers=layers)
    assert zero_share(program, pictures, trial(zeros={0: 1.0, 2: 0.0, 3: 0.0})) == 0


@pytest.mark.parametrize(
    ("loss", "units", "improper"),
    [
        ("categorical_crossentropy", 10, False),
        ("sparse_categorical_crossentropy", 2, False),
        ("cross_entropy", 10, False),
        ("categorical_crossentropy", 1, True),
        ("binary_crossentropy", 1, False),
        ("bce_with_logits", 2, False),
        ("binary_crossentropy", 10, True),
        ("mse", 10, True),
        ("hinge", 10, True),
    ],
)
def test_improper_losses(network, found, loss, units, improper):
    program = replace(network, loss=loss, layers=(*network.layers[:-1], Dense(units=units)))
    assert is_improper_loss(program) == improper


def test_an_improper_loss_counts_later_even_in_a_good_training(network, found):
    program = replace(network, loss="mse")
    assert found(program=program) is None
    assert found(program=program, later=True) == "loss"
    assert found(later=True, losses=(1.0,) * 9 + (-0.1,)) == "loss"


@pytest.mark.parametrize(
    ("loss", "output", "improper"),
    [
        ("categorical_crossentropy", "softmax", False),
        ("categorical_crossentropy", "softsign", True),
        ("cross_entropy", "linear", False),
        ("cross_entropy", "softmax", True),
        ("mse", "linear", False),
    ],
)
def test_improper_output_activations(network, trial, loss, output, improper):
    program = replace(network, loss=loss, layers=(*network.layers[:-1], Dense(units=10, activation=output)))
    assert is_improper_activation(program, trial()) == improper
    closed = replace(program, layers=(*network.layers[:-1], Dense(units=10), Activation(function=output)))
    assert is_improper_activation(closed, trial()) == improper


def test_outputs_that_add_up_to_too_much_are_improper(network, trial):
    program = replace(network, loss="mse")

    def summing_to(total):
        seen = LayerSymptoms(index=3, activation_mean=math.log10(total / 10))
        plain = trial()
        return replace(plain, symptoms=replace(plain.symptoms, layers=(seen,)))

    assert is_improper_activation(program, summing_to(1.2))
    assert not is_improper_activation(program, summing_to(1.05))
    assert not is_improper_activation(replace(program, loss="bce_with_logits"), summing_to(50.0))


def test_an_improper_output_counts_later_where_the_training_is_bad(network, found):
    program = replace(network, layers=(*network.layers[:-1], Dense(units=10, activation="softsign")))
    assert found(LOW, program=program, later=True, vanishing_gradient=1.0) == "activation"
    assert found(SAW, program=program, later=True) == "activation"
    assert found(RISING, program=program, later=True) is None
    assert found(LOW, program=program, vanishing_gradient=1.0) == "vanish"


def test_abnormal_data_come_first_later(network, found):
    assert found(LOW, later=True, abnormal_activations=1.0, vanishing_gradient=1.0) == "abnormal_data"
    assert (
        found(later=True, program=replace(network, loss="mse"), abnormal_activations=1.0) == "abnormal_data"
    )
    assert found(abnormal_activations=1.0) is None


def test_the_curves_of_a_training_that_never_began_say_nothing(network, pictures, trial):
    nothing = replace(trial(), curves=Curves())
    assert diagnose(network, pictures, nothing, 10, later_rules=True) is None

from __future__ import annotations

from dataclasses import asdict, astuple, replace

import numpy as np
import pytest
import torch

from netmend.env.program import (
    BatchNorm,
    Clip,
    Data,
    Dense,
    Dropout,
    Flatten,
    Optimizer,
    Recurrent,
)
from netmend.env.training import session
from netmend.env.training.batched import member as member_module
from netmend.env.training.batched.group import Group
from netmend.env.training.batched.trainer import GroupTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.measure import CHECKS
from netmend.env.training.trial import Budget, Status, TrialRequest

OUT = Dense(units=3)


@pytest.fixture
def both(datasets, assert_as_plain, group_sizes):
    """Train programs as one group, and compare each with the plain loop."""

    def both(*programs, budget=None, seeds=None):
        requests = [
            TrialRequest(program=p, budget=budget or Budget(), seed=nth if seeds is None else seeds[nth])
            for nth, p in enumerate(programs)
        ]
        group_sizes.clear()
        trials = GroupTrainer(datasets.__getitem__).run(requests)
        assert group_sizes == [len(requests)]
        for trial, request in zip(trials, requests, strict=True):
            assert_as_plain(trial, request)
        return trials

    return both


@pytest.mark.parametrize("updates", [1, 12, 13, 14, 27])
def test_updates_end_where_the_budget_does(both, good, updates):
    """200 rows in batches of 16 are 13 updates."""
    shallow = replace(good, layers=good.layers[1:], epochs=1)
    trials = both(good, good, shallow, budget=Budget(updates=updates))
    assert len(trials[0].curves.train_loss) == -(-updates // 13)
    assert len(trials[2].curves.train_loss) == 1


@pytest.mark.parametrize("batch_size", [1, 7, 199, 200, 5000])
def test_every_size_of_batch(both, good, batch_size):
    program = replace(good, batch_size=batch_size, epochs=2)
    both(
        program,
        replace(program, layers=(*good.layers[:1], Dropout(rate=0.3), OUT)),
        budget=Budget(updates=60),
    )


@pytest.mark.parametrize("batch_size", [13, 16, 39])
def test_a_left_over_row_is_skipped_by_a_batch_normalisation(both, good, batch_size):
    program = replace(good, batch_size=batch_size, layers=(BatchNorm(), Dense(units=4), BatchNorm(), OUT))
    trials = both(program, replace(program, layers=(BatchNorm(), OUT)), budget=Budget(samples=40, epochs=3))
    rows = 40 if 40 % batch_size != 1 else 39
    assert trials[1].work == pytest.approx(3 * 6 * 3 * rows * 3 / 1e6)


def test_different_epochs_and_patience_end_at_their_own_time(both, good):
    frozen = tuple(replace(layer, trainable=False) for layer in good.layers)
    programs = [replace(good, epochs=epochs) for epochs in (1, 8, 3, 12)]
    trials = both(*programs, replace(good, layers=frozen, patience=2, epochs=12))
    assert [len(trial.curves.train_loss) for trial in trials] == [1, 8, 3, 12, 3]


def test_programs_of_several_datasets(both, good, regression):
    two = replace(
        good,
        data=Data(dataset="two"),
        layers=(Dense(units=1, activation="sigmoid"),),
        loss="binary_crossentropy",
    )
    flat = replace(good, data=Data(dataset="images"), layers=(Flatten(), Dense(units=5), OUT))
    trials = both(good, regression, flat, two)
    assert all(trial.status is Status.OK for trial in trials)


def test_outputs_are_read_as_each_program_says(both, good):
    """One group, one loss, one truth: a sigmoid in front of it and none."""
    two = replace(good, data=Data(dataset="two"), loss="bce_with_logits")
    logit, likely = (
        replace(two, layers=(Dense(units=1, activation=name),)) for name in ("linear", "sigmoid")
    )
    trials = both(logit, likely, replace(likely, loss="hinge"), replace(logit, loss="mse"))
    assert min(trial.skill for trial in trials) > 0.5


def test_a_program_that_diverges_leaves_the_others_alone(datasets, good):
    wild = replace(
        good,
        optimizer=Optimizer(kind="sgd", lr=1e6),
        loss="mse",
        data=Data(dataset="table", labels="one_hot"),
    )
    tame = replace(wild, optimizer=Optimizer(kind="sgd", lr=0.01))

    def train(middle):
        requests = [TrialRequest(program=p, budget=Budget(), seed=1) for p in (good, middle, good, tame)]
        return [replace(trial, seconds=0) for trial in GroupTrainer(datasets.__getitem__).run(requests)]

    with_wild, with_tame = train(wild), train(tame)
    assert with_wild[1].status is Status.DIVERGED
    assert with_wild[1].symptoms.non_finite == 1
    assert [with_wild[m] for m in (0, 2, 3)] == [with_tame[m] for m in (0, 2, 3)]


RELU = Dense(units=6, activation="relu")
# Big steps leave nothing but negative sums behind.
DYING = (RELU, Dense(units=3, activation="relu"))
DEAD_LAYERS = (Dense(units=8, activation="relu", kernel_init="zeros"), replace(OUT, bias=False))
CLIP = Clip(kind="norm", limit=1.0)
DEAD = {
    "dead from the start": (DEAD_LAYERS, {}),
    "dies": (DYING, {"optimizer": Optimizer(kind="sgd", lr=100.0)}),
    "dies of momentum": (DYING, {"optimizer": Optimizer(kind="sgd", lr=50.0, momentum=0.5)}),
    "dies clipped": (DYING, {"optimizer": Optimizer(kind="sgd", lr=1e3), "clip": CLIP}),
    "frozen": (tuple(replace(layer, trainable=False) for layer in DYING), {}),
    "frozen, with decay": (
        tuple(replace(layer, trainable=False) for layer in DYING),
        {"optimizer": Optimizer(kind="rmsprop", weight_decay=0.1)},
    ),
    "frozen, unshuffled": (
        tuple(replace(layer, trainable=False) for layer in DYING),
        {"batch_size": 23, "data": Data(dataset="table", labels="one_hot", shuffle=False)},
    ),
    "patient": (DEAD_LAYERS, {"patience": 5}),
}


@pytest.fixture
def mortal(good):
    """A program with 10 equal batches to an epoch."""
    return replace(good, loss="mse", data=Data(dataset="table", labels="one_hot"), batch_size=20, epochs=11)


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("company", [False, True])
def test_a_hopeless_program_ends_early_as_if_trained_to_the_end(
    datasets, both, mortal, monkeypatch, name, company
):
    layers, changes = DEAD[name]
    dead = replace(mortal, layers=layers, **changes)
    # Others have their checks at other epochs, and lack no bias.
    others = [replace(dead, layers=DYING, epochs=n, optimizer=Optimizer(lr=0.003)) for n in (2, 3, 12)]
    programs = [dead, *others] if company else [dead]
    early = both(*programs, seeds=(0, 1, 2, 3))[0]
    with monkeypatch.context() as patch:
        for module in (session, member_module):
            patch.setattr(module, "repeats", lambda *_: False)
        late = both(*programs, seeds=(0, 1, 2, 3))[0]
        (plain,) = LocalTrainer(datasets.__getitem__).run(
            [TrialRequest(program=dead, budget=Budget(), seed=0)]
        )
    assert early.work < late.work == plain.work
    for trial in (late, plain):
        assert len(early.curves.train_loss) == len(trial.curves.train_loss)
        for own, wanted in zip(astuple(early.curves), astuple(trial.curves), strict=True):
            assert own == pytest.approx(wanted, rel=1e-5)
        # Which of two equal losses is larger depends on the order of the rows.
        own, wanted = (asdict(replace(t.symptoms, increasing_loss=0.0)) for t in (early, trial))
        for measured in zip(own.pop("layers"), wanted.pop("layers"), strict=True):
            assert measured[0] == pytest.approx(measured[1], abs=1e-3)
        assert own == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "budget"),
    [
        ({"batch_size": 16}, Budget()),
        ({}, Budget(updates=15)),
        ({"layers": (Dropout(rate=0.2), OUT)}, Budget()),
    ],
)
def test_a_program_whose_epochs_differ_is_trained_to_the_end(both, mortal, changes, budget):
    """A left-over batch weighs more than its rows, and the last epoch may be cut short."""
    program = replace(mortal, **changes)
    layers = tuple(replace(x, trainable=False) if isinstance(x, Dense) else x for x in program.layers)
    (trial,) = both(replace(program, layers=layers), budget=budget)
    assert len(set(trial.curves.train_loss)) > 1


def test_checks_are_spread_over_the_epochs(datasets, good, monkeypatch):
    taken = {}
    trial = member_module.Member.trial

    def spy(self, checks, weights, seconds):
        taken[self.planned] = len(checks)
        return trial(self, checks, weights, seconds)

    monkeypatch.setattr(member_module.Member, "trial", spy)
    requests = [
        TrialRequest(program=replace(good, epochs=epochs), budget=Budget(), seed=0)
        for epochs in (1, 2, 5, 12)
    ]
    GroupTrainer(datasets.__getitem__).run(requests)
    assert taken == {1: 2, 2: 3, 5: CHECKS, 12: CHECKS}


def test_what_a_program_has_not_stays_as_it_is(datasets, good, random_program, small, monkeypatch):
    """Padding, missing biases and frozen layers, after all kinds of updates."""
    rng = np.random.default_rng(1)
    groups = []
    trials = Group.trials

    def spy(self, seconds):
        groups.append(self)
        return trials(self, seconds)

    monkeypatch.setattr(Group, "trials", spy)
    requests = [
        TrialRequest(program=random_program(rng, batch_size=16), budget=small, seed=0) for _ in range(24)
    ]
    GroupTrainer(datasets.__getitem__).run(
        sorted(requests, key=lambda r: -sum(isinstance(x, Dense) for x in r.program.layers))
    )
    (group,) = groups
    weights = group.weights
    for row, start, entries in zip(weights.values, weights.start, weights.entries, strict=True):
        own = torch.zeros_like(row, dtype=torch.bool)
        moving = own.clone()
        for entry in entries:
            slot = weights.slots[entry.name]
            for mask, wanted in ((own, True), (moving, entry.spec.trainable)):
                if wanted:
                    corner = tuple(slice(size) for size in entry.shape)
                    mask[slot.columns].view(slot.shape)[corner] = True
        assert not row[~own].any()
        assert torch.equal(row[~moving], start[~moving])
        assert not torch.equal(row[moving], start[moving]) or not moving.any()


def test_the_first_loss_and_weights_are_those_of_the_seed(both, good):
    """Seeds differ, equal seeds are equal, in one group."""
    one, other, again = both(good, good, good, seeds=(0, 1, 0))
    assert one.curves == again.curves
    assert one.curves.train_loss[0] != other.curves.train_loss[0]


def test_the_holdout_is_scored_with_the_final_weights(datasets, good, regression, assert_as_plain):
    programs = [good, replace(good, epochs=2), regression]
    requests = [TrialRequest(program=p, budget=Budget(), seed=0, holdout=True) for p in programs]
    trials = GroupTrainer(datasets.__getitem__).run(requests)
    for trial, request in zip(trials, requests, strict=True):
        assert_as_plain(trial, request)
        (wanted,) = LocalTrainer(datasets.__getitem__).run([request])
        assert trial.holdout == pytest.approx(wanted.holdout, abs=0.02)


def test_a_recurrent_state_bias_is_drawn_as_the_plain_loop_does(both, good):
    """The forget gate of an LSTM starts open; without a bias there is none."""
    layers = (Recurrent(cell="lstm", units=4, bias_init="ones"), OUT)
    program = replace(good, data=Data(dataset="series"), layers=layers, epochs=2)
    both(program, program)
    both(replace(program, layers=(replace(layers[0], bias=False), OUT)))

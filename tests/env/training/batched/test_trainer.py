from __future__ import annotations

import gc
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from netmend.env.errors import UnknownNameError
from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Loop,
    Monitor,
    Optimizer,
    Position,
    Prep,
    Recurrent,
    Rescale,
    Schedule,
    Skip,
    ThresholdedRelu,
)
from netmend.env.training.batched.candidate import candidate
from netmend.env.training.batched.group import Group
from netmend.env.training.batched.trainer import BatchedTrainer, GroupTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Status, TrialRequest

TRUNK_NAMES = [
    "vector", "flat", "tokens as numbers", "dense on steps", "normalised inputs", "conv1d", "conv1d, norms",
    "conv2d", "conv2d, flat", "gru", "gru without bias", "lstm", "two lstm", "embedding",
    "embedding, frozen", "embedding, gru",
]  # fmt: skip


def buckets(requests, datasets):
    """What may be one group, the deepest program first."""
    found = {}
    for position, request in enumerate(requests):
        own = candidate(position, request, datasets[request.program.data.dataset])
        if own is not None:
            found.setdefault(own.key, []).append(own)
    for members in found.values():
        members.sort(key=lambda own: -len(own.hidden))
        yield [own.request for own in members]


@pytest.mark.parametrize("trunk", TRUNK_NAMES)
def test_a_mixed_group_trains_as_each_of_its_programs(
    datasets, small, random_program, assert_as_plain, group_sizes, trunk
):
    """As large a group as possible, whatever it costs."""
    rng = np.random.default_rng(TRUNK_NAMES.index(trunk))
    count = 40 if trunk == "vector" else 10
    requests = [
        TrialRequest(
            program=random_program(rng, trunk), budget=small, seed=int(rng.integers(3)), holdout=nth % 3 == 0
        )
        for nth in range(count)
    ]
    trainer = GroupTrainer(datasets.__getitem__)
    for bucket in buckets(requests, datasets):
        group_sizes.clear()
        trials = trainer.run(bucket)
        assert group_sizes == [len(bucket)]
        for trial, request in zip(trials, bucket, strict=True):
            assert_as_plain(trial, request)


OLD: dict[str, dict[str, object]] = {
    "sparse labels": {
        "loss": "sparse_categorical_crossentropy",
        "layers": (Dense(units=4, activation="relu"), Dense(units=3, activation="softmax")),
    },
    "old defaults": {
        "api": "keras_2",
        "optimizer": Optimizer(kind="adagrad", lr=0.01),
        "layers": (Dense(units=4), BatchNorm(momentum=0.9), Dense(units=3)),
    },
    "old initialiser": {
        "api": "tensorflow_1",
        "layers": (Dense(units=4, kernel_init="truncated_normal"), Dense(units=3)),
    },
    "declared inputs": {"layers": (Dense(units=4, inputs=6), Dense(units=3, inputs=4))},
}


@pytest.mark.parametrize("name", OLD)
def test_an_old_program_is_trained_as_it_is_read_today(
    datasets, small, good, assert_as_plain, group_sizes, name
):
    programs = [replace(good, **OLD[name]), good]
    requests = [TrialRequest(program=program, budget=small, seed=1, holdout=True) for program in programs]
    trials = BatchedTrainer(datasets.__getitem__).run(requests)
    assert group_sizes == [2]
    for trial, request in zip(trials, requests, strict=True):
        assert_as_plain(trial, request)


PLAIN_ONLY: dict[str, dict[str, object]] = {
    "crash": {"layers": (Dense(units=2),)},
    "loop": {"loop": Loop(zero_grad=False)},
    "crash in the prediction": {"loop": Loop(predict="row")},
    "monitor": {"monitor": Monitor(classes=True)},
    "schedule": {"schedule": Schedule()},
    "plateau": {"schedule": Schedule(every="plateau", patience=1)},
    "noise": {"layers": (GaussianNoise(), Dense(units=3))},
    "threshold": {"layers": (Dense(units=6), ThresholdedRelu(threshold=0.1), Dense(units=3))},
    "sum": {"reduction": "sum"},
    "metric": {"stop_on": "metric", "patience": 3},
    "softmax of old": {"api": "torch_1", "layers": (Dense(units=4, activation="softmax"), Dense(units=3))},
    "split": {"data": Data(dataset="table", split="leaky")},
    "half": {"data": Data(dataset="table", input_type="float16")},
    "training rows only": {"data": Data(dataset="table", prep=(Prep(kind="standardize", rows="train"),))},
    "more rows": {"data": Data(dataset="table", prep=(Prep(kind="balance"),))},
    "other labels": {
        "data": Data(dataset="table", prep=(Prep(kind="shift_target", factor=1.0),)),
        "layers": (Dense(units=4),),
    },
    "reshaped rows": {"data": Data(dataset="series", prep=(Prep(kind="flatten"),))},
    "unused outputs": {
        "loss": "sparse_categorical_crossentropy",
        "layers": (Dense(units=5, activation="softmax"),),
    },
    "skip": {"layers": (Dense(units=6), Skip(back=1), Dense(units=3))},
    "rescale": {"layers": (Rescale(factor=0.1), Dense(units=3))},
    "rnn": {"data": Data(dataset="series"), "layers": (Recurrent(cell="rnn", units=4), Dense(units=3))},
    "both ways": {
        "data": Data(dataset="series"),
        "layers": (Recurrent(cell="gru", units=4, bidirectional=True), Dense(units=3)),
    },
    "attention": {
        "data": Data(dataset="tokens"),
        "layers": (Embedding(units=4), Position(), Attention(heads=2), GlobalPool(), Dense(units=3)),
    },
    "declared table": {
        "data": Data(dataset="tokens"),
        "layers": (Embedding(units=2, inputs=30), Flatten(), Dense(units=3)),
    },
}


@pytest.mark.parametrize("name", PLAIN_ONLY)
def test_what_a_group_does_not_know_is_left_to_the_plain_loop(datasets, small, good, group_sizes, name):
    program = replace(good, **PLAIN_ONLY[name])
    requests = [TrialRequest(program=program, budget=small, seed=seed, holdout=True) for seed in (0, 1)]
    trials = BatchedTrainer(datasets.__getitem__).run(requests)
    assert group_sizes == []
    assert timeless(trials) == timeless(LocalTrainer(datasets.__getitem__).run(requests))
    assert trials[0].status is (Status.CRASHED if "crash" in name else Status.OK)


def test_values_are_filled_and_clipped_in_a_group(datasets, small, good, assert_as_plain, group_sizes):
    prep = (Prep(kind="fill_missing"), Prep(kind="clip_outliers"))
    program = replace(good, data=Data(dataset="table", prep=prep))
    request = TrialRequest(program=program, budget=small, seed=1, holdout=True)
    (trial,) = BatchedTrainer(datasets.__getitem__).run([request])
    assert group_sizes == [1]
    assert_as_plain(trial, request)


@pytest.fixture
def trainer(datasets):
    trainer = BatchedTrainer(datasets.__getitem__)
    yield trainer
    trainer.close()


@pytest.fixture
def mixed(small, random_program):
    """Requests of several kinds that end up in a few groups."""
    rng = np.random.default_rng(7)
    trunks = ["vector"] * 8 + ["conv1d"] * 2 + ["gru"] * 2 + ["embedding"] * 2
    return [
        TrialRequest(
            program=random_program(rng, trunk, batch_size=16), budget=small, seed=nth % 3, holdout=True
        )
        for nth, trunk in enumerate(trunks)
    ]


def timeless(trials):
    return [replace(trial, seconds=0.0) for trial in trials]


def test_one_list_gives_the_same_trials_bit_for_bit(datasets, trainer, mixed):
    first = timeless(trainer.run(mixed))
    torch.manual_seed(99)
    assert timeless(trainer.run(mixed)) == first
    assert timeless(BatchedTrainer(datasets.__getitem__).run(mixed)) == first
    assert timeless(trainer.run([replace(request, seed=request.seed + 5) for request in mixed])) != first


def test_company_and_order_matter_by_rounding_only(trainer, mixed, assert_as_plain):
    together, backward = trainer.run(mixed), trainer.run(mixed[::-1])[::-1]
    alone = [trainer.run([request])[0] for request in mixed]
    for trials in (together, backward, alone):
        for trial, request in zip(trials, mixed, strict=True):
            assert_as_plain(trial, request)


def test_trials_are_streamed_once_each(trainer, mixed):
    streamed = list(trainer.stream(mixed))
    assert sorted(position for position, _ in streamed) == list(range(len(mixed)))
    trials = dict(streamed)
    assert timeless(trials[p] for p in range(len(mixed))) == timeless(trainer.run(mixed))
    assert trainer.run([]) == []


def test_nothing_of_the_holdout_is_seen_unasked(trainer, mixed):
    asked = trainer.run(mixed)
    unasked = trainer.run([replace(request, holdout=False) for request in mixed])
    assert all(trial.holdout is not None for trial in asked)
    assert timeless(unasked) == timeless(replace(trial, holdout=None) for trial in asked)


def test_seconds_are_shared_out(trainer, mixed):
    started = time.perf_counter()
    trials = trainer.run(mixed)
    whole = time.perf_counter() - started
    assert 0.5 * whole < sum(trial.seconds for trial in trials) <= whole


OUT = Dense(units=3)
BAD: dict[str, tuple[dict[str, object], Status]] = {
    "initial weights": ({"layers": (Dense(units=4, bias_init="orthogonal"), OUT)}, Status.CRASHED),
    "shapes": ({"layers": (Conv2d(filters=2), OUT)}, Status.CRASHED),
    "outputs": ({"layers": (Dense(units=4), Dense(units=2))}, Status.CRASHED),
    "labels": ({"data": Data(dataset="table", labels="value"), "layers": (Dense(units=1),)}, Status.CRASHED),
    "one row": ({"layers": (BatchNorm(), OUT), "batch_size": 1}, Status.CRASHED),
    "tokens late": (
        {"data": Data(dataset="tokens"), "layers": (Dropout(rate=0.1), Embedding(units=2), Flatten(), OUT)},
        Status.CRASHED,
    ),
    "tokens flattened": (
        {"data": Data(dataset="tokens"), "layers": (Flatten(), Embedding(units=2), Flatten(), OUT)},
        Status.CRASHED,
    ),
    "invalid": ({"epochs": 0}, Status.INVALID),
    "diverged": (
        {
            "optimizer": Optimizer(kind="sgd", lr=1e6),
            "loss": "mse",
            "data": Data(dataset="table", labels="one_hot"),
        },
        Status.DIVERGED,
    ),
    "nothing to train": ({"layers": (Activation(function="tanh"),)}, Status.OK),
    "all frozen": ({"layers": (replace(OUT, trainable=False),), "epochs": 8}, Status.OK),
    "out of patience": ({"optimizer": Optimizer(kind="sgd", lr=0.5), "patience": 1, "epochs": 8}, Status.OK),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_program_harms_no_companion(datasets, small, good, assert_as_plain, name):
    """Neither as the plan has it nor in the largest groups that there can be."""
    changes, status = BAD[name]
    bad = replace(good, **changes)
    budget = replace(small, epochs=8)
    programs = [good, bad, replace(good, layers=good.layers[1:])]
    if bad.data.dataset == "tokens":
        tokens = replace(bad, layers=(Embedding(units=2), Flatten(), OUT))
        programs = [tokens, bad, tokens]
    requests = [TrialRequest(program=p, budget=budget, seed=0, holdout=True) for p in programs]
    trials = BatchedTrainer(datasets.__getitem__).run(requests)
    assert trials[1].status is status
    for trial, request in zip(trials, requests, strict=True):
        assert_as_plain(trial, request)
    for bucket in buckets(requests, datasets):
        for trial, request in zip(GroupTrainer(datasets.__getitem__).run(bucket), bucket, strict=True):
            assert_as_plain(trial, request)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1")]
)
@pytest.mark.parametrize("largest", [0, 1, 2])
def test_a_group_that_is_too_large_is_halved(
    datasets, small, good, assert_as_plain, group_sizes, monkeypatch, error, largest
):
    fit = Group.fit

    def limited(self):
        if len(self.members) > largest:
            raise error
        fit(self)

    monkeypatch.setattr(Group, "fit", limited)
    requests = [TrialRequest(program=good, budget=small, seed=seed) for seed in range(5)]
    trials = GroupTrainer(datasets.__getitem__).run(requests)
    assert group_sizes[0] == 5
    for trial, request in zip(trials, requests, strict=True):
        assert trial.status is Status.OK
        assert_as_plain(trial, request)


def test_an_interrupt_passes_through(datasets, small, good, monkeypatch):
    def interrupted(_self):
        assert not gc.isenabled()
        raise KeyboardInterrupt

    monkeypatch.setattr(Group, "fit", interrupted)
    threads = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        BatchedTrainer(datasets.__getitem__).run([TrialRequest(program=good, budget=small, seed=0)] * 2)
    assert gc.isenabled()
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads


def test_a_missing_dataset_is_nobodys_fault(small, good):
    program = replace(good, data=Data(dataset="iriss"))
    with pytest.raises(UnknownNameError, match="did you mean 'iris'"):
        BatchedTrainer().run([TrialRequest(program=program, budget=small, seed=0)])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("collected", [True, False])
def test_the_callers_state_stays(trainer, mixed, threads, mode, collected):
    before = torch.get_num_threads()
    expected = timeless(trainer.run(mixed[:4]))
    try:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        if not collected:
            gc.disable()
        with mode():
            state = torch.get_rng_state(), np.random.get_state()[1].copy()
            grad = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            trials = timeless(trainer.run(mixed[:4]))
            assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == grad
            assert torch.equal(torch.get_rng_state(), state[0])
            assert np.array_equal(np.random.get_state()[1], state[1])
        assert gc.isenabled() is collected
        assert torch.get_num_threads() == threads
        assert trials == expected
    finally:
        gc.enable()
        torch.set_num_threads(before)

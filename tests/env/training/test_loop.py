from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
import torch

from netmend.env.data import Dataset
from netmend.env.program import (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    OPTIMIZERS,
    Activation,
    Attention,
    BatchNorm,
    Clip,
    Conv1d,
    Conv2d,
    Crash,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Loop,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
)
from netmend.env.program.kinds import LOSS_KINDS
from netmend.env.training import loop, session
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, Trial, TrialRequest
from netmend.env.training.trial_json import decode, encode

OUT = Dense(units=3)


def same(one: Trial, other: Trial) -> bool:
    return replace(one, seconds=0) == replace(other, seconds=0)


def numbers(value: object) -> list[float]:
    if isinstance(value, tuple | list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_a_good_program_learns(run, good):
    trial = run(good, holdout=True)
    assert trial.status is Status.OK
    assert trial.message == ""
    assert trial.skill > 0.8
    assert trial.holdout > 0.8
    assert len(trial.curves.train_loss) == len(trial.curves.validation_score) == good.epochs
    assert trial.curves.train_loss[-1] < trial.curves.train_loss[0] / 2
    assert trial.metric == trial.curves.validation_score[-1]
    assert trial.work == 3 * (6 * 16 + 16 * 16 + 16 * 3) * 200 * 8 / 1e6


def test_a_regression_learns(run, regression):
    trial = run(regression, holdout=True)
    assert trial.status is Status.OK
    assert trial.skill == trial.metric > 0.8
    assert trial.holdout > 0.8


def test_the_holdout_is_opened_on_request_only(run, good):
    assert run(good).holdout is None


def test_one_seed_gives_one_trial_bit_for_bit(run, good):
    program = replace(good, layers=(Dense(units=8, activation="relu"), Dropout(rate=0.3), BatchNorm(), OUT))
    first = run(program, seed=3)
    torch.manual_seed(99)
    assert same(first, run(program, seed=3))
    assert not same(first, run(program, seed=4))


def test_the_order_of_requests_changes_nothing(datasets, good):
    other = replace(good, batch_size=7, layers=(Flatten(), *good.layers))
    requests = [TrialRequest(program=p, budget=Budget(), seed=s) for p in (good, other) for s in (0, 1)]
    trainer = LocalTrainer(datasets.__getitem__)
    forward = trainer.run(requests)
    backward = LocalTrainer(datasets.__getitem__).run(requests[::-1])[::-1]
    trainer.close()
    assert all(map(same, forward, backward))


@pytest.mark.parametrize("threads", [1, 2])
def test_random_state_and_thread_count_stay(run, good, threads):
    program = replace(good, layers=(Dense(units=8), Dropout(rate=0.5), OUT))
    before_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        np.random.seed(1)
        state, legacy = torch.get_rng_state(), np.random.get_state()
        trials = [run(program), run(replace(program, optimizer=Optimizer(kind="sgd", lr=1e6), loss="mse"))]
        assert torch.equal(state, torch.get_rng_state())
        assert all(np.array_equal(a, b) for a, b in zip(legacy, np.random.get_state(), strict=True))
        assert torch.get_num_threads() == threads
        assert trials[0].status is Status.OK
    finally:
        torch.set_num_threads(before_threads)


def test_the_caller_may_have_switched_gradients_off(run, good):
    with torch.inference_mode():
        inside = run(good)
        assert torch.is_inference_mode_enabled()
    assert same(inside, run(good))


STACKS: dict[str, tuple[str, tuple[Layer, ...]]] = {
    "dense": ("table", (Dense(units=8, activation="tanh", bias=False), OUT)),
    "dense on steps": ("series", (Dense(units=4, activation="relu"), Flatten(), OUT)),
    "dropout": ("table", (Dense(units=8), Dropout(rate=0.2), OUT)),
    "batch norm": ("table", (BatchNorm(), Dense(units=8), BatchNorm(), Activation(function="relu"), OUT)),
    "layer norm": ("table", (LayerNorm(), Dense(units=8), LayerNorm(), OUT)),
    "conv1d": ("series", (Conv1d(filters=4, padding="same", kernel=4, stride=2), Pool(), Flatten(), OUT)),
    "conv1d norms": ("series", (Conv1d(filters=4), BatchNorm(), LayerNorm(), GlobalPool(reduce="max"), OUT)),
    "mean pool 1d": ("series", (Conv1d(filters=4, activation="elu"), Pool(reduce="mean"), Flatten(), OUT)),
    "conv2d": ("images", (Conv2d(filters=4, padding="same", activation="relu"), Pool(), Flatten(), OUT)),
    "conv2d strides": ("images", (Conv2d(filters=4, kernel=2, stride=2, bias=False), GlobalPool(), OUT)),
    "conv2d norms": (
        "images",
        (Conv2d(filters=4, padding="same", stride=3), BatchNorm(), Pool(reduce="mean"), Flatten(), OUT),
    ),
    "gru": ("series", (Recurrent(cell="gru", units=8), OUT)),
    "gru without bias": ("series", (Recurrent(cell="gru", units=8, bias=False), OUT)),
    "lstm": ("series", (Recurrent(cell="lstm", units=8, return_sequences=True), GlobalPool(), OUT)),
    "attention": (
        "series",
        (Dense(units=8), Position(), Attention(heads=2, width=8, dropout=0.1), GlobalPool(), OUT),
    ),
    "frozen attention": (
        "tokens",
        (
            Embedding(units=8),
            Position(encoding="sinusoidal"),
            Attention(heads=4, trainable=False),
            Flatten(),
            OUT,
        ),
    ),
    "embedding": ("tokens", (Embedding(units=4), Flatten(), OUT)),
    "embedding frozen": (
        "tokens",
        (Embedding(units=4, trainable=False), Recurrent(cell="gru", units=4), OUT),
    ),
    "all frozen": ("table", (Dense(units=3, trainable=False),)),
}


@pytest.mark.parametrize("name", STACKS)
def test_every_layer_kind_trains_the_same_twice(run, good, name):
    dataset, layers = STACKS[name]
    program = replace(good, data=Data(dataset=dataset), layers=layers, epochs=3)
    trial = run(program)
    assert same(trial, run(program))
    assert (trial.status, trial.message) == (Status.OK, "")
    assert [layer.index for layer in trial.symptoms.layers]
    if name != "all frozen":
        assert trial.curves.train_loss[-1] < trial.curves.train_loss[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains(run, good, regression, loss):
    program = replace(regression, loss=loss)
    if loss not in ("mse", "mae", "mape", "msle", "logcosh", "huber", "poisson"):
        labels = "index" if LOSS_KINDS[loss].ids else "one_hot"
        output = "linear" if "logits" in loss or loss in ("cross_entropy", "categorical_hinge") else "softmax"
        layers = (*good.layers[:-1], Dense(units=3, activation=output))
        program = replace(good, data=Data(dataset="table", labels=labels), layers=layers, loss=loss)
    if loss == "poisson":
        program = replace(program, layers=(*program.layers[:-1], Dense(units=2, activation="softplus")))
    trial = run(replace(program, epochs=8))
    assert (trial.status, trial.message) == (Status.OK, "")
    assert trial.curves.train_loss[-1] < trial.curves.train_loss[0]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_trains(run, good, kind):
    rate = {"sgd": 0.05, "adadelta": 1.0}.get(kind, 0.01)
    optimizer = Optimizer(kind=kind, lr=rate, momentum=0.5, nesterov=True, weight_decay=1e-4)
    assert run(replace(good, optimizer=optimizer)).skill > 0.8


@pytest.mark.parametrize("name", INITIALISERS)
def test_every_initialiser_starts(run, good, name):
    layers = (Dense(units=8, kernel_init=name, activation="relu"), OUT)
    assert run(replace(good, layers=layers, epochs=2)).status is Status.OK


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains(run, good, name):
    layers = (Dense(units=8), Activation(function=name), Dense(units=8, activation=name), OUT)
    data = Data(dataset="table", prep=(Prep(kind="standardize"),))
    assert run(replace(good, data=data, layers=layers)).skill > 0.2


@pytest.mark.parametrize("clip", [Clip(kind="norm", limit=0.1), Clip(kind="value", limit=0.01)])
def test_clipping_holds_a_wild_program(run, good, clip):
    wild = replace(
        good,
        optimizer=Optimizer(kind="sgd", lr=2.0),
        data=Data(dataset="table", prep=(Prep(kind="scale", factor=50.0),)),
    )
    assert run(replace(wild, clip=clip)).curves.train_loss[-1] < run(wild).curves.train_loss[-1]


def test_penalties_shrink_the_weights_and_count_in_the_loss(run, good):
    layers = tuple(replace(layer, l1=0.01, l2=0.05) for layer in good.layers)
    plain, held = run(good), run(replace(good, layers=layers))
    assert held.symptoms.layers[1].weight_max < plain.symptoms.layers[1].weight_max
    assert held.curves.train_loss[0] > plain.curves.train_loss[0] + 0.1


def test_a_frozen_layer_keeps_its_weights(run, good):
    layers = (replace(good.layers[0], trainable=False), *good.layers[1:])
    decay = Optimizer(kind="adamw", lr=0.01, weight_decay=0.1)
    first, second, _ = run(replace(good, layers=layers, optimizer=decay)).symptoms.layers
    assert first.weight_change == -12
    assert second.weight_change > -3


def test_patience_stops_early(run, good):
    layers = tuple(replace(layer, trainable=False) for layer in good.layers)
    trial = run(replace(good, layers=layers, patience=2))
    assert len(trial.curves.train_loss) == 3


def test_unshuffled_rows_come_sorted_by_target(run, good):
    sgd = Optimizer(kind="sgd", lr=0.1)
    program = replace(good, epochs=1, optimizer=sgd)
    unshuffled = replace(program, data=Data(dataset="table", shuffle=False))
    assert run(unshuffled).curves.validation_score[0] < run(program).curves.validation_score[0]


@pytest.mark.parametrize(
    ("budget", "epochs", "rows"),
    [(Budget(epochs=2), 2, 400), (Budget(updates=15), 2, 15 * 16 - 8), (Budget(samples=50), 8, 400)],
)
def test_the_budget_is_a_cap(run, good, budget, epochs, rows):
    trial = run(good, budget)
    assert len(trial.curves.train_loss) == epochs
    assert trial.work == pytest.approx(3 * (6 * 16 + 16 * 16 + 16 * 3) * rows / 1e6)


def test_a_batch_above_the_rows_is_the_full_batch(run, good):
    assert same(run(replace(good, batch_size=5000)), run(replace(good, batch_size=200)))


BROKEN: dict[str, tuple[dict[str, object], Status, str]] = {
    "invalid": ({"batch_size": 0, "epochs": -1}, Status.INVALID, "batch_size"),
    "shapes": ({"layers": (Conv2d(filters=2), OUT)}, Status.CRASHED, "build: layers[0] (Conv2d)"),
    "output not flat": (
        {"data": Data(dataset="series"), "layers": (Conv1d(filters=2), OUT)},
        Status.CRASHED,
        "flatten",
    ),
    "too few outputs": ({"layers": (Dense(units=2),)}, Status.CRASHED, "class id 2 is out of range for 2"),
    "one-hot, one unit": (
        {"data": Data(dataset="table", labels="one_hot"), "layers": (Dense(units=1),), "loss": "mse"},
        Status.CRASHED,
        "(n, 1) do not match targets of shape (3,)",
    ),
    "index, categorical": ({"loss": "categorical_crossentropy"}, Status.CRASHED, "index labels"),
    "class ids of values": (
        {"data": Data(dataset="values", labels="one_hot"), "layers": (Dense(units=2),), "loss": "mse"},
        Status.CRASHED,
        "real values",
    ),
    "batch norm on one row": ({"layers": (BatchNorm(), OUT), "batch_size": 1}, Status.CRASHED, "(BatchNorm)"),
    "bias": ({"layers": (Dense(units=3, bias_init="orthogonal"),)}, Status.CRASHED, "orthogonal"),
    "diverged": (
        {"data": Data(dataset="values", labels="value"), "layers": (Dense(units=2),), "loss": "mse",
         "optimizer": Optimizer(kind="sgd", lr=1e6)},
        Status.DIVERGED,
        "training loss is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_a_labelled_trial(run, good, name):
    changes, status, part = BROKEN[name]
    trial = run(replace(good, **changes), holdout=True)
    assert trial.status is status
    assert part in trial.message
    assert "\n" not in trial.message
    assert trial.skill == SKILL_FLOOR
    assert trial.metric is trial.holdout is None
    assert all(map(math.isfinite, numbers(astuple(trial))))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    ],
)
def test_out_of_memory_is_labelled(run, good, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(session.Session, "fit", fail)
    assert run(good).status is Status.OUT_OF_MEMORY


def test_a_mistake_of_our_own_is_not_blamed_on_the_program(run, good, monkeypatch):
    monkeypatch.setattr(session.Session, "fit", None)
    with pytest.raises(TypeError):
        run(good)


def test_diverged_symptoms_are_finite(run, good):
    changes, _, _ = BROKEN["diverged"]
    trial = run(replace(good, **changes))
    assert trial.symptoms.non_finite == 1
    assert trial.symptoms.exploding_gradient == 1


def test_last_single_row_does_not_break_batch_norm(run, good):
    program = replace(good, layers=(BatchNorm(), OUT), batch_size=199)
    assert run(program).status is Status.OK


def test_targets_are_scored_in_their_own_units(run, regression):
    scaled = replace(
        regression,
        data=Data(dataset="values", labels="value", prep=(Prep(kind="scale_target", factor=1e-6),)),
    )
    frozen = tuple(replace(layer, trainable=False, kernel_init="zeros") for layer in scaled.layers)
    assert run(replace(scaled, layers=frozen)).metric < 0
    standard = replace(
        scaled, data=Data(dataset="values", labels="value", prep=(Prep(kind="standardize_target"),))
    )
    assert run(standard).metric > 0.8
    assert run(replace(standard, layers=frozen)).metric == pytest.approx(0, abs=0.1)


def test_programs_of_the_package_train_through_the_registry(good):
    program: Program = replace(good, data=Data(dataset="xor"), layers=(*good.layers[:-1], Dense(units=2)))
    trial = LocalTrainer().run([TrialRequest(program=program, budget=Budget(epochs=4), seed=0)])[0]
    assert trial.status is Status.OK
    assert trial.curves.train_loss[-1] < trial.curves.train_loss[0]


def test_statistics_come_from_the_rows_that_train(datasets: dict[str, Dataset], run, good):
    data = datasets["table"]
    changed = replace(data.train, x=np.concatenate([data.train.x[:50], data.train.x[50:] * 100]))
    other = replace(data, train=changed, fingerprint="other")
    program = replace(good, data=Data(dataset="table", prep=(Prep(kind="standardize"),)))
    budget = Budget(samples=50)
    assert same(loop.train(program, data, budget, 0), loop.train(program, other, budget, 0))


VECTOR, CLASSES = (6,), Data(dataset="table")
CRASHES: dict[str, tuple[dict[str, object], Crash, str]] = {
    "data": (
        {"data": replace(CLASSES, prep=(Prep(kind="drop_axis"),))},
        Crash(phase="data", kind="rank", message="", expected=(1, 0), found=VECTOR),
        "data: drop_axis needs",
    ),
    "data, type": (
        {"data": replace(CLASSES, input_type="list")},
        Crash(phase="data", kind="type", message="", expected_type="array", found_type="list"),
        "data: the inputs are nested lists",
    ),
    "build": (
        {"layers": (Dense(units=4), Conv1d(filters=2), OUT)},
        Crash(phase="build", kind="rank", message="", layer=1, expected=(0, 0), found=(4,)),
        "build: layers[1] (Conv1d): conv1d needs a sequence",
    ),
    "build, name": ({"api": "keras_1"}, Crash(phase="build", kind="name", message=""), "build: fit() got"),
    "forward": (
        {"layers": (Dense(units=4), Dense(units=3, inputs=5))},
        Crash(phase="forward", kind="size", message="", layer=1, expected=(5,), found=(4,)),
        "forward: layers[1] (Dense): the layer takes 5",
    ),
    "forward, type": (
        {"data": replace(CLASSES, input_type="float64")},
        Crash(
            phase="forward", kind="type", message="", layer=0, expected_type="float32", found_type="float64"
        ),
        "forward: layers[0] (Dense): the first layer takes float32",
    ),
    "loss": (
        {"loss": "mse"},
        Crash(phase="loss", kind="size", message="", expected=(1,), found=(3,)),
        "loss: mse: outputs of shape",
    ),
    "backward": (
        {"loop": Loop(loss_graph=False)},
        Crash(phase="backward", kind="graph", message=""),
        "backward: the loss has no gradient graph",
    ),
    "predict": (
        {"loop": Loop(predict="row")},
        Crash(phase="predict", kind="rank", message="", expected=(0, 6), found=VECTOR),
        "predict: predict gets a single row",
    ),
}


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_shows_where_it_happens_and_what_does_not_fit(run, good, name):
    changes, expected, message = CRASHES[name]
    trial = run(replace(good, **changes), holdout=True)
    assert (trial.status, trial.skill) == (Status.CRASHED, SKILL_FLOOR)
    assert trial.metric is trial.holdout is None
    assert trial.message.startswith(message)
    crash = trial.symptoms.crash
    assert replace(crash, message="") == expected
    assert trial.message.endswith(crash.message)
    assert decode(encode(trial)) == trial


@pytest.mark.parametrize("name", [name for name in CRASHES if name != "predict"])
def test_a_crash_before_training_costs_no_work(run, good, name):
    trial = run(replace(good, **CRASHES[name][0]))
    assert trial.work == 0
    assert trial.curves.train_loss == ()
    assert trial.symptoms.layers == ()


def test_a_crash_in_the_prediction_comes_after_the_training(run, good):
    trained, crashed = run(good), run(replace(good, loop=Loop(predict="transposed")))
    assert crashed.curves == trained.curves
    assert crashed.work == trained.work
    assert replace(crashed.symptoms, crash=None) == trained.symptoms


@pytest.mark.parametrize(
    ("name", "phase", "layer"), [("bias", "build", None), ("batch norm on one row", "forward", 0)]
)
def test_what_only_the_numbers_decide_is_a_crash_of_another_kind(run, good, name, phase, layer):
    crash = run(replace(good, **BROKEN[name][0])).symptoms.crash
    assert (crash.phase, crash.kind, crash.layer) == (phase, "other", layer)
    assert crash.message


def test_what_is_no_crash_has_none(run, good):
    changes, _, _ = BROKEN["diverged"]
    diverged = replace(good, **changes, loop=Loop(predict="row"))
    for program in (good, diverged, replace(good, batch_size=0)):
        assert run(program).symptoms.crash is None
    assert run(diverged).status is Status.DIVERGED

"""Random programs of every kind, and what it means that two trials are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from netmend.env.data import Dataset
from netmend.env.program import (
    ACTIVATIONS,
    INITIALISERS,
    METRICS,
    OPTIMIZERS,
    Activation,
    Attention,
    BatchNorm,
    Clip,
    Conv1d,
    Conv1dTranspose,
    Conv2d,
    Conv2dTranspose,
    Crop,
    Data,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalPool,
    Layer,
    LayerNorm,
    Loop,
    LossName,
    Monitor,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Rescale,
    Reshape,
    Schedule,
    Shared,
    Skip,
    ThresholdedRelu,
    Weighted,
    ZeroPad,
)
from netmend.env.training import session
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

SMALL = Budget(samples=40, epochs=3, updates=100)
RATES = {"sgd": 0.02, "adadelta": 0.3, "adagrad": 0.02}
CLASS_LOSSES: tuple[tuple[LossName, str], ...] = (
    ("cross_entropy", "linear"),
    ("cross_entropy", "softmax"),
    ("categorical_crossentropy", "softmax"),
    ("kl_divergence", "softmax"),
    ("binary_crossentropy", "sigmoid"),
    ("bce_with_logits", "linear"),
    ("categorical_hinge", "linear"),
    ("squared_hinge", "tanh"),
    ("hinge", "linear"),
    ("mse", "hard_sigmoid"),
)
VALUE_LOSSES: tuple[LossName, ...] = ("mse", "mae", "mape", "msle", "logcosh", "huber", "poisson")

TRUNKS: dict[str, tuple[tuple[str, ...], tuple[Layer, ...]]] = {
    "vector": (("table", "two", "values"), ()),
    "flat": (("series", "images"), (Flatten(),)),
    "tokens as numbers": (("tokens",), ()),
    "dense on steps": (("series",), (Dense(units=3, activation="tanh"), LayerNorm(), Flatten())),
    "normalised inputs": (("series",), (BatchNorm(), Dropout(rate=0.1), Flatten())),
    "noise": (("series",), (GaussianNoise(deviation=0.3), Dropout(rate=0.2), Flatten())),
    "conv1d": (("series",), (Conv1d(filters=4, padding="same", activation="relu"), Pool(), Flatten())),
    "conv1d, norms": (
        ("series",),
        (
            Conv1d(filters=3, kernel=4, stride=2, padding="same", bias=False),
            BatchNorm(),
            Activation(function="elu"),
            LayerNorm(),
            Dropout(rate=0.2),
            GlobalPool(reduce="max"),
        ),
    ),
    "conv2d": (
        ("images",),
        (
            Conv2d(filters=3, activation="relu"),
            Pool(reduce="mean"),
            Conv2d(filters=4, kernel=2, stride=2),
            BatchNorm(),
            Activation(function="softplus"),
            GlobalPool(),
        ),
    ),
    "conv2d, flat": (("images",), (Conv2d(filters=2, kernel=2, stride=3, padding="same"), Flatten())),
    "conv2d, padded": (
        ("images",),
        (
            ZeroPad(size=1),
            Conv2d(filters=3, kernel=5, padding=2, stride=2, activation="softmax"),
            Pool(size=3, stride=2, padding="same"),
            Conv2d(filters=3, kernel=3, padding="same"),
            Pool(reduce="mean", size=2, stride=1, padding=1),
            Pool(reduce="mean", size=3, stride=2, padding="same"),
            Flatten(),
        ),
    ),
    "transposed": (
        ("images",),
        (
            Conv2d(filters=2, kernel=3, stride=2),
            Conv2dTranspose(filters=3, kernel=3, stride=2, padding=1, output_padding=1, activation="tanh"),
            Conv2dTranspose(filters=2, kernel=2, stride=3, padding="same"),
            Crop(top=2, bottom=3),
            GlobalPool(),
        ),
    ),
    "transposed steps": (
        ("series",),
        (
            Pool(size=3, stride=2, padding=1),
            Conv1dTranspose(filters=3, kernel=4, stride=2, padding="same"),
            ZeroPad(size=2),
            Crop(top=1, bottom=2),
            Pool(reduce="mean", size=3, stride=3, padding=1),
            Flatten(),
        ),
    ),
    "skips": (
        ("series",),
        (
            Dense(units=4, activation="relu"),
            Dense(units=4),
            Skip(back=1),
            Shared(back=2),
            Skip(back=2),
            Rescale(factor=0.5, offset=0.1),
            LayerNorm(),
            Shared(back=1),
            Skip(back=3),
            Flatten(),
        ),
    ),
    "shared norms": (
        ("images",),
        (
            Conv2d(filters=2, padding="same"),
            BatchNorm(),
            Shared(back=2),
            Skip(back=1),
            Shared(back=3),
            Shared(back=3),
            GlobalPool(),
        ),
    ),
    "detached": (
        ("series",),
        (
            Conv1d(filters=3, padding="same"),
            Detach(),
            ThresholdedRelu(threshold=0.1),
            Reshape(shape=(6, 6)),
            Conv1d(filters=2),
            Reshape(shape=(4, 2)),
            Flatten(),
        ),
    ),
    "detached beside": (
        ("series",),
        (
            Dense(units=3),
            Dense(units=3, activation="tanh"),
            Detach(),
            Skip(back=2),
            Dense(units=2),
            Flatten(),
        ),
    ),
    "rnn": (("series",), (Recurrent(cell="rnn", units=5), LayerNorm())),
    "gru": (("series",), (Recurrent(cell="gru", units=5), LayerNorm())),
    "gru without bias": (("series",), (Recurrent(cell="gru", units=4, bias=False),)),
    "both ways": (
        ("series",),
        (
            Recurrent(cell="gru", units=3, bidirectional=True, return_sequences=True),
            Dropout(rate=0.2),
            Recurrent(cell="lstm", units=2, bidirectional=True),
        ),
    ),
    "rnn both ways": (
        ("series",),
        (Recurrent(cell="rnn", units=3, bidirectional=True, return_sequences=True), GlobalPool(reduce="max")),
    ),
    "lstm": (("series",), (Recurrent(cell="lstm", units=4, return_sequences=True), Pool(), Flatten())),
    "two lstm": (
        ("series",),
        (
            Recurrent(cell="lstm", units=3, return_sequences=True),
            Dropout(rate=0.2),
            Recurrent(cell="lstm", units=4),
        ),
    ),
    "shared gru": (
        ("series",),
        (Recurrent(cell="gru", units=2, return_sequences=True), Shared(back=1), GlobalPool()),
    ),
    "embedding": (("tokens",), (Embedding(units=3), Dropout(rate=0.2), GlobalPool())),
    "embedding, frozen": (("tokens",), (Embedding(units=3, trainable=False), Flatten())),
    "embedding, gru": (("tokens",), (Embedding(units=3), Recurrent(cell="gru", units=4))),
    "attention": (
        ("tokens",),
        (
            Embedding(units=4),
            Position(),
            Attention(heads=2, width=5, dropout=0.2, norm="before"),
            GlobalPool(),
        ),
    ),
    "causal attention": (
        ("series",),
        (
            Dense(units=6),
            Position(encoding="sinusoidal"),
            Attention(heads=3, causal=True, activation="gelu", bias=False, width=4),
            Attention(heads=1, norm="none"),
            Shared(back=1),
            Flatten(),
        ),
    ),
}

Draw = Callable[..., Program]


@pytest.fixture(scope="session")
def small() -> Budget:
    """A budget for many trainings."""
    return SMALL


@pytest.fixture(scope="session")
def trunks() -> dict[str, tuple[tuple[str, ...], tuple[Layer, ...]]]:
    """First layers of random programs by name, and the datasets for which they are."""
    return TRUNKS


@pytest.fixture(scope="session")
def random_program() -> Draw:
    """Make a random program with a trunk of ``TRUNKS``."""
    return draw_program


def draw_program(rng: np.random.Generator, trunk: str = "vector", **changes: object) -> Program:
    datasets, layers = TRUNKS[trunk]
    dataset = str(rng.choice(datasets))
    made: list[Layer] = [_vary(rng, layer) for layer in layers]
    if trunk == "vector" and rng.random() < 0.3:
        made += _tail(rng)
    for _ in range(rng.integers(0, 4)):
        made += [_dense(rng, int(rng.integers(2, 10)), str(rng.choice(ACTIVATIONS))), *_tail(rng)]
    loss, labels, units, activation = _goal(rng, dataset)
    made.append(_dense(rng, units, activation))
    program = Program(
        data=Data(
            dataset=dataset,
            labels=labels,  # type: ignore[arg-type]
            shuffle=bool(rng.random() < 0.8),
            prep=() if layers and isinstance(layers[0], Embedding) else (Prep(kind="standardize"),),
        ),
        layers=tuple(made),
        loss=loss,
        optimizer=_optimizer(rng),
        batch_size=int(rng.choice([13, 16])),
        epochs=int(rng.integers(1, 4)),
        clip=_clip(rng),
        patience=None if rng.random() < 0.8 else 1,
        **_rest(rng, dataset, loss, labels),
    )
    return replace(program, **changes)  # type: ignore[arg-type]


def _rest(rng: np.random.Generator, dataset: str, loss: str, labels: str) -> dict[str, object]:
    """What most programs leave alone."""
    found: dict[str, object] = {}
    if rng.random() < 0.2:
        every = str(rng.choice(["update", "epoch", "plateau"]))
        found["schedule"] = Schedule(gamma=0.9, every=every, patience=1)  # type: ignore[arg-type]
    if rng.random() < 0.2:
        found["reduction"] = "sum"
    if dataset != "values" and rng.random() < 0.2:
        fits = loss != "cross_entropy" or labels == "one_hot"
        found["class_weights"] = "balanced" if rng.random() < 0.5 and fits else None
    if rng.random() < 0.25:
        found["loop"] = Loop(
            zero_grad=bool(rng.random() < 0.7),
            order="step_backward" if rng.random() < 0.2 else "backward_step",
            training_mode=bool(rng.random() < 0.7),
            evaluation_mode=bool(rng.random() < 0.7),
            optimized=str(rng.choice(["all", "all", "hidden", "output"])),  # type: ignore[arg-type]
        )
    if rng.random() < 0.2:
        found["stop_on"], found["metric"] = "metric", str(rng.choice(METRICS))
    if rng.random() < 0.1:
        found["monitor"] = Monitor(classes=True, data=True, rates=True)
    return found


def _dense(rng: np.random.Generator, units: int, activation: str) -> Layer:
    return _vary(rng, Dense(units=units, activation=activation))  # type: ignore[arg-type]


def _vary(rng: np.random.Generator, layer: Layer) -> Layer:
    if isinstance(layer, Weighted):
        names = [name for name in INITIALISERS if name != "orthogonal"]
        plain = rng.random() < 0.6
        layer = replace(
            layer,
            kernel_init="glorot_uniform" if plain else str(rng.choice(INITIALISERS)),  # type: ignore[arg-type]
            bias_init="zeros" if plain else str(rng.choice(names)),  # type: ignore[arg-type]
            l1=0.01 * (rng.random() < 0.2),
            l2=0.02 * (rng.random() < 0.2),
            trainable=bool(rng.random() < 0.85),
        )
        if layer.kernel_init == "zeros":
            # The sign of a weight that is 0 up to rounding is a matter of luck.
            layer = replace(layer, l1=0.0)
        return replace(layer, bias=bool(rng.random() < 0.7)) if isinstance(layer, Dense) else layer
    if isinstance(layer, BatchNorm):
        return BatchNorm(momentum=float(rng.choice([0.1, 0.4])), epsilon=float(rng.choice([1e-5, 1e-3])))
    return Dropout(rate=float(rng.uniform(0, 0.6))) if isinstance(layer, Dropout) else layer


def _tail(rng: np.random.Generator) -> list[Layer]:
    """What may follow a dense layer, in any order."""
    layers: tuple[Layer, ...] = (
        BatchNorm(),
        LayerNorm(epsilon=float(rng.choice([1e-5, 1e-3]))),
        Dropout(rate=0.5),
        Activation(function=str(rng.choice(ACTIVATIONS))),  # type: ignore[arg-type]
    )
    chosen = rng.permutation(4)[: int(rng.choice([0, 0, 1, 2, 3]))]
    return [_vary(rng, layers[nth]) for nth in chosen]


def _goal(rng: np.random.Generator, dataset: str) -> tuple[LossName, str, int, str]:
    """Loss, labels, units and activation of the output."""
    if dataset == "values":
        loss: LossName = VALUE_LOSSES[rng.integers(len(VALUE_LOSSES))]
        return loss, "value", 2, "softplus" if loss in ("poisson", "msle") else "linear"
    loss, activation = CLASS_LOSSES[rng.integers(len(CLASS_LOSSES))]
    if loss == "cross_entropy":
        return loss, "index", int(rng.integers(3, 5)), activation
    if dataset == "two" and "categorical" not in loss and loss != "kl_divergence":
        return loss, "index", 1, activation
    return loss, "one_hot", 2 if dataset == "two" else 3, activation


def _optimizer(rng: np.random.Generator) -> Optimizer:
    kind = str(rng.choice(OPTIMIZERS))
    return Optimizer(
        kind=kind,  # type: ignore[arg-type]
        lr=RATES.get(kind, 0.005) * float(rng.uniform(0.3, 1)),
        momentum=float(rng.choice([0, 0.5])),
        nesterov=bool(rng.random() < 0.5),
        weight_decay=float(rng.choice([0, 0, 0.01])),
    )


def _clip(rng: np.random.Generator) -> Clip | None:
    kind = str(rng.choice(["", "", "norm", "value"]))
    return Clip(kind=kind, limit=float(rng.uniform(0.02, 0.5))) if kind else None  # type: ignore[arg-type]


Compare = Callable[[Trial, TrialRequest], None]


@pytest.fixture
def assert_as_plain(datasets: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch) -> Iterator[Compare]:
    """Compare a trial with that of the plain loop."""
    plain = LocalTrainer(datasets.__getitem__)

    def shaken(request: TrialRequest) -> list[Trial]:
        """What the plain loop makes of initial weights that are off by their rounding."""
        trials = []
        for nth in range(3):
            generator = torch.Generator().manual_seed(nth)

            class Shaken(session.Network):
                def __init__(self, *arguments: object) -> None:
                    super().__init__(*arguments)  # type: ignore[arg-type]
                    values = self.parameters.values
                    noise = torch.randn(values.shape, generator=generator)  # noqa: B023
                    values.add_(noise, alpha=1e-7).mul_(1 + 1e-7 * noise.flip(0))

            with monkeypatch.context() as patch:
                patch.setattr(session, "Network", Shaken)
                trials += plain.run([request])
        return trials

    def compare(trial: Trial, request: TrialRequest) -> None:
        (wanted,) = plain.run([request])
        problems = differences(trial, wanted, [])
        if problems and wanted.status is Status.OK:
            problems = differences(trial, wanted, shaken(request))
        assert not problems, f"{request}:\n" + "\n".join(problems)

    yield compare
    plain.close()


def differences(trial: Trial, wanted: Trial, others: Sequence[Trial]) -> list[str]:
    """Where a trial is not what it should be.

    Args:
        trial: of the engine.
        wanted: of the plain loop.
        others: of the plain loop, with weights shaken by their rounding: how far training amplifies it.
    """
    found = [
        f"{name}: {a!r}, not {b!r}"
        for name, a, b in (
            ("status", trial.status, wanted.status),
            # Which of the two comes first, infinity or what is no number, is a matter of rounding.
            (
                "message",
                trial.message.replace("is nan", "is inf"),
                wanted.message.replace("is nan", "is inf"),
            ),
            ("work", trial.work, wanted.work),
        )
        if a != b
    ]
    for name in ("train_loss", "validation_loss", "train_score", "validation_score"):
        own, plain = getattr(trial.curves, name), getattr(wanted.curves, name)
        if len(own) != len(plain):
            found.append(f"{name}: {len(own)} epochs, not {len(plain)}")
            continue
        for epoch, (a, b) in enumerate(zip(own, plain, strict=True)):
            moved = max((abs(getattr(other.curves, name)[epoch] - b) for other in others), default=0.0)
            limit = (1e-5 if epoch == 0 else 1e-3) * abs(b) + 1e-6
            if "score" in name:
                # One row on the border between two classes.
                limit += 0.026 if others or epoch else 0.01
            if abs(a - b) > limit + 30 * moved:
                found.append(f"{name}[{epoch}]: {a}, not {b} (shaken: {moved:g})")
    values = [value for value in _numbers(asdict(trial.symptoms)) if not math.isfinite(value)]
    found += [f"symptoms: {value}" for value in values]
    for nth, (mine, theirs) in enumerate(zip(trial.symptoms.layers, wanted.symptoms.layers, strict=True)):
        a, b = mine.gradient_first, theirs.gradient_first
        moved = max((abs(o.symptoms.layers[nth].gradient_first - b) for o in others), default=0.0)
        if mine.index != theirs.index or (max(a, b) > -5 and abs(a - b) > 2e-3 + 10 * moved):
            found.append(f"gradient_first of layer {mine.index}: {a}, not {b} (shaken: {moved:g})")
    for name in ("skill", "holdout"):
        a, b = getattr(trial, name), getattr(wanted, name)
        if (a is None) != (b is None) or (a is not None and abs(a - b) > 0.1 and not others):
            found.append(f"{name}: {a}, not {b}")
    return found


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, tuple | list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, float) else []

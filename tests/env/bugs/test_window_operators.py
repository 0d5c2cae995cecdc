"""Operators on windows of the kinds that no base has: transposed convolutions, volumes, padded pools."""

from __future__ import annotations

import pytest

from netmend.env.bugs.mutation import Mutation
from netmend.env.bugs.network_operators import activated
from netmend.env.bugs.operators import OPERATORS
from netmend.env.bugs.variants import draw_variants, is_dense
from netmend.env.program import (
    Conv2d,
    Conv2dTranspose,
    Conv3d,
    Data,
    Dense,
    Flatten,
    Layer,
    Optimizer,
    Pool,
    Program,
    Task,
    check,
    find_crash,
)
from netmend.env.program.sites import function_of

PICTURES = Task(dataset="pictures", kind="regression", input_shape=(1, 8, 8), outputs=64)
SCANS = Task(dataset="scans", kind="regression", input_shape=(1, 8, 8, 8), outputs=3)


def program(*layers: Layer) -> Program:
    data = Data(dataset="digits_noisy", labels="value")
    return Program(data=data, layers=layers, loss="mse", optimizer=Optimizer())


AUTOENCODER = program(
    Conv2d(filters=4, kernel=4, stride=2, padding=1, activation="relu"),
    Conv2dTranspose(filters=8, padding=1, activation="relu"),
    Conv2dTranspose(filters=1, kernel=4, stride=2, padding=1),
    Flatten(),
)
VOLUMES = program(
    Conv3d(filters=4, activation="relu"), Pool(size=3, stride=2, padding=1), Flatten(), Dense(units=3)
)


def listed(name: str, good: Program, task: Task) -> list[Mutation]:
    assert find_crash(good, task) is None
    return list(OPERATORS[name].mutations(good, task))


@pytest.mark.parametrize(
    ("name", "good", "task", "phase", "texts"),
    [
        ("xwi", AUTOENCODER, PICTURES, "build", {"kernel 4", "padding 1"}),
        ("xwi", VOLUMES, SCANS, "build", {"kernel 3", "window 3", "pooling by"}),
        ("xou", AUTOENCODER, PICTURES, "loss", {"stride of the output 2", "padding of the output 1"}),
        ("xin", AUTOENCODER, PICTURES, "forward", {"declared to take"}),
    ],
)
def test_windows_and_decoders_crash_where_they_should(
    name: str, good: Program, task: Task, phase: str, texts: set[str]
) -> None:
    mutations = listed(name, good, task)
    for mutation in mutations:
        faulty = mutation.apply(good)
        assert check(faulty, task) == []
        crash = find_crash(faulty, task)
        assert crash is not None
        assert crash.phase == phase
    for text in texts:
        assert any(text in mutation.description for mutation in mutations), text


def test_operators_and_variants_treat_them_as_convolutions() -> None:
    assert not is_dense(AUTOENCODER)
    assert not is_dense(VOLUMES)
    assert activated(AUTOENCODER) == (0, 1)
    assert function_of(VOLUMES.layers[0]) == "relu"
    for good, task, kind in ((AUTOENCODER, PICTURES, Conv2dTranspose), (VOLUMES, SCANS, Conv3d)):
        widths = {mutation.description for mutation in listed("lbn", good, task)}
        at = next(index for index, layer in enumerate(good.layers) if isinstance(layer, kind))
        assert any(f"width of layer {at}" in text for text in widths)
        variants = draw_variants("x", good, task, 12, 0)
        first = [variant.layers[at] for variant in variants if isinstance(variant.layers[at], kind)]
        assert len({layer.filters for layer in first if isinstance(layer, kind)}) > 1
        assert all(check(variant, task) == [] for variant in variants)

"""The datasets that need no file: scikit-learn's small ones and generated ones, all with raw values."""

from __future__ import annotations

import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data import signals, tables
from netmend.env.data.arrays import array_sources
from netmend.env.data.dataset import (
    SPLIT_SEED,
    Build,
    Dataset,
    Part,
    Rows,
    Source,
    judged_task,
    make_dataset,
    make_task,
    split_rows,
)
from netmend.env.data.formulas import FORMULAS
from netmend.env.data.scenes import SCENES
from netmend.env.data.substitutes import SUBSTITUTES


def _table(file: str, **options: Any) -> NDArray[np.float64]:
    """A table that comes with scikit-learn, read without it: every worker would import it, for seconds."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0], "datasets", "data", file)
    return np.loadtxt(path, np.float64, **options)


def _classes(file: str, head: int = 1) -> Build:
    """Rows with their class id at the end."""

    def build(_rng: Generator) -> tuple[Rows, Rows]:
        rows = _table(file, delimiter=",", skiprows=head)
        return rows[:, :-1].astype(np.float32), rows[:, -1].astype(np.int64)

    return build


_digits = _classes("digits.csv.gz", head=0)


def _digits_images(rng: Generator) -> tuple[Rows, Rows]:
    x, y = _digits(rng)
    return x.reshape(-1, 1, 8, 8), y


def _digits_noisy(rng: Generator) -> tuple[Rows, Rows]:
    return signals.noisy_digits(_digits(rng)[0], rng)


def _digits_rows(rng: Generator) -> tuple[Rows, Rows]:
    x, y = _digits(rng)
    return x.reshape(-1, 8, 8), y


def _diabetes(_rng: Generator) -> tuple[Rows, Rows]:
    y = _table("diabetes_target.csv.gz").astype(np.float32)
    return _table("diabetes_data_raw.csv.gz").astype(np.float32), y[:, None]


_CLASSES: dict[str, Build] = {
    "blobs": tables.blobs,
    "breast_cancer": _classes("breast_cancer.csv"),
    "circles": tables.circles,
    "digits": _digits,
    "digits_images": _digits_images,
    "digits_rows": _digits_rows,
    "faults": tables.faults,
    "gestures": signals.gestures,
    "iris": _classes("iris.csv"),
    "moons": tables.moons,
    "pulses": signals.pulses,
    "shapes": signals.shapes,
    "shells": tables.shells,
    "spirals": tables.spirals,
    "textures": signals.textures,
    "trends": signals.trends,
    "volumes": signals.volumes,
    "waveforms": signals.waveforms,
    "wine": _classes("wine_data.csv"),
    "xor": tables.exclusive_or,
}
_TEXTS: dict[str, tuple[Build, int]] = {
    "grammar": (signals.grammar, signals.GRAMMAR_WORDS),
    "reviews": (signals.reviews, signals.REVIEW_WORDS),
    "topics": (signals.topics, signals.TOPIC_WORDS),
}
_TARGETS: dict[str, Build] = {
    "battery": signals.battery,
    "diabetes": _diabetes,
    "digits_noisy": _digits_noisy,
    "friedman1": tables.friedman1,
    "friedman2": tables.friedman2,
    "friedman3": tables.friedman3,
    "pitch": signals.pitch,
    "prices": tables.prices,
    "projectile": tables.projectile,
    "robot_arm": tables.robot_arm,
    "spot": signals.spot,
    "tank": signals.tank,
}

_LABELS: dict[str, tuple[Build, int]] = {
    "alarms": (tables.alarms, 0),
    "chords": (signals.chords, 0),
    "tags": (signals.tags, signals.TAG_WORDS),
}

OF_BUGS: dict[str, Source] = array_sources() | FORMULAS | SCENES | SUBSTITUTES
"""Datasets of real bugs: generated as their reports say, or standing for what cannot be shipped."""

BUILT_IN: dict[str, Source] = (
    {name: Source(build, "classification") for name, build in _CLASSES.items()}
    | {name: Source(build, "classification", words) for name, (build, words) in _TEXTS.items()}
    | {name: Source(build, "regression") for name, build in _TARGETS.items()}
    | {name: Source(build, "multilabel", words) for name, (build, words) in _LABELS.items()}
    | {
        "pumps": Source(tables.pumps, "classification", judged_by="balanced_accuracy"),
        "rooms": Source(signals.rooms, "regression", steps=signals.ROOM_HOURS),
    }
    | OF_BUGS
)
"""Every built-in dataset by name."""


def build_dataset(name: str) -> Dataset:
    """Make the built-in dataset ``name``: always the same rows in the same split."""
    source = BUILT_IN[name]
    x, y = source.build(np.random.default_rng([SPLIT_SEED, zlib.crc32(name.encode())]))
    outputs = int(y.max()) + 1 if source.kind == "classification" else int(y.shape[1])
    task = make_task(name, source.kind, x, outputs, source.vocabulary, source.steps)
    task = judged_task(task, source.judged_by)
    if source.own_rows:
        whole = Part(x, y)
        return make_dataset(task, whole, whole, whole)
    return split_rows(task, x, y)

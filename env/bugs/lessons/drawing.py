"""Good programs drawn at random, in no form that a policy is judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.lessons.leaks import is_judged
from netmend.env.bugs.lessons.networks import (
    Family,
    Form,
    chance,
    draw_hidden,
    draw_style,
    form_of,
    pick,
    pick_weighted,
)
from netmend.env.data import Dataset, load_dataset
from netmend.env.findings import faults
from netmend.env.program import Program, Task, check, find_crash, infer_shapes, multiply_accumulates
from netmend.env.program.layers import Activation, Dense, Layer, Weighted
from netmend.env.program.names import ActivationName, LabelEncoding, LossName, OptimizerName
from netmend.env.program.part import changed
from netmend.env.program.schema import Clip, Data, Optimizer, Prep, Schedule

MOST_LAYERS = 12
MOST_WORK = 60_000
"""Multiply-accumulates of a row: the cost of a trial goes with it, and a base is trained a hundred times."""
MOST_DRAWS = 50
"""Of one family until another is drawn."""
SHARES: Mapping[tuple[Family, Form], float] = {
    ("dense", "table"): 0.27,
    ("dense", "series"): 0.03,
    ("dense", "picture"): 0.05,
    ("convolutional", "series"): 0.09,
    ("convolutional", "picture"): 0.11,
    ("convolutional", "volume"): 0.01,
    ("convolutional", "text"): 0.03,
    ("recurrent", "series"): 0.1,
    ("recurrent", "text"): 0.03,
    ("residual", "table"): 0.08,
    ("residual", "series"): 0.03,
    ("residual", "picture"): 0.05,
    ("attention", "series"): 0.04,
    ("attention", "text"): 0.03,
    ("embedding", "text"): 0.05,
}
"""Of the families on rows of each form among the programs drawn."""
RATES: Mapping[Family, tuple[float, float]] = {
    "dense": (0.003, 0.02),
    "convolutional": (0.005, 0.02),
    "recurrent": (0.01, 0.04),
    "residual": (0.003, 0.012),
    "attention": (0.003, 0.012),
    "embedding": (0.01, 0.04),
}
"""Least and largest rate of Adam that suits a short training."""
_OPTIMIZERS: Mapping[OptimizerName, tuple[float, float]] = {
    "adam": (0.5, 1.0),
    "sgd": (0.17, 5.0),
    "rmsprop": (0.09, 0.5),
    "nadam": (0.08, 1.0),
    "adamw": (0.08, 1.0),
    "adamax": (0.05, 1.5),
    "adagrad": (0.03, 5.0),
}
"""How often each is drawn, and its rate as a multiple of Adam's."""
_SLOW: frozenset[OptimizerName] = frozenset({"sgd", "adamax", "adagrad"})
"""They learn too little of a sequence in a short training."""

_Form = tuple[LossName, ActivationName, int, LabelEncoding]
"""What goes together: a loss, the activation of the output, its units and the encoding of the targets."""


def draw_bases(rng: Generator, datasets: Sequence[str]) -> Iterator[tuple[str, Program]]:
    """Programs that should be good, without end, each with its family; no two are equal.

    They pass the checks, run, and have no finding of severity ``fault``; whether they learn is for trials to
    say. The same generator and datasets give the same ones.

    Args:
        rng: of everything that is drawn.
        datasets: names to draw from; see ``training_datasets``.
    """
    known = {name: load_dataset(name) for name in datasets}
    suited = {
        (family, form): [data for data in known.values() if form_of(data.task) == form]
        for family, form in SHARES
    }
    shares = {key: share for key, share in SHARES.items() if suited[key]}
    seen: set[Program] = set()
    while True:
        key = pick_weighted(rng, shares)
        # one of each form and family, however many draws it takes, or the shares would not be those above
        for _ in range(MOST_DRAWS):
            dataset = pick(rng, suited[key])
            program = _draw(key[0], dataset, rng)
            if len(program.layers) <= MOST_LAYERS and program not in seen and is_sound(program, dataset):
                seen.add(program)
                yield key[0], _declaring(program, dataset.task, rng)
                break


def _draw(family: Family, dataset: Dataset, rng: Generator) -> Program:
    """One program; it may turn out to be none that can be trained, or too large."""
    task, style = dataset.task, draw_style(rng)
    loss, function, units, labels = pick(rng, _forms(task))
    last = _output(units, function, rng)
    program = Program(
        data=Data(dataset=task.dataset, prep=tuple(_prep(dataset, rng)), labels=labels),
        layers=(*draw_hidden(family, task, style, rng), *last),
        loss=loss,
        optimizer=_optimizer(family, rng),
        batch_size=pick(rng, (16, 20, 24, 32, 32, 40, 48, 64)),
        epochs=pick(rng, (8, 10, 12, 12, 12, 15, 20)),
    )
    return _with_extras(program, task, rng)


def is_sound(program: Program, dataset: Dataset, most_work: int = MOST_WORK) -> bool:
    """Whether a program can be taught with: it is none that is judged, runs, and has no fault to be seen.

    Args:
        program: the program.
        dataset: its data.
        most_work: multiply-accumulates of a row at most.
    """
    return (
        not is_judged(program)
        and not check(program, dataset.task)
        and find_crash(program, dataset.task) is None
        and multiply_accumulates(program, dataset.task) <= most_work
        and not faults(program, dataset)
    )


def _forms(task: Task) -> Sequence[_Form]:
    outputs = task.outputs
    if task.kind == "regression":
        losses: tuple[LossName, ...] = ("mse", "mse", "mse", "huber", "mae", "logcosh")
        return tuple((loss, "linear", outputs, "value") for loss in losses)
    binary: tuple[tuple[LossName, ActivationName], ...] = (
        ("binary_crossentropy", "sigmoid"),
        ("bce_with_logits", "linear"),
    )
    if task.kind == "multilabel":
        return tuple((loss, function, outputs, "value") for loss, function in binary)
    one_of_many: tuple[_Form, ...] = (
        ("cross_entropy", "linear", outputs, "index"),
        ("categorical_crossentropy", "softmax", outputs, "one_hot"),
        ("sparse_categorical_crossentropy", "softmax", outputs, "index"),
    )
    if outputs > 2:
        return (*one_of_many[:2], *one_of_many)
    of_two: tuple[_Form, ...] = tuple((loss, function, 1, "index") for loss, function in binary)
    return (*of_two, *one_of_many[:2])


def _output(units: int, function: ActivationName, rng: Generator) -> tuple[Layer, ...]:
    if function != "linear" and chance(rng, 0.08):
        return Dense(units=units), Activation(function=function)
    return (Dense(units=units, activation=function),)


def _prep(dataset: Dataset, rng: Generator) -> Iterator[Prep]:
    """Inputs of one scale, and targets too."""
    task = dataset.task
    if not task.vocabulary:
        largest = float(np.abs(dataset.train.x).max())
        if len(task.input_shape) > 2 and chance(rng, 0.4):
            yield Prep(kind="scale", factor=float(f"{1 / largest:.3g}"))
        elif largest > 1 or chance(rng, 0.5):
            yield Prep(kind=pick(rng, ("standardize", "standardize", "min_max")))
    if task.kind == "regression":
        largest = float(np.abs(dataset.train.y).max())
        if largest > 3 or chance(rng, 0.5):
            yield Prep(kind=pick(rng, ("standardize_target",) * 3 + ("min_max_target",)))


def _declaring(program: Program, task: Task, rng: Generator) -> Program:
    """Some programs declare the shape of a row, as in Keras, or the features of each layer, as in PyTorch."""
    if chance(rng, 0.1):
        program = changed(program, input=task.input_shape)
    if chance(rng, 0.1):
        taken = (task.input_shape, *infer_shapes(program.layers, task))
        layers = tuple(
            changed(layer, inputs=shape[0]) if isinstance(layer, Weighted) else layer
            for layer, shape in zip(program.layers, taken, strict=False)
        )
        program = changed(program, layers=layers)
    return program


def _optimizer(family: Family, rng: Generator) -> Optimizer:
    in_steps = family in ("recurrent", "attention", "embedding")
    kinds = {kind: share for kind, (share, _) in _OPTIMIZERS.items() if not (in_steps and kind in _SLOW)}
    kind = pick_weighted(rng, kinds)
    low, high = RATES[family]
    lr = math.exp(rng.uniform(math.log(low), math.log(high))) * _OPTIMIZERS[kind][1]
    return Optimizer(
        kind=kind,
        lr=float(f"{lr:.{pick(rng, (1, 2))}g}"),
        momentum=0.9 if kind == "sgd" else 0.0,
        nesterov=kind == "sgd" and chance(rng, 0.3),
        weight_decay=pick(rng, (0.0001, 0.001, 0.01)) if kind == "adamw" else 0.0,
    )


def _with_extras(program: Program, task: Task, rng: Generator) -> Program:
    """What some programs have besides: a metric, early stopping, clipping, a schedule, class weights."""
    if task.kind == "regression":
        program = changed(program, metric=pick(rng, ("r2", "mse", "mae")))
    if chance(rng, 0.15):
        program = changed(program, patience=pick(rng, (5, 6, 8)))
    if chance(rng, 0.08):
        program = changed(program, clip=Clip(kind="norm", limit=pick(rng, (1.0, 2.0, 5.0))))
    if chance(rng, 0.06):
        plateau = Schedule(gamma=0.5, every="plateau", patience=3)
        program = changed(program, schedule=pick(rng, (Schedule(gamma=0.95), Schedule(gamma=0.9), plateau)))
    if task.judged_by is not None and chance(rng, 0.7):
        program = changed(program, class_weights="balanced")
    return program

"""Every crash is found where a framework would crash, with both sides of the failure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from netmend.env.program import (
    CRASH_KINDS,
    PHASES,
    Attention,
    Conv1dTranspose,
    Conv2d,
    Crash,
    Data,
    Dense,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Loop,
    Optimizer,
    Pool,
    Position,
    Prep,
    Program,
    Recurrent,
    Reshape,
    Shared,
    Skip,
    Task,
    find_crash,
)
from netmend.env.program.crashes import (
    CrashKind,
    Phase,
    label_range,
    same_place,
    seen_ids,
    target_shape,
)
from netmend.env.program.kinds import LOSS_KINDS
from netmend.env.program.misfit import MisfitError, Shape

VECTORS = Task(dataset="vectors", kind="classification", input_shape=(4,), outputs=3)
IMAGES = Task(dataset="images", kind="classification", input_shape=(1, 8, 8), outputs=10)
SEQUENCES = Task(dataset="sequences", kind="classification", input_shape=(8, 6), outputs=3)
TOKENS = Task(dataset="tokens", kind="classification", input_shape=(12,), outputs=2, vocabulary=50)
VALUES = Task(dataset="values", kind="regression", input_shape=(4,), outputs=2)
LABELS = Task(dataset="labels", kind="multilabel", input_shape=(4,), outputs=5)


def mlp(units: int = 3, **values: object) -> Program:
    layers: tuple[Layer, ...] = (Dense(units=16, activation="relu"), Dense(units=units))
    program = Program(data=Data(dataset="d"), layers=layers, loss="cross_entropy", optimizer=Optimizer())
    return replace(program, **values)


def of(*layers: Layer, **values: object) -> Program:
    return mlp(layers=layers, **values)


def data(*prep: Prep, **values: object) -> Data:
    return replace(Data(dataset="d", prep=prep), **values)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program, its task, and the crash that it must have."""

    program: Program
    task: Task
    phase: Phase
    kind: CrashKind
    layer: int | None = None
    shapes: tuple[Shape, Shape] = ((), ())
    types: tuple[str, str] = ("", "")
    says: str = ""


CASES = {
    "inputs are lists": Case(
        program=mlp(data=data(input_type="list")),
        task=VECTORS,
        phase="data",
        kind="type",
        types=("array", "list"),
        says="the inputs are nested lists",
    ),
    "labels are lists": Case(
        program=mlp(data=data(label_type="list")),
        task=VECTORS,
        phase="data",
        kind="type",
        types=("array", "list"),
        says="the labels are nested lists",
    ),
    "no axis to drop from a vector": Case(
        program=mlp(data=data(Prep(kind="drop_axis"))),
        task=VECTORS,
        phase="data",
        kind="rank",
        shapes=((1, 0), (4,)),
        says="needs an axis of size 1",
    ),
    "no axis of size 1 to drop": Case(
        program=mlp(data=data(Prep(kind="drop_axis"))),
        task=SEQUENCES,
        phase="data",
        kind="size",
        shapes=((1, 0), (8, 6)),
    ),
    "no axis of size 1 to drop from an image": Case(
        program=of(Flatten(), Dense(units=3), data=data(Prep(kind="drop_axis"))),
        task=replace(IMAGES, input_shape=(3, 8, 8)),
        phase="data",
        kind="size",
        shapes=((1, 0, 0), (3, 8, 8)),
    ),
    "no axis to drop from the targets": Case(
        program=mlp(data=data(Prep(kind="drop_axis_target"), labels="one_hot")),
        task=VECTORS,
        phase="data",
        kind="rank",
        shapes=((1, 0), (3,)),
    ),
    "one-hot values": Case(
        program=mlp(2, data=data(labels="one_hot"), loss="mse"),
        task=VALUES,
        phase="data",
        kind="label",
        says="labels cannot be one-hot",
    ),
    "one-hot of a class below 0": Case(
        program=mlp(data=data(Prep(kind="shift_target", factor=-1.0), labels="one_hot")),
        task=VECTORS,
        phase="data",
        kind="label",
        says="class id -1 has no one-hot row",
    ),
    "names of Keras 1": Case(
        program=mlp(api="keras_1"), task=VECTORS, phase="build", kind="name", says="nb_epoch"
    ),
    "convolution on vectors": Case(
        program=of(Conv2d(filters=4), Flatten(), Dense(units=3)),
        task=VECTORS,
        phase="build",
        kind="rank",
        layer=0,
        shapes=((0, 0, 0), (4,)),
    ),
    "recurrent on images": Case(
        program=of(Recurrent(cell="gru", units=4), Dense(units=10)),
        task=IMAGES,
        phase="build",
        kind="rank",
        layer=0,
        shapes=((0, 0), (1, 8, 8)),
    ),
    "heads that do not divide the features": Case(
        program=of(Dense(units=10), Position(), Attention(heads=4), GlobalPool(), Dense(units=3)),
        task=SEQUENCES,
        phase="build",
        kind="size",
        layer=2,
        shapes=((12, 6), (10, 6)),
        says="embed_dim must be divisible by num_heads",
    ),
    "attention on vectors": Case(
        program=of(Attention(heads=1), Dense(units=3)),
        task=VECTORS,
        phase="build",
        kind="rank",
        layer=0,
        shapes=((0, 0), (4,)),
    ),
    "positions for too few steps": Case(
        program=of(Embedding(units=4), Position(steps=10), Attention(heads=2), GlobalPool(), Dense(units=2)),
        task=TOKENS,
        phase="forward",
        kind="size",
        layer=1,
        shapes=((4, 10), (4, 12)),
        says="step 11 is out of range for a table of 10 rows",
    ),
    "a shared table of positions for too few steps": Case(
        program=of(
            Position(steps=6),
            Conv1dTranspose(filters=8, kernel=2, stride=2),
            Shared(back=2),
            Flatten(),
            Dense(units=3),
        ),
        task=SEQUENCES,
        phase="forward",
        kind="size",
        layer=2,
        shapes=((8, 6), (8, 12)),
        says="step 11 is out of range for a table of 6 rows",
    ),
    "a shared embedding of numbers": Case(
        program=of(Embedding(units=1), Flatten(), Shared(back=2), Flatten(), Dense(units=2)),
        task=TOKENS,
        phase="forward",
        kind="type",
        layer=2,
        types=("int64", "float32"),
        says="embedding needs token ids",
    ),
    "attention that declares other features": Case(
        program=of(Attention(heads=2, inputs=6), GlobalPool(), Dense(units=3)),
        task=SEQUENCES,
        phase="forward",
        kind="size",
        layer=0,
        shapes=((6, 6), (8, 6)),
    ),
    "kernel larger than the image": Case(
        program=of(Pool(size=4), Conv2d(filters=4), Flatten(), Dense(units=10)),
        task=IMAGES,
        phase="build",
        kind="size",
        layer=1,
        shapes=((1, 3, 3), (1, 2, 2)),
    ),
    "reshape to another number of values": Case(
        program=of(Reshape(shape=(3, 3)), Flatten(), Dense(units=3)),
        task=SEQUENCES,
        phase="build",
        kind="size",
        layer=0,
        shapes=((3, 3), (8, 6)),
    ),
    "skip over another width": Case(
        program=of(Dense(units=5), Skip(back=1), Dense(units=3)),
        task=VECTORS,
        phase="build",
        kind="size",
        layer=1,
        shapes=((4,), (5,)),
    ),
    "declared for images, built on vectors": Case(
        program=of(Conv2d(filters=4), GlobalPool(), Dense(units=10), input=(64,)),
        task=IMAGES,
        phase="build",
        kind="rank",
        layer=0,
        shapes=((0, 0, 0), (64,)),
    ),
    "embedding of numbers": Case(
        program=of(Embedding(units=4), GlobalPool(), Dense(units=3)),
        task=VECTORS,
        phase="build",
        kind="size",
        layer=0,
        shapes=((0,), (4,)),
    ),
    "nothing to optimize": Case(
        program=mlp(loop=Loop(optimized="none")),
        task=VECTORS,
        phase="build",
        kind="graph",
        says="empty list of parameters",
    ),
    "no hidden layer to optimize": Case(
        program=of(Dense(units=3), loop=Loop(optimized="hidden")), task=VECTORS, phase="build", kind="graph"
    ),
    "rows of another size than declared": Case(
        program=mlp(input=(5,)), task=VECTORS, phase="forward", kind="size", layer=0, shapes=((5,), (4,))
    ),
    "rows of another rank than declared": Case(
        program=of(Flatten(), Dense(units=10), input=(8, 8)),
        task=IMAGES,
        phase="forward",
        kind="rank",
        layer=0,
        shapes=((8, 8), (1, 8, 8)),
    ),
    "rows whose preparation gives another shape than declared": Case(
        program=of(Flatten(), Dense(units=10), input=(1, 8, 8), data=data(Prep(kind="channels_last"))),
        task=IMAGES,
        phase="forward",
        kind="size",
        layer=0,
        shapes=((1, 8, 8), (8, 8, 1)),
    ),
    "a layer that declares other features": Case(
        program=of(Dense(units=16), Flatten(), Dense(units=3, inputs=32)),
        task=VECTORS,
        phase="forward",
        kind="size",
        layer=2,
        shapes=((32,), (16,)),
        says="takes 32 features",
    ),
    "wide inputs": Case(
        program=mlp(data=data(input_type="float64")),
        task=VECTORS,
        phase="forward",
        kind="type",
        layer=0,
        types=("float32", "float64"),
    ),
    "whole numbers as inputs": Case(
        program=mlp(data=data(input_type="int64")),
        task=VECTORS,
        phase="forward",
        kind="type",
        layer=0,
        types=("float32", "int64"),
    ),
    "token ids as numbers": Case(
        program=of(Embedding(units=4), GlobalPool(), Dense(units=2), data=data(input_type="float32")),
        task=TOKENS,
        phase="forward",
        kind="type",
        layer=0,
        types=("int64", "float32"),
    ),
    "an embedding behind another layer": Case(
        program=of(Dense(units=6), Embedding(units=4), GlobalPool(), Dense(units=2)),
        task=TOKENS,
        phase="forward",
        kind="type",
        layer=1,
        types=("int64", "float32"),
    ),
    "a table with too few rows": Case(
        program=of(Embedding(units=4, inputs=40), GlobalPool(), Dense(units=2)),
        task=TOKENS,
        phase="forward",
        kind="size",
        layer=0,
        shapes=((40,), (50,)),
        says="token id 49",
    ),
    "names of PyTorch 0": Case(
        program=mlp(api="torch_0"), task=VECTORS, phase="loss", kind="name", says="loss.data[0]"
    ),
    "no flatten in front of the output": Case(
        program=of(Dense(units=10)),
        task=IMAGES,
        phase="loss",
        kind="rank",
        shapes=((0,), (10, 8, 8)),
        says="a flatten, a pooling or the last step is missing",
    ),
    "ids for a loss on probabilities of all classes": Case(
        program=mlp(loss="categorical_crossentropy"),
        task=VECTORS,
        phase="loss",
        kind="size",
        shapes=((1,), (3,)),
        says="index labels",
    ),
    "one output for one-hot labels": Case(
        program=mlp(1, loss="binary_crossentropy", data=data(labels="one_hot")),
        task=VECTORS,
        phase="loss",
        kind="size",
        shapes=((3,), (1,)),
    ),
    "targets with an axis too many": Case(
        program=mlp(1, loss="mse", data=data(Prep(kind="add_axis_target"), labels="value")),
        task=replace(VALUES, outputs=1),
        phase="loss",
        kind="rank",
        shapes=((1, 1), (1,)),
    ),
    "class ids with an axis too many": Case(
        program=mlp(data=data(Prep(kind="add_axis_target"))),
        task=VECTORS,
        phase="loss",
        kind="size",
        shapes=((1,), (3,)),
    ),
    "fewer outputs than classes": Case(
        program=mlp(2), task=VECTORS, phase="loss", kind="label", shapes=((2,), (3,)), says="class id 2 "
    ),
    "class ids that begin with 1": Case(
        program=mlp(data=data(Prep(kind="shift_target", factor=1.0))),
        task=VECTORS,
        phase="loss",
        kind="label",
        shapes=((3,), (4,)),
        says="class id 3 ",
    ),
    "values for a loss on ids": Case(
        program=mlp(2, data=data(labels="value")),
        task=VALUES,
        phase="loss",
        kind="label",
        types=("int64", "float32"),
    ),
    "several labels for a loss on ids": Case(
        program=mlp(5), task=LABELS, phase="loss", kind="label", types=("int64", "float32")
    ),
    "one-hot labels for a loss on ids": Case(
        program=mlp(loss="sparse_categorical_crossentropy", data=data(labels="one_hot")),
        task=VECTORS,
        phase="loss",
        kind="label",
        types=("int64", "float32"),
        says="one-hot rows",
    ),
    "float ids": Case(
        program=mlp(data=data(label_type="float32")),
        task=VECTORS,
        phase="loss",
        kind="type",
        types=("int64", "float32"),
    ),
    "whole numbers as values": Case(
        program=mlp(2, loss="mse", data=data(labels="value", label_type="int64")),
        task=VALUES,
        phase="loss",
        kind="type",
        types=("float32", "int64"),
    ),
    "weights of fewer classes than outputs": Case(
        program=mlp(7, class_weights=(1.0, 2.0, 3.0)),
        task=VECTORS,
        phase="loss",
        kind="size",
        shapes=((3,), (7,)),
        says="weights of 3 classes do not match 7 outputs",
    ),
    "balanced weights of fewer classes than one-hot outputs": Case(
        program=mlp(
            4,
            class_weights="balanced",
            data=data(Prep(kind="shift_target", factor=1), labels="one_hot"),
        ),
        task=VECTORS,
        phase="loss",
        kind="size",
        shapes=((3,), (4,)),
        says="weights of 3 classes do not match 4 outputs",
    ),
    "a loss without its graph": Case(
        program=mlp(loop=Loop(loss_graph=False)),
        task=VECTORS,
        phase="backward",
        kind="graph",
        says="no gradient graph",
    ),
    "prediction of a single row": Case(
        program=mlp(loop=Loop(predict="row")),
        task=VECTORS,
        phase="predict",
        kind="rank",
        shapes=((0, 4), (4,)),
    ),
    "prediction of swapped axes": Case(
        program=mlp(loop=Loop(predict="transposed")),
        task=VECTORS,
        phase="predict",
        kind="size",
        shapes=((0, 4), (4, 0)),
    ),
}
DOCS = Path(__file__).parents[3] / "docs" / "program.md"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_crash_is_found_with_both_sides(case: Case) -> None:
    crash = find_crash(case.program, case.task)
    assert crash is not None
    assert (crash.phase, crash.kind, crash.layer) == (case.phase, case.kind, case.layer)
    assert (crash.expected, crash.found) == case.shapes
    assert (crash.expected_type, crash.found_type) == case.types
    assert case.says in crash.message
    assert "\n" not in crash.message


def test_the_documented_kinds_of_each_phase_are_those_of_the_cases() -> None:
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    phases = {row[0].strip("| `"): row[2] for row in rows if len(row) == 3 and row[0].strip("| `") in PHASES}
    assert tuple(phases) == PHASES
    for phase, kinds in phases.items():
        found = {case.kind for case in CASES.values() if case.phase == phase}
        assert found == {kind for kind in CRASH_KINDS if f"`{kind}`" in kinds}


GOOD = {
    "ids": (mlp(), VECTORS),
    "one-hot rows": (mlp(data=data(labels="one_hot", label_type="float32")), VECTORS),
    "half precision": (mlp(data=data(input_type="float16")), VECTORS),
    "one output of two classes": (
        of(Embedding(units=4, inputs=50), GlobalPool(), Dense(units=1), loss="bce_with_logits"),
        TOKENS,
    ),
    "more outputs than classes": (mlp(7), VECTORS),
    "a weight for each output": (mlp(class_weights=(1.0, 2.0, 3.0)), VECTORS),
    "weights of classes as in Keras": (
        mlp(7, loss="sparse_categorical_crossentropy", class_weights="balanced"),
        VECTORS,
    ),
    "values": (mlp(2, loss="mse", data=data(labels="value")), VALUES),
    "several labels": (mlp(5, loss="bce_with_logits", data=data(labels="value")), LABELS),
    "declared as prepared": (
        of(Flatten(), Dense(units=10, inputs=64), input=(8, 8), data=data(Prep(kind="drop_axis"))),
        IMAGES,
    ),
    "targets that the loss broadcasts": (
        mlp(1, loss="huber", data=data(Prep(kind="drop_axis_target"), labels="value")),
        replace(VALUES, outputs=1),
    ),
    "axis added and dropped": (
        mlp(data=data(Prep(kind="add_axis_target"), Prep(kind="drop_axis_target"))),
        VECTORS,
    ),
    "classes merged": (
        mlp(data=data(Prep(kind="scale_target", factor=0.5), labels="one_hot"), loss="mse"),
        VECTORS,
    ),
}


@pytest.mark.parametrize(("program", "task"), GOOD.values(), ids=GOOD.keys())
def test_what_fits_does_not_crash(program: Program, task: Task) -> None:
    assert find_crash(program, task) is None


@pytest.mark.parametrize("units", [2, 3, 7])
@pytest.mark.parametrize("labels", ["index", "one_hot"])
def test_class_weights_crash_where_those_of_torch_do(units: int, labels: str) -> None:
    ids = torch.tensor([0, 1, 1])
    targets = ids if labels == "index" else torch.nn.functional.one_hot(ids, units).float()
    criterion = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]))
    prep = (Prep(kind="shift_target", factor=units - 3),) if labels == "one_hot" and units > 3 else ()
    crash = find_crash(mlp(units, class_weights=(1.0, 2.0, 3.0), data=data(*prep, labels=labels)), VECTORS)
    if units == 3:
        assert float(criterion(torch.randn(3, units), targets)) > 0
        assert crash is None
    else:
        with pytest.raises(RuntimeError, match="weight tensor"):
            criterion(torch.randn(3, units), targets)
        assert crash is not None
        assert crash.phase == "loss"


def test_the_first_of_several_crashes_counts() -> None:
    """A program with a fault for each phase, repaired one by one, fails in one phase after the other."""
    faulty = mlp(
        data=data(input_type="list", label_type="float32"),
        api="keras_1",
        input=(5,),
        loop=Loop(loss_graph=False, predict="row"),
    )
    repairs: list[dict[str, object]] = [
        {},
        {"data": data(label_type="float32")},
        {"api": "current"},
        {"input": (4,)},
        {"data": data()},
        {"loop": Loop(predict="row")},
    ]
    seen = []
    for repair in repairs:
        faulty = replace(faulty, **repair)
        crash = find_crash(faulty, VECTORS)
        assert crash is not None
        seen.append(crash.phase)
    assert tuple(seen) == PHASES
    assert find_crash(replace(faulty, loop=Loop()), VECTORS) is None


def test_a_crash_is_at_the_same_place_whatever_the_numbers() -> None:
    program = mlp(layers=(Dense(units=4), Dense(units=4), Dense(units=3)))
    deeper = replace(program, layers=(Dense(units=8), *program.layers))
    crash = Crash(phase="build", kind="size", message="one", layer=1, expected=(3,), found=(4,))
    other_numbers = replace(crash, message="two", expected=(7,), found=(9,))
    assert same_place(crash, program, other_numbers, program)
    assert same_place(crash, program, other_numbers, deeper)  # as many positions from the input
    assert same_place(crash, program, replace(other_numbers, layer=2), deeper)  # and from the output
    for other in (
        replace(crash, phase="forward"),
        replace(crash, kind="rank"),
        replace(crash, layer=0),
        replace(crash, layer=2),
        replace(crash, layer=None),
    ):
        assert not same_place(crash, program, other, program)
        assert not same_place(other, program, crash, program)
    nowhere = replace(crash, layer=None)
    assert same_place(nowhere, program, nowhere, deeper)


@pytest.mark.parametrize(
    ("program", "task", "shape"),
    [
        (mlp(), VECTORS, ()),
        (mlp(loss="mse"), VECTORS, (1,)),
        (mlp(data=data(labels="one_hot")), VECTORS, (3,)),
        (mlp(data=data(Prep(kind="shift_target", factor=2.0), labels="one_hot")), VECTORS, (5,)),
        (mlp(data=data(Prep(kind="scale_target", factor=3.0), labels="one_hot")), VECTORS, (7,)),
        (mlp(loss="mse", data=data(Prep(kind="add_axis_target"))), VALUES, (1, 2)),
        (mlp(loss="mse"), LABELS, (5,)),
    ],
)
def test_shape_of_what_the_loss_is_given(program: Program, task: Task, shape: Shape) -> None:
    assert target_shape(program, task) == shape


def test_targets_without_an_axis_of_size_1_cannot_lose_one() -> None:
    with pytest.raises(MisfitError):
        target_shape(mlp(data=data(Prep(kind="drop_axis_target"))), VECTORS)


def test_ids_of_other_rows_than_the_training_rows_count_too() -> None:
    task = Task(dataset="x", kind="classification", input_shape=(3,), outputs=4)
    steps = (Prep(kind="scale_target", factor=0.1, rows="train"), Prep(kind="shift_target", factor=1.5))
    program = Program(
        data=Data(dataset="x", prep=steps),
        layers=(Dense(units=2),),
        loss="cross_entropy",
        optimizer=Optimizer(),
    )
    assert seen_ids(steps, 4) == [1, 1, 1, 1]
    assert label_range(program, task) == (1, 4)
    crash = find_crash(program, task)
    assert crash is not None
    assert (crash.phase, crash.kind) == ("loss", "label")


@pytest.mark.parametrize(
    "loss", [name for name, kind in LOSS_KINDS.items() if not (kind.broadcasts or kind.ids)]
)
def test_targets_without_their_axis_are_refused_by_every_other_loss(loss):
    bare = mlp(1, loss=loss, data=data(Prep(kind="drop_axis_target"), labels="value"))
    crash = find_crash(bare, replace(VALUES, outputs=1))
    assert crash is not None
    assert (crash.phase, crash.expected, crash.found) == ("loss", (), (1,))

"""Bugs that crash, one for each way to crash, and bugs with the faults that no mutant has; all small."""

from __future__ import annotations

import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.program import (
    Activation,
    Conv2d,
    Crop,
    Data,
    Dense,
    Detach,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Loop,
    Monitor,
    Optimizer,
    Pool,
    Prep,
    Program,
    Recurrent,
    Rescale,
    Reshape,
    Schedule,
    Shared,
    Skip,
    ZeroPad,
)
from netmend.env.program.part import changed


def mlp(units: int = 3, dataset: str = "iris", **values: object) -> Program:
    """Two dense layers for a dataset; ``values`` are fields of the program or of its data."""
    return of(dataset, Dense(units=8, activation="relu"), Dense(units=units), **values)


def of(dataset: str, *layers: Layer, **values: object) -> Program:
    """A program with these layers; ``values`` are fields of the program or of its data."""
    of_data = {name: value for name, value in values.items() if name in Data.__dataclass_fields__}
    data = changed(Data(dataset=dataset, prep=(Prep(kind="standardize"),)), **of_data)
    program = Program(data=data, layers=layers, loss="cross_entropy", optimizer=Optimizer(lr=0.01))
    return changed(program, **{name: value for name, value in values.items() if name not in of_data})


def images(*layers: Layer, **values: object) -> Program:
    """A convolution for digits, then these layers."""
    return of("digits_images", Conv2d(filters=4, activation="relu"), *layers, **values)


CRASHES: dict[str, Program] = {
    "list_inputs": mlp(input_type="list"),
    "list_labels": mlp(label_type="list"),
    "no_axis_to_drop": mlp(prep=(Prep(kind="drop_axis"),)),
    "one_hot_values": mlp(1, "diabetes", labels="one_hot", loss="mse"),
    "one_hot_below_0": mlp(prep=(Prep(kind="shift_target", factor=-1.0),), labels="one_hot"),
    "keras_1": mlp(api="keras_1"),
    "vectors_to_a_convolution": of("digits", Conv2d(filters=4), Flatten(), Dense(units=10)),
    "sequences_to_a_convolution": of("digits_rows", Conv2d(filters=4), Flatten(), Dense(units=10)),
    "images_to_a_recurrent": of("digits_images", Recurrent(cell="gru", units=4), Dense(units=10)),
    "kernel_too_large": images(Pool(size=4), Conv2d(filters=4), Flatten(), Dense(units=10)),
    "channels_behind": of(
        "digits_images",
        Conv2d(filters=4),
        Flatten(),
        Dense(units=10),
        prep=(Prep(kind="channels_last"),),
        input=(1, 8, 8),
    ),
    "reshape_misfit": of("digits_rows", Reshape(shape=(8, 9)), Flatten(), Dense(units=10)),
    "skip_misfit": mlp(layers=(Dense(units=5), Skip(back=1), Dense(units=3))),
    "shared_misfit": mlp(layers=(Dense(units=5), Shared(), Dense(units=3))),
    "nothing_optimized": mlp(loop=Loop(optimized="none")),
    "declared_other_size": mlp(input=(5,)),
    "declared_flat": of("digits_images", Dense(units=8), Dense(units=10), input=(64,)),
    "layer_declares_other": mlp(layers=(Dense(units=8), Dense(units=3, inputs=16))),
    "output_declares_other_after_flatten": images(Flatten(), Dense(units=10, inputs=100)),
    "double_inputs": mlp(input_type="float64"),
    "integer_inputs": mlp(input_type="int64"),
    "float_tokens": of(
        "topics", Embedding(units=4), GlobalPool(), Dense(units=4), prep=(), input_type="float32"
    ),
    "small_table": of("topics", Embedding(units=4, inputs=3), GlobalPool(), Dense(units=4), prep=()),
    "torch_0": mlp(api="torch_0"),
    "not_flattened": images(Dense(units=10)),
    "all_steps": of("digits_rows", Recurrent(cell="rnn", units=4, return_sequences=True), Dense(units=10)),
    "ids_for_probabilities": mlp(loss="categorical_crossentropy"),
    "one_output_for_one_hot": mlp(1, labels="one_hot", loss="binary_crossentropy"),
    "targets_with_an_axis": mlp(
        1, "diabetes", labels="value", loss="mse", prep=(Prep(kind="add_axis_target"),)
    ),
    "fewer_outputs_than_classes": mlp(2),
    "ids_from_1": mlp(prep=(Prep(kind="shift_target", factor=1.0),)),
    "values_for_ids": mlp(1, "diabetes", labels="value"),
    "labels_for_ids": mlp(3, "counts_3_labels", labels="value"),
    "one_hot_for_ids": mlp(labels="one_hot", loss="sparse_categorical_crossentropy"),
    "float_ids": mlp(label_type="float32"),
    "integer_values": mlp(1, "diabetes", labels="value", loss="mse", label_type="int64"),
    "no_graph": mlp(loop=Loop(loss_graph=False)),
    "single_row": mlp(loop=Loop(predict="row")),
    "transposed": mlp(loop=Loop(predict="transposed")),
    "crash_behind_a_crash": mlp(2, input=(5,), input_type="list", api="keras_1"),
}

SILENT: dict[str, Program] = {
    "gradients_add_up": mlp(loop=Loop(zero_grad=False)),
    "step_first": mlp(loop=Loop(order="step_backward")),
    "no_modes": mlp(
        layers=(Dense(units=8), Dropout(rate=0.5), Dense(units=3)),
        loop=Loop(training_mode=False, evaluation_mode=False),
    ),
    "output_only": mlp(loop=Loop(optimized="output")),
    "ordered": mlp(split="ordered", shuffle=False, monitor=Monitor(classes=True, data=True, rates=True)),
    "leaky": mlp(split="leaky", patience=1, stop_on="metric"),
    "train_only": mlp(prep=(Prep(kind="standardize", rows="train"), Prep(kind="clip_outliers"))),
    "half": mlp(input_type="float16", prep=(Prep(kind="scale", factor=1e6),)),
    "classes_merged": mlp(prep=(Prep(kind="scale_target", factor=0.5), Prep(kind="balance"))),
    "detached": mlp(layers=(Dense(units=8), Detach(), Dense(units=3))),
    "fading": mlp(schedule=Schedule(gamma=0.5, every="update"), reduction="sum"),
    "keras_2": mlp(api="keras_2", optimizer=Optimizer(kind="adadelta", lr=1.0)),
    "tensorflow_1": mlp(
        api="tensorflow_1",
        layers=(Dense(units=8, kernel_init="random_normal"), Dense(units=3, kernel_init="standard_normal")),
    ),
    "torch_1": images(Activation(function="softmax"), Flatten(), Dense(units=10), api="torch_1"),
    "new_layers": images(
        Rescale(factor=2.0),
        ZeroPad(),
        Crop(top=1, bottom=1),
        Conv2d(filters=4, padding="same"),
        Shared(),
        Skip(back=2),
        Flatten(),
        Dense(units=10),
    ),
    "multilabel": mlp(3, "counts_3_labels", labels="value", loss="mse", monitor=Monitor(classes=True)),
    "bidirectional": of("digits_rows", Recurrent(cell="rnn", units=4, bidirectional=True), Dense(units=10)),
    "resized": of(
        "digits_images",
        Flatten(),
        Dense(units=10, inputs=144),
        prep=(Prep(kind="resize", size=12), Prep(kind="drop_axis"), Prep(kind="fill_missing")),
    ),
}


@pytest.fixture(scope="session")
def crash_bugs() -> tuple[Bug, ...]:
    return tuple(Bug(id=f"crash/{name}", program=program) for name, program in CRASHES.items())


@pytest.fixture(scope="session")
def silent_bugs() -> tuple[Bug, ...]:
    """Faults of data, loop, release and wiring that do not crash."""
    return tuple(Bug(id=f"silent/{name}", program=program) for name, program in SILENT.items())

"""Faults that one action has to take back completely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.program import (
    Clip,
    Dense,
    Detach,
    Dropout,
    Layer,
    Optimizer,
    Prep,
    Program,
    Recurrent,
    Reshape,
    Schedule,
    Shared,
    Skip,
    Task,
)
from netmend.repair_actions import CATALOGUE, edited

Corpus = dict[str, tuple[Program, Task]]
Fault = Callable[[Program], Program]


def layer(index: int, **changes: object) -> Fault:
    """The fault of one layer, by its position."""

    def fault(program: Program) -> Program:
        layers = list(program.layers)
        layers[index] = replace(layers[index], **changes)  # type: ignore[arg-type]
        return replace(program, layers=tuple(layers))

    return fault


def hidden(**changes: object) -> Fault:
    """The same fault in the first two layers."""
    return lambda program: layer(1, **changes)(layer(0, **changes)(program))


def program(**changes: object) -> Fault:
    return lambda good: replace(good, **changes)  # type: ignore[arg-type]


def data(**changes: object) -> Fault:
    return lambda good: replace(good, data=replace(good.data, **changes))  # type: ignore[arg-type]


def rate(factor: float) -> Fault:
    return lambda good: replace(good, optimizer=replace(good.optimizer, lr=good.optimizer.lr * factor))


def insert(position: int, new: Layer) -> Fault:
    return lambda good: replace(good, layers=(*good.layers[:position], new, *good.layers[position:]))


def remove(position: int) -> Fault:
    return lambda good: replace(good, layers=(*good.layers[:position], *good.layers[position + 1 :]))


def prep(*steps: Prep) -> Fault:
    return data(prep=steps)


def put(position: int, new: Layer) -> Fault:
    return lambda good: insert(position, new)(remove(position)(good))


ADAM = Optimizer(kind="adam", lr=0.001)
CLEANING = (
    Prep(kind="fill_missing", factor=-999.0),
    Prep(kind="clip_outliers"),
    Prep(kind="standardize"),
)

FAULTS: list[tuple[str, Fault, str]] = [
    ("mlp", program(batch_size=4096), "iterations/batch_32@program"),
    ("mlp", program(batch_size=1), "iterations/batch_32@program"),
    ("mlp", rate(1000), "optimizer/lr_0.01@program"),
    ("mlp", rate(0.001), "optimizer/lr_0.01@program"),
    ("mlp", rate(10), "optimizer/lr_div10@program"),
    ("mlp", rate(0.1), "optimizer/lr_x10@program"),
    ("mlp", program(epochs=1), "iterations/epochs_16@program"),
    ("mlp", program(epochs=4), "iterations/epochs_x4@program"),
    ("mlp", program(epochs=8), "iterations/epochs_x2@program"),
    ("mlp", program(patience=1), "iterations/remove_early_stopping@program"),
    ("mlp", hidden(activation="sigmoid"), "activation/relu@hidden"),
    ("mlp", layer(1, activation="softmax"), "activation/relu@layer2"),
    ("mlp", layer(2, activation="linear"), "activation/softmax@output"),
    ("mlp", layer(2, activation="relu"), "activation/softmax@output"),
    ("waves", layer(2, activation="softmax"), "activation/linear@output"),
    ("values", layer(1, activation="sigmoid"), "activation/linear@output"),
    ("two", layer(1, activation="linear"), "activation/sigmoid@output"),
    ("mlp", hidden(kernel_init="zeros"), "neural_connection/glorot_uniform@all"),
    ("mlp", layer(0, kernel_init="ones"), "neural_connection/glorot_uniform@layer1"),
    ("mlp", layer(2, kernel_init="constant"), "neural_connection/glorot_uniform@output"),
    ("mlp", layer(1, bias_init="ones"), "neural_connection/glorot_uniform@layer2"),
    ("mlp", hidden(bias=False), "neural_connection/add_bias@all"),
    ("mlp", hidden(l1=0.1, l2=0.1), "neural_connection/remove_regularisation@all"),
    ("mlp", layer(2, l2=0.1), "neural_connection/remove_regularisation@all"),
    ("mlp", insert(1, Dropout(rate=0.95)), "neural_connection/remove_dropout@all"),
    ("mlp", layer(0, trainable=False), "neural_connection/unfreeze@all"),
    ("lstm", layer(0, trainable=False), "neural_connection/unfreeze@all"),
    ("mlp", program(clip=Clip(kind="norm", limit=1e-4)), "optimizer/remove_clip@program"),
    ("waves", program(optimizer=Optimizer(kind="adadelta", lr=1e-5)), "optimizer/adam@program"),
    ("waves", program(optimizer=replace(ADAM, weight_decay=1.0)), "optimizer/remove_weight_decay@program"),
    ("waves", rate(1000), "optimizer/adam@program"),
    ("mlp", data(prep=(Prep(kind="scale", factor=255.0),)), "data_wrangling/remove_prep@inputs"),
    ("values", data(prep=()), "data_wrangling/standardize_target@targets"),
    ("mlp", data(shuffle=False), "data_wrangling/shuffle@program"),
    ("mlp", layer(1, units=1), "layer_dimension/units_64@layer2"),
    ("mlp", hidden(units=4), "layer_dimension/units_64@hidden"),
    ("mlp", hidden(units=32), "layer_dimension/units_x2@hidden"),
    ("mlp", hidden(units=16), "layer_dimension/units_x4@hidden"),
    ("mlp", layer(2, units=3), "layer_dimension/task_units@output"),
    ("two", layer(1, units=2), "layer_dimension/task_units@output"),
    ("mlp", insert(2, Dense(units=2)), "change_neural_architecture/remove_last@hidden"),
    ("gru", layer(0, cell="lstm"), "change_neural_architecture/gru@hidden"),
    ("lstm", layer(1, cell="gru"), "change_neural_architecture/lstm@hidden"),
    ("mlp", program(loss="mse"), "loss_function/categorical_crossentropy@program"),
    ("waves", program(loss="hinge"), "loss_function/cross_entropy@program"),
    ("two", program(loss="mae"), "loss_function/binary_crossentropy@program"),
    ("values", program(loss="msle"), "loss_function/mse@program"),
    ("sparse", program(loss="mse"), "loss_function/sparse_categorical_crossentropy@program"),
    ("sparse", data(labels="one_hot"), "loss_function/sparse_categorical_crossentropy@program"),
    ("labels", program(loss="categorical_crossentropy"), "loss_function/binary_crossentropy@program"),
    ("mlp", program(reduction="sum"), "loss_function/mean_reduction@program"),
    ("mlp", program(class_weights=(1.0,) * 9 + (0.01,)), "loss_function/equal_rows@program"),
    ("weighed", program(class_weights=None), "loss_function/balance_classes@program"),
    ("labels", layer(1, activation="softmax"), "activation/sigmoid@output"),
    ("labels", layer(0, activation="linear"), "activation/sigmoid@hidden"),
    ("careful", rate(1000), "optimizer/lr_0.0001@program"),
    ("momentum", program(optimizer=Optimizer(kind="sgd", lr=5.0)), "optimizer/sgd_nesterov@program"),
    ("decaying", program(schedule=Schedule(gamma=0.5)), "optimizer/decay_0.95@program"),
    ("mlp", program(schedule=Schedule(gamma=0.9, every="update")), "optimizer/remove_schedule@program"),
    ("patient", program(epochs=2), "iterations/epochs_1000@program"),
    ("patient", program(epochs=100), "iterations/epochs_x10@program"),
    ("patient", program(patience=1), "iterations/early_stopping_10@program"),
    ("patient", program(patience=None), "iterations/early_stopping_10@program"),
    ("patient", program(batch_size=4096), "iterations/batch_1@program"),
    ("image", remove(2), "add_layer/flatten@program"),
    ("waves", remove(1), "add_layer/global_pool@program"),
    ("pixels", remove(0), "add_layer/reshape@program"),
    ("mlp", prep(Prep(kind="min_max"), Prep(kind="scale", factor=255)), "data_wrangling/remove_prep@inputs"),
    ("bytes", prep(), "data_wrangling/scale_div255@inputs"),
    ("cleaned", prep(*CLEANING[1:]), "data_wrangling/fill_missing@inputs"),
    ("cleaned", prep(CLEANING[0], CLEANING[2]), "data_wrangling/clip_outliers@inputs"),
    ("cleaned", prep(*(replace(x, rows="train") for x in CLEANING)), "data_wrangling/all_rows@inputs"),
    ("balanced", prep(), "data_wrangling/balance@program"),
    ("mlp", data(split="ordered"), "data_wrangling/random_split@program"),
    ("patient", data(split="leaky"), "data_wrangling/random_split@program"),
    ("mlp", prep(Prep(kind="scale_target", factor=1 / 255)), "data_wrangling/remove_prep@targets"),
    ("mlp", prep(Prep(kind="shift_target", factor=-1.0)), "data_wrangling/remove_prep@targets"),
    ("mlp", hidden(kernel_init="standard_normal"), "neural_connection/glorot_uniform@all"),
    ("mlp", insert(2, Detach()), "neural_connection/remove_detach@all"),
    ("mlp", insert(2, Skip(back=1)), "neural_connection/remove_skips@hidden"),
    ("mlp", put(1, Shared(back=1)), "neural_connection/own_weights@hidden"),
    ("residual", lambda good: remove(1)(remove(3)(good)), "neural_connection/skip@hidden"),
    ("gru", layer(0, return_sequences=True), "neural_connection/last_step@hidden"),
    ("cells", layer(0, return_sequences=False), "neural_connection/all_steps@hidden"),
    ("mlp", layer(2, units=122, activation="relu"), "neural_connection/replace_head@output"),
    ("waves", layer(2, kernel_init="zeros", trainable=False), "neural_connection/replace_head@output"),
    ("both", layer(0, bidirectional=False), "change_neural_architecture/bidirectional@hidden"),
    ("watched", program(metric="accuracy"), "accuracy_metric/task_metric@program"),
    ("regression", program(stop_on="metric"), "accuracy_metric/stop_on_loss@program"),
]


@pytest.fixture(scope="module")
def good(corpus: Corpus) -> Corpus:
    mlp, classes = corpus["mlp"]
    binary, two = corpus["binary"]
    regression, values = corpus["regression"]
    one = replace(
        binary,
        layers=(Dense(units=16, activation="tanh"), Dense(units=1, activation="sigmoid")),
        loss="binary_crossentropy",
    )
    scaled = replace(
        regression,
        data=replace(regression.data, prep=(Prep(kind="standardize_target"),)),
        layers=(Dense(units=32, activation="elu"), Dense(units=1)),
        loss="mse",
    )
    lstm, texts = corpus["lstm"]
    trained = layer(0, trainable=True)(lstm)
    return {
        **corpus,
        "mlp": (replace(mlp, epochs=16), classes),
        "two": (one, two),
        "values": (scaled, values),
        "lstm": (trained, texts),
        **network_bases(corpus),
        **training_bases(corpus),
    }


def network_bases(corpus: Corpus) -> Corpus:
    """Sound programs that differ from the corpus in their networks and losses."""
    mlp, classes = corpus["mlp"]
    gru, series = corpus["gru"]
    labels = Task(dataset="tags", kind="multilabel", input_shape=(64,), outputs=10)
    sigmoids = hidden(activation="sigmoid")(remove(0)(mlp))
    states = Recurrent(cell="gru", units=16, return_sequences=True)
    reshaped = (Reshape(shape=(1, 8, 8)), *corpus["image"][0].layers)
    skips = (mlp.layers[0], Skip(back=1), mlp.layers[1], Skip(back=1), mlp.layers[2])
    return {
        "sparse": (program(loss="sparse_categorical_crossentropy")(data(labels="index")(mlp)), classes),
        "labels": (program(loss="binary_crossentropy")(data(labels="value")(sigmoids)), labels),
        "pixels": (replace(corpus["image"][0], layers=reshaped), classes),
        "residual": (replace(mlp, layers=skips), classes),
        "cells": (replace(gru, layers=(states, *gru.layers)), series),
        "both": (layer(0, bidirectional=True)(gru), series),
    }


def training_bases(corpus: Corpus) -> Corpus:
    """Sound programs that differ from the corpus in their data and their training."""
    mlp, classes = corpus["mlp"]
    nesterov = Optimizer(kind="sgd", lr=0.01, momentum=0.9, nesterov=True)
    return {
        "careful": (program(optimizer=replace(ADAM, lr=0.0001))(mlp), classes),
        "momentum": (program(optimizer=nesterov)(mlp), classes),
        "decaying": (program(schedule=Schedule(gamma=0.95))(mlp), classes),
        "patient": (program(epochs=1000, patience=10, batch_size=1)(mlp), classes),
        "bytes": (prep(Prep(kind="scale", factor=1 / 255))(mlp), classes),
        "cleaned": (prep(*CLEANING)(mlp), classes),
        "balanced": (prep(Prep(kind="balance"))(mlp), classes),
        "watched": (program(stop_on="metric")(corpus["regression"][0]), corpus["regression"][1]),
    }


@pytest.mark.parametrize(("base", "fault", "name"), FAULTS, ids=[f"{f[0]}-{f[2]}" for f in FAULTS])
def test_one_action_takes_the_fault_back(good: Corpus, base: str, fault: Fault, name: str) -> None:
    sound, task = good[base]
    faulty = fault(sound)
    assert faulty != sound
    assert edited(CATALOGUE[name], faulty, task) == sound

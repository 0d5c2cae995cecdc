"""Faults that one action has to take back completely, and what single edits mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.program import (
    Activation,
    BatchNorm,
    Clip,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    Optimizer,
    Pool,
    Prep,
    Program,
    Recurrent,
    Task,
)
from netmend.env.program.sites import output_activation
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


ADAM = Optimizer(kind="adam", lr=0.001)

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
    }


@pytest.mark.parametrize(("base", "fault", "name"), FAULTS, ids=[f"{f[0]}-{f[2]}" for f in FAULTS])
def test_one_action_takes_the_fault_back(good: Corpus, base: str, fault: Fault, name: str) -> None:
    sound, task = good[base]
    faulty = fault(sound)
    assert faulty != sound
    assert edited(CATALOGUE[name], faulty, task) == sound


def apply(name: str, program: Program, task: Task) -> Program:
    result = edited(CATALOGUE[name], program, task)
    assert result is not None, f"{name} is not legal"
    return result


def illegal(name: str, program: Program, task: Task) -> bool:
    return edited(CATALOGUE[name], program, task) is None


def test_an_optimizer_comes_with_its_own_defaults(corpus: Corpus) -> None:
    result = apply("optimizer/adam@program", *corpus["deep"])
    assert result.optimizer == Optimizer(kind="adam", lr=0.001)
    assert apply("optimizer/sgd@program", *corpus["mlp"]).optimizer == Optimizer(kind="sgd", lr=0.01)


def test_ten_times_and_a_tenth_of_the_rate_cancel_out(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    for lr in (1e-5, 0.003, 0.07, 0.1):
        start = replace(program, optimizer=replace(program.optimizer, lr=lr))
        there = apply("optimizer/lr_x10@program", start, task)
        assert apply("optimizer/lr_div10@program", there, task) == start


def test_momentum_is_for_optimizers_that_have_it(corpus: Corpus) -> None:
    assert illegal("optimizer/momentum_0.9@program", *corpus["mlp"])
    assert apply("optimizer/momentum_0.9@program", *corpus["deep"]).optimizer.momentum == 0.9
    plain = apply("optimizer/remove_momentum@program", *corpus["deep"]).optimizer
    assert (plain.momentum, plain.nesterov) == (0.0, False)


@pytest.mark.parametrize(
    ("case", "loss", "labels"),
    [
        ("deep", "categorical_crossentropy", "one_hot"),
        ("mlp", "cross_entropy", "index"),
        ("binary", "binary_crossentropy", "index"),
        ("binary", "bce_with_logits", "index"),
        ("regression", "mse", "value"),
        ("regression", "huber", "value"),
    ],
)
def test_a_loss_brings_its_labels_and_leaves_the_layers(
    corpus: Corpus, case: str, loss: str, labels: str
) -> None:
    result = apply(f"loss_function/{loss}@program", *corpus[case])
    assert (result.loss, result.data.labels) == (loss, labels)
    assert result.layers == corpus[case][0].layers


def test_a_binary_loss_on_two_outputs_gets_rows_of_labels(corpus: Corpus) -> None:
    program, task = corpus["binary"]
    result = apply("loss_function/binary_crossentropy@program", layer(1, units=2)(program), task)
    assert result.data.labels == "one_hot"


def test_losses_and_outputs_for_another_task_are_not_legal(corpus: Corpus) -> None:
    assert illegal("loss_function/mse@program", *corpus["mlp"])
    assert illegal("loss_function/binary_crossentropy@program", *corpus["mlp"])
    assert illegal("loss_function/cross_entropy@program", *corpus["regression"])
    assert illegal("loss_function/cross_entropy@program", *corpus["binary"])
    assert illegal("activation/softmax@output", *corpus["binary"])
    assert illegal("activation/softmax@output", *corpus["regression"])
    assert illegal("data_wrangling/standardize_target@targets", *corpus["mlp"])
    assert illegal("data_wrangling/standardize@inputs", *corpus["lstm"])


def test_an_activation_layer_behind_a_layer_is_the_one_that_changes(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    result = apply("activation/relu@layer2", program, task)
    assert result.layers[3] == Activation(function="relu")
    assert result.layers[:3] + result.layers[4:] == program.layers[:3] + program.layers[4:]
    assert output_activation(apply("activation/softmax@output", program, task)) == "softmax"
    assert output_activation(apply("activation/linear@output", program, task)) == "linear"


def test_hidden_activations_leave_output_and_cells(corpus: Corpus) -> None:
    program, task = corpus["image"]
    result = apply("activation/elu@hidden", program, task)
    assert [getattr(x, "activation", None) for x in result.layers] == ["elu", None, None, "elu", "linear"]
    assert illegal("activation/relu@hidden", *corpus["gru"])


def test_normalisation_follows_every_hidden_layer_once(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    result = apply("add_layer/batch_norm@hidden", program, task)
    assert [type(x) for x in result.layers] == [Dense, BatchNorm, Dense, BatchNorm, Dense]
    assert illegal("add_layer/layer_norm@hidden", result, task)


def test_dropout_goes_behind_what_belongs_to_the_layer(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    result = apply("add_layer/dropout_0.25@hidden", program, task)
    assert [x.rate for x in result.layers if isinstance(x, Dropout)] == [0.9, 0.25, 0.25, 0.25]
    assert result.layers[3:5] == (Activation(function="sigmoid"), Dropout(rate=0.25))


def test_a_dropout_rate_of_a_quarter_replaces_every_other(corpus: Corpus) -> None:
    result = apply("neural_connection/dropout_rate_0.25@all", *corpus["deep"])
    assert [x.rate for x in result.layers if isinstance(x, Dropout)] == [0.25]


def test_one_more_hidden_layer_goes_in_front_of_the_output(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    result = apply("add_layer/dense_64@output", program, task)
    assert result.layers[-3] == Dense(units=64, activation="relu")
    assert result.layers[-2:] == program.layers[-2:]


def test_a_missing_flatten_is_put_in_front_of_the_first_dense_layer(corpus: Corpus) -> None:
    assert apply("add_layer/flatten@program", *corpus["unflattened"]) == corpus["image"][0]
    assert illegal("add_layer/flatten@program", *corpus["image"])
    program, task = corpus["image"]
    per_pixel = insert(2, Dense(units=8, activation="relu"))(program)
    assert illegal("add_layer/flatten@program", per_pixel, task)


def test_a_scaling_goes_behind_what_scales_already(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    result = apply("data_wrangling/standardize@inputs", program, task)
    assert [step.kind for step in result.data.prep] == ["scale", "standardize"]
    assert illegal("data_wrangling/standardize@inputs", result, task)


def test_inputs_and_targets_are_prepared_apart(corpus: Corpus) -> None:
    program, task = corpus["regression"]
    both = apply("data_wrangling/min_max@inputs", program, task)
    assert [p.kind for p in apply("data_wrangling/remove_prep@inputs", both, task).data.prep] == [
        "scale_target"
    ]
    assert [p.kind for p in apply("data_wrangling/remove_prep@targets", both, task).data.prep] == ["min_max"]


def test_clipping_is_by_norm(corpus: Corpus) -> None:
    assert apply("optimizer/clip_norm_1@program", *corpus["deep"]).clip == Clip(kind="norm", limit=1.0)


def test_a_standard_head_keeps_what_extracts_the_features(corpus: Corpus) -> None:
    head = (Dense(units=64, activation="relu"), Dense(units=64, activation="relu"))
    image, images = corpus["image"]
    result = apply("change_neural_architecture/mlp_64_64@hidden", image, images)
    assert result.layers == (*image.layers[:3], *head, image.layers[-1])
    gru, series = corpus["gru"]
    assert apply("change_neural_architecture/mlp_64_64@hidden", gru, series).layers == (
        gru.layers[0],
        *head,
        gru.layers[1],
    )
    deep, classes = corpus["deep"]
    assert apply("change_neural_architecture/mlp_64_64@hidden", deep, classes).layers == (
        *head,
        *deep.layers[-2:],
    )


def test_a_standard_head_keeps_a_normalisation_of_the_inputs(corpus: Corpus) -> None:
    program, task = corpus["deep"]
    normalised = insert(0, BatchNorm())(program)
    result = apply("change_neural_architecture/mlp_64_64@hidden", normalised, task)
    assert result.layers[0] == BatchNorm()


def test_the_last_hidden_layer_goes_with_what_belongs_to_it(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    dressed = insert(2, Dense(units=8))(program)
    dressed = insert(4, Dropout(rate=0.5))(insert(3, BatchNorm())(dressed))
    assert apply("change_neural_architecture/remove_last@hidden", dressed, task) == program
    assert illegal("change_neural_architecture/remove_last@hidden", *corpus["gru"])


def test_widths_are_only_raised(corpus: Corpus) -> None:
    program, task = corpus["image"]
    wide = layer(0, filters=128)(program)
    result = apply("layer_dimension/units_64@hidden", wide, task)
    assert [getattr(x, "filters", getattr(x, "units", 0)) for x in result.layers] == [128, 0, 0, 64, 10]


def test_epochs_are_only_raised(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    assert illegal("iterations/epochs_16@program", replace(program, epochs=50), task)


def test_two_classes_may_have_two_outputs_where_the_loss_compares_rows(corpus: Corpus) -> None:
    program, task = corpus["binary"]
    wide = layer(1, units=2)(program)
    name = "layer_dimension/task_units@output"
    assert apply(name, wide, task) == program
    assert illegal(name, replace(wide, loss="cross_entropy"), task)
    rows = replace(wide, loss="binary_crossentropy", data=replace(wide.data, labels="one_hot"))
    assert illegal(name, rows, task)


def test_program_without_hidden_layers_has_no_hidden_sites(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    perceptron = replace(program, layers=program.layers[-1:])
    hidden_actions = [a for a in CATALOGUE.values() if a.site == "hidden" or a.site.startswith("layer")]
    legal = [a.name for a in hidden_actions if edited(a, perceptron, task) is not None]
    assert legal == ["change_neural_architecture/mlp_64_64@hidden"]


def test_kinds_of_layers_used_here_have_sites(corpus: Corpus) -> None:
    kinds = {type(x) for case in corpus.values() for x in case[0].layers}
    assert {Conv2d, Embedding, Flatten, Pool, Recurrent} <= kinds

"""What single edits mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.program import (
    Activation,
    Attention,
    BatchNorm,
    Clip,
    Conv1d,
    Conv2d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LossName,
    Monitor,
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
)
from netmend.env.program.crashes import find_crash
from netmend.env.program.sites import output_activation
from netmend.repair_actions import CATALOGUE, edited

Corpus = dict[str, tuple[Program, Task]]


def with_layer(index: int, program: Program, **changes: object) -> Program:
    """The program with one layer changed, by its position."""
    layers = list(program.layers)
    layers[index] = replace(layers[index], **changes)  # type: ignore[arg-type]
    return replace(program, layers=tuple(layers))


def with_new(program: Program, position: int, new: Layer) -> Program:
    """The program with one more layer at a position."""
    return replace(program, layers=(*program.layers[:position], new, *program.layers[position:]))


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
    result = apply("loss_function/binary_crossentropy@program", with_layer(1, program, units=2), task)
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
    per_pixel = with_new(program, 2, Dense(units=8, activation="relu"))
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
    normalised = with_new(program, 0, BatchNorm())
    result = apply("change_neural_architecture/mlp_64_64@hidden", normalised, task)
    assert result.layers[0] == BatchNorm()


def test_the_last_hidden_layer_goes_with_what_belongs_to_it(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    dressed = with_new(program, 2, Dense(units=8))
    dressed = with_new(with_new(dressed, 3, BatchNorm()), 4, Dropout(rate=0.5))
    assert apply("change_neural_architecture/remove_last@hidden", dressed, task) == program
    assert illegal("change_neural_architecture/remove_last@hidden", *corpus["gru"])


def test_widths_are_only_raised(corpus: Corpus) -> None:
    program, task = corpus["image"]
    wide = with_layer(0, program, filters=128)
    result = apply("layer_dimension/units_64@hidden", wide, task)
    assert [getattr(x, "filters", getattr(x, "units", 0)) for x in result.layers] == [128, 0, 0, 64, 10]


def test_epochs_are_only_raised(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    assert illegal("iterations/epochs_16@program", replace(program, epochs=50), task)


def test_two_classes_may_have_two_outputs_where_the_loss_compares_rows(corpus: Corpus) -> None:
    program, task = corpus["binary"]
    wide = with_layer(1, program, units=2)
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


LABELS = Task(dataset="tags", kind="multilabel", input_shape=(64,), outputs=10)


def test_a_task_of_labels_takes_losses_and_outputs_of_yes_and_no(corpus: Corpus) -> None:
    rows, _ = corpus["mlp"]
    for loss in ("binary_crossentropy", "bce_with_logits", "mse"):
        result = apply(f"loss_function/{loss}@program", rows, LABELS)
        assert (result.loss, result.data.labels) == (loss, "value")
    program = replace(rows, data=replace(rows.data, labels="value"))
    for name in ("loss_function/cross_entropy@program", "loss_function/mae@program"):
        assert illegal(name, program, LABELS)
    assert apply("activation/sigmoid@output", program, LABELS).layers[-1] == Dense(
        units=10, activation="sigmoid"
    )
    logits = replace(program, layers=(*program.layers[:2], Dense(units=10)))
    assert illegal("activation/softmax@output", logits, LABELS)


def test_ids_and_rows_of_classes_have_a_loss_of_their_own(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    crashing = replace(program, loss="sparse_categorical_crossentropy")
    assert apply("loss_function/categorical_crossentropy@program", crashing, task) == program
    ids = apply("loss_function/sparse_categorical_crossentropy@program", crashing, task)
    assert ids == replace(crashing, data=replace(program.data, labels="index"))


def test_another_loss_brings_its_type_of_labels(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    typed = replace(program, data=replace(program.data, label_type="float32"))
    result = apply("loss_function/cross_entropy@program", typed, task)
    assert result.data == replace(program.data, labels="index")
    wrong = replace(program, data=replace(program.data, label_type="int64"))
    assert illegal("loss_function/categorical_crossentropy@program", wrong, task)


def test_a_network_without_dense_layers_is_flattened_at_its_end(corpus: Corpus) -> None:
    program, _ = corpus["image"]
    maps = Task(dataset="life", kind="multilabel", input_shape=(1, 5, 5), outputs=9)
    layers = (Conv2d(filters=4, activation="relu"), Conv2d(filters=1, kernel=1, activation="sigmoid"))
    crashing = replace(program, layers=layers, loss="binary_crossentropy")
    repaired = apply("add_layer/flatten@program", crashing, maps)
    assert repaired.layers == (*layers, Flatten())
    assert find_crash(repaired, maps) is None


def test_a_flatten_reads_the_shape_of_prepared_rows(corpus: Corpus) -> None:
    program, task = corpus["image"]
    flat = replace(
        program, layers=program.layers[3:], data=replace(program.data, prep=(Prep(kind="flatten"),))
    )
    assert illegal("add_layer/flatten@program", flat, task)
    raw = replace(flat, data=replace(flat.data, prep=()))
    assert find_crash(apply("add_layer/flatten@program", raw, task), task) is None


def test_a_mean_over_pixels_takes_the_place_of_the_flatten(corpus: Corpus) -> None:
    program, task = corpus["image"]
    result = apply("add_layer/global_pool@program", program, task)
    assert result.layers == (*program.layers[:2], GlobalPool(), *program.layers[3:])
    assert illegal("add_layer/global_pool@program", *corpus["mlp"])


def test_a_convolution_goes_behind_those_that_are_there(corpus: Corpus) -> None:
    program, task = corpus["image"]
    result = apply("add_layer/conv_pool_32@hidden", program, task)
    block = (Conv2d(filters=32, padding="same", activation="relu"), Pool())
    assert result.layers == (*program.layers[:2], *block, *program.layers[2:])
    waves = apply("add_layer/conv_pool_32@hidden", *corpus["waves"])
    assert [type(x) for x in waves.layers[:4]] == [Conv1d, Conv1d, Pool, GlobalPool]
    assert illegal("add_layer/conv_pool_32@hidden", *corpus["mlp"])


@pytest.mark.parametrize(
    ("row", "first", "shape"),
    [
        ((64,), Recurrent(cell="gru", units=4), (1, 64)),
        ((64,), Conv1d(filters=4), (1, 64)),
        ((64,), Conv2d(filters=4), (1, 8, 8)),
        ((8, 8), Conv2d(filters=4), (1, 8, 8)),
        ((3, 8, 6), Recurrent(cell="lstm", units=4), (24, 6)),
    ],
)
def test_a_reshape_makes_the_axes_that_a_layer_needs(
    corpus: Corpus, row: tuple[int, ...], first: Layer, shape: tuple[int, ...]
) -> None:
    program = replace(corpus["mlp"][0], layers=(first, Flatten(), corpus["mlp"][0].layers[-1]))
    task = replace(corpus["mlp"][1], input_shape=row)
    repaired = apply("add_layer/reshape@program", program, task)
    assert repaired.layers == (Reshape(shape=shape), *program.layers)
    assert find_crash(repaired, task) is None


def test_a_vector_that_is_no_square_is_not_made_an_image(corpus: Corpus) -> None:
    program, task = corpus["flat"]
    assert illegal("add_layer/reshape@program", program, replace(task, input_shape=(63,)))


def test_layers_behind_a_new_one_take_what_comes(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    declared = with_layer(2, with_layer(1, program, inputs=64, units=32), inputs=32)
    assert find_crash(declared, task) is None
    for name in (
        "add_layer/dense_64@output",
        "change_neural_architecture/mlp_64_64@hidden",
        "change_neural_architecture/remove_last@hidden",
    ):
        assert find_crash(apply(name, declared, task), task) is None


def test_skips_and_shared_weights_reach_as_far_back_over_new_layers(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    layers = (*program.layers[:2], Skip(back=2), Shared(back=2), program.layers[2])
    linked = replace(program, layers=layers)
    normalised = apply("add_layer/batch_norm@hidden", linked, task)
    assert [type(x) for x in normalised.layers[:4]] == [Dense, BatchNorm, Dense, BatchNorm]
    assert normalised.layers[4:6] == (Skip(back=4), Shared(back=3))
    dropped = apply("add_layer/dropout_0.25@hidden", linked, task)
    assert apply("neural_connection/remove_dropout@all", dropped, task) == linked


def test_removing_a_layer_takes_its_skip_along(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    skipping = with_new(program, 2, Skip(back=1))
    result = apply("change_neural_architecture/remove_last@hidden", skipping, task)
    assert result.layers == (program.layers[0], program.layers[2])


def test_skips_go_around_blocks_that_keep_their_shape(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    narrow = with_new(with_layer(0, program, units=32), 2, BatchNorm())
    wide = with_new(narrow, 3, Dense(units=64))
    result = apply("neural_connection/skip@hidden", wide, task)
    assert result.layers == (*wide.layers[:4], Skip(back=1), wide.layers[4])
    assert illegal("neural_connection/skip@hidden", narrow, task)
    kept = with_new(program, 1, Dropout(rate=0.1))
    assert apply("neural_connection/skip@hidden", kept, task).layers[2] == Skip(back=2)


def test_only_layers_that_need_no_steps_get_the_last_one(corpus: Corpus) -> None:
    program, task = corpus["steps"]
    pooled = with_new(program, 1, GlobalPool())
    assert illegal("neural_connection/last_step@hidden", pooled, task)
    assert (
        apply("neural_connection/all_steps@hidden", with_layer(0, pooled, return_sequences=False), task)
        == pooled
    )


def test_steps_that_change_the_shape_of_a_row_stay(corpus: Corpus) -> None:
    program, task = corpus["image"]
    steps = (Prep(kind="scale", factor=1e4), Prep(kind="channels_last"), Prep(kind="channels_first"))
    scaled = replace(program, data=replace(program.data, prep=steps))
    assert apply("data_wrangling/remove_prep@inputs", scaled, task).data.prep == steps[1:]


def test_values_are_cleaned_once_before_they_are_scaled(corpus: Corpus) -> None:
    program, task = corpus["regression"]
    for name in ("data_wrangling/standardize@inputs", "data_wrangling/clip_outliers@inputs"):
        program = apply(name, program, task)
    program = apply("data_wrangling/fill_missing@inputs", program, task)
    kinds = ["fill_missing", "clip_outliers", "scale_target", "standardize"]
    assert [step.kind for step in program.data.prep] == kinds
    assert illegal("data_wrangling/fill_missing@inputs", program, task)
    assert illegal("data_wrangling/clip_outliers@inputs", program, task)
    assert illegal("data_wrangling/balance@program", program, task)
    assert illegal("data_wrangling/fill_missing@inputs", *corpus["lstm"])


def test_inputs_are_divided_by_255_once(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    divided = apply("data_wrangling/scale_div255@inputs", program, task)
    assert illegal("data_wrangling/scale_div255@inputs", divided, task)


def test_standard_networks_are_for_rows_of_their_kind(corpus: Corpus) -> None:
    image, images = corpus["image"]
    result = apply("change_neural_architecture/cnn_16_32@hidden", image, images)
    assert [x.filters for x in result.layers if isinstance(x, Conv2d)] == [16, 32]
    assert result.layers[-2:] == (Dense(units=64, activation="relu"), image.layers[-1])
    gru, series = corpus["gru"]
    assert isinstance(apply("change_neural_architecture/cnn_16_32@hidden", gru, series).layers[0], Conv1d)
    cells = Recurrent(cell="gru", units=32)
    waves, _ = corpus["waves"]
    assert apply("change_neural_architecture/gru_32@hidden", waves, series).layers == (
        cells,
        waves.layers[-1],
    )
    texts = apply("change_neural_architecture/gru_32@hidden", *corpus["lstm"])
    assert texts.layers[:2] == (Embedding(units=32), cells)
    block = Attention(heads=4, width=64, norm="before")
    assert apply("change_neural_architecture/transformer_32@hidden", waves, series).layers == (
        *(Dense(units=32), Position(), block, block, GlobalPool()),
        waves.layers[-1],
    )
    texts = apply("change_neural_architecture/transformer_32@hidden", *corpus["lstm"])
    assert texts.layers[:3] == (Embedding(units=32), Position(), block)
    for name in ("cnn_16_32", "gru_32", "transformer_32"):
        assert illegal(f"change_neural_architecture/{name}@hidden", *corpus["mlp"])
    assert illegal("change_neural_architecture/gru_32@hidden", image, images)


def test_an_attention_is_edited_as_a_layer_with_dropout_norms_and_units(corpus: Corpus) -> None:
    program, task = corpus["transformer"]

    def blocks(name: str) -> list[Attention]:
        return [layer for layer in apply(name, program, task).layers if isinstance(layer, Attention)]

    first, second = blocks("neural_connection/norm_before@hidden")
    assert (first.norm, second.norm) == ("before", "before")
    first, second = blocks("neural_connection/dropout_rate_0.25@all")
    assert (first.dropout, second.dropout) == (0.25, 0.0)
    first, second = blocks("neural_connection/remove_dropout@all")
    assert (first.dropout, second.dropout) == (0.0, 0.0)
    first, second = blocks("layer_dimension/units_x2@hidden")
    assert (first.width, second.width) == (16, 0)
    assert len(blocks("change_neural_architecture/remove_last@hidden")) == 1
    placed = apply("add_layer/position@program", program, task)
    assert placed.layers == (program.layers[0], Position(), *program.layers[1:])
    assert illegal("add_layer/position@program", placed, task)
    assert illegal("add_layer/position@program", *corpus["lstm"])
    assert illegal("neural_connection/skip@hidden", program, task), "it has its own"


def test_a_pooling_goes_behind_the_attention(corpus: Corpus) -> None:
    program, task = corpus["uneven_heads"]
    good = apply("layer_dimension/fit_heads@all", program, task)
    unpooled = replace(good, layers=tuple(x for x in good.layers if not isinstance(x, GlobalPool)))
    assert apply("add_layer/global_pool@program", unpooled, task) == good


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("categorical_crossentropy", "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
        ("cross_entropy", "linear"),
        ("binary_crossentropy", "sigmoid"),
    ],
)
def test_a_new_head_has_the_activation_of_the_loss(corpus: Corpus, loss: LossName, activation: str) -> None:
    program, task = corpus["deep"]
    labels = replace(program.data, labels="index") if loss.startswith("sparse") else program.data
    start = replace(program, loss=loss, data=labels)
    result = apply("neural_connection/replace_head@output", start, task)
    assert result.layers == (*program.layers[:-2], Dense(units=10, activation=activation))  # type: ignore[arg-type]


def test_errors_are_watched_for_real_targets_only(corpus: Corpus) -> None:
    program, task = corpus["wired"]
    assert apply("accuracy_metric/task_metric@program", program, task).metric == "accuracy"
    for metric in ("mse", "mae"):
        assert illegal(f"accuracy_metric/{metric}@program", replace(program, metric="r2"), task)
    for metric in ("mse", "mae"):
        assert apply(f"accuracy_metric/{metric}@program", *corpus["watched"]).metric == metric


def test_diagnostics_are_switched_on_one_by_one(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    for part in ("classes", "data", "rates"):
        result = apply(f"monitor/{part}@program", program, task)
        assert result == replace(program, monitor=Monitor(**{part: True}))
        assert illegal(f"monitor/{part}@program", result, task)


def test_early_stopping_gets_the_common_patience(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    patient = replace(program, epochs=100)
    assert apply("iterations/early_stopping_10@program", patient, task).patience == 10

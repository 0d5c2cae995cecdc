from __future__ import annotations

from dataclasses import replace

from netmend.env.program import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Program,
    hidden_layers,
    layer_activation,
    output_activation,
    output_layer,
    weighted_layers,
)


def test_sites_of_a_convolutional_program(conv_program: Program) -> None:
    assert weighted_layers(conv_program) == (0, 3)
    assert hidden_layers(conv_program) == (0,)
    assert output_layer(conv_program) == 3
    assert output_activation(conv_program) == "softmax"
    assert layer_activation(conv_program, 0) == "relu"
    assert layer_activation(conv_program, 1) == "linear"


def test_a_closing_activation_layer_is_the_output_activation(conv_program: Program) -> None:
    closed = replace(conv_program, layers=(*conv_program.layers, Activation(function="sigmoid")))
    assert output_activation(closed) == "sigmoid"


def test_an_activation_layer_in_its_block_is_the_activation_of_a_linear_layer(mlp_program: Program) -> None:
    block = (Dense(units=8), BatchNorm(), Dropout(rate=0.5), Activation(function="relu"))
    program = replace(
        mlp_program, layers=(*block, Dense(units=3), Activation(function="softmax"), Dropout(rate=0.1))
    )
    assert layer_activation(program, 0) == "relu"
    assert output_activation(program) == "softmax"
    bent = replace(program, layers=(Dense(units=8, activation="tanh"), *program.layers[1:]))
    assert layer_activation(bent, 0) == "tanh"
    apart = replace(program, layers=(Dense(units=8), Flatten(), *block[3:]))
    assert layer_activation(apart, 0) == "linear"


def test_a_recurrent_cell_has_a_tanh(recurrent_program: Program) -> None:
    assert layer_activation(recurrent_program, 0) == "tanh"


def test_a_program_without_weights_has_no_sites(mlp_program: Program) -> None:
    bare = replace(mlp_program, layers=(Flatten(),))
    assert (weighted_layers(bare), hidden_layers(bare), output_layer(bare)) == ((), (), None)
    assert output_activation(bare) == "linear"
    assert output_activation(replace(mlp_program, layers=())) == "linear"

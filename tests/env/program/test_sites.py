from __future__ import annotations

from dataclasses import replace

from netmend.env.program import (
    Activation,
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


def test_a_recurrent_cell_has_a_tanh(recurrent_program: Program) -> None:
    assert layer_activation(recurrent_program, 0) == "tanh"


def test_a_program_without_weights_has_no_sites(mlp_program: Program) -> None:
    bare = replace(mlp_program, layers=(Flatten(),))
    assert (weighted_layers(bare), hidden_layers(bare), output_layer(bare)) == ((), (), None)
    assert output_activation(bare) == "linear"
    assert output_activation(replace(mlp_program, layers=())) == "linear"

"""What is said of a crash: which number is right, and what answers it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.script.record import Array, Crashed, Operation, Record
from netmend.env.script.rules import findings
from netmend.env.script.site import Site

CALLED, MADE = Site("train.py", 7, 8, 7, 20, "forward"), Site("train.py", 3, 8, 3, 20, "__init__")


def floats(*shape: int, dtype: str = "float32", low: float = 0.0, high: float = 1.0) -> Array:
    return Array(shape=shape, dtype=dtype, low=low, high=high, distinct=100)


def ids(*shape: int, low: int = 0, high: int = 2) -> Array:
    return Array(shape=shape, dtype="int64", low=low, high=high, whole=True, distinct=high - low + 1)


@pytest.mark.parametrize(
    ("operation", "message", "operands", "said", "value", "edit"),
    [
        (
            "Linear",
            "mat1 and mat2 shapes cannot be multiplied (128x128 and 2048x64)",
            (floats(128, 128), floats(64, 2048)),
            "128 is right here",
            128,
            "layer_dimension/fit_inputs@all",
        ),
        (
            "Linear",
            "mat1 and mat2 shapes cannot be multiplied (896x7 and 784x64)",
            (floats(32, 4, 14, 14), floats(64, 784)),
            "not flattened",
            784,
            "add_layer/flatten@program",
        ),
        (
            "Embedding",
            "index out of range in self",
            (ids(32, 11, low=1, high=20), floats(20, 16)),
            "it needs at least 21",
            21,
            "layer_dimension/vocabulary@inputs",
        ),
        (
            "Embedding",
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int",
            (floats(32, 11), floats(20, 16)),
            "takes whole numbers",
            1,
            "data_type/first_layer_type@inputs",
        ),
        (
            "Conv2d",
            "expected input[64, 8, 8, 1] to have 1 channels, but got",
            (floats(64, 8, 8, 1), floats(8, 1, 3, 3)),
            "the channels stand last",
            8,
            "data_dimension/channels_first@inputs",
        ),
        (
            "Conv2d",
            "expected input[64, 1, 8, 8] to have 3 channels, but got",
            (floats(64, 1, 8, 8), floats(8, 3, 3, 3)),
            "1 is right here",
            1,
            "layer_dimension/fit_inputs@all",
        ),
        (
            "Conv2d",
            "expected input[1, 64, 8, 8] to have 1 channels, but got",
            (floats(64, 8, 8), floats(8, 1, 3, 3)),
            "4 axes",
            4,
            "data_dimension/add_axis@inputs",
        ),
        (
            "Conv2d",
            "Kernel size: (3 x 3). Kernel size can't be greater than actual input size",
            (floats(64, 8, 2, 2), floats(8, 8, 3, 3)),
            "larger than the picture",
            1,
            "layer_dimension/fit_windows@all",
        ),
        (
            "LSTM",
            "input.size(-1) must be equal to input_size. Expected 10, got 5",
            (),
            "5 is right here",
            5,
            "layer_dimension/fit_inputs@all",
        ),
        (
            "BatchNorm1d",
            "running_mean should contain 32 elements not 64",
            (floats(8, 32),),
            "made for 64 features, but 32",
            32,
            "layer_dimension/fit_inputs@all",
        ),
        (
            "CrossEntropyLoss",
            "Target 3 is out of bounds.",
            (floats(16, 3), ids(16, low=1, high=3)),
            "the labels start at 1",
            3,
            "data_wrangling/remove_prep@targets",
        ),
        (
            "cross_entropy",
            "Target 9 is out of bounds.",
            (floats(16, 2), ids(16, high=9)),
            "from 0 to 9",
            9,
            "layer_dimension/task_units@output",
        ),
        (
            "CrossEntropyLoss",
            "Expected input batch_size (128) to match target batch_size (64).",
            (floats(128, 10), ids(64)),
            "mixes up the rows",
            128,
            "layer_dimension/fit_reshape@all",
        ),
        (
            "CrossEntropyLoss",
            "0D or 1D target tensor expected, multi-target not supported",
            (floats(16, 3), ids(16, 1)),
            "one number for each row",
            1,
            "data_dimension/drop_axis@targets",
        ),
        (
            "nll_loss",
            "0D or 1D target tensor expected, multi-target not supported",
            (floats(16, 3), ids(16, 3, high=1)),
            "one number for each row",
            1,
            "data_dimension/index@targets",
        ),
        (
            "CrossEntropyLoss",
            "expected scalar type Long but found Float",
            (floats(16, 3), floats(16)),
            "types do not go together",
            1,
            "data_type/loss_type@targets",
        ),
        (
            "binary_cross_entropy_with_logits",
            "Target size (torch.Size([16])) must be the same as input size (torch.Size([16, 1]))",
            (floats(16, 1), ids(16, high=1)),
            "outputs (16, 1) meet targets (16)",
            1,
            "data_dimension/add_axis@targets",
        ),
        (
            "BCELoss",
            "all elements of input should be between 0 and 1",
            (floats(16, 1, low=-2, high=3), floats(16, 1)),
            "no sigmoid in front of it",
            3,
            "loss_function/bce_with_logits@program",
        ),
        (
            "BCELoss",
            "all elements of target should be between 0 and 1",
            (floats(16, 1), floats(16, 1, high=350.5)),
            "from 0 to 350",
            350.5,
            "loss_function/mse@program",
        ),
        (
            "Linear",
            "mat1 and mat2 must have the same dtype, but got Double and Float",
            (floats(16, 4, dtype="float64"), floats(8, 4)),
            "inputs of float64, weights of float32",
            1,
            "data_type/first_layer_type@inputs",
        ),
        (
            "Linear",
            "linear(): argument 'input' (position 1) must be Tensor, not numpy.ndarray",
            (),
            "an array of numpy",
            1,
            "data_type/first_layer_type@inputs",
        ),
        (
            "",
            "element 0 of tensors does not require grad and does not have a grad_fn",
            (),
            "no gradient graph",
            1,
            "api_contract/loss_graph@program",
        ),
        (
            "view",
            "shape '[-1, 256]' is invalid for input of size 8200",
            (floats(8, 1025),),
            "as many values",
            1,
            "layer_dimension/fit_reshape@all",
        ),
    ],
)
def test_what_is_said_of_a_crash(
    operation: str, message: str, operands: tuple[Array, ...], said: str, value: float, edit: str
) -> None:
    crash = Crashed(
        error="RuntimeError",
        message=message,
        site=CALLED,
        operation=operation,
        module="layer",
        made=MADE,
        operands=operands,
    )
    (finding,) = findings(Record(modules={"": "Net"}, crash=crash, ending="crashed"))
    assert said in finding.text
    assert finding.value == value
    assert finding.edits[0] == edit
    assert finding.site == (MADE if edit == "layer_dimension/fit_inputs@all" else CALLED)


def test_an_unknown_crash_is_told_as_it_is() -> None:
    crash = Crashed(error="KeyError", message="'lr'", site=CALLED)
    (finding,) = findings(Record(modules={}, crash=crash))
    assert finding.text == "the script crashes: KeyError: 'lr'"
    assert finding.edits == ()


@pytest.mark.parametrize(
    ("kind", "edit"),
    [("detach", "api_contract/loss_graph@program"), ("argmax", "loss_function/cross_entropy@program")],
)
def test_what_has_cut_off_the_gradient_is_named(kind: str, edit: str) -> None:
    cutting = Operation(
        kind=kind,
        module=None,
        owner="<script>",
        settings={},
        inputs=(),
        received=floats(8, 3),
        returned=floats(8),
        made=None,
        called=Site("train.py", 5, 0, 5, 9),
    )
    crash = Crashed(error="RuntimeError", message="element 0 of tensors does not require grad", site=CALLED)
    (finding,) = findings(Record(modules={}, operations=(cutting,), crash=crash))
    assert f"{kind} lets no gradient through" in finding.text
    assert finding.edits[0] == edit
    assert finding.site == cutting.called


def test_a_pass_without_gradients_and_a_frozen_network_are_named() -> None:
    crash = Crashed(error="RuntimeError", message="element 0 of tensors does not require grad", site=CALLED)
    record = Record(modules={}, crash=crash, evaluated=MADE)
    (finding,) = findings(record)
    assert "as under no_grad" in finding.text
    assert finding.site == MADE
    layer = Operation(
        kind="Linear",
        module="fc",
        owner="",
        settings={},
        inputs=(-1,),
        received=floats(8, 3),
        returned=floats(8, 3),
        made=MADE,
        called=CALLED,
        frozen=12,
    )
    (finding,) = findings(Record(modules={}, crash=crash, forward=CALLED, operations=(layer,)))
    assert "all weights of the network are frozen" in finding.text
    assert finding.edits == ("api_contract/loss_graph@program",)
    later = replace(crash, frozen=True)
    (finding,) = findings(Record(modules={}, crash=later, updates=66, evaluated=MADE, operations=(layer,)))
    assert "all that the optimizer was given is frozen by now" in finding.text
    assert (finding.edits, finding.site) == ((), CALLED)

"""Changes of the loss in many styles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.env.script.record import Array, Crashed
from netmend.env.script.source import EditRefused

TEXT = "from torch import nn\nf = nn.MSELoss()\nloss = f(out, y)  # train\nheld = f(net(a), b)\n"
FUNCTION = "import torch.nn.functional as F\nloss = F.mse_loss(net(x), y)\n"


def _array(*shape, dtype="float32"):
    return Array(shape=shape, dtype=dtype)


def _module(script, output, target, kind="mse_loss"):
    return script(TEXT).loss(kind, "f(out, y)", "nn.MSELoss()", output, target)


def _function(script, output, target):
    return script(FUNCTION).loss("mse_loss", "F.mse_loss(net(x), y)", None, output, target)


def test_a_column_of_outputs_meets_a_vector_of_targets(script):
    after = _module(script, (8, 1), _array(8)).edited("loss.shapes")
    assert after == TEXT.replace("f(out, y)", "f(out.squeeze(-1), y)").replace(
        "f(net(a), b)", "f(net(a).squeeze(-1), b)"
    )
    after = _module(script, (8,), _array(8, 1)).edited("loss.shapes")
    assert "f(out, y.squeeze(-1))" in after


def test_other_calls_that_reshape_are_left(script):
    text = TEXT.replace("f(net(a), b)", "f(net(a).flatten(), b)")
    case = script(text).loss("mse_loss", "f(out, y)", "nn.MSELoss()", (8, 1), _array(8))
    assert "held = f(net(a).flatten(), b)" in case.edited("loss.shapes")


def test_other_calls_whose_shapes_fit_are_left(script):
    case = _module(script, (8, 1), _array(8, dtype="int64"))
    after = case.knows(fitting=(case.site("f(net(a), b)"),)).edited("loss.shapes")
    assert after == TEXT.replace("f(out, y)", "f(out.squeeze(-1), y.float())").replace(
        "f(net(a), b)", "f(net(a), b.float())"
    )


@pytest.mark.parametrize(
    ("kind", "output", "target", "cast"),
    [
        ("cross_entropy", (8, 3), _array(8), "y.long()"),
        ("cross_entropy", (8, 3), _array(8, 1, dtype="int64"), "y.squeeze(-1)"),
        ("cross_entropy", (8, 3), _array(8, 3, dtype="int64"), "y.argmax(1)"),
        ("binary_cross_entropy", (8, 1), _array(8, 1, dtype="int64"), "y.float()"),
    ],
)
def test_targets_of_the_type_that_the_loss_takes(script, kind, output, target, cast):
    assert f"f(out, {cast})  # train" in _module(script, output, target, kind).edited("loss.labels")


def test_targets_of_a_loss_that_crashed(script):
    text = "import torch.nn.functional as F\nloss = F.cross_entropy(out, a + b)\n"
    case = script(text)
    operands = (_array(8, 3), _array(8))
    site = case.site("F.cross_entropy(out, a + b)")
    crash = Crashed(error="RuntimeError", message="", site=site, operation="cross_entropy", operands=operands)
    assert case.knows(crash=crash).edited("loss.labels") == text.replace("a + b", "(a + b).long()")


def test_another_loss_brings_its_targets(script):
    after = _module(script, (8, 3), _array(8)).edited("loss.kind", "cross_entropy")
    assert after == TEXT.replace("MSE", "CrossEntropy").replace(" y)", " y.long())").replace(
        " b)", " b.long())"
    )
    after = _function(script, (8, 1), _array(8, dtype="int64")).edited("loss.kind", "bce_with_logits")
    assert "F.binary_cross_entropy_with_logits(net(x).squeeze(-1), y.float())" in after


def test_a_loss_without_its_settings(script):
    text = "from torch import nn\nf = nn.CrossEntropyLoss(weight=w, reduction='sum')\nf(out, y)\n"
    made = "nn.CrossEntropyLoss(weight=w, reduction='sum')"
    case = script(text).loss("cross_entropy", "f(out, y)", made, (8, 1), _array(8, 1))
    assert "f = nn.MSELoss(reduction='sum')\n" in case.edited("loss.kind", "mse")
    assert "(weight=w)\n" in case.edited("loss.reduction", "mean")
    assert "(reduction='sum')\n" in case.edited("loss.class_weights", None)


def test_a_loss_of_ones_own_is_refused(script):
    with pytest.raises(EditRefused, match="a loss of its own"):
        _module(script, (8, 1), _array(8), kind="").edited("loss.kind", "mae")


def test_class_ids_are_no_targets_of_a_regression(script):
    with pytest.raises(EditRefused, match="do not fit outputs"):
        _function(script, (8, 3), _array(8)).edited("loss.kind", "mae")


def test_classes_are_weighted_by_the_rows_of_the_run(script, tmp_path: Path):
    np.savez(tmp_path / "rows.npz", targets=np.array([0, 0, 0, 1]))
    text = "import torch\nf = torch.nn.CrossEntropyLoss()\nf(out, y)\n"
    case = script(text).loss(
        "cross_entropy", "f(out, y)", "torch.nn.CrossEntropyLoss()", (8, 2), _array(8, dtype="int64")
    )
    case.knows(data=str(tmp_path / "rows.npz"))
    after = case.edited("loss.class_weights", "balanced")
    assert after == text.replace("Loss()", "Loss(weight=torch.tensor([0.666667, 2]))")
    assert "Loss(weight=torch.tensor([1, 5]))" in case.edited("loss.class_weights", (1.0, 5.0))


def test_classes_are_weighted_in_a_call_of_the_function(script):
    text = "import torch\nloss = F.cross_entropy(out, y)\n"
    case = script(text).loss(
        "cross_entropy", "F.cross_entropy(out, y)", None, (8, 2), _array(8, dtype="int64")
    )
    after = text.replace("y)", "y, weight=torch.tensor([1, 5]))")
    assert case.edited("loss.class_weights", (1.0, 5.0)) == after


LABELS = np.repeat([0, 1], [84, 16])


def _weighed(script, tmp_path, text, kind, made, **settings):
    np.savez(tmp_path / "rows.npz", targets=LABELS)
    target = Array(shape=(8,), dtype="int64" if kind == "cross_entropy" else "float32", whole=True)
    output = (8, 2) if kind == "cross_entropy" else (8,)
    case = script("import torch\n" + text).loss(kind, "f(out, y)", made, output, target)
    return case.knows(data=str(tmp_path / "rows.npz"), loss=replace(case.known["loss"], settings=settings))


@pytest.mark.parametrize(
    ("given", "old", "new"),
    [
        ("torch.tensor([0.84, 0.16])", "[0.84, 0.16]", "[0.16, 0.84]"),
        ("shares / shares.sum()", "weight=w", "weight=1 / w"),
    ],
)
def test_weights_that_are_shares_are_turned_round(script, tmp_path: Path, given, old, new):
    text = f"w = {given}\nf = torch.nn.CrossEntropyLoss(weight=w)\nloss = f(out, y)\n"
    made = "torch.nn.CrossEntropyLoss(weight=w)"
    case = _weighed(script, tmp_path, text, "cross_entropy", made, weight=(0.84, 0.16))
    assert case.edited("loss.class_weights", "balanced") == "import torch\n" + text.replace(old, new)


def test_weights_that_make_up_for_the_shares_stay(script, tmp_path: Path):
    made = "torch.nn.CrossEntropyLoss(weight=w)"
    text = f"f = {made}\nloss = f(out, y)\n"
    right = _weighed(script, tmp_path, text, "cross_entropy", made, weight=(1.0, 5.0))
    with pytest.raises(EditRefused, match="make up for the shares"):
        right.edited("loss.class_weights", None)
    wrong = _weighed(script, tmp_path, text, "cross_entropy", made, weight=(5.0, 1.0))
    assert "CrossEntropyLoss()" in wrong.edited("loss.class_weights", None)


@pytest.mark.parametrize(
    ("given", "right"),
    [("torch.tensor([0.19])", "torch.tensor([5.263])"), ("torch.tensor(0.19)", "torch.tensor(5.263)")],
)
def test_a_weight_of_the_positive_class_is_turned_round(script, tmp_path: Path, given, right):
    made = f"torch.nn.BCEWithLogitsLoss(pos_weight={given})"
    text = f"f = {made}\nloss = f(out, y)\n"
    case = _weighed(script, tmp_path, text, "binary_cross_entropy_with_logits", made, pos_weight=(0.19,))
    assert case.edited("loss.class_weights", "balanced") == "import torch\n" + text.replace(given, right)


def test_weights_of_rows_are_turned_round_where_they_are_written(script, tmp_path: Path):
    text = "w = torch.tensor([0.84, 0.16])\nr = w[y.long()]\nloss = (f(out, y) * r).mean()\n"
    case = _weighed(
        script, tmp_path, text, "binary_cross_entropy_with_logits", None, row_weights=(0.84, 0.16)
    )
    case.knows(loss=replace(case.known["loss"], weighed=case.site("f(out, y) * r")))
    after = text.replace("[0.84, 0.16]", "[0.16, 0.84]")
    assert case.edited("loss.class_weights", "balanced") == "import torch\n" + after
    other = replace(case.known["loss"], settings={"row_weights": (1.0, 1.0)})
    assert "tensor([0.5952, 3.125])" in case.knows(loss=other).edited("loss.class_weights", "balanced")


KERAS = "import keras\nm.compile('adam', loss='mse')\nm.fit(x, y)\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("binary_crossentropy", '"binary_crossentropy"'),
        ("bce_with_logits", "keras.losses.BinaryCrossentropy(from_logits=True)"),
    ],
)
def test_losses_of_keras(script, value, text):
    case = script(KERAS).knows(framework="keras").loop("m.fit(x, y)", kind="epochs")
    assert case.edited("loss.kind", value) == KERAS.replace("'mse'", text)


def test_keras_classes_are_weighted_in_fit(script):
    case = script(KERAS).knows(framework="keras").loop("m.fit(x, y)", kind="epochs")
    assert "m.fit(x, y, class_weight={0: 1, 1: 5})" in case.edited("loss.class_weights", (1.0, 5.0))


def test_a_keras_loss_of_another_encoding_is_refused(script):
    case = script(KERAS).knows(framework="keras").loop("m.fit(x, y)", kind="epochs")
    with pytest.raises(EditRefused, match="labels of another encoding"):
        case.edited("loss.kind", "kl_divergence")

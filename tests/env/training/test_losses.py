from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from netmend.env import program
from netmend.env.program.api import SPARSE
from netmend.env.training.losses import LOSS_FUNCTIONS, encode

LOSSES = sorted(LOSS_FUNCTIONS)
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3]])
IDS = torch.tensor([0, 2])
ONE_HOT = F.one_hot(IDS, 3).float()


def test_every_loss_but_the_one_that_is_resolved_has_a_function():
    assert set(LOSS_FUNCTIONS) == set(program.LOSSES) - {SPARSE}


def test_probability_losses_agree_with_logit_losses():
    soft = LOSS_FUNCTIONS["categorical_crossentropy"](LOGITS.softmax(1), ONE_HOT)
    torch.testing.assert_close(soft, F.cross_entropy(LOGITS, IDS, reduction="none"))
    hard = LOSS_FUNCTIONS["binary_crossentropy"](LOGITS.sigmoid(), ONE_HOT)
    expected = F.binary_cross_entropy_with_logits(LOGITS, ONE_HOT, reduction="none").mean(1)
    torch.testing.assert_close(hard, expected, rtol=1e-5, atol=1e-6)
    divergence = LOSS_FUNCTIONS["kl_divergence"](LOGITS.softmax(1), ONE_HOT)
    torch.testing.assert_close(divergence, soft, rtol=1e-4, atol=1e-4)


def test_categorical_crossentropy_normalises_and_clips_as_keras():
    loss = LOSS_FUNCTIONS["categorical_crossentropy"]
    probabilities = LOGITS.softmax(1)
    torch.testing.assert_close(loss(7 * probabilities, ONE_HOT), loss(probabilities, ONE_HOT))
    sure = torch.tensor([[0.0, 1.0, 0.0]])
    assert float(loss(sure, torch.tensor([[1.0, 0.0, 0.0]]))) == pytest.approx(-math.log(1e-7), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "expected"),
    [
        ("mse", [[1.0, 2.0]], [[0.0, 4.0]], 2.5),
        ("mae", [[1.0, 2.0]], [[0.0, 4.0]], 1.5),
        ("mape", [[1.0, 2.0]], [[2.0, 4.0]], 50.0),
        ("msle", [[math.e - 1]], [[0.0]], 1.0),
        ("logcosh", [[1.0]], [[0.0]], math.log(math.cosh(1))),
        ("huber", [[3.0, 0.5]], [[0.0, 0.0]], (2.5 + 0.125) / 2),
        ("poisson", [[2.0]], [[3.0]], 2 - 3 * math.log(2)),
        ("hinge", [[0.5, -2.0]], [[1.0, 1.0]], (0.5 + 3) / 2),
        ("squared_hinge", [[0.5, -2.0]], [[1.0, 1.0]], (0.25 + 9) / 2),
        ("categorical_hinge", [[0.2, 0.7, 0.1]], [[1.0, 0.0, 0.0]], 1.5),
    ],
)
def test_values(name, outputs, targets, expected):
    value = LOSS_FUNCTIONS[name](torch.tensor(outputs), torch.tensor(targets))
    assert float(value) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_stacked_programs_can_share_a_loss(name):
    outputs = torch.stack([LOGITS, LOGITS.flip(0)]).softmax(2)
    targets = IDS if name == "cross_entropy" else ONE_HOT
    stacked = LOSS_FUNCTIONS[name](outputs, torch.stack([targets, targets]))
    alone = torch.stack([LOSS_FUNCTIONS[name](one, targets) for one in outputs])
    assert stacked.shape == (2, 2)
    torch.testing.assert_close(stacked, alone)


@pytest.mark.parametrize(
    ("name", "batch_loss"),
    [
        ("mse", F.mse_loss),
        ("mae", F.l1_loss),
        ("huber", F.huber_loss),
        ("bce_with_logits", F.binary_cross_entropy_with_logits),
        ("cross_entropy", F.cross_entropy),
    ],
)
def test_the_mean_over_the_rows_is_the_loss_of_pytorch(name, batch_loss):
    targets = IDS if name == "cross_entropy" else ONE_HOT
    torch.testing.assert_close(LOSS_FUNCTIONS[name](LOGITS, targets).mean(), batch_loss(LOGITS, targets))


def test_encodings():
    assert encode(IDS, "index", "cross_entropy", 3) is IDS
    assert encode(IDS, "one_hot", "mse", 3).tolist() == ONE_HOT.tolist()
    assert encode(IDS, "one_hot", "cross_entropy", 5).shape == (2, 5)
    assert encode(IDS, "value", "mse", 3).tolist() == [[0.0], [2.0]]
    assert encode(torch.tensor([0, 1]), "index", "hinge", 3).tolist() == [[-1.0], [1.0]]


def test_real_targets_and_labels_stay_as_they_are():
    values = torch.tensor([[0.5, 1.0], [2.0, -3.0]])
    assert encode(values, "value", "mse", 0) is values
    labels = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    assert encode(labels, "index", "bce_with_logits", 0) is labels
    assert encode(labels, "index", "hinge", 0).tolist() == [[-1.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize("name", ["binary_crossentropy", "bce_with_logits", "mse", "mae", "squared_hinge"])
def test_losses_of_several_labels_are_lowest_where_each_is_right(name):
    labels = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    targets = encode(labels, "index", name, 0)
    right = {"bce_with_logits": 9 * (2 * labels - 1), "squared_hinge": 2 * labels - 1}.get(name, labels)
    loss = LOSS_FUNCTIONS[name]
    best = loss(right, targets)
    assert best.max() < 1e-3
    assert (loss(right.flip(1), targets) > best + 0.1).all()

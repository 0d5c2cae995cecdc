"""How good outputs are against targets of a loss's own form."""

from __future__ import annotations

import pytest
import torch

from netmend.env.script.scores import balanced, compare

ROWS = torch.tensor([[9.0, -3.0, 1.0], [-2.0, 8.0, 0.0], [0.0, 1.0, 7.0], [5.0, 4.0, 3.0]])
SOFT = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.9, 0.1, 0.0], [0.5, 0.4, 0.1]])


@pytest.mark.parametrize("loss", ["cross_entropy", "kl_div"])
def test_chances_of_classes_are_judged_by_the_largest(loss: str) -> None:
    tally = compare(ROWS, SOFT, loss)
    assert tally is not None
    assert (tally.kind, tally.value) == ("accuracy", 0.75)


def test_logits_are_judged_as_the_shares_that_they_mean() -> None:
    shares = torch.tensor([[0.1], [0.5], [0.9], [0.3]])
    logits = torch.logit(shares)
    tally = compare(logits, shares, "binary_cross_entropy_with_logits")
    assert tally is not None
    assert (tally.kind, round(tally.value, 6)) == ("r2", 1.0)
    plain = compare(logits, shares, "mse_loss")
    assert plain is not None
    assert plain.value < 0


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ([0, 1, 1, 0], 0.75),  # of each class its share: 1 and 1/2
        ([0, 0, 0, 0], 0.5),
        ([2, 2, 2, 1], 1 / 6),
        ([-1, 1, 2, 0], None),
        ([0.5, 1.0, 2.0, 0.0], None),
        ([[0, 1], [0, 1], [0, 1], [0, 1]], None),
    ],
)
def test_every_class_counts_alike(target: list[float], value: float | None) -> None:
    found = balanced(ROWS, torch.tensor(target), "cross_entropy")
    assert found == (value if value is None else pytest.approx(value))


def test_two_classes_of_one_output() -> None:
    logits = torch.tensor([[2.0], [-1.0], [-3.0], [0.5]])
    target = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
    assert balanced(logits, target, "binary_cross_entropy_with_logits") == 0.5

"""How good outputs are against targets of a loss's own form."""

from __future__ import annotations

import pytest
import torch

from netmend.env.script.scores import compare

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

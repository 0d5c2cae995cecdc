"""Errors and losses, by their names."""

from __future__ import annotations

import pytest

from netmend.env.script.figures import is_loss, less_is_better, size_of_error


@pytest.mark.parametrize(
    ("name", "less"),
    [
        ("RMSE", True),
        ("test_mae", True),
        ("error rate", True),
        ("word-error", True),
        ("perplexity", True),
        ("share_of_nan_predictions", True),
        ("neg_rmse", False),
        ("accuracy", False),
        ("mirror", False),
        ("mse2", True),
        ("MeanSquaredError", True),
        ("valRMSE", True),
        ("testerror", True),
        ("negative log likelihood", True),
        ("neg_log_likelihood", True),
        ("log likelihood", False),
        ("false negative rate", True),
        ("negative class error", True),
        ("negative_mean_squared_error", False),
        ("top5_err", True),
        ("wer", True),
        ("power", False),
        ("accuracy per class", False),
        ("error_free", False),
        ("error reduction", False),
        ("1 - error", False),
        ("-rmse", False),
        ("top-1 error", True),
        ("mse_1", True),
        ("val_neg_log_likelihood", True),
        ("terror", False),
        ("val_acc", False),
        ("r2", False),
        ("PSNR", False),
    ],
)
def test_of_an_error_less_is_better(name: str, less: bool) -> None:
    assert less_is_better(name) == less
    assert not is_loss(name)


def test_what_is_called_a_loss() -> None:
    losses = ["loss", "val_loss", "Losses", "valLoss", "logloss", "cross entropy", "BCELoss"]
    assert [name for name in (*losses, "glossary", "lossless", "accuracy") if is_loss(name)] == losses


@pytest.mark.parametrize(
    ("name", "value", "size"), [("mse", -0.5, 0.5), ("mean_error", -2.0, 2.0), ("nll", -3.0, -3.0)]
)
def test_the_size_of_an_error(name: str, value: float, size: float) -> None:
    """Of ``neg_mean_squared_error`` printed as ``mse``, of a bias, and of a density above 1."""
    assert size_of_error(name, value) == size

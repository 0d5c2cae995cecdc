from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from netmend.env.training.epochs import out_of_patience, watched_metric


def test_patience_waits_for_a_smaller_number(good):
    patient = replace(good, patience=2)
    assert not out_of_patience(patient, [3.0, 1.0, 2.0])
    assert out_of_patience(patient, [3.0, 1.0, 2.0, 1.0])
    assert not out_of_patience(patient, [3.0, math.nan, 2.0])
    assert out_of_patience(patient, [1.0, math.nan, math.nan])
    assert not out_of_patience(good, [1.0] * 100)


def test_metrics_are_turned_so_that_smaller_is_better():
    truth, predicted = torch.tensor([0, 1, 3]), torch.tensor([0, 1, 1])
    assert watched_metric("accuracy", predicted, truth, 4) == pytest.approx(-2 / 3)
    assert watched_metric("mse", predicted, truth, 4) == pytest.approx(4 / 3)
    assert watched_metric("mae", predicted, truth, 4) == pytest.approx(2 / 3)
    values = torch.tensor([[1.0], [2.0], [3.0]])
    assert watched_metric("accuracy", values, values, 4) == 0
    assert watched_metric("r2", values, values, 4) == -1
    assert watched_metric("r2", values * 0 + 2, values, 4) == 0
    assert watched_metric("mse", values + 2, values, 4) == 4
    assert watched_metric("mae", values + 2, values, 4) == 2
    assert watched_metric("balanced_accuracy", predicted, truth, 4) == pytest.approx(-2 / 3)
    assert watched_metric("f1", predicted, truth, 4) == pytest.approx(-(1 + 2 / 3 + 0) / 3)
    assert watched_metric("f1", values, values, 1) == 0

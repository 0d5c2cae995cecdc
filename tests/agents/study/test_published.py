from __future__ import annotations

import numpy as np
import pytest

from netmend.agents.study.published import BUDGETS, TECHNIQUES, PublishedResult, load_published
from netmend.env.bugs import load_suite


def test_all_faults_of_the_suite_and_no_other() -> None:
    assert set(load_published()) == {bug.id for bug in load_suite("icst2023-v1").bugs}


def test_rows_as_printed() -> None:
    table = load_published()
    assert (table["D1"].faulty, table["D1"].fix) == (0.52, 1.0)
    assert table["D1"].results[20]["hebo"] == PublishedResult(mean=0.76, sd=0.24, significant=True)
    assert table["D1"].results[20]["autotrainer"] == "timeout"
    assert table["U2"].results[20]["autotrainer"] == "not applicable"


@pytest.mark.parametrize(
    ("technique", "budget", "mean"),
    [("random", 10, 0.45), ("random", 20, 0.59), ("hebo", 20, 0.60), ("hebo", 50, 0.82), ("bohb", 50, 0.75)],
)
def test_mean_improvement_rates_are_the_known_ones(technique: str, budget: int, mean: float) -> None:
    rates = [row.improvement_rate(technique, budget) for row in load_published().values()]
    assert len(rates) == 30
    assert np.mean([rate for rate in rates if rate is not None]) == pytest.approx(mean, abs=0.0075)


def test_every_row_has_all_results() -> None:
    for row in load_published().values():
        assert set(row.results) == set(BUDGETS)
        assert all(set(results) == set(TECHNIQUES) for results in row.results.values())


def test_no_result_has_no_rate() -> None:
    assert load_published()["D1"].improvement_rate("autotrainer", 20) is None

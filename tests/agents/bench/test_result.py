from __future__ import annotations

import json
from pathlib import Path

import pytest

from netmend.agents.bench.result import Ratio, Report, read_report, write_report
from netmend.env.errors import NetmendError


def test_ratios_are_taken_repeat_by_repeat(report: Report) -> None:
    assert report.comparisons[0].ratio("loop") == Ratio(value=9.0, low=8.0, high=10.0)


def test_a_ratio_counts_trials_not_calls(report: Report) -> None:
    assert report.comparisons[0].ratio("eager") == Ratio(value=16.0, low=16.0, high=16.0)


def test_no_ratio_without_the_reference(report: Report) -> None:
    assert report.comparisons[0].ratio("horse") is None


def test_rate_and_share_come_from_the_median(report: Report) -> None:
    comparison = report.comparisons[0]
    assert comparison.engine.rate == 32.0
    assert comparison.share == 0.25


def test_a_report_survives_its_file(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "bench.json")
    assert read_report(tmp_path / "bench.json") == report


def test_the_file_tells_everything(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path / "bench.json")
    plain = json.loads((tmp_path / "bench.json").read_text())
    assert plain["comparisons"][0]["ratios"]["loop"] == {"value": 9.0, "low": 8.0, "high": 10.0}
    assert plain["comparisons"][0]["engine"]["seconds"] == [1.0, 2.0, 4.0]
    assert plain["settings"]["seed"] == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {"cores": 2}}'])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(NetmendError, match=r"other.json is no report"):
        read_report(tmp_path / "other.json")

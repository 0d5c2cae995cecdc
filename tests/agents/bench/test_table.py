from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from netmend.agents.bench.result import Figure, Report
from netmend.agents.bench.rows import ROWS
from netmend.agents.bench.table import NOT_YET, markdown, show


def line_with(text: str, word: str) -> str:
    return next(line for line in text.splitlines() if word in line)


def test_markdown_has_every_row() -> None:
    text = markdown([])
    assert all(f"| {spec.what} | {spec.target} | {NOT_YET} |" in text for spec in ROWS.values())


def test_every_line_of_the_markdown_has_as_many_cells(report: Report) -> None:
    rows = [line for line in markdown([report]).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {8}


def test_markdown_shows_ratio_rate_share_and_run(report: Report) -> None:
    text = markdown([report])
    line = line_with(text, "64 dense programs")
    assert "| 16 (16-16) | 9 (8-10) | 2.0, 3.6, 32.0 | 25% | 1 |" in line
    assert "one core (2 groups failed) |" in line
    assert "1. `netmend bench engine seed=3`, Slow 86, 2 cores, 23.5 GiB, torch 2.13.0, 2026-01-02" in text


def test_the_last_report_that_has_a_row_counts(report: Report) -> None:
    later = replace(report, comparisons=(), figures=(replace(report.figures[0], value=0.5),), finished=False)
    text = markdown([report, later])
    assert line_with(text, "64 dense programs").endswith("| 1 |")
    assert "| exponent |  | 0.5 |  |  |  | 2 |" in text
    assert "0.75" not in text
    assert "(cut off)" in line_with(text, "2. `netmend")


def test_runs_stand_above_the_table_once_and_only_those_that_it_shows(report: Report) -> None:
    text = markdown([replace(report, command="netmend bench older"), report])
    assert "older" not in text
    assert text.startswith("1. `netmend bench engine seed=3`")
    assert text.count("seed=3") == 1
    assert text.index("seed=3") < text.index("| --- |")


def test_rows_of_other_benches_come_last(report: Report) -> None:
    figure = Figure(row="store", name="written", value=12345.0, unit="trials/s", target="measured")
    text = markdown([replace(report, figures=(*report.figures, figure))])
    assert "| written | measured | 12,345 trials/s |" in text
    assert text.index("| written |") > text.index("| exponent |")


def test_the_screen_fits_into_80_columns(report: Report) -> None:
    screen = StringIO()
    show(report, Console(file=screen, width=80))
    text = screen.getvalue()
    assert all(part in text for part in ("one_shape", "(8-10)", "32.0", "25%", "growth", "0.75"))
    assert "…" not in text

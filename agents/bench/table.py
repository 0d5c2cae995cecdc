"""The tables of a bench: on the screen, and in Markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from netmend.agents.bench.result import Comparison, Figure, Ratio, Report, Timing
from netmend.agents.bench.rows import ROWS

NOT_YET = "not yet measured"
NONE = "-"
HEADER = ("what", "asked for", "over `loop`", "over `eager`", "trials/s: eager, loop, engine", "of the floor")


def show(report: Report, console: Console) -> None:
    """Print a report as tables."""
    machine = report.machine
    where = machine.gpu or f"{machine.processor}, {machine.cores} cores"
    console.print(f"{where}, torch {machine.torch}, {report.date}", highlight=False, soft_wrap=True)
    if report.comparisons:
        console.print(_comparisons(report.comparisons))
    if report.figures:
        console.print(_figures(report.figures))


def _comparisons(rows: Sequence[Comparison]) -> Table:
    caption = "trials/s; over: engine's by the reference's (least to most); floor: share that is arithmetic"
    table = Table(box=SIMPLE, caption=caption, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("row", min_width=14, overflow="fold")
    for column in ("programs", "over\nloop", "over\neager", "eager", "loop", "engine", "floor"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        name = f"{row.row}: {row.detail}" if row.detail else row.row
        ratios = [ratio.replace(" ", "\n") for ratio in _ratios(row)]
        table.add_row(name, str(row.engine.programs), *ratios, *_rates(row), _share(row))
    return table


def _figures(rows: Sequence[Figure]) -> Table:
    table = Table(box=SIMPLE)
    for column in ("row", "what", "asked for"):
        table.add_column(column)
    table.add_column("measured", justify="right")
    for row in rows:
        table.add_row(row.row, row.name, row.target, _measured(row))
    return table


def markdown(reports: Sequence[Report]) -> str:
    """One table of all rows over several reports, with their runs; the last measurement of a row counts."""
    lines = [_line((*HEADER, "run")), _line(["---"] * (len(HEADER) + 1))]
    for key in _keys(reports):
        last = [index for index, report in enumerate(reports) if _has(report, key)][-1:]
        if last:
            run = last[0]
            lines += [_line((*cells, str(run + 1))) for cells in _cells(reports[run], key)]
        else:
            lines.append(_line((ROWS[key].what, ROWS[key].target, NOT_YET, *[""] * 4)))
    return "\n".join([*lines, "", *map(_run, range(1, len(reports) + 1), reports)]) + "\n"


def _keys(reports: Sequence[Report]) -> list[str]:
    """The rows of the engine, then those of the other benches."""
    found = (row.row for report in reports for row in report.rows)
    return list(dict.fromkeys([*ROWS, *found]))


def _has(report: Report, key: str) -> bool:
    return any(row.row == key for row in report.rows)


def _cells(report: Report, key: str) -> list[list[str]]:
    rows = []
    for row in report.comparisons:
        if row.row == key:
            rows.append([_counted(row), row.target, *_ratios(row), ", ".join(_rates(row)), _share(row)])
    for figure in report.figures:
        if figure.row == key:
            rows.append([figure.name, figure.target, _measured(figure), "", "", ""])
    return rows


def _run(number: int, report: Report) -> str:
    machine = report.machine
    memory = f"{machine.memory:g} GiB"
    parts = [machine.gpu, machine.processor, f"{machine.cores} cores", memory, f"torch {machine.torch}"]
    where = ", ".join(part for part in parts if part)
    unfinished = "" if report.finished else " (cut off)"
    return f"{number}. `{report.command}`, {where}, {report.date[:10]}{unfinished}"


def _counted(row: Comparison) -> str:
    """The row in words, with its number of programs."""
    what = f"{row.what}: {row.detail}" if row.detail else row.what
    return what if row.engine.programs == 1 else f"{row.engine.programs} {what}"


def _ratios(row: Comparison) -> list[str]:
    return [_ratio(row.ratio("loop")), _ratio(row.ratio("eager"))]


def _ratio(ratio: Ratio | None) -> str:
    return NONE if ratio is None else f"{ratio.value:.3g} ({ratio.low:.3g}-{ratio.high:.3g})"


def _rates(row: Comparison) -> list[str]:
    """Of eager, loop and engine."""
    return [_rate(row.reference("eager")), _rate(row.reference("loop")), _rate(row.engine)]


def _rate(timing: Timing | None) -> str:
    return NONE if timing is None else f"{timing.rate:.1f}"


def _share(row: Comparison) -> str:
    return f"{row.share:.0%}" if row.floor else NONE


def _measured(figure: Figure) -> str:
    number = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.3g}"
    return f"{number} {figure.unit}".strip()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

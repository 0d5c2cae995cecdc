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
HEADER = ("what", "asked for", "over `eager`", "over `loop`", "trials/s: eager, loop, engine", "of the floor")


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
    for column in ("programs", "over\neager", "over\nloop", "eager", "loop", "engine", "floor"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        ratios = [ratio.replace(" ", "\n") for ratio in _ratios(row)]
        table.add_row(_named(row.row, row), str(row.engine.programs), *ratios, *_rates(row), _share(row))
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
    """The runs, then one table of all rows over the reports; the last measurement of a row counts."""
    last = {key: _last(reports, key) for key in _keys(reports)}
    used = [report for report in reports if any(report is found for found in last.values())]
    runs = [_run(number, report) for number, report in enumerate(used, 1)]
    lines = [*runs, *([""] if runs else []), _line((*HEADER, "run")), _line(["---"] * (len(HEADER) + 1))]
    for key, found in last.items():
        if found is None:
            lines.append(_line((ROWS[key].what, ROWS[key].target, NOT_YET, *[""] * 4)))
        else:
            number = next(number for number, report in enumerate(used, 1) if report is found)
            lines += [_line((*cells, str(number))) for cells in _cells(found, key)]
    return "\n".join(lines) + "\n"


def _keys(reports: Sequence[Report]) -> list[str]:
    """The rows of the engine, then those of the other benches."""
    found = (row.row for report in reports for row in report.rows)
    return list(dict.fromkeys([*ROWS, *found]))


def _last(reports: Sequence[Report], key: str) -> Report | None:
    """The last report that has the row."""
    having = [report for report in reports if any(row.row == key for row in report.rows)]
    return having[-1] if having else None


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
    what = _named(row.what, row)
    return what if row.engine.programs == 1 else f"{row.engine.programs} {what}"


def _named(name: str, row: Comparison) -> str:
    """With the part that it is, and what went wrong."""
    detail = f": {row.detail}" if row.detail else ""
    failed = row.agreement.failed if row.agreement else 0
    return f"{name}{detail} ({failed} groups failed)" if failed else f"{name}{detail}"


def _ratios(row: Comparison) -> list[str]:
    return [_ratio(row.ratio("eager")), _ratio(row.ratio("loop"))]


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

"""The tables that an evaluation prints."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from netmend.agents.costs import Costs
from netmend.agents.estimates import Estimate
from netmend.agents.report import Summary

FILE_WIDTH, METHOD_WIDTH = 110, 30
"""Least widths where there is no terminal: of all, and for each method."""
COST_COLUMNS = (
    "",
    "suggestions",
    "from a model",
    "median s",
    "mean s",
    "all s",
    "trials",
    "trial s",
    "work",
)
"""Of the table of costs."""


def print_summary(summary: Summary, console: Console) -> None:
    """Print the tables of the methods, of the groups of bugs and of the costs, and what failed."""
    widen(console, max(FILE_WIDTH, METHOD_WIDTH * (len(summary.methods) + 1)))
    console.print(methods_table(summary))
    if summary.groups:
        console.print(groups_table(summary))
    if any(found.seconds is not None or found.from_model is not None for found in summary.costs.values()):
        console.print(costs_table(summary.costs))
    for failure in summary.failures:
        console.print(str(failure), style="yellow", markup=False, highlight=False, soft_wrap=True)


def widen(console: Console, width: int) -> None:
    """Make room for a table where there is no terminal: in a file it must not be folded."""
    if not console.is_terminal:
        console.width = max(console.width, width)


def methods_table(summary: Summary) -> Table:
    """One column for each method, one row for each measure."""
    table = Table(
        title=f"{summary.bugs} bugs, {summary.seeds} seed(s), {summary.trials} trials",
        caption="In brackets: 95% bootstrap interval over bugs. Edits: over the bugs that the method fixed. "
        "Trials and work (millions of multiply-accumulates) include those that minimised the patch.",
    )
    table.add_column("")
    for name in summary.methods:
        table.add_column(name, justify="right")
    for measure in next(iter(summary.methods.values()), {}):
        cells = [cell(measure, measures.get(measure)) for measures in summary.methods.values()]
        table.add_row(measure, *cells)
    return table


def groups_table(summary: Summary) -> Table:
    """Fixed share by number of faults, and by whether training or validation bugs share the dataset."""
    table = Table(title=f"fixed share at {summary.trials} trials, by kind of bug")
    table.add_column("")
    for name in summary.methods:
        table.add_column(name, justify="right")
    for title, measures in summary.groups.items():
        count = max((found.bugs for found in measures.values() if found is not None), default=0)
        table.add_row(f"{title}: {count}", *(cell("fixed", found) for found in measures.values()))
    return table


def costs_table(found: Mapping[str, Costs]) -> Table:
    """One row for each method: what choosing programs took, and apart from it their training."""
    table = Table(
        title="costs of all repairs",
        caption="Seconds of a suggestion: choosing one program. Trial seconds: training them, as it was when "
        "they were trained.",
    )
    for number, title in enumerate(COST_COLUMNS):
        table.add_column(title, justify="left" if number == 0 else "right")
    for name, cost in found.items():
        table.add_row(name, *cost_cells(cost))
    return table


def cost_cells(cost: Costs) -> tuple[str, ...]:
    """A row of the table of costs, but for the method's name."""
    return (
        str(cost.suggestions),
        "-" if cost.from_model is None else str(cost.from_model),
        *(
            "-" if seconds is None else f"{seconds:.3g}"
            for seconds in (cost.median_seconds, cost.mean_seconds, cost.seconds)
        ),
        str(cost.trials),
        f"{cost.trial_seconds:.0f}",
        f"{cost.work:,.0f}",
    )


def cell(measure: str, found: Estimate | None) -> str:
    """A value with its interval; shares in percent."""
    if found is None:
        return "-"
    share = measure.startswith("fixed")
    numbers = [f"{100 * x:.0f}" if share else _short(x) for x in (found.value, found.low, found.high)]
    return f"{numbers[0]}{'%' if share else ''} ({numbers[1]}-{numbers[2]})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"

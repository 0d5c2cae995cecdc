"""``benchmark.md``: the tables of an evaluation as Markdown, beside what the study published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from netmend.agents.benchmark import texts
from netmend.agents.benchmark.curves import Point
from netmend.agents.benchmark.faults import Fault
from netmend.agents.benchmark.published import BUDGETS, TECHNIQUES, Entry, Published, load_published
from netmend.agents.benchmark.result import Benchmark, Row
from netmend.agents.report import Summary
from netmend.agents.tables import COST_COLUMNS, cell, cost_cells
from netmend.env.bugs.bug import Spread
from netmend.env.bugs.killing import FEWEST_SEEDS

TITLES = {"random": "Random", "autotrainer": "AutoTrainer", "hebo": "HEBO", "bohb": "BOHB"}
STUDY = "ICST 2023"


def to_markdown(summary: Summary, benchmark: Benchmark, figure: str | None = None) -> str:
    """The whole report; ``figure`` is the name of the picture's file, where there is one."""
    published = {
        fault.bug: load_published()[fault.bug] for fault in benchmark.faults if fault.bug in load_published()
    }
    methods = list(summary.methods)
    sections = [
        f"# {summary.bugs} bugs, {summary.seeds} seed(s), {summary.trials} trials",
        texts.INTRODUCTION,
        "## Methods",
        _methods_table(summary),
        *_failures(summary),
        "## Faults: skill on the hold-out part",
        _explained(summary.seeds, published),
        skills_table(benchmark.faults, methods, published),
        "## Faults: improvement rate",
        texts.RATES,
        rates_table(benchmark.faults, methods, published),
        "## Groups: mean IR",
        _estimates("group", benchmark.groups, methods),
        *_published_means(published),
        "## Against trials",
        *([f"![mean improvement rate after each trial]({figure})"] if figure else []),
        _points("trials", benchmark.by_trials, methods),
        "## Against training work",
        texts.WORK,
        _points("work", benchmark.by_work, methods),
        "## Patches",
        texts.PATCHES,
        _estimates("", benchmark.patches, methods),
        "## Costs",
        texts.COSTS,
        table(COST_COLUMNS, [(name, *cost_cells(cost)) for name, cost in summary.costs.items()]),
    ]
    return "\n\n".join(sections) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def skills_table(faults: Sequence[Fault], methods: Sequence[str], published: Mapping[str, Published]) -> str:
    """Table III of the study for our faults, and its own columns behind."""
    head = ["fault", "faulty", "fix", *(f"`{name}`" for name in methods)]
    if published:
        head += [f"{STUDY}: faulty", "fix", *(TITLES[technique] for technique in TECHNIQUES)]
    return table(head, [_skills_row(fault, methods, published) for fault in faults])


def rates_table(faults: Sequence[Fault], methods: Sequence[str], published: Mapping[str, Published]) -> str:
    """Improvement rates, which can be compared where the data are others; A12 in brackets."""
    head = ["fault", *(f"`{name}`" for name in methods)]
    if published:
        head += [f"{STUDY}: {TITLES[technique]}" for technique in TECHNIQUES]
    rows = []
    for fault in faults:
        row = [fault.bug, *(_rate(fault, name) for name in methods)]
        if published:
            known = published.get(fault.bug)
            row += [_published_rate(known, technique) for technique in TECHNIQUES]
        rows.append(row)
    return table(head, rows)


def _skills_row(fault: Fault, methods: Sequence[str], published: Mapping[str, Published]) -> list[str]:
    row = [fault.bug, _spread(fault.faulty), "-" if fault.fix is None else _spread(fault.fix)]
    for name in methods:
        found = fault.found.get(name)
        row.append("-" if found is None else _spread(found.skill) + "*" * found.significant)
    if published:
        known = published.get(fault.bug)
        row += ["-"] * 6 if known is None else _published_row(known)
    return row


def _published_row(known: Published) -> list[str]:
    entries = [known.results[texts.BUDGET][technique] for technique in TECHNIQUES]
    return [f"{known.faulty:g}", f"{known.fix:g}", *(_entry(entry) for entry in entries)]


def _entry(entry: Entry) -> str:
    return entry if isinstance(entry, str) else f"{entry.mean:g}" + "*" * entry.significant


def _rate(fault: Fault, name: str) -> str:
    found = fault.found.get(name)
    if found is None or found.improvement_rate is None:
        return "-"
    return f"{found.improvement_rate:.2f}" + ("" if found.a12 is None else f" ({found.a12:.2f})")


def _published_means(published: Mapping[str, Published]) -> list[str]:
    """Mean and median IR of the study's techniques over the same faults, at its three budgets."""
    if not published:
        return []
    rows = []
    for technique in TECHNIQUES:
        row = [TITLES[technique]]
        for budget in BUDGETS:
            known = [row.improvement_rate(technique, budget) for row in published.values()]
            rates = [rate for rate in known if rate is not None]
            row.append(f"{np.mean(rates):.2f} / {np.median(rates):.2f} ({len(rates)})" if rates else "-")
        rows.append(row)
    head = [STUDY, *(f"budget {budget}" for budget in BUDGETS)]
    return [texts.MEANS, table(head, rows)]


def _explained(seeds: int, published: Mapping[str, Published]) -> str:
    return "\n".join(
        [
            texts.SKILLS,
            *([texts.FEW_SEEDS] if seeds < FEWEST_SEEDS else []),
            *([texts.PUBLISHED] if published else []),
        ]
    )


def _failures(summary: Summary) -> list[str]:
    return ["\n".join(f"* {failure}" for failure in summary.failures)] if summary.failures else []


def _methods_table(summary: Summary) -> str:
    measures = dict.fromkeys(name for found in summary.methods.values() for name in found)
    rows = [
        [measure, *(cell(measure, found.get(measure)) for found in summary.methods.values())]
        for measure in measures
    ]
    return table(["", *(f"`{name}`" for name in summary.methods)], rows)


def _estimates(title: str, found: Mapping[str, Row], methods: Sequence[str]) -> str:
    rows = [
        [_counted(name, row), *(cell("", row.get(method)) for method in methods)]
        for name, row in found.items()
    ]
    return table([title, *(f"`{name}`" for name in methods)], rows)


def _counted(name: str, row: Row) -> str:
    bugs = max((found.bugs for found in row.values() if found is not None), default=0)
    return f"{name}: {bugs}"


def _points(title: str, points: Sequence[Point], methods: Sequence[str]) -> str:
    rows = []
    for point in points:
        rows.append([f"mean IR at {point.at}", *(cell("", point.rates.get(name)) for name in methods)])
        rows.append([f"fixed at {point.at}", *(cell("fixed", point.fixed.get(name)) for name in methods)])
    rows.sort(key=lambda row: row[0].startswith("fixed"))
    return table([title, *(f"`{name}`" for name in methods)], rows)


def _spread(found: Spread) -> str:
    return f"{found.mean:.2f} ± {found.sd:.2f}" if found.seeds > 1 else f"{found.mean:.2f}"


def _published_rate(known: Published | None, technique: str) -> str:
    rate = None if known is None else known.improvement_rate(technique, texts.BUDGET)
    return "-" if rate is None else f"{rate:.2f}"

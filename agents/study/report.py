"""``study.md``: the tables of an evaluation as Markdown, beside what the study published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from netmend.agents.study.measures import Fault, Point, Study
from netmend.agents.study.published import BUDGETS, TECHNIQUES, Entry, Published, load_published
from netmend.agents.summary import Measures, Summary, cell, costs_table, counted, methods_table
from netmend.agents.table import Table
from netmend.env.bugs.bug import Spread
from netmend.env.bugs.killing import FEWEST_SEEDS

TITLES = {"random": "Random", "autotrainer": "AutoTrainer", "hebo": "HEBO", "bohb": "BOHB"}
STUDY = "ICST 2023"
BUDGET = 20
"""The budget of the study whose columns stand beside ours, in trainings of the faulty program."""
INTRODUCTION = """In brackets: 95 % bootstrap interval over bugs. IR: improvement rate, (found - faulty) /
(fix - faulty) on the hold-out part, at least 0."""
SKILLS = """Mean ± standard deviation over seeds. What is worse than the faulty program's mean counts as
that mean. Faulty and fix: as measured with the suite, or over the seeds here if it was not.
Starred: better than the faulty program with the same seeds (one-sided Wilcoxon signed-rank test,
p < 0.05)."""
FEW_SEEDS = f"""With fewer than {FEWEST_SEEDS} seeds no p is below 0.05."""
PUBLISHED = f"""The columns behind are the published figures at a budget of {BUDGET} times the faulty
program's training time. They are accuracy, or a loss of which less is better (D7, U1 to U8). The
study has other data and longer trainings, so compare the improvement rates below."""
RATES = """In brackets: A12, the probability that a found program is better than a faulty one (ties by
half)."""
WORK = """In multiples of the work that one trial of the published fix takes. A repair that ends earlier, or
has spent its trials, counts with what it found."""
PATCHES = """Complexity: share of the tuned values that the patch changes. Shared kinds: share of the
published fix's kinds of change that the patch has too. Both are 0 if nothing was found."""
COSTS = """Seconds of choosing one program (median, mean), and of choosing all of them. Trial seconds: of
training them, when they were trained. Work in millions of multiply-accumulates."""
MEANS = """Published mean / median IR over the same faults. In brackets: the number of faults with a result.
Budgets are multiples of the faulty program's training time."""


def to_markdown(summary: Summary, study: Study, figure: str | None = None) -> str:
    """The whole report; ``figure`` is the name of the picture's file, where there is one."""
    published = {
        fault.bug: load_published()[fault.bug] for fault in study.faults if fault.bug in load_published()
    }
    methods = list(summary.methods)
    sections = [
        f"# {summary.bugs} bugs, {summary.seeds} seed(s), {summary.trials} trials",
        INTRODUCTION,
        "## Methods",
        _by_method("", methods_table(summary).rows, methods),
        *_failures(summary),
        "## Faults: skill on the hold-out part",
        _explained(summary.seeds, published),
        skills_table(study.faults, methods, published),
        "## Faults: improvement rate",
        RATES,
        rates_table(study.faults, methods, published),
        "## Groups: mean IR",
        _estimates("group", study.groups, methods),
        *_published_means(published),
        "## Against trials",
        *([f"![mean improvement rate after each trial]({figure})"] if figure else []),
        _points("trials", study.by_trials, methods),
        "## Against training work",
        WORK,
        _points("work", study.by_work, methods),
        "## Patches",
        PATCHES,
        _estimates("", study.patches, methods),
        "## Costs",
        COSTS,
        costs_table(summary.costs).markdown(),
    ]
    return "\n\n".join(sections) + "\n"


def skills_table(faults: Sequence[Fault], methods: Sequence[str], published: Mapping[str, Published]) -> str:
    """Table III of the study for our faults, and its own columns behind."""
    head = ["fault", "faulty", "fix", *(f"`{name}`" for name in methods)]
    if published:
        head += [f"{STUDY}: faulty", "fix", *(TITLES[technique] for technique in TECHNIQUES)]
    return Table(head=head, rows=[_skills_row(fault, methods, published) for fault in faults]).markdown()


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
    return Table(head=head, rows=rows).markdown()


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
    entries = [known.results[BUDGET][technique] for technique in TECHNIQUES]
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
    return [MEANS, Table(head=head, rows=rows).markdown()]


def _explained(seeds: int, published: Mapping[str, Published]) -> str:
    return "\n".join(
        [
            SKILLS,
            *([FEW_SEEDS] if seeds < FEWEST_SEEDS else []),
            *([PUBLISHED] if published else []),
        ]
    )


def _failures(summary: Summary) -> list[str]:
    return ["\n".join(f"* {failure}" for failure in summary.failures)] if summary.failures else []


def _by_method(title: str, rows: Iterable[Sequence[str]], methods: Sequence[str]) -> str:
    """A table with a column for each method."""
    return Table(head=(title, *(f"`{name}`" for name in methods)), rows=rows).markdown()


def _estimates(title: str, found: Mapping[str, Measures], methods: Sequence[str]) -> str:
    rows = [
        (counted(name, row), *(cell("", row.get(method)) for method in methods))
        for name, row in found.items()
    ]
    return _by_method(title, rows, methods)


def _points(title: str, points: Sequence[Point], methods: Sequence[str]) -> str:
    rates = [
        (f"mean IR at {point.at}", *(cell("", point.rates.get(name)) for name in methods)) for point in points
    ]
    fixed = [
        (f"fixed at {point.at}", *(cell("fixed", point.fixed.get(name)) for name in methods))
        for point in points
    ]
    return _by_method(title, [*rates, *fixed], methods)


def _spread(found: Spread) -> str:
    return f"{found.mean:.2f} ± {found.sd:.2f}" if found.seeds > 1 else f"{found.mean:.2f}"


def _published_rate(known: Published | None, technique: str) -> str:
    rate = None if known is None else known.improvement_rate(technique, BUDGET)
    return "-" if rate is None else f"{rate:.2f}"

"""The page of a report: one HTML file, and beside it the curves for which it has no room."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

import netmend
from netmend.agents.report import charts, measures
from netmend.agents.report.runs import WORDS, Panel, Run, panels
from netmend.agents.study.measures import REAL
from netmend.agents.summary import cell
from netmend.agents.table import Table
from netmend.agents.traces import Trace
from netmend.env.writing import write_whole

HOME = "netmend.agents.report"
MOST_SHOWN = 200
"""Repairs whose curves stand in the page, the most telling ones; files beside it have the others."""
MOST_BUGS = 25
"""Bugs that share a file of curves."""
MOST_ROWS = 50
"""Bugs whose rows are drawn before a reader asks for more."""
YES_NO = {True: "fixed", False: "not fixed", None: "unknown"}


@dataclass(frozen=True, kw_only=True)
class BugRow:
    """One bug in the table of a panel.

    Attributes:
        key: unique on the page.
        cells: what the table shows behind the name.
        filters: what a reader can choose rows by, several words for a key.
    """

    key: str
    name: str
    cells: Sequence[str]
    filters: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A panel as the page shows it."""

    panel: Panel
    methods: Table
    figures: Sequence[charts.Figure]
    faults: Table | None
    head: Sequence[str]
    bugs: Sequence[BugRow]
    choices: Mapping[str, Sequence[tuple[str, str]]]


class _Contents:
    """What the page's script shows of single bugs and repairs, by their keys.

    Attributes:
        details: a bug's section and a repair's trace as HTML.
        curves: of the repairs whose curves stand in the page.
        beside: contents of the files with the curves of the others, by name.
        places: where the curves of a bug lie, if not all of them stand in the page.
    """

    def __init__(self, shown: Sequence[Panel]) -> None:
        traces = [trace for panel in shown for trace in panel.traces]
        self.keys = {id(trace): str(number) for number, trace in enumerate(traces)}
        self.details: dict[str, str] = {}
        self.curves: dict[str, object] = {}
        self.beside: dict[str, dict[str, object]] = {}
        self.places: dict[str, str] = {}
        self._inside = {id(trace) for trace in telling(traces)[:MOST_SHOWN]}

    def add(self, key: str, traces: Sequence[Trace], file: str) -> None:
        """Take the repairs of one bug; ``file`` is for curves that do not stand in the page."""
        own = [(self.keys[id(trace)], trace) for trace in traces]
        found = {finding.name: finding for trace in reversed(traces) for finding in trace.findings}
        self.details[key] = _template("bug").render(key=key, traces=own, findings=found.values(), words=WORDS)
        for number, trace in own:
            self.details[number] = _template("trace").render(key=number, trace=trace)
            if id(trace) in self._inside:
                self.curves[number] = charts.curves(trace)
            else:
                self.beside.setdefault(file, {})[number] = charts.curves(trace)
                self.places[key] = file


def write_page(runs: Sequence[Run], path: Path) -> int:
    """Write the page, and a folder of curves beside it where it has no room for all.

    Returns:
        how many repairs it shows.

    Raises:
        OSError: a file cannot be written.
    """
    shown = panels(runs)
    contents = _Contents(shown)
    folder = path.with_name(f"{path.stem}-curves")
    sections = []
    for number, panel in enumerate(shown, start=1):
        rows = []
        for count, (bug, traces) in enumerate(panel.bugs.items()):
            key = f"{number}-{count}"
            rows.append(_row(key, bug, traces, panel))
            contents.add(key, traces, f"{number}-{count // MOST_BUGS}.js")
        sections.append(_section(panel, number, rows))
    for name, curves in contents.beside.items():
        write_whole(folder / name, f"netmendCurves({_json(curves)});\n")
    learnt = charts.learning(runs)
    figures = [*learnt, *(figure for section in sections for figure in section.figures)]
    data = {
        "charts": {figure.id: figure.chart.to_dict() for figure in figures},
        "trace": {kind: charts.trace_chart(kind).to_dict() for kind in ("loss", "score")},
        "curves": contents.curves,
        "beside": {key: f"{quote(folder.name)}/{file}" for key, file in contents.places.items()},
        "filters": {row.key: row.filters for section in sections for row in section.bugs},
    }
    page = _template("page").render(
        runs=runs,
        learnt=learnt,
        sections=sections,
        version=netmend.__version__,
        style=_file("page.css"),
        script=_file("page.js"),
        vega=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
        data=_packed(data),
        details=_packed(contents.details),
        words=WORDS,
        most=MOST_ROWS,
    )
    write_whole(path, page)
    return len(contents.keys)


def telling(traces: Sequence[Trace]) -> list[Trace]:
    """Repairs, the most telling first: of every bug one, then of every bug a second one, and so on.

    The more it gains, or the further it falls short of the published fix, the more a repair tells.
    """
    by_bug: dict[tuple[str, str], list[Trace]] = {}
    for trace in sorted(traces, key=_tells, reverse=True):
        by_bug.setdefault((trace.bug, trace.part), []).append(trace)
    ranked = [(rank, trace) for own in by_bug.values() for rank, trace in enumerate(own)]
    return [trace for _, trace in sorted(ranked, key=lambda one: (one[0], -_tells(one[1])))]


def _tells(trace: Trace) -> float:
    rate = trace.rates[-1]
    return max(trace.gain, 0.0 if rate is None else 1.0 - rate)


def _row(key: str, bug: str, traces: Sequence[Trace], panel: Panel) -> BugRow:
    first = traces[0]
    own = {name: [trace for trace in traces if trace.method == name] for name in panel.methods}
    fixed = {name: [trace.fixed[-1] for trace in of_method] for name, of_method in own.items()}
    group = first.base or REAL
    found = list(dict.fromkeys(name for trace in traces for name in measures.symptoms(trace)))
    return BugRow(
        key=key,
        name=bug,
        cells=(
            group,
            ", ".join(first.operators) or "-",
            ", ".join(map(measures.in_words, found)) or "-",
            *(_count(results) for results in fixed.values()),
            f"{max(trace.gain for trace in traces):.2f}",
        ),
        filters={
            "group": [group],
            "fixed": [name for name, results in fixed.items() if any(results)],
            "missed": [name for name, results in fixed.items() if False in results],
            "symptom": found,
            "pattern": list(dict.fromkeys(name for trace in traces for name in measures.patterns(trace))),
        },
    )


def _count(results: Sequence[bool | None]) -> str:
    known = [result for result in results if result is not None]
    return f"{sum(known)}/{len(known)}" if known else "-"


TITLES = {
    "group": "Made from",
    "fixed": "Fixed by",
    "missed": "Missed by",
    "symptom": "Symptom",
    "pattern": "Fix pattern",
}
"""What rows can be chosen by, as the page calls it."""


def _section(panel: Panel, number: int, rows: Sequence[BugRow]) -> Section:
    return Section(
        panel=panel,
        methods=measures.methods_table(panel),
        figures=charts.figures(panel, number),
        faults=measures.faults_table(panel),
        head=("bug", "made from", "faults", "symptoms", *panel.methods, "best gain"),
        bugs=rows,
        choices={
            key: [
                (value, value if key in ("fixed", "missed") else measures.in_words(value))
                for value in sorted({value for row in rows for value in row.filters[key]})
            ]
            for key in TITLES
        },
    )


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader(HOME, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "cell": cell,
        "answered": YES_NO,
        "number": lambda value: "-" if value is None else f"{value:.2f}",
        "searched": measures.searched,
        "in_words": measures.in_words,
        "titles": TITLES,
    }
    return environment.get_template(f"{name}.html.j2")


def _file(name: str) -> str:
    return files(HOME).joinpath(name).read_text(encoding="utf-8")


def _json(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"))


def _packed(plain: object) -> str:
    """Data for the page's script: JSON, gzip, base64; a browser unpacks it faster than it reads it plain."""
    return base64.b64encode(gzip.compress(_json(plain).encode(), mtime=0)).decode()

"""The pictures of a report. One definition serves the page and the files for a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import altair as alt

from netmend.agents.report.measures import AXES, FIXED, Line, answers, lines
from netmend.agents.report.runs import Panel, Run
from netmend.agents.traces import Trace

Format = Literal["pdf", "png", "svg"]
Chart: TypeAlias = alt.Chart | alt.LayerChart
CURVES = "curves"
"""Name of the data that the page gives to the pictures of a trace."""
MOST_CURVES = 8
"""Programs of a repair whose curves are drawn: the faulty one, and the best."""
PAPER = 460
"""Width of a picture in a file, in pixels."""
PNG_SCALE = 3
ROW = 20
"""Height of a row of the heat map, in pixels."""
METHOD = "method"
LEGEND = alt.Legend(title=None, orient="bottom", columns=2, labelLimit=260, symbolOpacity=1)
FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture.

    Attributes:
        id: unique on the page, and the name of its file.
        title, caption: over and under it.
        chart: the picture; its width is that of the page.
        line: the numbers behind it, where they make a table.
        wide: whether it needs the whole width of a page.
    """

    id: str
    title: str
    caption: str
    chart: Chart
    line: Line | None = None
    wide: bool = False


def figures(panel: Panel, number: int) -> list[Figure]:
    """All pictures of a panel; ``number`` tells them from those of other panels."""
    found = [
        Figure(
            id=f"{'fixed' if line.measure == FIXED else 'ir'}-by-{line.spent}-{number}",
            title=line.title,
            caption="Lines: means over bugs. Bands: 95 % bootstrap intervals over bugs.",
            chart=_lines_chart(line),
            line=line,
        )
        for line in lines(panel)
    ]
    rows = answers(panel)
    if rows:
        found.append(
            Figure(
                id=f"patterns-{number}",
                title="Which fix pattern for which symptom",
                caption="Of the repairs of bugs with this symptom that helped, the share whose patch has "
                "the pattern. Symptoms are the findings of the faulty program.",
                chart=_answers_chart(rows, list(panel.methods)),
                wide=True,
            )
        )
    return found


def learning(runs: Sequence[Run]) -> list[Figure]:
    """What policies fixed while they learnt; nothing where no run is a training."""
    rows = [
        {"run": run.name, "steps": steps, "fixed": round(share, 4)}
        for run in runs
        for steps, share in run.learnt
    ]
    if not rows:
        return []
    chart = (
        alt.Chart(
            alt.Data(values=rows), description="Fixed share of the validation bugs by environment steps"
        )
        .mark_line(point=True)
        .encode(
            x=alt.X("steps:Q", title="environment steps"),
            y=alt.Y(
                "fixed:Q", title="fixed share", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])
            ),
            color=_colour("run", sorted({run.name for run in runs if run.learnt})),
            tooltip=["run:N", "steps:Q", alt.Tooltip("fixed:Q", format=".0%")],
        )
        .properties(width="container", height=260, autosize=FIT)
    )
    caption = "Of the validation bugs, by their validation part, whenever the training looked at them."
    return [Figure(id="learning", title="Fixed share while a policy learns", caption=caption, chart=chart)]


def _lines_chart(line: Line) -> Chart:
    rows = [
        {
            METHOD: name,
            "spent": at,
            "value": round(found.value, 5),
            "low": round(found.low, 5),
            "high": round(found.high, 5),
            "bugs": found.bugs,
        }
        for name, own in line.points.items()
        for at, found in own.items()
    ]
    share = line.measure == FIXED
    form = ".0%" if share else ".2f"
    names = list(line.points)
    chosen = alt.selection_point(fields=[METHOD], bind="legend")
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("spent:Q", title=AXES[line.spent], axis=alt.Axis(tickMinStep=1)),
        color=_colour(METHOD, names),
        opacity=alt.condition(chosen, alt.value(1), alt.value(0.1)),
    )
    scale = alt.Scale(domain=[0, 1]) if share else alt.Scale(zero=True)
    axis = alt.Y(
        "value:Q", title="fixed share" if share else "mean IR", axis=alt.Axis(format=form), scale=scale
    )
    band = base.mark_area().encode(
        y=alt.Y("low:Q"), y2="high:Q", opacity=alt.condition(chosen, alt.value(0.15), alt.value(0.02))
    )
    drawn = base.mark_line().encode(y=axis)
    points = base.mark_point(filled=True, size=50).encode(
        y=axis,
        shape=alt.Shape(f"{METHOD}:N", scale=alt.Scale(domain=names), legend=LEGEND),
        tooltip=[
            f"{METHOD}:N",
            alt.Tooltip("spent:Q", title="spent"),
            *(alt.Tooltip(f"{name}:Q", format=form) for name in ("value", "low", "high")),
            "bugs:Q",
        ],
    )
    return (
        alt.layer(band, drawn, points.add_params(chosen))
        .properties(width="container", height=260, autosize=FIT)
        .properties(description=f"{line.title}, a line for each method")
    )


def _answers_chart(rows: Sequence[Mapping[str, object]], methods: Sequence[str]) -> Chart:
    """A heat map of one method, which the reader chooses; first of the one with most to show."""
    known = Counter(str(row[METHOD]) for row in rows)
    used = sorted((name for name in methods if name in known), key=lambda name: -known[name])
    method = alt.param(name=METHOD, value=used[0], bind=alt.binding_select(options=used, name="method "))
    title = alt.Title(text=alt.ExprRef(f"'repairs by ' + {METHOD}"), anchor="start")
    angled = alt.Axis(labelAngle=-40, labelLimit=220)
    base = (
        alt.Chart(alt.Data(values=list(rows)), description="Share of repairs by symptom and fix pattern")
        .transform_filter(f"datum.{METHOD} === {METHOD}")
        .encode(
            x=alt.X("pattern:N", title="fix pattern", axis=angled, scale=_domain(rows, "pattern")),
            y=alt.Y("symptom:N", axis=alt.Axis(labelLimit=240), scale=_domain(rows, "symptom")),
        )
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q", title="share", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None
        ),
        tooltip=["symptom:N", "pattern:N", "repairs:Q", "of:Q", alt.Tooltip("share:Q", format=".0%")],
    )
    text = base.mark_text(fontSize=10).encode(
        text=alt.Text("share:Q", format=".0%"),
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black")),
    )
    height = ROW * len({row["symptom"] for row in rows})
    drawn = (cells + text).add_params(method)
    return drawn.properties(title=title, width="container", height=height, autosize=FIT)


def _domain(rows: Sequence[Mapping[str, object]], field: str) -> alt.Scale:
    """The same rows and columns whatever method is chosen."""
    return alt.Scale(domain=sorted({str(row[field]) for row in rows}))


def _colour(field: str, names: Sequence[str]) -> alt.Color:
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), scheme="tableau10"), legend=LEGEND)


def trace_chart(kind: str) -> Chart:
    """Losses or scores by epoch, a line for each program of a repair; the page gives the data."""
    described = f"{kind} by epoch, a line for each trial, on the training and the validation part"
    base = (
        alt.Chart(alt.NamedData(name=CURVES))
        .transform_filter(f"datum.kind === '{kind}'")
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=kind, scale=alt.Scale(type="symlog" if kind == "loss" else "linear")),
            color=alt.Color(
                "trial:N",
                scale=alt.Scale(scheme="tableau10"),
                legend=alt.Legend(title="trial", orient="bottom"),
            ),
            tooltip=["trial:N", "part:N", "epoch:Q", "value:Q"],
        )
    )
    dashes = alt.Legend(
        title="part", orient="bottom", symbolType="stroke", symbolStrokeColor="gray", symbolSize=400
    )
    drawn = base.mark_line().encode(strokeDash=alt.StrokeDash("part:N", legend=dashes))
    points = base.mark_point(filled=True, size=20, opacity=1).encode(detail="part:N")
    return (
        alt.layer(drawn, points)
        .properties(width="container", height=200, autosize=FIT)
        .properties(description=described)
    )


def curves(trace: Trace) -> list[dict[str, object]]:
    """The curves of a repair: of the faulty program and of the best, each with its number."""
    order = sorted(range(1, len(trace.tried)), key=lambda number: -trace.tried[number].skill)
    return [
        {"trial": f"{number}", "part": name.split("_")[0], "kind": name.split("_")[1], "values": values}
        for number in sorted([0, *order[: MOST_CURVES - 1]])
        for name, values in trace.tried[number].curves.items()
    ]


def save(figure: Figure, folder: Path, form: Format) -> Path:
    """Write a picture into a folder, as wide as a column of a paper."""
    path = folder / f"{figure.id}.{form}"
    width = 2 * PAPER if figure.wide else PAPER
    figure.chart.properties(width=width).save(
        path, format=form, scale_factor=PNG_SCALE if form == "png" else 1
    )
    return path

"""The runs behind a report, and which of their repairs can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netmend.agents.traces import Trace, read_traces
from netmend.env.bugs.bug import Part

TENSORBOARD = "tensorboard"
LEARNT = "repair/validation/fixed"
"""Tag of the share of the validation bugs that a policy fixes while it learns."""
WORDS: dict[Part, str] = {"holdout": "hold-out", "validation": "validation"}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of ``train``, ``evaluate`` or ``repair``.

    Attributes:
        name: of its folder, or its path where another folder has that name.
        traces: its repairs.
        learnt: environment steps, and the share of the validation bugs that the policy fixed then.
    """

    name: str
    traces: Sequence[Trace]
    learnt: Sequence[tuple[int, float]]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Repairs of the same bugs, judged in the same way: what may be compared.

    Attributes:
        title: how many bugs, of which runs.
        methods: repairs by method; a method of several runs has their names behind its own.
        trials: most trials of a repair.
        part: of the data that judges the repairs.
    """

    title: str
    methods: dict[str, list[Trace]]
    trials: int
    part: Part

    @property
    def traces(self) -> list[Trace]:
        """All repairs."""
        return [trace for own in self.methods.values() for trace in own]

    @property
    def bugs(self) -> dict[str, list[Trace]]:
        """Repairs by bug."""
        found: dict[str, list[Trace]] = {}
        for trace in self.traces:
            found.setdefault(trace.bug, []).append(trace)
        return found


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """The runs in these folders.

    Raises:
        NetmendError: one of them keeps no repairs, or they cannot be read.
    """
    names = Counter(folder.resolve().name for folder in folders)
    return [
        Run(
            name=name if names[name := folder.resolve().name] == 1 else str(folder),
            traces=read_traces(folder),
            learnt=_learnt(folder / TENSORBOARD),
        )
        for folder in folders
    ]


def panels(runs: Sequence[Run]) -> list[Panel]:
    """One for each set of bugs, in the order of the runs."""
    groups: dict[tuple[frozenset[str], Part], list[Run]] = {}
    for run in runs:
        if run.traces:
            bugs = frozenset(trace.bug for trace in run.traces)
            groups.setdefault((bugs, run.traces[0].part), []).append(run)
    return [_panel(len(bugs), part, own) for (bugs, part), own in groups.items()]


def _panel(bugs: int, part: Part, runs: Sequence[Run]) -> Panel:
    known = Counter(method for run in runs for method in {trace.method for trace in run.traces})
    methods: dict[str, list[Trace]] = {}
    for run in runs:
        for trace in run.traces:
            label = trace.method if known[trace.method] == 1 else f"{trace.method} ({run.name})"
            methods.setdefault(label, []).append(replace(trace, method=label))
    counted = "1 bug" if bugs == 1 else f"{bugs:,} bugs"
    return Panel(
        title=f"{counted}: {', '.join(run.name for run in runs)}",
        methods=methods,
        trials=max(trace.trials for own in methods.values() for trace in own),
        part=part,
    )


def _learnt(folder: Path) -> list[tuple[int, float]]:
    if not folder.is_dir():
        return []
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    learnt = []
    for place in sorted({path.parent for path in folder.rglob("*tfevents*")}):
        events = EventAccumulator(str(place), size_guidance={"scalars": 0}).Reload()
        if LEARNT in events.Tags()["scalars"]:
            learnt += [(event.step, event.value) for event in events.Scalars(LEARNT)]
    return learnt

"""Stand-in: what is wrong with a program, in words, until the package of this name is merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netmend.env.data.dataset import Dataset
from netmend.env.program import Program, find_crash
from netmend.env.training.symptoms import FINDINGS
from netmend.env.training.trial import Trial

Severity = Literal["fault", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a person is told is wrong with a program."""

    name: str
    severity: Severity
    text: str
    value: float
    place: str
    edits: tuple[str, ...]


def faults(program: Program, dataset: Dataset) -> tuple[Finding, ...]:
    """The static ones."""
    crash = find_crash(program, dataset.task)
    if crash is None:
        return ()
    return (
        Finding(name="crash", severity="fault", text=crash.message, value=1.0, place=crash.phase, edits=()),
    )


def findings(program: Program, dataset: Dataset, trial: Trial | None) -> tuple[Finding, ...]:
    """All of them."""
    found = faults(program, dataset)
    if found or trial is None:
        return found
    return tuple(
        Finding(name=name, severity="warning", text=sentence, value=value, place="", edits=())
        for name, (least, sentence) in FINDINGS.items()
        if abs(value := getattr(trial.symptoms, name)) >= least
    )

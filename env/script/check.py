"""A script is run for a while under the recorder, and what is wrong with it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from netmend.env.errors import NetmendError
from netmend.env.findings import Finding
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from netmend.env.script.rules.crashes import is_of_training

UPDATES = 100
"""Updates that a check looks at: a symptom needs some dozens."""
_SOON = 5.0
"""Seconds of CPU that a whole training may take to be run to its end."""


@dataclass(frozen=True)
class Checked:
    """A script that was checked.

    Attributes:
        script: its path, as it was given.
        record: of the run.
        findings: what is wrong, faults with one answer first.
    """

    script: Path
    record: Record
    findings: tuple[Finding, ...]


def check_script(script: Path, arguments: Sequence[str] = (), plan: Plan | None = None) -> Checked:
    """Run a script in a copy of its folder and look at its record.

    Args:
        script: a ``.py`` or an ``.ipynb``; it is your own code that is run.
        arguments: of its command line.
        plan: limits; without one, 100 updates at most.

    Raises:
        NetmendError: there is no such file, it could not be run, or it does not train a network.
    """
    with Runner() as runner:
        record = look(runner, script, arguments, plan or Plan(updates=UPDATES))
        reason = unjudged(record)
        if reason:
            raise NetmendError(f"{script}: {reason}")
        return Checked(script, record, findings(record))


def look(runner: Runner, script: Path, arguments: Sequence[str], plan: Plan) -> Record:
    """The record of a run; of the whole, where it was stopped in front of its evaluation and is soon over.

    How long loops are need not be known, and others may follow: a run that goes on for too long is given up.
    """
    record = runner.run(script, arguments, plan=plan)
    updates = prod(loop.rounds or 1 for loop in record.loops)
    pace = (record.seconds - record.imports) / max(record.updates, 1)
    if record.ending == "capped" and record.evaluated is None and updates * pace <= _SOON:
        cpu = min(plan.cpu, record.imports + _SOON)
        whole = runner.run(script, arguments, plan=replace(plan, updates=None, cpu=cpu))
        return record if whole.ending == "timeout" else whole
    return record


def unjudged(record: Record) -> str:
    """Why nothing can be said of a script, in one line; empty where something can be."""
    crash = record.crash
    if crash is not None:
        needs = crash.error in _NOT_THERE
        if not needs and (record.network or record.optimizers or is_of_training(crash)):
            return ""
        where = f" ({crash.site})" if crash.site else ""
        looked = "; it runs in a copy of its own folder" if crash.error in _NOT_FOUND else ""
        stops = "it needs what is not installed" if needs else "it stops before it makes a network"
        return f"{stops}: {crash.error}: {crash.message.strip()}{where}{looked}"
    if record.updates or record.losses:
        return ""
    if record.ending in ("finished", "capped"):
        return "no training was seen: no backward pass of PyTorch and no fit of Keras"
    printed = record.printed.strip().splitlines() if record.ending == "exited" else []
    last = [line for line in printed[-1:] if line not in record.message]
    said = "".join(f": {text}" for text in (record.message, *last) if text)
    return f"it ended before its first update, {_ENDINGS.get(record.ending, record.ending)}{said}"


_NOT_FOUND = ("FileNotFoundError", "ModuleNotFoundError")
_NOT_THERE = ("ImportError", "ModuleNotFoundError")
_ENDINGS = {
    "exited": "by leaving with an error",
    "timeout": "out of time (--seconds)",
    "memory": "out of memory (--memory)",
    "killed": "by the system",
}

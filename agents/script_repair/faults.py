"""What is wrong with a script for sure, and whether an edit has mended it."""

from __future__ import annotations

from netmend.agents.script_repair.runs import ENDED_WELL
from netmend.env.findings import Finding
from netmend.env.script.record import Record
from netmend.env.script.rules import findings


def faults(record: Record) -> tuple[Finding, ...]:
    """What is wrong for sure."""
    return tuple(finding for finding in findings(record) if finding.severity == "fault")


def is_better(before: Record, after: Record, finding: Finding) -> bool:
    """Whether an edit has answered a finding and brought nothing worse."""
    if before.crash is not None:
        if after.crash is None:
            return after.ending in ENDED_WELL
        where = (before.crash.site, before.crash.operation) != (after.crash.site, after.crash.operation)
        return (where or after.updates > before.updates) and len(after.operations) >= len(before.operations)
    if after.crash is not None or after.ending not in ENDED_WELL:
        return False
    left, old = faults(after), len(faults(before))
    return len(left) < old and all(own.name != finding.name or own.place != finding.place for own in left)

"""What is wrong with a script for sure, and whether an edit has mended it."""

from __future__ import annotations

from netmend.agents.script_repair.runs import ENDED_WELL
from netmend.agents.script_repair.stage import Stage
from netmend.env.findings import Finding
from netmend.env.script.record import Record
from netmend.env.script.rules import findings


def faults(record: Record) -> tuple[Finding, ...]:
    """What is wrong for sure."""
    return tuple(finding for finding in findings(record) if finding.severity == "fault")


def is_better(stage: Stage, new: Stage, finding: Finding) -> bool:
    """Whether an edit has answered a finding and brought nothing worse."""
    before, after = stage.record, new.record
    if before.crash is not None and after.crash is not None:
        later = stage.crashed_at != new.crashed_at or after.updates > before.updates
        return later and len(after.operations) >= len(before.operations)
    if before.crash is not None or after.crash is not None or after.ending not in ENDED_WELL:
        return after.crash is None and after.ending in ENDED_WELL
    left, old = faults(after), len(faults(before))
    return len(left) < old and all(own.name != finding.name or own.place != finding.place for own in left)

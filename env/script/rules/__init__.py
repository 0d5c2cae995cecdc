"""What is wrong with a script, in words: the findings of its record."""

from __future__ import annotations

from netmend.env.findings.finding import SEVERITIES, Finding
from netmend.env.script.record import Record
from netmend.env.script.rules.course import COURSE, START
from netmend.env.script.rules.crashes import CRASHES
from netmend.env.script.rules.data import DATA, SCALES, WEIGHTS
from netmend.env.script.rules.loop import CHOICES as LOOP_CHOICES, LOOP
from netmend.env.script.rules.mixing import MIXING, SHUFFLED
from netmend.env.script.rules.outputs import CHOICES as OUTPUT_CHOICES, OUTPUTS
from netmend.env.script.rules.reading import Rule

__all__ = ["RULES", "findings"]

RULES: tuple[Rule, ...] = (
    *CRASHES,
    *DATA,
    *LOOP,
    *MIXING,
    *OUTPUTS,
    *WEIGHTS,
    *SHUFFLED,
    *SCALES,
    *LOOP_CHOICES,
    *OUTPUT_CHOICES,
    *START,
    *COURSE,
)
"""Every rule, in the order of its findings: likely causes before what follows from them."""


def findings(record: Record) -> tuple[Finding, ...]:
    """What is wrong with a script: faults with one answer first, then other faults, then warnings.

    Of a script that crashes before its first update there is the finding of the crash alone.

    Args:
        record: of its run.
    """
    rules = CRASHES if record.crash is not None and not record.updates else RULES
    found = [finding for rule in rules for finding in rule.findings(record)]
    return tuple(sorted(found, key=_rank))


def _rank(finding: Finding) -> tuple[bool, int, bool]:
    return finding.name != "crash", SEVERITIES.index(finding.severity), not finding.only_answer

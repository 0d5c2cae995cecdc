"""What is wrong with a program, in words: what stands in it, and what one of its trials shows."""

from netmend.env.findings.catalogue import faults, findings, only_answers
from netmend.env.findings.finding import Finding, Severity

__all__ = ["Finding", "Severity", "faults", "findings", "only_answers"]

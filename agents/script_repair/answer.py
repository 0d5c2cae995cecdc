"""What came of the repair of a script."""

from __future__ import annotations

from dataclasses import dataclass

from netmend.agents.script_repair.claim import Claim
from netmend.agents.script_repair.cost import Length
from netmend.agents.script_repair.hunks import Step
from netmend.agents.script_repair.runs import Texts
from netmend.env.findings import Finding
from netmend.env.script.record import Record


@dataclass(frozen=True, kw_only=True)
class ScriptRepair:
    """What came of the repair of a script.

    Attributes:
        first: record of a short run of the script as it is.
        findings: in that run, the worst first.
        steps: parts of the repair in their order.
        diff: of the script, as ``git apply`` takes it; empty where nothing is offered.
        texts: new text of the files that change, by path.
        before, after: figures of the fresh runs by seed, None for a run that did not end well.
        gain: mean of the scores after less that before; None where there is none.
        kind: of the score, and where it is from; empty where there is none.
        ended: whether the fresh runs before went to their end.
        length: of the real runs.
        claim: ``repair`` where it now runs and learns, or gains what a fresh run would find again; ``gain``
            where it does and a fault still stands in it; ``mended`` where what is wrong for sure was mended
            and the score is no worse; else ``none``.
        left: faults that still stand in an answer that gains.
        further: what a search would add to it, in words; empty where that is nothing, or stands in it.
        notes: what could not be done, by name.
        runs: of the script that are scored; short: others; seconds: wall time of the repair.
    """

    first: Record
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    diff: str
    texts: Texts
    before: tuple[float | None, ...]
    after: tuple[float | None, ...]
    gain: float | None
    kind: str
    ended: bool
    length: Length
    claim: Claim
    left: tuple[Finding, ...]
    further: str
    notes: tuple[str, ...]
    runs: int
    short: int
    seconds: float

    @property
    def tried(self) -> int:
        """Patches that had been run for a score when the answer stood."""
        return max((step.tried for step in self.steps), default=0)

"""What the repair of a script says: for people on the error stream, as JSON, and the diff itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote
from statistics import fmean

from netmend.agents.confirm import LEAST_GAIN
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.cost import told
from netmend.agents.script_repair.repair import folder_here
from netmend.env.findings import Finding
from netmend.env.script.actions import described

_MOST_NOTES = 6


def as_lines(script: Path, result: ScriptRepair) -> Iterator[str]:
    """For people: what was found, what was done, what it brought, what to do next."""
    yield f"\n{script}"
    yield from (f"  {line}" for line in _findings(result))
    if result.diff:
        yield "\nwhat the diff does"
        for number, step in enumerate(result.steps, start=1):
            done = "; ".join(map(described, step.actions))
            better = "the score is better with it"
            because = {"mend": step.why, "answer": f"{step.why}, and {better}", "search": better}
            yield f"  {number}. {step.why if step.kind == 'search' else done} [{', '.join(step.actions)}]"
            yield f"     because {because[step.kind]}"
    if result.after:
        yield f"\n{len(result.after)} fresh seeds, {result.length}: {result.kind or 'no score was seen'}"
        yield f"  before  {_scores(result.before)}"
        yield f"  after   {_scores(result.after)}"
    yield f"\n{verdict(script, result)}"
    shown = result.notes[:_MOST_NOTES]
    yield from (f"  note: {note}" for note in shown)
    yield f"  {result.short} short runs of the script, {result.runs} for a score, {result.seconds:.0f} s"
    yield from (f"  {line}" for line in _next(script, result))


def as_json(script: Path, result: ScriptRepair) -> str:
    """One JSON object."""
    found = {
        "script": str(script),
        "claim": result.claim,
        "score": result.kind,
        "before": list(result.before),
        "after": list(result.after),
        "whole": result.length.whole,
        "findings": [
            {"name": own.name, "severity": own.severity, "text": own.text, "site": str(own.site or "")}
            for own in result.findings
        ],
        "further": result.further,
        "left": [own.name for own in result.left],
        "steps": [{"why": step.why, "actions": list(step.actions)} for step in result.steps],
        "notes": list(result.notes),
        "runs": result.runs,
        "short_runs": result.short,
        "seconds": round(result.seconds, 1),
        "diff": result.diff,
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def verdict(script: Path, result: ScriptRepair) -> str:
    """What is claimed, in one sentence."""
    before = [score for score in result.before if score is not None]
    after = [score for score in result.after if score is not None]
    if result.claim == "none" and not (result.steps or result.findings):
        return f"{script}: no fault was found, and no edit that was tried helps"
    if result.claim == "none":
        tried = "no edit that was tried helps" if not result.steps else "the gain does not hold up"
        return f"{script} is not repaired: {tried}"
    short = "" if result.length.whole else ", not confirmed at full length"
    if result.claim == "mended" and result.first.crash is not None:
        return f"{script} runs to its end now; that it learns is not shown{short}"
    if result.claim == "mended":
        score = "the score is as it was" if before else "no score says whether it trains better"
        if before and result.gain is not None and result.gain >= LEAST_GAIN:
            score = "the score is better, by too little to be sure"
        return f"{script}: what is wrong for sure is mended, and {score}{short}"
    if result.claim == "gain":
        return f"{script} gains, and is not repaired yet{short}: {_stands(result.left)}"
    always = "always " if before else ""
    if not result.ended:
        return f"{script} is repaired: it did not {always}run to its end, and does now{short}"
    if len(before) < len(result.before):
        return f"{script} is repaired: it did not {always}have a score, and has now {fmean(after):.3f}{short}"
    name = result.kind.partition(",")[0]
    return f"{script} is repaired: {name} {fmean(before):.3f} becomes {fmean(after):.3f}{short}"


def _stands(left: Sequence[Finding]) -> str:
    """What still has to be mended, by hand."""
    first, *more = left
    others = f", and {len(more)} more" if more else ""
    return f"{_where(first)}{first.text}{others}"


def _where(finding: Finding) -> str:
    return f"{finding.site}: " if finding.site is not None else ""


def _findings(result: ScriptRepair) -> Iterator[str]:
    for finding in result.findings:
        yield f"{finding.severity:7}  {_where(finding)}{finding.text}"
    if not result.findings:
        yield "nothing is wrong for sure"


def _scores(scores: Sequence[float | None]) -> str:
    each = ", ".join("no score" if score is None else f"{score:.3f}" for score in scores)
    known = [score for score in scores if score is not None]
    return f"{fmean(known):.3f} ({each})" if known else each


def _next(script: Path, result: ScriptRepair) -> Iterator[str]:
    if result.claim == "none":
        if result.findings:
            yield f"netmend check {quote(str(script))} says more about each finding"
        return
    where = "" if folder_here(script) or script.resolve().parent == Path.cwd() else f" in {script.parent}"
    yield f"to apply it: git apply the diff{where}, or the same command with --apply"
    if result.further:
        yield f"to gain more: the same command with --more: {result.further}"
    if not result.length.whole:
        total = result.length.total
        long = "" if total is None else f", whose runs take about {told(total)} each"
        yield f"to confirm it at full length: the same command with --whole{long}"

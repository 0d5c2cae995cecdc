"""What a run keeps of its repairs for ``netmend report``: one line for each, packed, in one file."""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from netmend.agents.outcome import Outcome, change, holdout_skill
from netmend.agents.repair import findings_of
from netmend.env.bugs.bug import Part
from netmend.env.errors import NetmendError
from netmend.env.findings import Finding
from netmend.env.program import Program, dump
from netmend.env.program.wording import in_words
from netmend.env.training.trial import Trial
from netmend.env.writing import write_whole

TRACES = "repairs.jsonl.gz"
"""The file in the folder of a run of ``train``, ``evaluate`` or ``repair``."""
DIGITS = 5
"""Significant digits of what is kept."""
CONTEXT = 1
"""Lines around a change of a diff: the file of a program is long, and its keys speak for themselves."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One program that a repair tried.

    Attributes:
        change: what it changed, in the names of repair actions.
        edits: of its whole patch.
        status, message: how its trial ended, and why where it failed.
        skill, holdout: on the validation part, and on the hold-out part where that was opened.
        work: of its trial, in millions of multiply-accumulates.
        curves: values by epoch, by the name of the curve.
    """

    change: str
    edits: int
    status: str
    message: str
    skill: float
    holdout: float | None
    work: float
    curves: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One repair of one bug.

    Attributes:
        bug: its id.
        base: name of the good program behind it, empty where there is none.
        operators: mutation operators that made it, or fault codes.
        method, seed: who repaired it.
        trials: most trials that the repair could spend.
        part: on which part of the data it is judged.
        findings: what was wrong with the faulty program.
        tried: the faulty program, the programs of the search, then those that minimised the patch.
        fixed, rates: whether the answer after 0, 1, ... trials fixes the bug, and its improvement rate. After
            the last one the search has ended. None where the published fix is not known.
        gain: skill of the answer less that of the faulty program.
        patch: names of the edits of the answer, as minimised.
        changes: the same in words.
        diff: of the files of both programs.
        fix_work: work of a trial of the published fix; None where it is not known.
        failure: why the method could not go on; empty where it could.
        notes: what was said of the answer.
    """

    bug: str
    base: str
    operators: Sequence[str]
    method: str
    seed: int
    trials: int
    part: Part
    findings: Sequence[Finding]
    tried: Sequence[Tried]
    fixed: Sequence[bool | None]
    rates: Sequence[float | None]
    gain: float
    patch: Sequence[str]
    changes: Sequence[str]
    diff: str
    fix_work: float | None
    failure: str
    notes: Sequence[str]


def write_traces(
    folder: Path,
    outcomes: Sequence[Outcome],
    *,
    trials: int,
    part: Part = "holdout",
    works: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write what came of repairs into the folder of a run.

    Args:
        folder: of the run.
        outcomes: of its repairs.
        trials: most trials of each.
        part: of the data that judges them; the hold-out part must have been opened for that.
        works: work of a trial of the published fix, by bug.
        notes: what was said of the answers.
    """
    found: dict[tuple[str, int], tuple[Finding, ...]] = {}
    lines = []
    for outcome in outcomes:
        case = (outcome.bug.id, outcome.seed)
        if case not in found:
            found[case] = findings_of(outcome)
        trace = _trace(outcome, trials, part, found[case], (works or {}).get(outcome.bug.id), notes)
        lines.append(json.dumps(_rounded(asdict(trace)), separators=(",", ":")))
    write_whole(folder / TRACES, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


def read_traces(folder: Path) -> list[Trace]:
    """The repairs of a run.

    Raises:
        NetmendError: it keeps none, or the file is not whole or from another version.
    """
    path = folder / TRACES
    if not path.is_file():
        said = f"{folder}: no {TRACES}; a finished run of train, evaluate or repair writes it"
        raise NetmendError(said)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            return [_read(json.loads(line)) for line in file]
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise NetmendError(f"{path}: not whole, or of another version; run it again ({error})") from error


def _trace(
    outcome: Outcome,
    trials: int,
    part: Part,
    found: tuple[Finding, ...],
    fix_work: float | None,
    notes: Sequence[str],
) -> Trace:
    bug, answer = outcome.bug, outcome.minimised.proposal
    judged = [_judged(outcome, count, part) for count in range(outcome.searched + 1)]
    return Trace(
        bug=bug.id,
        base=bug.base,
        operators=bug.operators,
        method=outcome.method,
        seed=outcome.seed,
        trials=trials,
        part=part,
        findings=found,
        tried=[_tried(outcome, number) for number in range(len(outcome.attempts))],
        fixed=[fixed for fixed, _ in judged],
        rates=[rate for _, rate in judged],
        gain=_skill(outcome.found.trial, part) - _skill(outcome.attempts[0].trial, part),
        patch=answer.patch,
        changes=in_words(bug.program, answer.program),
        diff=_diff(bug.program, answer.program),
        fix_work=fix_work,
        failure=outcome.failure,
        notes=notes,
    )


def _judged(outcome: Outcome, trials: int, part: Part) -> tuple[bool | None, float | None]:
    """Whether the answer after so many trials fixes the bug, and its improvement rate."""
    answer = outcome.answer(trials)
    if part == "holdout":
        return outcome.fixed(answer), outcome.improvement_rate(answer)
    skill = answer.trial.skill
    return outcome.bug.is_fixed(skill, part), outcome.bug.recovered(skill)


def _skill(trial: Trial, part: Part) -> float:
    opened = holdout_skill(trial) if part == "holdout" else None
    return trial.skill if opened is None else opened


def _tried(outcome: Outcome, number: int) -> Tried:
    attempt = outcome.attempts[number]
    trial = attempt.trial
    return Tried(
        change=change(outcome, number),
        edits=len(attempt.proposal.patch),
        status=trial.status.value,
        message=trial.message,
        skill=trial.skill,
        holdout=trial.holdout,
        work=trial.work,
        curves={name: values for name, values in asdict(trial.curves).items() if values},
    )


@cache
def _text(program: Program) -> list[str]:
    return dump(program).splitlines()


def _diff(before: Program, after: Program) -> str:
    """What differs between the files of two programs, without the header that names the files."""
    lines = difflib.unified_diff(_text(before), _text(after), lineterm="", n=CONTEXT)
    return "\n".join(list(lines)[2:])


def _rounded(plain: object) -> object:
    if isinstance(plain, float):
        return float(f"{plain:.{DIGITS}g}")
    if isinstance(plain, dict):
        return {key: _rounded(value) for key, value in plain.items()}
    return [_rounded(value) for value in plain] if isinstance(plain, list | tuple) else plain


def _read(plain: dict[str, object]) -> Trace:
    tried, findings = plain["tried"], plain["findings"]
    assert isinstance(tried, list)
    assert isinstance(findings, list)
    parts = {"tried": [Tried(**one) for one in tried], "findings": [Finding(**one) for one in findings]}
    return Trace(**{**plain, **parts})  # type: ignore[arg-type]  # a wrong key is a TypeError

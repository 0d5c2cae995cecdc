"""Bugs and suites written as YAML files, whole or not at all; the form is described in docs/own_bugs.md."""

from __future__ import annotations

from pathlib import Path

from netmend.env.bugs.bug import Bug, Score, Suite
from netmend.env.bugs.files import TEXTS, Plain
from netmend.env.program import SCHEMA_VERSION, Program, dump, to_plain, write_yaml
from netmend.env.program.yaml import VERSION_KEY
from netmend.env.training.trial import Budget
from netmend.env.writing import write_whole


def write_bug(bug: Bug, path: Path) -> None:
    """Write the file of one bug. Raises OSError where it cannot be written."""
    plain = {VERSION_KEY: SCHEMA_VERSION, **_plain_bug(bug)}
    if bug.fixed is not None:
        plain["fixed"] = to_plain(bug.fixed)
    if bug.fixed_score is not None:
        plain["fixed_score"] = _plain_score(bug.fixed_score)
    for key in ("base", "operators", "faulty_score"):
        if not plain[key]:
            del plain[key]
    write_whole(path, write_yaml(plain))


def written_as(bug: Bug, program: Program) -> str:
    """The text of a file of a program that takes the place of a bug's, judged and trained as that was."""
    if bug.task_metric is None and bug.budget is None:
        return dump(program)
    known = {key: value for key, value in _plain_bug(bug).items() if key in ("task_metric", "budget")}
    return write_yaml({VERSION_KEY: SCHEMA_VERSION, **known, "program": to_plain(program)})


def write_suite(suite: Suite, path: Path, made: Plain) -> None:
    """Write a suite as one file, whole or not at all.

    Args:
        suite: what to write; the fixes of its bugs are written once for each base.
        path: the file; it is replaced.
        made: how it was made, for those who want to repeat it.

    Raises:
        OSError: the file cannot be written.
    """
    plain = {
        VERSION_KEY: SCHEMA_VERSION,
        "name": suite.name,
        "description": suite.description,
        "made": dict(made),
        "budget": _plain_budget(suite.budget),
        "bases": {bug.base: _plain_fix(bug) for bug in suite.bugs},
        "bugs": [_plain_bug(bug) for bug in suite.bugs],
    }
    write_whole(path, write_yaml(plain))


def _plain_budget(budget: Budget) -> Plain:
    return {key: getattr(budget, key) for key in Budget.__dataclass_fields__}


def _plain_bug(bug: Bug) -> dict[str, object]:
    """What a file says of a bug; keys that few bugs have are left out where they hold nothing."""
    plain: dict[str, object] = {
        "id": bug.id,
        "split": bug.split,
        "kind": bug.kind,
        "base": bug.base,
        "operators": list(bug.operators),
        "fix_patterns": list(bug.fix_patterns),
        "crash_phase": bug.crash_phase,
        "causes": list(bug.causes),
        "remedies": list(bug.remedies),
        "provenance": bug.provenance,
        **{key: getattr(bug, key) for key in TEXTS},
        "task_metric": bug.task_metric,
        "budget": None if bug.budget is None else _plain_budget(bug.budget),
        "program": to_plain(bug.program),
        "faulty_score": _plain_score(bug.faulty_score),
    }
    rare = ("fix_patterns", "crash_phase", "causes", "remedies", *TEXTS, "task_metric", "budget")
    plain = {key: value for key, value in plain.items() if value or key not in rare}
    if bug.kind == "performance":
        del plain["kind"]
    return plain


def _plain_fix(bug: Bug) -> Plain:
    program = {} if bug.fixed is None else {"program": to_plain(bug.fixed)}
    return program | {"score": _plain_score(bug.fixed_score)}


def _plain_score(score: Score | None) -> Plain | None:
    if score is None:
        return None
    parts = {"validation": score.validation, "holdout": score.holdout}
    return {key: {"mean": part.mean, "sd": part.sd, "seeds": part.seeds} for key, part in parts.items()}

"""Bugs and suites as YAML files; the form is described in docs/bugs.md."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from netmend.env.bugs.bug import BUG_KINDS, SPLITS, Bug, Score, Spread, Suite
from netmend.env.bugs.measured import MEASURED, read_measured, with_measured
from netmend.env.errors import FileError, ProgramError, UnknownNameError
from netmend.env.program import PHASES, Program, decode_program
from netmend.env.program.crashes import Phase
from netmend.env.program.fields import fields_of
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.yaml import VERSION_KEY, check_version
from netmend.env.reading import read_yaml
from netmend.env.training.trial import Budget

Plain = Mapping[str, object]
Fixes = Mapping[str, tuple[Program, Score | None]]
Name = TypeVar("Name", bound=str)

TEXTS = ("quality", "symptom", "fix_helps", "not_reproduced")
"""Keys of a bug that are words for a reader."""
QUALITIES = ("A", "B", "C", "")
FIX_HELPS = ("false", "loss only", "")
FIX_PATTERNS = (
    "Loss function",
    "Activation",
    "Optimizer",
    "Iterations",
    "Add layer",
    "Layer dimension",
    "Data wrangling",
    "Neural connection",
    "Change neural architecture",
    "Data dimension",
    "Data type",
    "API contract",
    "Versioning",
    "Accuracy metric",
    "Monitor",
)
"""Fix patterns as the ICSE 2020 study names them."""
BUG_KEYS = (
    "id",
    "split",
    "kind",
    "base",
    "operators",
    "fix_patterns",
    "crash_phase",
    "causes",
    "remedies",
    "provenance",
    *TEXTS,
    "task_metric",
    "budget",
    "program",
    "fixed",
    "faulty_score",
    "fixed_score",
)
SUITE_KEYS = ("name", "description", "made", "budget", "bases", "bugs")
NO_BUG = ("suite", Path(MEASURED).stem)
"""Names of files in a folder of bug files that hold none."""
OLD_LIMIT = "seconds"
WORK_INSTEAD = "write `work`, in millions of multiply-accumulates (10,000 a second on a core)"
NO_PHASE: Literal[""] = ""


def read_bug(path: Path) -> Bug:
    """Read the file of one bug; a relative dataset file is looked for beside it.

    The file of a program alone, as ``netmend repair`` writes it, is a bug of which nothing else is known.

    Raises:
        FileError: the file is wrong; the message lists every problem with its path.
    """
    plain = read_yaml(path)
    problems: list[str] = []
    if isinstance(plain, Mapping):
        check_version(plain, problems)
        plain = {key: value for key, value in plain.items() if key != VERSION_KEY}
        if _is_program(plain):
            return _bug_of(path, plain, problems)
        plain = {"id": path.stem, "split": "held-out", **plain}
    bug = _bug(plain, "", {}, problems)
    if bug is None or problems:
        raise ProgramError(str(path), problems)
    fixed = _beside(bug.fixed, path.parent) if bug.fixed is not None else None
    return replace(bug, program=_beside(bug.program, path.parent), fixed=fixed)


def written_in(program: Program, folder: Path) -> Program:
    """The program as a file in ``folder`` says it: the path of its data starts there.

    So that folders with their data can be moved and handed on; ``read_bug`` is the way back.
    """
    place = Path(program.data.dataset)
    if not place.is_absolute():
        return program
    try:
        name = Path(os.path.relpath(place, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return program
    return replace(program, data=replace(program.data, dataset=name))


def is_bug_file(path: Path) -> bool:
    """Whether a file holds one bug and not a suite. Raises FileError where it cannot be read."""
    plain = read_yaml(path)
    return not (isinstance(plain, Mapping) and "bugs" in plain)


def read_suite(path: Path) -> Suite:
    """Read a suite in one file, as ``netmend bugs make`` writes it. Raises FileError like ``read_bug``."""
    plain = read_yaml(path)
    problems: list[str] = []
    plain = _mapping(plain, "", (VERSION_KEY, *SUITE_KEYS), problems)
    check_version(plain, problems)
    fixes = _fixes(plain.get("bases", {}), problems)
    entries = plain.get("bugs")
    if not isinstance(entries, list) or not entries:
        problems.append("bugs: not a list of bugs")
        entries = []
    bugs = [_bug(entry, f"bugs[{i}]", fixes, problems) for i, entry in enumerate(entries)]
    budget = _budget(plain.get("budget", {}), "budget", problems)
    whole = tuple(bug for bug in bugs if bug is not None)
    problems += duplicates(whole)
    if problems:
        raise ProgramError(str(path), problems)
    description = str(plain.get("description", ""))
    return Suite(name=str(plain.get("name", path.stem)), description=description, budget=budget, bugs=whole)


def read_folder(folder: Path) -> Suite:
    """Read every bug file of a folder as one suite.

    ``suite.yaml`` there may give description and budget, ``measured.yaml`` what was measured of the bugs.

    Raises:
        ProgramError: there is no bug file, an id comes twice, or files are wrong; lists all their problems.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.stem not in NO_BUG)
    problems: list[str] = [] if paths else ["holds no bug file (*.yaml)"]
    bugs = []
    for path in paths:
        try:
            bugs.append(read_bug(path))
        except FileError as error:
            problems += [f"{path.name}: {problem}" for problem in error.problems]
    problems += duplicates(bugs)
    about: Plain = {}
    if (folder / "suite.yaml").exists():
        about = _mapping(
            read_yaml(folder / "suite.yaml"), "suite.yaml", (VERSION_KEY, *SUITE_KEYS[:4]), problems
        )
    budget = _budget(about.get("budget", {}), "budget", problems)
    if problems:
        raise ProgramError(str(folder), problems)
    name, description = str(about.get("name", folder.name)), str(about.get("description", ""))
    measured = with_measured(bugs, read_measured(folder))
    return Suite(name=name, description=description, budget=budget, bugs=measured)


def duplicates(bugs: Sequence[Bug]) -> list[str]:
    """A problem for every id that two bugs have."""
    counts = Counter(bug.id for bug in bugs)
    return [f"bugs: the id {name!r} comes {count} times" for name, count in counts.items() if count > 1]


def _mapping(plain: object, path: str, keys: tuple[str, ...], problems: list[str]) -> Plain:
    if not isinstance(plain, Mapping):
        problems.append(f"{path or 'the file'}: not a mapping with keys of {', '.join(keys)}")
        return {}
    for key in plain:
        if key not in keys:
            problems.append(f"{_join(path, str(key))}: {UnknownNameError('key', str(key), keys)}")
    return plain


def _bug(plain: object, path: str, fixes: Fixes, problems: list[str]) -> Bug | None:
    before = len(problems)
    plain = _mapping(plain, path, BUG_KEYS, problems)
    if "program" not in plain:
        problems.append(f"{_join(path, 'program')}: missing, expected the faulty program")
        return None
    base = str(plain.get("base", ""))
    fixed, fixed_score = fixes.get(base, (None, None))
    if "fixed" in plain:
        fixed = decode_program(plain["fixed"], _join(path, "fixed"), problems)
    if "fixed_score" in plain:
        fixed_score = _score(plain["fixed_score"], _join(path, "fixed_score"), problems)
    program = decode_program(plain["program"], _join(path, "program"), problems)
    faulty_score = plain.get("faulty_score")
    faulty = None if faulty_score is None else _score(faulty_score, _join(path, "faulty_score"), problems)
    kind = _one_of(BUG_KINDS, plain.get("kind", "performance"), _join(path, "kind"), problems)
    split = _one_of(SPLITS, plain.get("split", "held-out"), _join(path, "split"), problems)
    phases: tuple[Phase | Literal[""], ...] = (*PHASES, NO_PHASE)
    phase = _one_of(phases, plain.get("crash_phase", NO_PHASE), _join(path, "crash_phase"), problems)
    operators = _names(plain.get("operators", []), _join(path, "operators"), problems)
    patterns = _names(plain.get("fix_patterns", []), _join(path, "fix_patterns"), problems)
    causes = _names(plain.get("causes", []), _join(path, "causes"), problems)
    remedies = _names(plain.get("remedies", []), _join(path, "remedies"), problems)
    for name in patterns:
        _one_of(FIX_PATTERNS, name, _join(path, "fix_patterns"), problems)
    quality = _one_of(QUALITIES, _word(plain.get("quality")), _join(path, "quality"), problems)
    helps = _one_of(FIX_HELPS, _word(plain.get("fix_helps")), _join(path, "fix_helps"), problems)
    texts = {key: str(plain.get(key, "")) for key in TEXTS} | {"quality": quality, "fix_helps": helps}
    budget = _budget(plain["budget"], _join(path, "budget"), problems) if "budget" in plain else None
    task_metric = None
    if "task_metric" in plain:
        task_metric = _one_of(CLASS_METRICS, plain["task_metric"], _join(path, "task_metric"), problems)
    if program is None or len(problems) > before:
        return None
    return Bug(
        id=str(plain.get("id", path)),
        program=program,
        split=split,
        fixed=fixed,
        base=base,
        operators=operators,
        provenance=str(plain.get("provenance", "")),
        kind=kind,
        fix_patterns=patterns,
        crash_phase=phase,
        task_metric=task_metric,
        causes=causes,
        remedies=remedies,
        budget=budget,
        faulty_score=faulty,
        fixed_score=fixed_score,
        **texts,
    )


def _is_program(plain: Plain) -> bool:
    """Whether a mapping is a program itself: it has keys of one, and none that holds one."""
    return "program" not in plain and any(field.name in plain for field in fields_of(Program))


def _bug_of(path: Path, plain: Plain, problems: list[str]) -> Bug:
    program = decode_program(plain, "", problems)
    if program is None or problems:
        raise ProgramError(str(path), problems)
    return Bug(id=path.stem, program=_beside(program, path.parent), split="held-out")


def _fixes(plain: object, problems: list[str]) -> Fixes:
    if not isinstance(plain, Mapping):
        problems.append("bases: not a mapping of names to fixed programs")
        return {}
    fixes: dict[str, tuple[Program, Score | None]] = {}
    for name, entry in plain.items():
        path = f"bases.{name}"
        parts = _mapping(entry, path, ("program", "score"), problems)
        program = decode_program(parts.get("program"), f"{path}.program", problems)
        score = _score(parts["score"], f"{path}.score", problems) if "score" in parts else None
        if program is not None:
            fixes[str(name)] = program, score
    return fixes


def _one_of(names: Sequence[Name], value: object, path: str, problems: list[str]) -> Name:
    for name in names:
        if value == name:
            return name
    problems.append(f"{path}: {value!r} is none of {', '.join(filter(None, names))}")
    return names[-1]


def _word(value: object) -> object:
    """A key's value with what YAML reads as nothing or as a boolean as the word that was written."""
    return "" if value is None else "false" if value is False else value


def _names(value: object, path: str, problems: list[str]) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    problems.append(f"{path}: {value!r} is not a list of names")
    return ()


def _score(plain: object, path: str, problems: list[str]) -> Score | None:
    parts = _mapping(plain, path, ("validation", "holdout"), problems)
    spreads = [_spread(parts.get(key), f"{path}.{key}", problems) for key in ("validation", "holdout")]
    return Score(validation=spreads[0], holdout=spreads[1])


def _spread(plain: object, path: str, problems: list[str]) -> Spread:
    parts = _mapping(plain, path, ("mean", "sd", "seeds"), problems)
    mean, sd, seeds = (_number(parts.get(key), f"{path}.{key}", problems) for key in ("mean", "sd", "seeds"))
    return Spread(mean=mean, sd=sd, seeds=int(seeds))


def _number(value: object, path: str, problems: list[str]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    problems.append(f"{path}: {value!r} is not a number")
    return 0.0


def _budget(plain: object, path: str, problems: list[str]) -> Budget:
    known = tuple(Budget.__dataclass_fields__)
    if isinstance(plain, Mapping) and OLD_LIMIT in plain:
        problems.append(f"{path}.{OLD_LIMIT}: a trial is limited by its work and not by time; {WORK_INSTEAD}")
        plain = {key: value for key, value in plain.items() if key != OLD_LIMIT}
    values = _mapping(plain, path, known, problems)
    numbers = {key: _number(values[key], f"{path}.{key}", problems) for key in known if key in values}
    problems += [f"{path}.{key}: {value:g} is not positive" for key, value in numbers.items() if value <= 0]
    work = numbers.pop("work", Budget().work)
    return replace(Budget(work=work), **{key: int(value) for key, value in numbers.items()})


def _beside(program: Program, folder: Path) -> Program:
    name = program.data.dataset
    if not name.endswith((".npz", ".csv")):
        return program
    return replace(program, data=replace(program.data, dataset=str((folder / name).resolve())))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

"""Bugs and suites from YAML files; the form is described in docs/own_bugs.md."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from netmend.env.bugs.bug import BUG_KINDS, SPLITS, Bug, Score, Spread, Suite
from netmend.env.bugs.measured import MEASURED, read_measured, with_measured
from netmend.env.errors import MOST_PROBLEMS, FileError, ProgramError, UnknownNameError
from netmend.env.program import PHASES, Program, decode_program
from netmend.env.program.crashes import Phase
from netmend.env.program.fields import fields_of, shown
from netmend.env.program.limits import BUDGETS, Range
from netmend.env.program.names import CLASS_METRICS
from netmend.env.program.yaml import VERSION_KEY, check_version
from netmend.env.reading import read_yaml, shown_path
from netmend.env.training.trial import Budget
from netmend.repair_actions import PATTERNS

Plain = Mapping[str, object]
Fixes = Mapping[str, tuple[Program | None, Score | None]]
Name = TypeVar("Name", bound=str)
Item = TypeVar("Item")

TEXTS = ("quality", "symptom", "fix_helps", "not_reproduced")
"""Keys of a bug that are words for a reader."""
QUALITIES = ("A", "B", "C", "")
FIX_HELPS = ("false", "loss only", "")
FIX_PATTERNS = tuple(name.replace("_", " ").capitalize().replace("Api", "API") for name in PATTERNS)
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
MOST_NAMES, MOST_ID = 100, 200
"""Names in a list of a bug, and characters of an id."""
OLD_LIMIT = "seconds"
WORK_INSTEAD = "write `work`, in millions of multiply-accumulates (10,000 a second on a core)"
NO_PHASE: Literal[""] = ""
SCORE_KEYS = ("validation", "holdout")
SPREADS = {"mean": Range(-1e6, 1e6), "sd": Range(0, 1e6), "seeds": Range(1, 1e6)}


def read_bug(path: Path) -> Bug:
    """Read the file of one bug; a relative dataset file is looked for beside it.

    The file of a program alone, as ``netmend repair`` writes it, is a bug of which nothing else is known.

    Raises:
        FileError: the file is wrong; the message lists every problem with its path.
    """
    return _bug_of(path, read_yaml(path))


def read_file(path: Path) -> Bug | Suite:
    """Read a file of one bug, or of a suite. Raises FileError as ``read_bug``."""
    plain = read_yaml(path)
    return _suite_of(path, plain) if isinstance(plain, Mapping) and "bugs" in plain else _bug_of(path, plain)


def read_suite(path: Path) -> Suite:
    """Read a suite in one file, as ``netmend bugs make`` writes it. Raises FileError as ``read_bug``."""
    return _suite_of(path, read_yaml(path))


def written_in(program: Program, folder: Path) -> Program:
    """The program as a file in ``folder`` says it: the path of its data starts there.

    So that folders with their data can be moved and handed on; ``read_bug`` is the way back.
    """
    place = Path(program.data.dataset)
    if not place.is_absolute():
        return program
    name = Path(os.path.relpath(place, folder.resolve())).as_posix()
    return replace(program, data=replace(program.data, dataset=name))


def read_folder(folder: Path) -> Suite:
    """Read every bug file of a folder as one suite.

    ``suite.yaml`` there may give description and budget, ``measured.yaml`` what was measured of the bugs.

    Raises:
        ProgramError: there is no bug file, an id comes twice, or files are wrong; lists all their problems.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.stem not in NO_BUG)
    problems: list[str] = [] if paths else ["holds no bug file (*.yaml)"]
    bugs = []
    for path in _while_few(paths, problems):
        try:
            bugs.append(read_bug(path))
        except FileError as error:
            problems += [f"{shown_path(path.name)}: {problem}" for problem in error.problems]
    problems += duplicates(bugs)
    plain = read_yaml(folder / "suite.yaml") if os.path.lexists(folder / "suite.yaml") else {}
    about = _Section(plain, "suite.yaml", (VERSION_KEY, *SUITE_KEYS[:4]), problems)
    suite = Suite(
        name=about.text("name", folder.name),
        description=about.text("description"),
        budget=about.budget("budget"),
        bugs=with_measured(bugs, read_measured(folder)),
    )
    if problems:
        raise ProgramError(shown_path(folder), problems)
    return suite


def duplicates(bugs: Sequence[Bug]) -> list[str]:
    """A problem for every id that two bugs have."""
    counts = Counter(bug.id for bug in bugs)
    return [f"bugs: the id {name!r} comes {count} times" for name, count in counts.items() if count > 1]


def _while_few(items: Iterable[Item], problems: Sequence[str]) -> Iterator[Item]:
    """Items for as long as a message can list the problems with them: each costs a search for near names."""
    for item in items:
        if len(problems) > MOST_PROBLEMS:
            return
        yield item


def _suite_of(path: Path, plain: object) -> Suite:
    problems: list[str] = []
    about = _Section(plain, "", (VERSION_KEY, *SUITE_KEYS), problems)
    check_version(about.plain, problems)
    fixes: dict[str, tuple[Program | None, Score | None]] = {}
    bases = about.plain.get("bases", {})
    if not isinstance(bases, Mapping):
        about.problem("bases", "not a mapping of names to fixed programs")
        bases = {}
    for name, entry in _while_few(bases.items(), problems):
        base = _Section(entry, f"bases.{name}", ("program", "score"), problems)
        fixes[str(name)] = base.program("program"), base.score("score")
    entries = about.plain.get("bugs")
    if not isinstance(entries, list) or not entries:
        about.problem("bugs", "not a list of bugs")
        entries = []
    bugs = []
    for i, entry in _while_few(enumerate(entries), problems):
        bug = _bug(_Section(entry, f"bugs[{i}]", BUG_KEYS, problems), fixes)
        bugs += [] if bug is None else [bug]
    problems += duplicates(bugs)
    suite = Suite(
        name=about.text("name", path.stem),
        description=about.text("description"),
        budget=about.budget("budget"),
        bugs=tuple(bugs),
    )
    if problems:
        raise ProgramError(shown_path(path), problems)
    return suite


def _bug_of(path: Path, plain: object) -> Bug:
    problems: list[str] = []
    bug: Bug | None = None
    if isinstance(plain, Mapping):
        check_version(plain, problems)
        plain = {key: value for key, value in plain.items() if key != VERSION_KEY}
        if "program" not in plain and any(field.name in plain for field in fields_of(Program)):
            program = decode_program(plain, "", problems)
            bug = None if program is None else Bug(id=path.stem, program=program, split="held-out")
        else:
            bug = _bug(_Section({"id": path.stem, **plain}, "", BUG_KEYS, problems))
    else:
        problems.append(f"not a mapping with keys of {', '.join(BUG_KEYS)}")
    if bug is None or problems:
        raise ProgramError(shown_path(path), problems)
    fixed = _beside(bug.fixed, path.parent) if bug.fixed is not None else None
    return replace(bug, program=_beside(bug.program, path.parent), fixed=fixed)


def _bug(part: _Section, fixes: Fixes | None = None) -> Bug | None:
    before = len(part.problems)
    if "program" not in part.plain:
        part.problem("program", "missing, expected the faulty program")
        return None
    program = part.program("program")
    fixed, fixed_score = (fixes or {}).get(str(part.plain.get("base", "")), (None, None))
    if "fixed" in part.plain:
        fixed = part.program("fixed")
    phases: tuple[Phase | Literal[""], ...] = (*PHASES, NO_PHASE)
    for key in ("quality", "fix_helps"):  # what YAML reads as a boolean or as nothing is the word written
        if part.plain.get(key, "") in (None, False):
            part.plain[key] = "" if part.plain[key] is None else "false"
    patterns = part.names("fix_patterns")
    for name in patterns:
        part.check_word("fix_patterns", name, FIX_PATTERNS)
    bug_id = part.text("id", part.path)
    if not bug_id.isprintable() or not 0 < len(bug_id) <= MOST_ID:
        part.problem("id", f"{shown(bug_id)} is not a name of 1 to {MOST_ID} characters")
    base, provenance, symptom, not_reproduced = map(
        part.text, ("base", "provenance", "symptom", "not_reproduced")
    )
    operators, causes, remedies = map(part.names, ("operators", "causes", "remedies"))
    split = part.word("split", SPLITS, "held-out")
    kind = part.word("kind", BUG_KINDS, "performance")
    crash_phase = part.word("crash_phase", phases, NO_PHASE)
    task_metric = part.word("task_metric", CLASS_METRICS) if "task_metric" in part.plain else None
    quality, helps = part.word("quality", QUALITIES, ""), part.word("fix_helps", FIX_HELPS, "")
    budget = part.budget("budget") if "budget" in part.plain else None
    faulty_score = part.score("faulty_score")
    if "fixed_score" in part.plain:
        fixed_score = part.score("fixed_score")
    if program is None or len(part.problems) > before:
        return None
    return Bug(
        id=bug_id,
        program=program,
        split=split,
        fixed=fixed,
        kind=kind,
        quality=quality,
        fix_helps=helps,
        fix_patterns=patterns,
        crash_phase=crash_phase,
        task_metric=task_metric,
        budget=budget,
        faulty_score=faulty_score,
        fixed_score=fixed_score,
        base=base,
        provenance=provenance,
        symptom=symptom,
        not_reproduced=not_reproduced,
        operators=operators,
        causes=causes,
        remedies=remedies,
    )


class _Section:
    """A mapping of a file: its values by key, each checked; what is wrong is added to the problems.

    Attributes:
        plain: the mapping, empty where there is none.
        path: of the mapping in its file, empty at the top.
        problems: of the whole file.
    """

    def __init__(self, plain: object, path: str, keys: tuple[str, ...], problems: list[str]) -> None:
        self.plain: dict[str, Any] = dict(plain) if isinstance(plain, Mapping) else {}
        self.path, self.problems = path, problems
        if not isinstance(plain, Mapping):
            problems.append(f"{path or 'the file'}: not a mapping with keys of {', '.join(keys)}")
        for key in _while_few(self.plain, problems):
            if key not in keys:
                self.problem(str(key), str(UnknownNameError("key", str(key), keys)))

    def is_mapping(self, key: str, value: object, keys: Sequence[str]) -> bool:
        if not isinstance(value, Mapping):
            self.problem(key, f"{shown(value)} is not a mapping with keys of {', '.join(keys)}")
        return isinstance(value, Mapping)

    def path_of(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.path_of(key)}: {text}")

    def text(self, key: str, default: str = "") -> str:
        value = self.plain.get(key, default)
        if isinstance(value, Mapping | list):
            self.problem(key, f"{shown(value)} is not a text")
        return str(value)

    def word(self, key: str, names: Sequence[Name], default: object = None) -> Name:
        return self.check_word(key, self.plain.get(key, default), names)

    def check_word(self, key: str, value: object, names: Sequence[Name]) -> Name:
        for name in names:
            if value == name:
                return name
        self.problem(key, f"{_quoted(value)} is not one of {', '.join(filter(None, names))}")
        return names[-1]

    def names(self, key: str) -> tuple[str, ...]:
        value = self.plain.get(key, [])
        few = isinstance(value, list) and len(value) <= MOST_NAMES
        if few and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.problem(key, f"{_quoted(value)} is not a list of at most {MOST_NAMES} names")
        return ()

    def program(self, key: str) -> Program | None:
        return decode_program(self.plain.get(key), self.path_of(key), self.problems)

    def number(self, key: str, limits: Range, *, whole: bool = False) -> float:
        value: Any = self.plain.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and limits.holds(value) and not (whole and value != int(value)):
            return float(value)
        self.problem(key, f"{_quoted(value)} is not a {'whole ' if whole else ''}number in {limits}")
        return limits.high

    def score(self, key: str) -> Score | None:
        plain = self.plain.get(key)
        if plain is None or not self.is_mapping(key, plain, SCORE_KEYS):
            return None
        score = _Section(self.plain[key], self.path_of(key), SCORE_KEYS, self.problems)
        return Score(validation=score.spread("validation"), holdout=score.spread("holdout"))

    def spread(self, key: str) -> Spread:
        if not self.is_mapping(key, self.plain.get(key), tuple(SPREADS)):
            return Spread(mean=0.0, sd=0.0, seeds=1)
        part = _Section(self.plain[key], self.path_of(key), tuple(SPREADS), self.problems)
        mean, sd, seeds = (part.number(name, SPREADS[name], whole=name == "seeds") for name in SPREADS)
        return Spread(mean=mean, sd=sd, seeds=int(seeds))

    def budget(self, key: str) -> Budget:
        plain = self.plain.get(key, {})
        if isinstance(plain, Mapping) and OLD_LIMIT in plain:
            reason = "a trial is limited by its work and not by time"
            self.problem(f"{key}.{OLD_LIMIT}", f"{reason}; {WORK_INSTEAD}")
            plain = {name: value for name, value in plain.items() if name != OLD_LIMIT}
        part = _Section(plain, self.path_of(key), tuple(BUDGETS), self.problems)
        known = [name for name in BUDGETS if name in part.plain]
        numbers = {name: part.number(name, BUDGETS[name], whole=name != "work") for name in known}
        work = numbers.pop("work", Budget().work)
        return replace(Budget(work=work), **{name: int(value) for name, value in numbers.items()})


def _quoted(value: object) -> str:
    text = repr(value) if isinstance(value, str | bool | None) else shown(value)
    return text if len(text) <= MOST_ID else shown(value)


def _beside(program: Program, folder: Path) -> Program:
    """The program with the path of its data file, in which no link is followed: it may lack the suffix."""
    name = program.data.dataset
    if not name.endswith((".npz", ".csv")):
        return program
    parent, last = os.path.split(folder / name)
    path = os.path.join(os.path.realpath(parent), last)
    return replace(program, data=replace(program.data, dataset=path))

"""Suites of scripts: folders of cases, each a faulty script with what its figure is called.

A case is a folder with ``case.yaml`` and ``faulty.py``, and ``fixed.py`` where a repair is known. Scripts of
several files stand in folders of their own: ``faulty/train.py`` and ``fixed/train.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netmend.env.errors import FileError
from netmend.env.program.yaml import write_yaml
from netmend.env.reading import read_yaml

if TYPE_CHECKING:
    from netmend.env.script.generate import Script

CASE_FILE, MAIN = "case.yaml", "train.py"
"""What a case is said in, and the script of several files that is run."""
SCRIPTS_V1 = Path(__file__).with_name("suites") / "scripts-v1.yaml"
"""The packaged suite: seeds of generated scripts, and scripts that were written by hand."""
_FIGURE = r"^(?:METRIC\s+)?{name}\s*[:=]?\s*\[?\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?|nan)"


@dataclass(frozen=True, kw_only=True)
class ScriptCase:
    """A faulty script.

    Attributes:
        name: of its folder.
        faulty: path of the script.
        fixed: path of the repaired script, None where none is known.
        metric: what the script calls its figure: less of it is better where it is called an error.
        split: which part of the suite it belongs to, empty where the suite has none.
        fault: what is wrong, in words or by the name of a mutation operator.
    """

    name: str
    faulty: Path
    fixed: Path | None
    metric: str
    split: str = ""
    fault: str = ""

    @property
    def pattern(self) -> str:
        """Regular expression of the printed figure, for ``Plan.metric``."""
        return f"{self.metric}={_FIGURE.format(name=re.escape(self.metric))}"


def is_suite(folder: Path) -> bool:
    """Whether a folder holds cases."""
    return folder.is_dir() and next(folder.glob(f"*/{CASE_FILE}"), None) is not None


def read_suite(folder: Path) -> list[ScriptCase]:
    """The cases of a folder, by name.

    Raises:
        FileError: there is none, or a case is not one; the message lists every problem.
    """
    problems: list[str] = []
    cases: list[ScriptCase] = []
    for path in sorted(folder.glob(f"*/{CASE_FILE}")):
        plain, name = read_yaml(path), path.parent.name
        faulty = _script(path.parent, "faulty")
        if not isinstance(plain, Mapping) or not isinstance(plain.get("metric"), str):
            problems.append(f"{name}/{CASE_FILE}: `metric` names the figure that the script prints")
        elif faulty is None:
            problems.append(f"{name}: there is no faulty.py and no faulty/{MAIN}")
        else:
            cases.append(
                ScriptCase(
                    name=name,
                    faulty=faulty,
                    fixed=_script(path.parent, "fixed"),
                    metric=str(plain["metric"]).split()[0],
                    split=str(plain.get("split", "")),
                    fault=str(plain.get("fault", plain.get("fault_kind", ""))),
                )
            )
    if problems or not cases:
        raise FileError(str(folder), problems or [f"no folder in it has a {CASE_FILE}"])
    return cases


def _script(folder: Path, name: str) -> Path | None:
    paths = (folder / f"{name}.py", folder / name / MAIN)
    return next((path for path in paths if path.is_file()), None)


def write_suite(folder: Path, suite: Path = SCRIPTS_V1) -> list[str]:
    """Write the scripts of a suite's list into a folder, a case each.

    Args:
        folder: is made; cases in it are written over.
        suite: a YAML file of the form of the packaged one.

    Returns:
        the names of the cases.

    Raises:
        FileError: the list is wrong.
    """
    plain = read_yaml(suite)
    if not isinstance(plain, Mapping) or not {"generated", "written"} <= plain.keys():
        raise FileError(str(suite), ["expected `generated` and `written`"])
    names = []
    for entry in plain["generated"]:
        names.append(write_generated(folder, **entry))
    for name, entry in plain["written"].items():
        _write_by_hand(folder / name, **entry)
        names.append(name)
    return names


def write_generated(
    folder: Path, *, seed: int, split: str, base: str | None = None, fault: str | None = None
) -> str:
    """Write the case that a seed draws into a folder.

    Args:
        folder: of the suite.
        seed: of the draw.
        split: ``train`` or ``held-out``.
        base, fault: what the seed is known to draw, if it is.

    Returns:
        its name.

    Raises:
        FileError: the seed draws something else.
    """
    good, faulty, drawn, drawn_fault = generated_pair(seed, held_out=split == "held-out")
    if (base or drawn, fault or drawn_fault) != (drawn, drawn_fault):
        raise FileError(
            str(SCRIPTS_V1), [f"seed {seed} draws {drawn} with {drawn_fault}, not {base} with {fault}"]
        )
    name = f"{drawn}_{drawn_fault}_{seed}"
    for part, script in (("faulty", faulty), ("fixed", good)):
        _write_part(folder / name, part, script)
    _write_case(folder / name, metric=good.metric, split=split, fault=drawn_fault)
    return name


def generated_pair(seed: int, *, held_out: bool) -> tuple[Script, Script, str, str]:
    """The good and the faulty script that a seed draws, the name of their base and that of the fault."""
    from netmend.env.script.generate import draw_case, draw_style, in_style, write_script

    rng = np.random.default_rng(seed)
    style, case = draw_style(rng), draw_case(rng, held_out=held_out)
    good, faulty = (
        write_script(in_style(program, style), style, np.random.default_rng([seed, 1]))
        for program in (case.good, case.faulty)
    )
    return good, faulty, case.base, case.operator


def _write_part(case: Path, part: str, script: Script) -> None:
    if len(script.files) > 1:
        script.write(case / part)
        return
    script.write(case).rename(case / f"{part}.py")


def _write_by_hand(
    case: Path, *, split: str, metric: str, fault: str, source: str, edits: Mapping[str, str]
) -> None:
    """A case whose fixed script stands in the list, with the edits that make it faulty."""
    case.mkdir(parents=True, exist_ok=True)
    faulty = source
    for right, wrong in edits.items():
        if right not in faulty:
            raise FileError(str(SCRIPTS_V1), [f"{case.name}: there is no {right!r} to edit"])
        faulty = faulty.replace(right, wrong)
    (case / "fixed.py").write_text(source, encoding="utf-8")
    (case / "faulty.py").write_text(faulty, encoding="utf-8")
    _write_case(case, metric=metric, split=split, fault=fault)


def _write_case(case: Path, **values: str) -> None:
    (case / CASE_FILE).write_text(write_yaml(values), encoding="utf-8")

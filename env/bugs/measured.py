"""What was measured of the bugs of a folder: ``measured.yaml`` beside the bug files.

``netmend bugs verify`` writes verdicts and scores there, ``netmend bugs reachable`` the sequences of actions
that reach the published fix. Bug files stay what their authors wrote.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from netmend.env.bugs.bug import VERDICTS, Bug, Score, Spread
from netmend.env.errors import FileError, ProgramError
from netmend.env.program import SCHEMA_VERSION, write_yaml
from netmend.env.program.yaml import VERSION_KEY, check_version
from netmend.env.reading import read_yaml, shown_path
from netmend.env.writing import write_whole

MEASURED = "measured.yaml"
"""Name of the file in a folder of bug files."""

Plain = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured of one bug.

    Attributes:
        verdict, reason: see ``verify.Verified``.
        faulty, fixed: scores of the faulty program and of the published fix, None where there are none.
        patch: actions that reach the fix's skill; empty where none were found, None where none were sought.
        patch_skill: mean validation skill of the program after them, or of the best that was found.
    """

    verdict: str = ""
    reason: str = ""
    faulty: Score | None = None
    fixed: Score | None = None
    patch: tuple[str, ...] | None = None
    patch_skill: float | None = None

    def of(self, bug: Bug) -> Bug:
        """The bug with what was measured; the fix has a score only where it is known to repair the bug."""
        target = self.verdict == "reproduced"
        fixed = self.fixed if target else None
        return replace(bug, verdict=self.verdict, faulty_score=self.faulty, fixed_score=fixed)


def read_measured(folder: Path) -> dict[str, Measured]:
    """What was measured of the bugs of a folder, by id; empty where nothing was.

    Raises:
        FileError: the file is damaged.
    """
    path = folder / MEASURED
    if not os.path.lexists(path):
        return {}
    problems: list[str] = []
    entries: dict[str, Measured] = {}
    try:
        plain = read_yaml(path)
        bugs = plain.get("bugs") if isinstance(plain, Mapping) else None
        if not isinstance(plain, Mapping) or not isinstance(bugs, Mapping):
            raise TypeError("bugs is no mapping of ids to what was measured")
        check_version(plain, problems)
        entries = {str(name): _decode(entry) for name, entry in bugs.items()}
    except FileError as error:
        problems += error.problems
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        problems.append(f"not as netmend writes it: {error}")
    if problems:
        raise ProgramError(
            shown_path(path), [f"{'; '.join(problems)}; delete it: `netmend bugs verify` makes it anew"]
        )
    return entries


def write_measured(folder: Path, entries: Mapping[str, Measured], made: Mapping[str, object]) -> Path:
    """Write what was measured, whole or not at all. Raises OSError where the file cannot be written."""
    path = folder / MEASURED
    plain = {
        VERSION_KEY: SCHEMA_VERSION,
        "made": dict(made),
        "bugs": {name: _encode(entries[name]) for name in sorted(entries)},
    }
    write_whole(path, write_yaml(plain))
    return path


def with_measured(bugs: Sequence[Bug], entries: Mapping[str, Measured]) -> tuple[Bug, ...]:
    """The bugs with what was measured of them."""
    return tuple(entries[bug.id].of(bug) if bug.id in entries else bug for bug in bugs)


def _encode(entry: Measured) -> Plain:
    plain: Plain = {"verdict": entry.verdict}
    if entry.reason:
        plain["reason"] = entry.reason
    for key, score in (("faulty", entry.faulty), ("fixed", entry.fixed)):
        if score is not None:
            parts = {"validation": score.validation, "holdout": score.holdout}
            plain[key] = {name: [part.mean, part.sd, part.seeds] for name, part in parts.items()}
    if entry.patch is not None:
        plain |= {"patch": list(entry.patch), "patch_skill": entry.patch_skill}
    return plain


def _decode(plain: Mapping[str, object]) -> Measured:
    patch = plain.get("patch")
    skill = plain.get("patch_skill")
    verdict = str(plain.get("verdict", ""))
    if verdict and verdict not in VERDICTS:
        raise ValueError(f"{verdict!r} is not one of {', '.join(VERDICTS)}")
    return Measured(
        verdict=verdict,
        reason=str(plain.get("reason", "")),
        faulty=_score(plain.get("faulty")),
        fixed=_score(plain.get("fixed")),
        patch=tuple(map(str, patch)) if isinstance(patch, list) else None,
        patch_skill=float(skill) if isinstance(skill, int | float) else None,
    )


def _score(plain: object) -> Score | None:
    if not isinstance(plain, Mapping):
        return None
    spreads = {}
    for part in ("validation", "holdout"):
        mean, sd, seeds = map(float, plain[part])
        if not (math.isfinite(mean) and math.isfinite(sd)):
            raise ValueError(f"the skill {mean} is not finite")
        spreads[part] = Spread(mean=mean, sd=sd, seeds=int(seeds))
    return Score(**spreads)

"""The diff of a repair, whose hunks say why they are there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Literal

from netmend.agents.script_repair.runs import Texts
from netmend.env.script.source import diff

WIDTH = 70
"""Characters of a reason in the head of a hunk."""
_HUNK = re.compile(r"^(@@ [^@]* @@).*$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A part of a repair.

    Attributes:
        kind: ``mend`` of what is wrong for sure, ``answer`` to a finding by which the score is better, or
            what a ``search`` found.
        why: one line: the finding, or what the search changes.
        actions: names of the repair actions.
        before, after: what was new in the script's files in front of it and behind it.
        tried: patches that had been run for a score when it was chosen.
    """

    kind: Literal["mend", "answer", "search"]
    why: str
    actions: tuple[str, ...]
    before: Texts
    after: Texts
    tried: int = 0


def explained(original: Mapping[str, str], texts: Texts, steps: Sequence[Step], folder: str = "") -> str:
    """The unified diff of a repair, as ``git apply`` takes it; the head of a hunk says why it is there.

    Args:
        original: texts by path; texts: what is new in them.
        steps: of the repair.
        folder: in front of each path, with a slash at its end.
    """
    lines = {step.why: _changed({**original, **step.before}, {**original, **step.after}) for step in steps}
    text = diff(original, {path: text for path, text in texts.items() if text != original[path]}, folder)
    parts = re.split(r"(?m)^(?=@@ |--- a/)", text)
    return "".join(_headed(part, lines) for part in parts)


def _headed(part: str, lines: Mapping[str, set[str]]) -> str:
    if not part.startswith("@@ "):
        return part
    own = _edited(part)
    why = "; ".join(
        shorten(why, WIDTH, placeholder=" ...") for why, changed in lines.items() if own & changed
    )
    return _HUNK.sub(rf"\1 {_plain(why)}", part, count=1) if why else part


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace("\n", " ")


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return _edited(diff(before, {path: text for path, text in after.items() if text != before[path]}))


def _edited(text: str) -> set[str]:
    """Lines that a diff adds or removes, with their sign."""
    lines = text.splitlines()
    return {
        line for line in lines if line[:1] in "+-" and line[:4] not in ("--- ", "+++ ") and line[1:].strip()
    }

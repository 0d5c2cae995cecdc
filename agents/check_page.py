"""What ``netmend check`` prints: for people, as JSON, as annotations of GitHub, as SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from shlex import quote as shell_word
from textwrap import wrap
from urllib.parse import quote

import netmend
from netmend.agents.verbs.scripts import WIDTH
from netmend.env.findings import Finding
from netmend.env.findings.finding import SEVERITIES
from netmend.env.script.check import Checked
from netmend.env.script.notebook import read_script
from netmend.env.script.site import Site

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_PAGE = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/"
_ANSWERS = 3
"""Edits that the text names; the JSON has them all."""
SOURCES = {
    "own": "by the script's own evaluation",
    "withheld": "by rows that were kept from training",
    "prequential": "by each batch before its update",
    "printed": "as the script prints it",
}
"""Where a score is from, in words."""
_LEVELS = {"fault": "error", "warning": "warning"}


@dataclass(frozen=True)
class _Region:
    """A site as editors count: lines and characters from 1, the end behind the last character."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


def as_text(checked: Checked) -> str:
    """For people: what was run, a block for each finding, what to do next; 80 columns at most."""
    blocks = ["\n".join(_ran(checked))]
    blocks += ["\n".join(_block(checked, finding)) for finding in checked.findings]
    return "\n\n".join([*blocks, "\n".join(_next(checked))])


def as_json(checked: Checked) -> str:
    """One JSON object: the run, its score, and the findings in the order of the text."""
    record, score = checked.record, checked.record.score
    found = {
        "script": str(checked.script),
        "framework": record.framework,
        "ending": record.ending,
        "updates": record.updates,
        "seconds": round(record.seconds, 3),
        "score": score and asdict(score),
        "findings": [_plain(checked, finding) for finding in checked.findings],
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_github(checked: Checked) -> str:
    """Workflow commands of GitHub: an annotation of a line for each finding."""
    return "\n".join(_annotation(checked, finding) for finding in checked.findings)


def as_sarif(checked: Checked) -> str:
    """SARIF 2.1.0, as code scanning takes it."""
    names = list(dict.fromkeys(finding.name for finding in checked.findings))
    driver = {
        "name": "netmend",
        "version": netmend.__version__,
        "informationUri": _PAGE,
        "rules": [{"id": name, "shortDescription": {"text": name.replace("_", " ")}} for name in names],
    }
    results = [_result(checked, finding, names.index(finding.name)) for finding in checked.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


FORMATS: Mapping[str, Callable[[Checked], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}


def _ran(checked: Checked) -> Iterator[str]:
    """What was run and what it came to."""
    record, score = checked.record, checked.record.score
    loops = "" if record.framework == "torch" else f" in {record.framework}"
    updates = f"{record.updates} {'update' if record.updates == 1 else 'updates'}{loops}"
    end = {"finished": "to its end", "capped": "then it was stopped"}.get(record.ending, record.ending)
    yield from _wrapped(f"ran {checked.script}: {updates}, {end}, in {record.seconds:.1f} s")
    if score is not None:
        rows = f" on {score.rows} rows" if score.rows else ""
        yield from _wrapped(f"score: {score.kind} {score.value:.3f}{rows}, {SOURCES[score.source]}")


def _block(checked: Checked, finding: Finding) -> Iterator[str]:
    """A finding as compilers print theirs: where, what, the line that is meant, how sure, what answers it."""
    at = f"{_path(checked, finding.site)}:{finding.site.line}: " if finding.site else ""
    yield from _wrapped(f"{at}{finding.severity}: {finding.text} [{finding.name}]")
    if finding.site is not None:
        yield from _excerpt(checked, finding.site)
    yield f"    sure:   {finding.sure}"
    if finding.edits:
        yield from _wrapped(f"    answer: {' or '.join(finding.edits[:_ANSWERS])}", " " * 12)


def _excerpt(checked: Checked, site: Site) -> Iterator[str]:
    """The line, and carets under what is meant; of a long line the part around it."""
    region, line = _region(checked, site), _line(checked, site.file, site.line)
    if not line.strip():
        return
    last = region.end_column if region.end_line == region.line else len(line) + 1
    start, end = region.column - 1, max(last - 1, region.column)
    room = WIDTH - 10
    cut = 0 if len(line) <= room else max(0, min(start - 4, len(line) - room))
    shown = line[cut : cut + room].replace("\t", " ")
    if cut:
        shown = "..." + shown[3:]
    if cut + room < len(line):
        shown = shown[:-3] + "..."
    carets = "^" * max(1, min(end - start, len(shown) - start + cut))
    yield f"{site.line:6} | {shown}"
    yield f"       | {' ' * (start - cut)}{carets}"


def _next(checked: Checked) -> Iterator[str]:
    """How much was found, and what to do next."""
    if not checked.findings:
        yield from _wrapped(f"nothing found in {checked.record.updates} updates")
        return
    counts = [(kind, sum(one.severity == kind for one in checked.findings)) for kind in SEVERITIES]
    told = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in counts if count)
    yield from _wrapped(f"{told}; next: netmend repair {shell_word(str(checked.script))}")


def _plain(checked: Checked, finding: Finding) -> dict[str, object]:
    found: dict[str, object] = {
        "name": finding.name,
        "severity": finding.severity,
        "sure": finding.sure,
        "text": finding.text,
        "value": finding.value,
        "place": finding.place,
        "edits": list(finding.edits),
    }
    if finding.site is not None:
        region = _region(checked, finding.site)
        found |= {
            "file": region.path,
            "line": region.line,
            "column": region.column,
            "end_line": region.end_line,
            "end_column": region.end_column,
        }
    return found


def _annotation(checked: Checked, finding: Finding) -> str:
    properties: dict[str, object] = {"title": f"netmend {finding.name}"}
    if finding.site is not None:
        region = _region(checked, finding.site)
        properties |= {"file": region.path, "line": region.line, "endLine": region.end_line}
        properties["col"] = region.column
        if region.line == region.end_line:
            properties["endColumn"] = region.end_column
    told = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{_LEVELS[finding.severity]} {told}::{_escaped(finding.text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _result(checked: Checked, finding: Finding, index: int) -> dict[str, object]:
    found: dict[str, object] = {
        "ruleId": finding.name,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.text},
        "properties": {"sure": finding.sure, "edits": list(finding.edits)},
    }
    if finding.site is not None:
        region = _region(checked, finding.site)
        place = {
            "startLine": region.line,
            "startColumn": region.column,
            "endLine": region.end_line,
            "endColumn": region.end_column,
        }
        file = {"uri": quote(region.path)}
        found["locations"] = [{"physicalLocation": {"artifactLocation": file, "region": place}}]
    return found


def _region(checked: Checked, site: Site) -> _Region:
    return _Region(
        _path(checked, site),
        site.line,
        _characters(_line(checked, site.file, site.line), site.column) + 1,
        site.end_line,
        _characters(_line(checked, site.file, site.end_line), site.end_column) + 1,
    )


def _path(checked: Checked, site: Site) -> str:
    """The site's file as the script's path was given, with forward slashes."""
    return (checked.script.parent / site.file).as_posix()


def _line(checked: Checked, file: str, number: int) -> str:
    """A line of the source; empty where there is none."""
    lines = _lines(checked.script.parent / file)
    return lines[number - 1] if 0 < number <= len(lines) else ""


@lru_cache(maxsize=64)
def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a file; of a notebook those of its cells."""
    try:
        return tuple(read_script(path).split("\n"))
    except (OSError, SyntaxError, ValueError):
        return ()


def _characters(line: str, column: int) -> int:
    """A column in bytes as one in characters; the same where the line cannot be read."""
    return len(line.encode()[:column].decode(errors="ignore")) if line else column


def _wrapped(text: str, indent: str = "    ") -> list[str]:
    return wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

"""Scripts written into a folder of their own, and run."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.site import Site

Run = Callable[..., Record]


@pytest.fixture
def run(runner: Runner, tmp_path: Path) -> Run:
    """Writes ``train.py`` and other files, and runs it."""

    def running(text: str, *arguments: str, files: dict[str, str] | None = None, **plan: object) -> Record:
        for name, content in {"train.py": text, **(files or {})}.items():
            (tmp_path / name).write_text(content)
        return runner.run(tmp_path / "train.py", arguments, plan=Plan(**{"wall": 60.0, **plan}))  # type: ignore[arg-type]

    return running


def source(text: str, site: Site | None) -> str:
    """What stands at a site, which has to be the exact range of a node of the tree."""
    assert site is not None
    ranges = {
        (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.expr, ast.stmt))
    }
    place = (site.line, site.column, site.end_line, site.end_column)
    assert place in ranges, f"{place} is no node"
    lines = [line.encode() for line in text.split("\n")][site.line - 1 : site.end_line]
    lines[-1] = lines[-1][: site.end_column]
    lines[0] = lines[0][site.column :]
    return b"\n".join(lines).decode()

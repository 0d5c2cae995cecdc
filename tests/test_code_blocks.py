"""Every code block of README and docs runs, or says why it does not run and is parsed."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from netmend.agents.cli import main
from netmend.agents.verbs import check, repair_script, report
from netmend.agents.verbs.scripts import is_script, parted
from netmend.env.bugs import load_bug
from netmend.env.errors import NetmendError
from netmend.env.reading import parse_yaml

ROOT = Path(__file__).parents[1]
PAGES = {path.stem: path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCK = re.compile(
    r"(?:^<!-- (?:not run: (?P<why>[^\n]+)|needs: (?P<needs>\w+)) -->\n)?"
    r"^```(?P<kind>.*)\n(?P<text>(?:.*\n)*?)^```$",
    re.M,
)
WALKED = {"tutorial": "tests/test_tutorial.py walks it in a shell"}
"""Pages whose blocks all run elsewhere."""
OUTPUT = "text"
"""The kind of a block that shows what a command prints. It is no code."""
PARSERS = {"check": check.make_parser, "report": report.make_parser}
"""Of the verbs that Hydra does not configure, beside the repair of a script."""
PRINTS = ("list", "show", "coverage")
"""What `netmend bugs` does at once, without a configuration."""


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    why_not_run: str | None
    needs: str | None = None


def blocks(page: str) -> Iterator[Block]:
    for found in BLOCK.finditer(page):
        yield Block(found["kind"], found["text"], found["why"], found["needs"])


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of a block, as words."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


def compose(words: list[str]) -> None:
    """Compose the configuration of a command line without running it. A wrong verb, key or value fails."""
    for word in words:
        if word.startswith("resume="):
            Path(word.partition("=")[2]).mkdir(parents=True, exist_ok=True)
    words = words[: words.index(">")] if ">" in words else words
    if words[0] in PARSERS or is_script(words[1:]):
        own, _ = parted(words[1:])
        PARSERS.get(words[0], repair_script.make_parser)().parse_args(own)
        return
    if words[0] == "bugs" and (words[1:2] or PRINTS)[0] in PRINTS:
        return
    if "-m" in words:  # what sweeps may come from a plug-in that is not installed
        OverridesParser.create().parse_overrides([word for word in words[1:] if word != "-m"])
        return
    assert main([*words, "--cfg", "job"]) == 0, words


def parse(block: Block) -> None:
    """Raises where the text is not of its kind."""
    if block.kind == "python":
        ast.parse(block.text)
    elif block.kind == "yaml":
        parse_yaml(block.text, "a block")
    else:
        assert block.kind == "bash", f"a block of kind {block.kind!r}: name bash, python, yaml or text"
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
        for program, *words in commands(block.text):
            if program == "netmend":
                compose(words)


def run(block: Block, names: dict[str, object]) -> None:
    """Raises where it does not run. YAML is kept as program.yaml for the blocks that follow."""
    if block.kind == "python":
        exec(compile(block.text, "a block", "exec"), names)
    elif block.kind == "yaml":
        Path("program.yaml").write_text(block.text)
        load_bug(Path("program.yaml"))
    else:
        for program, *words in commands(block.text):
            assert program == "netmend", f"{program} is not run here: give a reason"
            assert main(words) == 0, words


@pytest.mark.filterwarnings("ignore")  # of the libraries that a page shows beside netmend
@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_a_page_runs_or_says_why_not(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGES[name].read_text(encoding="utf-8")
    found = list(blocks(page))
    assert len(found) * 2 == page.count("```")
    names: dict[str, object] = {}
    for block in found:
        if block.kind == OUTPUT:
            continue
        parse(block)
        if block.why_not_run is None and block.needs is None and name not in WALKED:
            run(block, names)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{name}-{block.needs}")
        for name, path in PAGES.items()
        for block in blocks(path.read_text(encoding="utf-8"))
        if block.needs
    ],
)
def test_a_block_that_needs_more_runs_in_a_process_of_its_own(block: Block, tmp_path: Path) -> None:
    if find_spec(str(block.needs)) is None:
        pytest.skip(f"{block.needs} is not installed (extra clients)")
    command = [sys.executable, "-c", block.text]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "block",
    [
        Block("python", "a = = 1", "x"),
        Block("yaml", "a: [1", "x"),
        Block("bash", "if", "x"),
        Block("bash", "netmend train \\\n    sed=3  # no such key", "x"),
        Block("bash", "netmend bugs shoe", "x"),
        Block("bash", "netmend check train.py --formt json", "x"),
        Block("bash", "netmend repair train.py --kep data > fix.patch", "x"),
        Block("", "netmend", "x"),
    ],
)
def test_what_is_wrong_with_a_block_is_seen(block: Block) -> None:
    with pytest.raises((SyntaxError, NetmendError, AssertionError, subprocess.CalledProcessError)):
        parse(block)

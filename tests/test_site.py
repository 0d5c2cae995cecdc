"""The documentation site is built without a network and with links checked; forms and citation are whole."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from runpy import run_path

import pytest
import yaml

import netmend

ROOT = Path(__file__).parents[1]
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
"""Attribute of each element with what a browser fetches for it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="mkdocs-material is not installed (extra docs)")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # a link that leads nowhere is an error
    return out


class Fetched(HTMLParser):
    """What a browser fetches for a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if LOADED.get(tag) == name]


def test_nothing_is_fetched_from_outside(site: Path) -> None:
    pages = list(site.glob("**/*.html"))
    fetched = {found for page in pages for found in Fetched(page).found}
    assert len(pages) > 20
    assert any(found.endswith(".js") for found in fetched)
    assert [found for found in fetched if "//" in found] == []


def test_what_stands_outside_docs_is_there_too(site: Path) -> None:
    hooks = run_path(str(ROOT / "docs" / "hooks.py"))
    for file, place in hooks["JOINING"].items():
        assert (site / place.replace(".md", ".html")).is_file(), file
    assert 'href="tutorial.html"' in (site / "index.html").read_text()  # README says docs/tutorial.md


@pytest.mark.parametrize(
    "path", [*(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")], ids=lambda path: path.stem
)
def test_a_form_is_one_that_github_takes(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        return
    assert form["name"]
    assert form["description"]
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert {part["type"] for part in asked} <= {"input", "textarea", "checkboxes", "dropdown"}
    assert all(part["attributes"]["label"] for part in asked)
    assert len({part["id"] for part in asked}) == len(asked) > 2


def test_the_citation_is_that_of_this_version_by_the_authors_of_the_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == netmend.__version__
    (author,) = citation["authors"]
    assert author["name"].lower() in (ROOT / "LICENSE").read_text(encoding="utf-8").lower()


def test_the_hooks_before_a_commit_are_those_of_make_lint() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repo["repo"] == "local"
    assert [hook["id"] for hook in repo["hooks"]] == ["ruff-check", "ruff-format", "mypy"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(hook["entry"].split()[1] in makefile for hook in repo["hooks"])

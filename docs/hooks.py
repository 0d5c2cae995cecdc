"""What MkDocs does beside reading docs/: files from elsewhere join the site, and links to them hold there.

A link is written as GitHub follows it, from the file in which it stands.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
JOINING = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "CITATION.cff",
    "agents/policies/default/card.md": "card.md",
    **{f"examples/{path.name}": f"examples/{path.name}" for path in (ROOT / "examples").glob("*.*")},
}
"""Where a file of the repository stands in the site."""
HOMES = {place: file for file, place in JOINING.items()}
LINK = re.compile(r"(?<=\]\()(?!\w+:)([\w./-]+\.\w+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what stands outside docs/."""
    for file, place in JOINING.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links between files of the repository into links within the site."""
    return followed(markdown, page.file.src_uri)


def followed(markdown: str, place: str) -> str:
    """The text of a page with every link as the site has it.

    >>> followed("[words](docs/glossary.md#words)", "index.md")
    '[words](glossary.md#words)'
    """
    home = dirname(HOMES.get(place, f"docs/{place}"))

    def moved(link: re.Match[str]) -> str:
        target = normpath(join(home, link[1]))
        return relpath(JOINING.get(target, target.removeprefix("docs/")), dirname(place) or ".")

    return LINK.sub(moved, markdown)

"""The README for a package index, where a link to a file beside it would lead nowhere."""

import re
from pathlib import Path

from setuptools import setup

LINK = re.compile(r"!?\[([^]]+)\]\((?!https?://|#)([^)]+)\)")
"""A link to a file beside the README, or a picture."""


def in_words(link: re.Match[str]) -> str:
    """The file's name in place of a link to it."""
    words, file = link.groups()
    return f"`{file}`" if words == file else f"{words} (`{file}`)"


readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
setup(
    script_name="setup.py",  # so named, it is no module of the package
    long_description=f"{LINK.sub(in_words, readme)}\nThe files named here are in the source distribution.\n",
    long_description_content_type="text/markdown",
)

"""Runs the tutorial: its script is saved, its commands run in a shell, and their outputs go into the page.

    python docs/tutorial.py

``tests/test_tutorial.py`` runs it too, and compares.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = Path(__file__).with_name("tutorial.md")
SCRIPT = Path(__file__).parents[1] / "examples" / "digits.py"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
AUTHOR = {f"GIT_{who}_{what}": "tutorial" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def walked(page: str, folder: Path, script: str = SCRIPT.read_text(encoding="utf-8")) -> str:
    """The page with its script and the outputs that its commands have in a folder, which is empty before.

    Each ``text`` block is what the ``bash`` block before it prints.
    """
    (folder / SCRIPT.name).write_text(script, encoding="utf-8")
    here = str(Path(sys.executable).parent)
    environment = {**os.environ, **AUTHOR, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    said = ""

    def renewed(block: re.Match[str]) -> str:
        nonlocal said
        kind, text = block.groups()
        if kind == "python":
            text = script
        elif kind == "bash":
            done = subprocess.run(
                ["bash", "-c", text],
                cwd=folder,
                env=environment,
                text=True,
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            said = done.stdout
        else:
            text = f"{said.strip()}\n"
        return f"```{kind}\n{text}```"

    return BLOCK.sub(renewed, page)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(walked(PAGE.read_text(encoding="utf-8"), Path(place)), encoding="utf-8")

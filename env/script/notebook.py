"""The text of a script; a notebook as one script, and the way back from its lines to the cells."""

from __future__ import annotations

import json
import tokenize
from dataclasses import dataclass
from pathlib import Path

_OPENING = ("%", "!", "?")


@dataclass(frozen=True)
class Notebook:
    """The code cells of a notebook, joined.

    Attributes:
        text: of all cells, with a comment in the place of what only a notebook understands.
        starts: for each code cell its position in the notebook and its first line in ``text``, from 1.
    """

    text: str
    starts: tuple[tuple[int, int], ...]

    def cell(self, line: int) -> tuple[int, int]:
        """Position of the cell in the notebook and the line in it, from 1, of a line of ``text``.

        Raises:
            ValueError: there is no such line.
        """
        for cell, start in reversed(self.starts):
            if start <= line:
                return cell, line - start + 1
        raise ValueError(f"line {line} is in no cell")


def read_script(path: Path) -> str:
    """The text of a script, or of the cells of a notebook, as Python reads it: in the encoding that it
    declares, without a byte order mark, with ``\\n`` at the end of each line.

    Raises:
        OSError: there is no such file.
        SyntaxError, ValueError: it is no text, or no notebook.
    """
    if path.suffix == ".ipynb":
        return read_notebook(path.read_text("utf-8")).text
    with tokenize.open(path) as file:
        return file.read()


def read_notebook(text: str) -> Notebook:
    """Join the code cells of an ``.ipynb``.

    Raises:
        ValueError: it is no notebook.
    """
    try:
        cells = json.loads(text)["cells"]
        codes = [
            (place, "".join(cell["source"]))
            for place, cell in enumerate(cells)
            if cell["cell_type"] == "code"
        ]
    except (TypeError, LookupError) as error:
        raise ValueError("no notebook: it has no cells") from error
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    for place, source in codes:
        starts.append((place, len(lines) + 1))
        foreign = source.lstrip().startswith("%%")  # the whole cell is of another language
        lines += [_plain(line, foreign=foreign) for line in source.split("\n")]
    return Notebook("\n".join(lines) + "\n", tuple(starts))


def _plain(line: str, *, foreign: bool) -> str:
    """The line; where only a notebook understands it, a ``pass`` in its place."""
    bare = line.lstrip()
    if foreign:
        return f"# {line}"
    if bare.startswith(_OPENING):
        return f"{line[: len(line) - len(bare)]}pass  # {bare}"
    return line

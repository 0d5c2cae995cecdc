"""The text of a script; a notebook as one script, and the way back from its lines to the cells."""

from __future__ import annotations

import json
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_OPENING = ("%", "!", "?")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SPACE = re.compile(r"[\s,:]*")
_DECODER = json.JSONDecoder()


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


def with_cells(raw: str, sources: Sequence[str]) -> str:
    """A notebook with new text in its code cells; what is not changed stays byte for byte.

    Args:
        raw: text of the ``.ipynb``.
        sources: of all its code cells, in the form of ``Notebook.text``: each ends with a line's end.
    """
    old = read_notebook(raw)
    lines = old.text.split("\n")
    ends = [start - 1 for _, start in old.starts[1:]] + [len(lines) - 1]
    cells = list(_spans(raw, next(start for key, start in _values(raw, 0) if key == "cells")))
    parts, at = list[str](), 0
    for (place, first), end, source in zip(old.starts, ends, sources, strict=True):
        if source.split("\n") != [*lines[first - 1 : end], ""]:
            start = next(start for key, start in _values(raw, cells[place][0]) if key == "source")
            _, stop = _DECODER.raw_decode(raw, start)
            parts += [raw[at:start], _written(raw[start:stop], source.removesuffix("\n"))]
            at = stop
    return "".join([*parts, raw[at:]])


def _written(raw: str, source: str) -> str:
    """A cell's source in the form in which its old one is written: as one text, or one for each line."""
    held = json.loads(raw)
    own = {_plain(line, foreign=False).strip(): line.strip() for line in "".join(held).split("\n")}
    new = [_with_own(line, own) for line in _LINE.findall(source)]
    escaped = raw.isascii()
    if isinstance(held, str):
        return json.dumps("".join(new), ensure_ascii=escaped)
    texts = [raw[start:end] for start, end in _spans(raw, 0)]
    first, *others = _spans(raw, 0)
    gap = raw[first[1] : others[0][0]] if others else f",{raw[1 : first[0]] or ' '}"
    most = min(len(held), len(new))
    same = next((place for place in range(most) if held[place] != new[place]), most)
    left = next((place for place in range(most - same) if held[-1 - place] != new[-1 - place]), most - same)
    changed = [json.dumps(line, ensure_ascii=escaped) for line in new[same : len(new) - left]]
    texts[same : len(held) - left] = changed
    last = others[-1][1] if others else first[1]
    return f"{raw[: first[0]]}{gap.join(texts)}{raw[last:]}"


def _with_own(line: str, own: Mapping[str, str]) -> str:
    """A line with what only a notebook understands where that stood in the cell before."""
    bare = line.strip()
    return line.replace(bare, own[bare]) if bare in own else line


def _values(raw: str, start: int) -> Iterator[tuple[str, int]]:
    """The keys of an object and where their values begin."""
    spans = _spans(raw, start)
    for (first, last), (value, _) in zip(spans, spans, strict=False):
        yield json.loads(raw[first:last]), value


def _spans(raw: str, start: int) -> Iterator[tuple[int, int]]:
    """Where the elements of a list stand, or the keys and values of an object by turns."""
    at = _behind(raw, _behind(raw, start) + 1)
    while raw[at] not in "]}":
        _, end = _DECODER.raw_decode(raw, at)
        yield at, end
        at = _behind(raw, end)


def _behind(raw: str, at: int) -> int:
    """The next place of a JSON text that is neither space nor a separator."""
    found = _SPACE.match(raw, at)
    return at if found is None else found.end()

"""A site: a range of a script's source, and the join of a running frame to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType


@dataclass(frozen=True, order=True)
class Site:
    """A range of source text, as ``ast`` counts it.

    Attributes:
        file: path relative to the script's folder, with forward slashes.
        line: first line, counted from 1.
        column: of the first character, in bytes of UTF-8, counted from 0.
        end_line: last line.
        end_column: behind the last character, in bytes of UTF-8.
        function: name of the code object that it stands in, ``<module>`` at the top level.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str = "<module>"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def frame_site(frame: FrameType, file: str) -> Site:
    """The expression that a frame is at: exactly the range of its node in the ``ast``.

    Args:
        frame: a running frame.
        file: what the site calls its file.
    """
    code = frame.f_code
    line, end_line, column, end_column = _position(code, frame.f_lasti // 2)
    line = line or frame.f_lineno
    return Site(file, line, column or 0, end_line or line, end_column or 0, code.co_name)


@lru_cache(maxsize=4096)
def _position(code: CodeType, instruction: int) -> tuple[int | None, ...]:
    """First and last line, first and last column of an instruction: a loop is at the same ones all along."""
    return next(islice(code.co_positions(), instruction, None), (None,) * 4)

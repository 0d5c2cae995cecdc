"""The script's own frames among those that run, and their sites."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from inspect import unwrap
from pathlib import Path
from types import CodeType, FrameType

from torch import nn

from netmend.env.script.notebook import read_script
from netmend.env.script.site import Site, frame_site

_HERE = str(Path(__file__).parent)


class Frames:
    """Which frames are the script's own.

    Args:
        root: the script's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self._names: dict[str, str | None] = {}
        self._trees: dict[str, ast.Module | None] = {}

    def file(self, code: CodeType) -> str | None:
        """Path of the code's file relative to the script's folder, None where it is not the script's own."""
        path = code.co_filename
        if path not in self._names:
            own = path.startswith(self._root) and "site-packages" not in path
            self._names[path] = path.removeprefix(self._root) if own else None
        return self._names[path]

    @property
    def files(self) -> tuple[str, ...]:
        """Those of which code was seen."""
        return tuple(name for name in self._names.values() if name is not None)

    def own(self, made: object = None) -> Iterator[FrameType]:
        """Frames of the script, the innermost first, less those of the ``__init__`` of ``made`` itself."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if self.file(code) is not None and not (made is not None and _initialises(frame, made)):
                yield frame
            frame = frame.f_back

    def site(self, made: object = None) -> Site | None:
        """Where the script is now; with an object, where it is constructed."""
        return next((self.of(frame) for frame in self.own(made)), None)

    def direct(self) -> Site | None:
        """Where the script calls the module that starts now, None where a container or a library calls it."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            if self.file(frame.f_code) is not None:
                return self.of(frame)
            if not path.startswith(_HERE) and not path.endswith("torch/nn/modules/module.py"):
                return None
            frame = frame.f_back
        return None

    def outside(self, kinds: Sequence[type[nn.Module]]) -> Site | None:
        """Where the script is outside of the ``forward`` of modules that run; None without any."""
        codes = {getattr(unwrap(kind.forward), "__code__", None) for kind in kinds}
        frames = list(self.own()) if kinds else []
        inside = max((place for place, frame in enumerate(frames) if frame.f_code in codes), default=-1)
        return next((self.of(frame) for frame in frames[inside + 1 :]), None)

    def of(self, frame: FrameType) -> Site:
        """The site of a frame of the script."""
        return frame_site(frame, self.file(frame.f_code) or frame.f_code.co_filename)

    def where(self) -> tuple[tuple[CodeType, int], ...]:
        """The whole way from the script's first line to where it is: calls from two places differ."""
        return tuple((frame.f_code, frame.f_lasti) for frame in self.own())

    def tree(self, frame: FrameType) -> ast.Module | None:
        """The syntax tree of the frame's file, None where it cannot be read."""
        name = self.file(frame.f_code) or ""
        if name not in self._trees:
            try:
                self._trees[name] = ast.parse(read_script(Path(frame.f_code.co_filename)))
            except (OSError, SyntaxError, ValueError):
                self._trees[name] = None
        return self._trees[name]


def _initialises(frame: FrameType, made: object) -> bool:
    code = frame.f_code
    return (
        code.co_name == "__init__"
        and code.co_argcount > 0
        and frame.f_locals.get(code.co_varnames[0]) is made
    )

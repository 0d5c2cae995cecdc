"""Scripts with records written by hand: a site is named by the text that stands there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import pytest

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit import Patch, edit
from netmend.env.script.record import (
    Array,
    LoaderMade,
    Loop,
    LossCall,
    Operation,
    OptimizerMade,
    Record,
)
from netmend.env.script.site import Site
from netmend.env.script.source import Project


def array(*shape: int, dtype: str = "float32") -> Array:
    return Array(shape=shape, dtype=dtype)


@dataclass
class Script:
    """A script of one file, or of several, and what a run of it would have shown."""

    texts: dict[str, str]
    known: dict[str, Any] = field(default_factory=dict)

    def site(self, snippet: str, nth: int = 0, file: str = "train.py") -> Site:
        raw, part = self.texts[file].encode(), snippet.encode()
        at = -1
        for _ in range(nth + 1):
            at = raw.index(part, at + 1)

        def place(offset: int) -> tuple[int, int]:
            head = raw[:offset]
            return head.count(b"\n") + 1, offset - (head.rfind(b"\n") + 1)

        return Site(file, *place(at), *place(at + len(part)))

    def knows(self, **known: Any) -> Script:
        self.known |= known
        return self

    def optimizer(self, made: str, kind: str = "SGD", stepped: str = "opt.step()", **settings: Any) -> Script:
        step = self.site(stepped) if stepped in self.texts["train.py"] else None
        new = OptimizerMade(
            kind=kind, settings=settings, made=self.site(made), given=(), stepped=step, steps=1
        )
        return self.knows(optimizers=(*self.known.get("optimizers", ()), new))

    def loop(self, over: str, rounds: int | None = 5, step: int = 1, kind: Any = "range") -> Script:
        new = Loop(kind=kind, rounds=rounds, step=step, site=self.site(over))
        return self.knows(loops=(*self.known.get("loops", ()), new))

    def loader(self, made: str, **known: Any) -> Script:
        values = {"batch_size": 32, "shuffle": False, "rows": 100, "trains": True} | known
        return self.knows(loaders=(LoaderMade(made=self.site(made), **values),))

    def loss(
        self, kind: str, called: str, made: str | None, output: tuple[int, ...], target: Array
    ) -> Script:
        new = LossCall(
            kind=kind,
            settings={},
            output=array(*output),
            target=target,
            made=None if made is None else self.site(made),
            called=self.site(called),
        )
        return self.knows(loss=new)

    def operation(
        self,
        kind: str,
        made: Site | str | None = None,
        called: Site | str | None = None,
        *,
        module: str | None = None,
        shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((8, 4), (8, 4)),
        **settings: Any,
    ) -> Script:
        old = self.known.get("operations", ())
        new = Operation(
            kind=kind,
            module=module or (f"m{len(old)}" if made else None),
            owner="",
            settings=settings,
            inputs=(len(old) - 1,),
            received=array(*shapes[0]),
            returned=array(*shapes[1]),
            made=self.site(made) if isinstance(made, str) else made,
            called=self.site(called) if isinstance(called, str) else called,
            trainable=int(kind.startswith(("Linear", "Conv", "Embedding", "LSTM"))),
        )
        return self.knows(operations=(*old, new))

    def patch(self, *changes: SourceChange) -> Patch:
        return edit(Project(self.texts), Record(**self.known), changes)

    def edited(self, what: str, value: Any = None, at: int | None = None, **more: Any) -> str:
        return self.patch(SourceChange(what=what, value=value, at=at, **more)).texts["train.py"]


@pytest.fixture
def script() -> Callable[..., Script]:
    """Makes a script of its text and, by name, those of its other files."""

    def make(text: str, **others: str) -> Script:
        texts = {"train.py": dedent(text)} | {f"{name}.py": dedent(other) for name, other in others.items()}
        return Script(texts)

    return make

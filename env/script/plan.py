"""What a run of a script may use, and what it is to find out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from netmend.env.script.site import Site


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run of a script.

    Attributes:
        updates, rows: after so many updates, or rows of training, the run is capped; None for no cap.
        cap: ``stop`` ends the run there. ``dry`` lets the training loader yield nothing more, so that the
            script goes on to its own evaluation; where there is no loader, it ends a few updates later.
        seed: of random, NumPy and torch before the first line; a script that seeds itself overrides it. None
            sets none.
        data: whether the rows of training and evaluation are kept.
        data_rows, data_bytes: at most so many of each.
        withhold: where the loader is made from whose rows 20 % are kept from training and scored afterwards.
        metric: ``NAME=REGEX``: the last match in what the script prints is its score.
        wall, cpu: seconds.
        memory: bytes beyond what the interpreter holds at the start.
        file: bytes of the largest file.
        processes: that the script may have at once.
        network: whether it may use one.
        answer: what ``input()`` returns.
        threads: that torch computes with.
    """

    updates: int | None = None
    rows: int | None = None
    cap: Literal["stop", "dry"] = "dry"
    seed: int | None = 0
    data: bool = True
    data_rows: int = 20_000
    data_bytes: int = 64 << 20
    withhold: Site | None = None
    metric: str | None = None
    wall: float = 120.0
    cpu: float = 240.0
    memory: int = 4 << 30
    file: int = 256 << 20
    processes: int = 64
    network: bool = False
    answer: str = ""
    threads: int = 1

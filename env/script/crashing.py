"""What a script was at when a function of torch raised an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netmend.env.script.measure import describe
from netmend.env.script.record import Crashed
from netmend.env.script.site import Site

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder


@dataclass
class Entered:
    """A module whose ``forward`` runs, where the script calls it, and whether it is one of torch's own."""

    module: nn.Module
    called: Site | None
    leaf: bool


def crash_of(
    recorder: Recorder, error: Exception, name: str, given: Sequence[Tensor], running: Sequence[Entered]
) -> Crashed:
    """A crash of a function.

    Args:
        recorder: of the script, which is at the call.
        error: that was raised.
        name: of the function; given: tensors that it was given.
        running: modules whose ``forward`` runs, the outermost first.
    """
    last = running[-1] if running else None
    key = None if last is None else id(last.module)
    return Crashed(
        error=type(error).__name__,
        message=str(error)[:300],
        site=recorder.frames.site(),
        operation=type(last.module).__name__ if last is not None and last.leaf else name,
        module=None if key is None else recorder.names.get(key),
        made=None if key is None else recorder.made.get(key, (None, None))[1],
        applied=recorder.frames.outside([type(one.module) for one in running]),
        operands=tuple(map(describe, given)),
        frozen=recorder.updates.is_frozen,
    )

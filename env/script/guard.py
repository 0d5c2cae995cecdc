"""What keeps the recorder out of the script's way."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch


class Guarded(Protocol):
    """Whose methods are guarded: whether one of them runs, and the errors that they have raised."""

    busy: bool
    troubles: list[str]


_G = TypeVar("_G", bound=Guarded)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def quiet(method: Callable[Concatenate[_G, _P], _R]) -> Callable[Concatenate[_G, _P], _R | None]:
    """No error of the recorder's own reaches the script, and no call of its own is recorded."""

    def guarded(self: _G, /, *args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        if self.busy:
            return None
        self.busy = True
        try:
            with torch._C.DisableTorchFunction():
                return method(self, *args, **kwargs)
        except Exception:  # whatever strangers' objects raise when they are looked at
            self.troubles.append(traceback.format_exc(limit=-3))
            return None
        finally:
            self.busy = False

    return guarded

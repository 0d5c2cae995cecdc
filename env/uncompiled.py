"""A process without PyTorch's compiler, whose import takes longer than that of PyTorch itself.

The first optimizer of a process imports ``torch._dynamo``, to tell it what not to compile. Where nothing is
compiled, as while an agent is trained or a script is recorded, something else stands in its place, until
somebody asks for more.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"


class _Uncompiled(ModuleType):
    """What optimizers ask of the compiler. Anything else brings the real one."""

    @staticmethod
    def graph_break(*_: object, **__: object) -> None:
        """There is no graph."""

    @staticmethod
    def disable(function: Callable[..., Any] | None = None, *_: object, **__: object) -> Any:
        """The function as it is; without one, a decorator that leaves functions as they are."""
        return function or (lambda own: own)

    def __getattr__(self, name: str) -> Any:
        """Of the real one, which takes this place."""
        if name.startswith("__"):  # those that Python itself looks for in any module
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(importlib.import_module(_NAME), name)


def leave_compiler_out() -> None:
    """Let no optimizer import it; nothing changes where it is there already."""
    if _NAME not in sys.modules:
        spec = importlib.util.find_spec(_NAME)
        if spec is None:
            return
        stand = _Uncompiled(_NAME)
        stand.__spec__ = spec
        stand.__path__ = spec.submodule_search_locations or []  # its modules can be imported
        sys.modules[_NAME] = stand
        setattr(torch, "_dynamo", stand)  # noqa: B010  # no type knows of it

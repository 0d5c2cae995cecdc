"""What a script finds as TensorFlow where that is not installed and Keras is: ``tf.keras``, and little else.

Keras itself knows the names of ``tf.keras``. Only the script's own imports see any of this: libraries look
for TensorFlow too, and use what they find.
"""

from __future__ import annotations

import builtins
import importlib
import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_NAME, _KERAS = "tensorflow", "keras._tf_keras.keras"
_ACTIVATIONS = ("relu", "elu", "selu", "gelu", "silu", "sigmoid", "softmax", "tanh", "softplus")


class _StandIn(ModuleType):
    """A module of TensorFlow of which some names are there."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(name)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # those that Python itself looks for in any module
            raise AttributeError(name)
        raise _missing(f"{self.__name__}.{name}")


def install_tensorflow(folder: Path) -> None:
    """Let the files of a folder import Keras as TensorFlow's, for good: the process is the script's own."""
    if find_spec(_NAME) is not None or find_spec("keras") is None:
        return
    usual = builtins.__import__

    def importing(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level or name.partition(".")[0] != _NAME or not _is_inside(folder, globals):
            return usual(name, globals, locals, fromlist or (), level)
        found = _module(name)
        return found if fromlist else _tensorflow()

    builtins.__import__ = importing


def _is_inside(folder: Path, known: Mapping[str, Any] | None) -> bool:
    return str((known or {}).get("__file__", "")).startswith(f"{folder}{os.sep}")


def _module(name: str) -> Any:
    """A module by its dotted name.

    Raises:
        ImportError: nothing stands in for it.
    """
    parts = name.split(".")[1:]
    if parts[:1] == ["keras"]:
        try:
            return importlib.import_module(".".join([_KERAS, *parts[1:]]))
        except ModuleNotFoundError as error:
            raise _missing(name) from error
    found: Any = _tensorflow()
    for part in parts:
        found = getattr(found, part)
    return found


@cache
def _tensorflow() -> ModuleType:
    keras = importlib.import_module(_KERAS)
    functions = {name: getattr(keras.activations, name) for name in _ACTIVATIONS}
    return _StandIn(
        _NAME,
        {
            "__version__": keras.__version__,
            "keras": keras,
            "nn": _StandIn(f"{_NAME}.nn", functions),
            "random": _StandIn(f"{_NAME}.random", {"set_seed": keras.utils.set_random_seed}),
            "config": _StandIn(f"{_NAME}.config", {"list_physical_devices": lambda *_, **__: []}),
        },
    )


def _missing(name: str) -> ImportError:
    return ImportError(f"{name}: TensorFlow is not installed, and Keras can stand in for tf.keras alone")

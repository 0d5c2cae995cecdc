"""Seeds that a script sets itself, moved by a number, so that it can be run anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import torch

_INIT = ("__init__",)
SEEDED: tuple[tuple[ModuleType, str, tuple[str, ...]], ...] = (
    (random, "seed", ()),
    (random, "Random", ("seed",)),
    (np.random, "seed", ()),
    (np.random, "default_rng", ()),
    (np.random, "RandomState", ("__init__", "seed")),
    (np.random, "SeedSequence", _INIT),
    (np.random, "PCG64", _INIT),
    (np.random, "PCG64DXSM", _INIT),
    (np.random, "MT19937", _INIT),
    (np.random, "Philox", _INIT),
    (np.random, "SFC64", _INIT),
    (torch, "manual_seed", ()),
    (torch.random, "manual_seed", ()),
    (torch.cuda, "manual_seed", ()),
    (torch.cuda, "manual_seed_all", ()),
    (torch, "Generator", ("manual_seed",)),
)
"""What takes a seed: its home, its name, and of a class the methods that take it.

Libraries seed through them: ``random_state=`` of scikit-learn and pandas makes a ``RandomState``;
``seed_everything`` of Lightning, ``set_seed`` of Transformers and ``set_random_seed`` of Keras call the
functions.
"""
_KEYWORDS = ("seed", "a", "x", "entropy", "random_seed")


def move_seeds(shift: int) -> None:
    """Add a number to every seed that is set from now on, for good: the process is the script's own."""
    for home, name, methods in SEEDED:
        old = getattr(home, name)
        new = _class(old, methods, shift) if methods else _seeding(old, shift, place=0)
        setattr(home, name, new)


class _Stand(type):
    """A class that stands for another, whose objects count as its own."""

    stands_for: type

    def __instancecheck__(cls, one: object) -> bool:
        return super().__instancecheck__(one) or (
            "stands_for" in vars(cls) and isinstance(one, cls.stands_for)
        )


def _class(old: type, methods: tuple[str, ...], shift: int) -> type:
    body: dict[str, object] = {name: _seeding(getattr(old, name), shift, place=1) for name in methods}
    names = {"__module__": old.__module__, "__qualname__": old.__qualname__, "__doc__": old.__doc__}
    kind = _Stand if type(old) is type else type(_Stand.__name__, (_Stand, type(old)), {})
    stand: type = kind(old.__name__, (old,), {**body, **names, "stands_for": old})
    return stand


def _seeding(function: Callable[..., Any], shift: int, *, place: int) -> Callable[..., Any]:
    """A function that takes a seed at a place or as a keyword, and is given another one."""

    def seed(*args: Any, **kwargs: Any) -> Any:
        given = (
            *args[:place],
            *(_moved(value, shift) for value in args[place : place + 1]),
            *args[place + 1 :],
        )
        named = {name: _moved(value, shift) if name in _KEYWORDS else value for name, value in kwargs.items()}
        return function(*given, **named)

    return seed


def _moved(value: object, shift: int) -> object:
    if isinstance(value, (int, np.integer)):
        return (int(value) + shift) % 2**32
    if isinstance(value, (list, tuple)) and all(isinstance(one, (int, np.integer)) for one in value):
        return [*value, shift]
    return value

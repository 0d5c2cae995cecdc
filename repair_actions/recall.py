"""Answers about programs, remembered by what was read of a program to find them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from operator import itemgetter
from typing import Generic, TypeAlias, TypeVar, cast

from netmend.env.program import Program

S = TypeVar("S", bound=Hashable)
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
_Pick: TypeAlias = Callable[[Mapping[str, object]], object]
"""Picks the marks of some fields."""

FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Program))
_ALWAYS = ""
"""A name that a rule which reads nothing picks too."""
_NONE: Mapping[_Pick, dict[object, object]] = {}


class _Reading:
    """A program that writes down which of its fields are read; what ``changed`` makes of it does so too.

    It is no whole program: a memo or ``replace``, which need one, raise a TypeError.
    """

    is_shared = False

    def __init__(self, program: Program) -> None:
        self.__dict__.update(_program=program, _names=set(), _unchecked=())

    def __getattr__(self, name: str) -> object:
        if name not in FIELDS:
            raise TypeError(f"{name} is no field of a program")
        value = self.__dict__[name] = getattr(self._program, name)
        self._names.add(name)
        return value

    def __eq__(self, other: object) -> bool:
        raise TypeError("part of a program is not compared")

    __hash__ = None  # type: ignore[assignment]


class Recall(Generic[S, K, T]):
    """What a rule says about a program for each of some keys, found once for all that it cannot tell apart.

    A rule that reads some fields of a program and no others says the same about every program that shares
    them. Which it reads is seen while it works, so nobody has to say it.

    Args:
        rule: the answer for a program, a subject and a key; pure, and never None.
        most: answers that are remembered; beyond them it begins anew.
    """

    def __init__(self, rule: Callable[[Program, S, K], T], most: int) -> None:
        self._rule, self._most, self._count = rule, most, 0
        self._known: dict[S, dict[K, dict[_Pick, dict[object, T]]]] = {}

    def answers(self, program: Program, subject: S, keys: Iterable[K]) -> list[T]:
        """What the rule says for each key, in their order."""
        if self._count >= self._most:
            self._known, self._count = {}, 0
        marks: dict[str, object] = {name: _mark(getattr(program, name)) for name in FIELDS}
        marks[_ALWAYS] = None
        own = self._known.get(subject)
        if own is None:
            own = self._known[subject] = {}
        found = []
        for key in keys:
            for pick, answers in own.get(key, _NONE).items():
                answer = answers.get(pick(marks))
                if answer is not None:
                    break
            else:
                answer, pick = self._learn(program, subject, key)
                own.setdefault(key, {}).setdefault(pick, {})[pick(marks)] = answer
            found.append(answer)
        return found

    def _learn(self, program: Program, subject: S, key: K) -> tuple[T, _Pick]:
        self._count += 1
        reading = _Reading(program)
        try:
            answer = self._rule(cast(Program, reading), subject, key)
        except TypeError:
            return self._rule(program, subject, key), _picking(frozenset(FIELDS))
        return answer, _picking(frozenset(reading._names))


@lru_cache(maxsize=131_072, typed=True)
def _mark(_value: Hashable) -> object:
    """One object for all equal values, with a hash that costs nothing."""
    return object()


@lru_cache(maxsize=4096)
def _picking(names: frozenset[str]) -> _Pick:
    return itemgetter(_ALWAYS, *names)

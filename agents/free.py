"""Trials of which each may ask for others, none of which waits for any but its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Stream: TypeAlias = Callable[[list[Request]], Iterator[tuple[int, Answer]]]
"""Gives positions and answers as they come; requests that are appended in the meantime are answered too."""


@dataclass(frozen=True)
class Wanted(Generic[Request, Answer]):
    """A request, and what follows from its answer."""

    request: Request
    then: Callable[[Answer], Iterable[Wanted[Request, Answer]]]


def run_freely(wanted: Iterable[Wanted[Request, Answer]], stream: Stream[Request, Answer]) -> None:
    """Send what is wanted, then what follows from each answer as soon as that is there."""
    requests: list[Request] = []
    follow: list[Callable[[Answer], Iterable[Wanted[Request, Answer]]]] = []

    def send(some: Iterable[Wanted[Request, Answer]]) -> None:
        for one in some:
            requests.append(one.request)
            follow.append(one.then)

    send(wanted)
    for position, answer in stream(requests):
        send(follow[position](answer))


def urgency(seconds: float, trials: int, left: int) -> float:
    """How long a repair still takes: its trials so far took so many seconds, and that many more may follow.

    The repairs that take longest go first, so that none is left over when all others are done.
    """
    return seconds / trials * left

"""A small space and searches that misbehave."""

from __future__ import annotations

import os
import time

import pytest

from netmend.agents.peers.space import Space, make_space
from netmend.agents.peers.suggestion import Question
from netmend.env.bugs.bases import BASES
from netmend.env.data import load_dataset
from netmend.env.program.hyperparameters import Value


@pytest.fixture
def space() -> Space:
    program = BASES["digits_keras"].program
    return make_space(program, load_dataset("digits").task, seed=0)


def raises(question: Question) -> tuple[dict[str, Value], bool]:
    """A search with a fault of its own."""
    raise ValueError(f"no idea after {len(question.seen)} results")


def hangs(question: Question) -> tuple[dict[str, Value], bool]:
    """A search that never answers."""
    time.sleep(600)
    return {}, False


def dies(question: Question) -> tuple[dict[str, Value], bool]:
    """A search that takes its process with it."""
    os._exit(7)

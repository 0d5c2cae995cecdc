"""A small space."""

from __future__ import annotations

import pytest

from netmend.agents.peers.space import Space, make_space
from netmend.env.bugs.bases import BASES
from netmend.env.data import load_dataset


@pytest.fixture
def space() -> Space:
    program = BASES["digits_keras"].program
    return make_space(program, load_dataset("digits").task, seed=0)

"""A small space."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netmend.agents.peers.space import Parameter, Space, make_space
from netmend.env.bugs.bases import BASES
from netmend.env.data import load_dataset
from netmend.env.program.hyperparameters import Value


@pytest.fixture
def space() -> Space:
    program = BASES["digits_keras"].program
    return make_space(program, load_dataset("digits").task, seed=0)


@pytest.fixture
def allows() -> Callable[[Parameter, Value], bool]:
    """Whether a parameter may be a value."""

    def answer(parameter: Parameter, value: Value) -> bool:
        if parameter.choices:
            return value in parameter.choices
        return parameter.low <= float(value) <= parameter.high

    return answer

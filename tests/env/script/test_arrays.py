"""Arrays of outputs behave as plain ones do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from netmend.env.script.arrays import Followed, follow
from netmend.env.script.passes import Pass, Passes
from netmend.env.script.rows import Rows

Make = Callable[[Any], Any]


class Foreign:
    """An array of another library."""

    def __array_function__(self, *_: object) -> str:
        return "its own"


def followed(values: np.ndarray) -> Any:
    run = Pass(None, torch.as_tensor(values), training=False, grad=False, update=1, where=None)
    return follow(Passes(Rows(9, 99), Rows(9, 99)), (run,), values)


def outcome(make: Make, values: Any) -> object:
    try:
        returned = make(values)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    if not isinstance(returned, np.ndarray):
        return returned
    kind = np.ndarray if isinstance(returned, Followed) else type(returned)
    return kind, returned.dtype, returned.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda v: np.concatenate([v, v], dtype=np.float32),
        lambda v: np.concatenate([v, v], dtype=int),
        lambda v: np.concatenate([]),
        lambda v: np.concatenate([v, 1]),
        lambda v: np.concatenate(one for one in [v, v]),
        lambda v: np.concatenate([v, np.array(["a", None], object)]),
        lambda v: np.concatenate([v, np.ma.array([1.0, 2.0], mask=[False, True])]),
        lambda v: np.concatenate([v, Foreign()]),  # type: ignore[list-item]
        lambda v: np.vstack(tup=[v, v]),
        lambda v: np.hstack(tup=[v, v]),
        lambda v: np.stack(arrays=[v, v], axis=1),
        lambda v: np.append(v, values=[1]),
        lambda v: np.append(arr=v, values=v),
        lambda v: v.astype(object) == np.array([0, 1, 2]),
        lambda v: v - np.arange(3).astype(">i4"),
        lambda v: v.astype(complex) - np.arange(3),
        lambda v: v.astype(np.longdouble) - np.arange(3, dtype=np.longdouble),
    ],
)
def test_what_is_computed_of_outputs(make: Make) -> None:
    values = np.arange(3.0)
    assert outcome(make, followed(values)) == outcome(make, values)


@pytest.mark.parametrize(
    "join",
    [
        lambda one, other: np.append(arr=one, values=other),
        lambda one, other: np.append(one, values=other),
        lambda one, other: np.vstack(tup=[one, other]),
    ],
)
def test_what_is_joined_comes_from_all(join: Callable[[Any, Any], Any]) -> None:
    one, other = followed(np.arange(3.0)), followed(np.arange(3.0))
    assert join(one, other).runs == (*one.runs, *other.runs)


def test_an_array_that_is_filled_is_returned() -> None:
    values, given = followed(np.arange(3.0)), np.empty(6)
    assert np.concatenate([values, values], out=given) is given

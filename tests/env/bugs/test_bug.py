from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug, Score, Spread


def score(validation: float, holdout: float) -> Score:
    return Score(
        validation=Spread(mean=validation, sd=0.0, seeds=8), holdout=Spread(mean=holdout, sd=0.0, seeds=8)
    )


@pytest.fixture
def bug() -> Bug:
    return replace(load_suite("tiny").bugs[0], faulty_score=score(0.1, 0.2), fixed_score=score(0.9, 0.6))


def test_improvement_rate_by_part(bug: Bug) -> None:
    assert bug.improvement_rate(0.5) == pytest.approx(0.75)
    assert bug.recovered(0.5) == pytest.approx(0.5)
    assert bug.improvement_rate(0.0) == 0.0


@pytest.mark.parametrize("holdout", [0.2, 0.1])
def test_no_improvement_rate_where_the_fix_gains_nothing(bug: Bug, holdout: float) -> None:
    worthless = replace(bug, fixed_score=score(0.9, holdout))
    assert worthless.improvement_rate(0.5) is None
    assert worthless.recovered(0.5) == pytest.approx(0.5)


def test_nothing_is_known_without_scores(bug: Bug) -> None:
    assert replace(bug, faulty_score=None).improvement_rate(0.5) is None
    assert replace(bug, fixed_score=None).is_fixed(0.5) is None


def test_a_fix_that_varies_widely_is_not_reached_by_the_faulty_program(bug: Bug) -> None:
    wide = Score(validation=Spread(mean=0.2, sd=0.4, seeds=8), holdout=Spread(mean=0.2, sd=0.4, seeds=8))
    varying = replace(bug, faulty_score=score(-0.2, 0.3), fixed_score=wide)
    assert varying.goal("validation") == pytest.approx(0.0)
    assert varying.is_fixed(-0.2, "validation") is False
    assert varying.is_fixed(0.01, "validation") is True
    assert varying.goal("holdout") is None  # the fix is no better there: nothing can be said
    assert varying.is_fixed(1.0) is None

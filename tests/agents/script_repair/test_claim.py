"""What is said of fresh runs, and how often it is untrue."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netmend.agents.confirm import FRESH, LEAST_GAIN, SEEDS
from netmend.agents.script_repair.claim import MOST_SEEDS, Shown, confirmed
from netmend.agents.script_repair.runs import LOWEST, RealRuns, chance_of, figure_of, score_of
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record, Score

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


@pytest.mark.parametrize(
    ("before", "after", "more", "mended", "claim"),
    [
        ((0.70, 0.72, 0.71), (0.95, 0.97, 0.96), {}, False, "repair"),
        ((0.70, 0.72, 0.71), (0.95, 0.97, 0.96), {"own": 0.72}, False, "none"),
        ((0.70, 0.72, 0.71), (0.95, 0.97, 0.96), {"own": None}, False, "none"),
        ((0.70, 0.72, 0.71) * 2, (0.95, 0.97, 0.96) * 2, {"own": 0.72}, False, "repair"),
        ((0.70, 0.72, 0.71), (0.75, 0.77, 0.76), {}, False, "none"),  # apart, but by little
        ((0.5, 0.3, 0.8), (0.95, 0.99, 0.97), {}, False, "none"),
        ((0.5, 0.3, 0.8), (0.95, 0.99, 0.97), {}, True, "mended"),
        ((0.8, 0.8, 0.8), (0.7, 0.7, 0.7), {}, True, "none"),
        ((0.03, 0.02, 0.03), (0.19, 0.2, 0.19), {"chance": 0.6}, False, "none"),
        ((0.03, 0.02, 0.03), (0.7, 0.72, 0.71), {"chance": 0.6}, False, "repair"),
        ((None, None, None), (0.9, 0.9, 0.9), {"ran": False}, True, "repair"),
        ((None, 0.5, 0.5), (0.9, 0.9, 0.9), {"ran": False}, True, "mended"),
        ((None, None, None), (-1.0, -1.0, -1.0), {"ran": False}, True, "mended"),
        ((None, None, None), (None, None, None), {"ran": False}, True, "mended"),
        ((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), {"fits": False}, False, "none"),
        ((0.1, 0.1, 0.1), (0.9, 0.9, 0.9), {"runs": False}, True, "none"),
    ],
)
def test_what_is_claimed(before, after, more, mended, claim) -> None:  # type: ignore[no-untyped-def]
    shown = Shown(before=before, after=after, **{"own": after[0], "ran": True, "runs": True, **more})
    assert shown.claim(is_mended=mended) == claim


@pytest.mark.parametrize(
    ("after", "alone", "adds"),
    [
        ((0.93, 0.92, 0.94), (0.92, 0.92, 0.93), False),
        ((0.93, 0.92, 0.94), (0.80, 0.82, 0.81), "with more"),
        ((0.93, 0.92, 0.94), (0.88, 0.89, 0.87), False),  # little beside what was gained before
        ((0.93, 0.92, 0.94), (0.55, 0.57, 0.56), True),  # which is not good
        ((0.93, 0.92, 0.94), (0.05, 0.05, 0.05), True),
        ((0.05, 0.05, 0.05), (0.80, 0.82, 0.81), False),
        ((0.93, 0.92, 0.94), (0.93, None, 0.94), True),
        ((None, None, None), (None, None, None), False),
        ((99.0, 98.0, 97.0), (80.0, 81.0, 82.0), True),  # nobody knows whether that is good
    ],
)
def test_a_search_has_to_add_to_what_is_mended(after, alone, adds: bool | str) -> None:  # type: ignore[no-untyped-def]
    def shown(scores: tuple[float | None, ...]) -> Shown:
        return Shown(before=(0.1, 0.1, 0.1), after=scores, own=scores[0], ran=True, runs=True)

    assert shown(after).adds_to(shown(alone), more=False) == (adds is True)
    assert shown(after).adds_to(shown(alone), more=True) == bool(adds)


@pytest.mark.parametrize(
    ("before", "alone", "after", "chance", "kind", "adds"),
    [
        (0.6, 0.75, 0.97, 0.0, "accuracy, own", True),  # more than what answers the finding
        (0.7, 0.85, 0.93, 0.6, "accuracy, own", False),
        (0.65, 0.81, 0.93, 0.6, "accuracy, own", True),  # near one answer for all rows
        (0.1, 0.5, 0.7, 0.0, "r2, own", False),
        (0.1, 0.5, 0.7, 0.0, "accuracy, own", True),
    ],
)
def test_an_answer_to_a_finding_that_is_good_stands_alone(  # type: ignore[no-untyped-def]
    before, alone, after, chance, kind, adds
) -> None:
    def shown(score: float) -> Shown:
        seeds = [(score,) * 3, (before,) * 3]
        return Shown(before=seeds[1], after=seeds[0], own=score, chance=chance, kind=kind, runs=True)

    assert shown(after).adds_to(shown(alone), more=False) == adds


def normal(spread: float) -> Draw:
    return lambda generator, count: generator.normal(0.5, spread, count)


def either(share: float, spread: float) -> Draw:
    """A script that learns nothing with a share of its seeds."""
    return lambda generator, count: (
        0.45 * (generator.random(count) > share) + generator.normal(0.5, spread, count)
    )


@pytest.mark.parametrize(
    "draw",
    [normal(0.05), normal(0.3), either(0.43, 0.0), either(0.43, 0.04), either(0.1, 0.02)],
    ids=["usual", "wild", "either", "either, about", "seldom bad"],
)
def test_at_most_one_in_100_answers_that_change_nothing_is_claimed(draw: Draw) -> None:
    generator, rounds, claims = np.random.default_rng(0), 8000, 0
    for _ in range(rounds):
        own, *scores = map(float, draw(generator, 1 + 2 * MOST_SEEDS))
        claims += last_word(own, tuple(scores[:MOST_SEEDS]), tuple(scores[MOST_SEEDS:])) == "repair"
    assert claims / rounds <= 0.01


def last_word(own: float, before: tuple[float, ...], after: tuple[float, ...]) -> str:
    """What is claimed after three seeds, six or twelve of a script that ran with many."""
    count = SEEDS
    while (shown := Shown(before=before[:count], after=after[:count], own=own, runs=True)).is_open:
        if count == MOST_SEEDS:
            break
        count *= 2
    return shown.claim(is_mended=False)


@pytest.mark.parametrize(
    ("before", "after", "spread", "least"),
    [(0.9, 0.98, 0.1, 0.95), (0.9, 0.98, 0.4, 0.95), (0.9, 0.93, 0.05, 0.6)],
    ids=["some bad seeds", "some useless seeds", "a small gain"],
)
def test_a_script_that_is_good_by_luck_does_not_hide_its_repair(before, after, spread, least) -> None:  # type: ignore[no-untyped-def]
    generator, rounds, claims, found = np.random.default_rng(0), 500, 0, 0
    for _ in range(rounds):
        old = before - generator.exponential(spread, MOST_SEEDS + SEEDS)
        own, *new = after + generator.normal(0.0, 0.01, 1 + MOST_SEEDS + SEEDS)
        if last_word(own, tuple(old[:MOST_SEEDS]), tuple(new[:MOST_SEEDS])) == "repair":
            claims += 1
            found += np.mean(new[MOST_SEEDS:]) - np.mean(old[MOST_SEEDS:]) >= LEAST_GAIN
    assert claims >= least * rounds
    assert found >= 0.99 * claims


@pytest.mark.parametrize(
    ("gain", "turns", "runs", "claim"),
    [
        (0.4, 15, 7, "repair"),
        (0.1, 15, 13, "repair"),
        (0.1, 5, 7, "none"),
        (0.07, 15, 25, "repair"),
        (0.07, 12, 13, "none"),
        (0.03, 15, 25, "none"),
    ],
    ids=["large", "seen by six", "no time", "seen by twelve", "time for six", "too small"],
)
def test_a_gain_that_is_open_gets_more_seeds(
    tmp_path: Path, gain: float, turns: int, runs: int, claim: str
) -> None:
    class Fake(Runner):
        def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            value = 0.5 + gain * bool(sources) + (0.0, 0.04, -0.02)[(plan.seed - FRESH) % 3]
            score = Score(kind="accuracy", value=value, rows=9, source="own")
            return Record(ending="finished", seconds=1.0, score=score, losses=(float(plan.seed),))

    fakes = RealRuns(Fake(), tmp_path / "train.py", (), Plan(), turns=turns)
    shown, notes = confirmed(fakes, {}, {"train.py": "x"}, spare=0)
    assert (fakes.count, shown.claim(is_mended=False)) == (runs, claim)
    assert bool(notes) == (claim == "none")


def test_seeds_that_change_nothing_are_no_more_evidence(tmp_path: Path) -> None:
    class Fake(Runner):
        def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            score = Score(kind="accuracy", value=0.57 if sources else 0.5, rows=9, source="own")
            return Record(ending="finished", seconds=1.0, score=score, losses=(0.3, 0.2))

    runs = RealRuns(Fake(), tmp_path / "train.py", (), Plan())
    shown, notes = confirmed(runs, {}, {"train.py": "x"}, spare=0)
    assert (shown.claim(is_mended=False), runs.count) == ("none", 7)
    assert notes[-1] == "fresh seeds change nothing: all runs have the same losses"


@pytest.mark.parametrize(
    ("name", "was", "now", "claim", "gain"),
    [
        ("rmse", 2000.0, 900.0, "repair", 0.55),
        ("rmse", 2000.0, 3000.0, "none", -0.5),
        ("rmse", 1.0, 50.0, "none", -1.0),
        ("rmse", 0.5, 0.0, "repair", 1.0),
        ("rmse", 0.0, 0.5, "none", -0.5),
        ("nll", -2.0, -4.0, "repair", 1.0),
        ("mse", -2.0, -4.0, "none", -1.0),
        ("mean_error", -4.0, 1.0, "repair", 0.75),
        ("neg_rmse", -2000.0, -900.0, "repair", 0.55),
        ("return", -200.0, -400.0, "none", -1.0),
        ("return", 20.0, 31.0, "repair", 0.55),
        ("return", 200.0, 201.0, "none", 0.005),
        ("accuracy", 52.0, 87.0, "repair", 0.35),
        ("accuracy", 52.0, 53.0, "none", 0.01),
        ("accuracy", 0.52, 0.87, "repair", 0.35),
        ("r2", -4.0, 0.8, "repair", 1.2),
    ],
)
def test_a_printed_figure_becomes_a_score(
    tmp_path: Path, name: str, was: float, now: float, claim: str, gain: float
) -> None:
    class Fake(Runner):
        def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            score = Score(kind=name, value=now if sources else was, rows=0, source="printed")
            return Record(ending="finished", seconds=1.0, score=score, losses=(float(plan.seed),))

    runs = RealRuns(Fake(), tmp_path / "train.py", (), Plan())
    runs.run({})
    shown, _ = confirmed(runs, {}, {"train.py": "x"}, spare=0)
    assert (shown.claim(is_mended=False), shown.gain) == (claim, pytest.approx(gain))
    assert shown.figures == ((was,) * len(shown.before), (now,) * len(shown.after))
    better = "more" if name in ("neg_rmse", "return", "accuracy", "r2") else "less"
    assert shown.kind == f"{name}, as the script prints it, {better} is better"


@pytest.mark.parametrize(
    ("name", "count"), [("rmse", 2), ("neg_mae", 2), ("log_likelihood", 2), ("error_rate", 1), ("r2", 0)]
)
def test_what_an_edit_must_not_change_for_a_printed_figure(tmp_path: Path, name: str, count: int) -> None:
    runs = RealRuns(Runner(), tmp_path / "train.py", (), Plan(metric=f"{name}=x"))
    assert runs.unfit == ("data_wrangling/*@targets", "loss_function/*")[:count]


def test_an_error_is_measured_by_the_first_that_a_run_to_its_end_prints(tmp_path: Path) -> None:
    figures = iter([1e9, math.nan, math.inf, 2.0, 1.0, -math.inf])

    class Fake(Runner):
        def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
            score = Score(kind="rmse", value=next(figures), rows=0, source="printed")
            return Record(ending="timeout" if score.value == 1e9 else "finished", score=score)

    runs = RealRuns(Fake(), tmp_path / "train.py", (), Plan())
    records = [runs.run({"train.py": str(number)}) for number in range(6)]
    assert [*map(score_of, records)] == [None, None, LOWEST, 0.0, 0.5, LOWEST]
    assert [*map(figure_of, records)] == [None, None, None, 2.0, 1.0, None]


@pytest.mark.parametrize(
    ("kind", "source", "chance"),
    [
        ("accuracy", "own", 0.75),
        ("accuracy", "withheld", 0.5),
        ("r2", "own", 0.0),
        ("f1", "printed", -inf),
        ("test_accuracy", "printed", 0.75),
        ("Val acc", "printed", 0.75),
        ("balanced_accuracy", "printed", -inf),
        ("balanced accuracy", "own", 0.5),
        ("accepted", "printed", -inf),
    ],
)
def test_one_answer_for_all_rows(tmp_path: Path, kind: str, source: Any, chance: float) -> None:
    one_hot = np.eye(3)[[0, 1, 1, 1]]
    np.savez(tmp_path / "data.npz", targets=np.array([0, 0, 1, 2]), holdout_targets=one_hot)
    score = Score(kind=kind, value=0.5, rows=4, source=source)
    assert chance_of(Record(score=score, data=str(tmp_path / "data.npz"))) == chance

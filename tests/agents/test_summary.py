from __future__ import annotations

import io
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from rich.console import Console

from netmend.agents.estimates import Estimate, interval, median
from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.agents.summary import print_summary, summarise
from netmend.env.bugs.bug import Bug
from netmend.env.training.trial import Status, Trial


def outcome(bug: Bug, skills: list[float], edits: list[int], searched: int, seed: int = 0) -> Outcome:
    """The first attempt is the faulty program; hold-out skill is validation less 0.01."""
    attempts = tuple(
        Attempt(
            proposal=Proposal(program=bug.program, patch=tuple(f"edit{i}" for i in range(count))),
            trial=Trial(status=Status.OK, skill=skill, holdout=skill - 0.01, work=10.0),
        )
        for skill, count in zip([0.1, *skills], [0, *edits], strict=True)
    )
    return Outcome(bug=bug, method="policy", seed=seed, attempts=attempts, searched=searched)


def value(estimate: Estimate | None) -> float:
    assert estimate is not None
    return estimate.value


def test_answers_and_what_is_charged(two_fault_bug: Bug) -> None:
    found = outcome(two_fault_bug, [0.4, 0.9, 0.3, 0.89], [1, 3, 4, 2], searched=3)
    assert [found.answer(k).trial.skill for k in (0, 1, 2, 3)] == [0.1, 0.4, 0.9, 0.9]
    assert len(found.found.proposal.patch) == 3
    assert len(found.minimised.proposal.patch) == 2
    assert (found.trials, found.work) == (4, 40.0)


def test_trials_that_minimise_are_no_part_of_the_search(two_fault_bug: Bug) -> None:
    found = outcome(two_fault_bug, [0.7, 0.9], [3, 2], searched=1)
    assert found.answer(5).trial.skill == 0.7
    assert found.minimised.trial.skill == 0.9


def test_a_repair_without_predictions_counts_as_not_fixed(two_fault_bug: Bug) -> None:
    crashed = outcome(two_fault_bug, [], [], searched=0)
    trial = Trial(status=Status.CRASHED, message="shapes")
    attempt = replace(crashed.attempts[0], trial=trial)
    summary = summarise([replace(crashed, attempts=(attempt,))], trials=1)
    measures = summary.methods["policy"]
    assert [value(measures[name]) for name in ("fixed at 1", "mean IR")] == [0.0, 0.0]


def test_a_minimised_patch_may_not_lose_more_than_the_tolerance(two_fault_bug: Bug) -> None:
    found = outcome(two_fault_bug, [0.9, 0.87], [3, 1], searched=1)
    assert len(found.minimised.proposal.patch) == 3
    assert len(replace(found, tolerance=0.05).minimised.proposal.patch) == 1


def test_how_right_a_method_is_that_says_how_sure_it_is(two_fault_bug: Bug) -> None:
    bugs = [replace(two_fault_bug, id=str(i)) for i in range(4)]
    silent = [outcome(bug, [0.9 if bug.id < "3" else 0.2], [1], searched=1) for bug in bugs]
    assert not any(name.startswith("sure") for name in summarise(silent, trials=1).methods["policy"])

    def says(own: Outcome, sure: float) -> Outcome:
        return replace(own, attempts=(own.attempts[0], replace(own.attempts[1], sure=sure)))

    outcomes = [says(own, sure) for own, sure in zip(silent, (0.85, 0.85, 1.0, 0.25), strict=True)]
    measures = summarise(outcomes, trials=1).methods["policy"]
    assert value(measures["sure: calibration error"]) == pytest.approx((0.15 + 0.15 + 0.0 + 0.25) / 4)
    assert value(measures["sure: Brier score"]) == pytest.approx((2 * 0.15**2 + 0.25**2) / 4)
    assert value(measures["sure: Brier score of a constant guess"]) == pytest.approx(0.75 * 0.25)
    error = measures["sure: calibration error"]
    assert error is not None
    assert error.low < error.value < error.high


def test_measures(two_fault_bug: Bug) -> None:
    bugs = [replace(two_fault_bug, id=str(i)) for i in range(3)]
    outcomes = [
        outcome(bugs[0], [0.9, 0.89], [2, 1], searched=1),
        outcome(bugs[1], [0.4, 0.92], [1, 2], searched=2),
        outcome(bugs[2], [0.2, 0.5, 0.5], [1, 2, 3], searched=3),
    ]
    measures = summarise(outcomes, trials=3).methods["policy"]
    assert value(measures["fixed at 1"]) == pytest.approx(1 / 3)
    assert value(measures["fixed at 2"]) == pytest.approx(2 / 3)
    assert value(measures["fixed at 3"]) == pytest.approx(2 / 3)
    assert "fixed at 5" not in measures
    assert value(measures["mean IR"]) == pytest.approx((1.0 + 1.025 + 0.5) / 3)
    assert value(measures["median IR"]) == pytest.approx(1.0)
    assert value(measures["fixed with at most 2 edits"]) == pytest.approx(2 / 3)
    assert value(measures["validation gain"]) == pytest.approx((0.8 + 0.82 + 0.4) / 3)
    assert value(measures["hold-out gain"]) == pytest.approx((0.8 + 0.82 + 0.4) / 3)
    assert value(measures["edits"]) == pytest.approx(1.5)
    assert value(measures["edits, not minimised"]) == pytest.approx(2.0)
    assert value(measures["trials"]) == pytest.approx(7 / 3)
    assert value(measures["work"]) == pytest.approx(70 / 3)


def test_a_fix_with_many_edits_counts_as_none_with_few(two_fault_bug: Bug) -> None:
    measures = summarise([outcome(two_fault_bug, [0.9], [3], searched=1)], trials=1).methods["policy"]
    assert value(measures["fixed, minimised"]) == 1.0
    assert value(measures["fixed with at most 2 edits"]) == 0.0


def test_seeds_are_averaged_within_a_bug_first(two_fault_bug: Bug) -> None:
    other = replace(two_fault_bug, id="other")
    outcomes = [
        *(outcome(two_fault_bug, [0.9], [1], searched=1, seed=seed) for seed in range(3)),
        outcome(other, [0.2], [1], searched=1),
    ]
    fixed = summarise(outcomes, trials=1).methods["policy"]["fixed at 1"]
    assert value(fixed) == 0.5
    assert fixed is not None
    assert fixed.bugs == 2


def test_groups_by_faults_and_dataset(two_fault_bug: Bug) -> None:
    one = replace(two_fault_bug, id="one", operators=("HLR",))
    outcomes = [outcome(one, [0.9], [1], 1), outcome(two_fault_bug, [0.2], [1], 1)]
    groups = summarise(outcomes, trials=1, seen=frozenset({"digits"})).groups
    shares = {title: value(measures["policy"]) for title, measures in groups.items()}
    assert shares == {"1 fault": 1.0, "2 faults": 0.0, "dataset in training or validation": 0.5}


def test_all_views_of_a_pack_are_one_dataset(two_fault_bug: Bug) -> None:
    program = two_fault_bug.program
    small = replace(
        two_fault_bug, program=replace(program, data=replace(program.data, dataset="mnist_small"))
    )
    groups = summarise([outcome(small, [0.9], [1], 1)], trials=1, seen=frozenset({"mnist"})).groups
    assert "dataset in training or validation" in groups


def test_bugs_without_a_known_fix_have_no_fixed_share(two_fault_bug: Bug) -> None:
    unknown = replace(two_fault_bug, fixed=None, fixed_score=None, faulty_score=None, operators=())
    summary = summarise([outcome(unknown, [0.9], [1], searched=1)], trials=1)
    measures = summary.methods["policy"]
    assert [measures[name] for name in ("fixed at 1", "mean IR", "edits")] == [None, None, None]
    assert measures["fixed with at most 2 edits"] is None
    assert value(measures["validation gain"]) == value(measures["hold-out gain"]) == pytest.approx(0.8)
    assert value(measures["trials"]) == 1
    print_summary(summary, Console(file=io.StringIO()))


@pytest.mark.parametrize("values", [[1.0], [0.5, 0.5, 0.5], [0.0] * 80])
def test_interval_of_constant_values_is_a_point(values: list[float]) -> None:
    assert interval(np.array(values)) == (values[0], values[0])


def test_interval_covers_and_narrows_with_more_bugs() -> None:
    rng = np.random.default_rng(0)
    small, large = (interval(rng.random(n)) for n in (20, 500))
    assert small[0] < 0.5 < small[1]
    assert large[1] - large[0] == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 500), rel=0.15)
    low, high = interval(rng.random(50), median)
    assert low < high


def test_table_and_json(two_fault_bug: Bug) -> None:
    bugs = [replace(two_fault_bug, id=str(i)) for i in range(4)]
    outcomes = [outcome(bug, [0.9 if i else 0.2], [1], searched=1) for i, bug in enumerate(bugs)]
    summary = summarise(outcomes, trials=1)
    text = io.StringIO()
    print_summary(summary, Console(file=text, width=100))
    assert "75% (25-100)" in text.getvalue()
    assert "over the bugs that the method fixed" in " ".join(text.getvalue().split())
    plain = json.loads(json.dumps(asdict(summary), allow_nan=False))
    assert plain["methods"]["policy"]["fixed at 1"]["value"] == 0.75


def test_a_larger_patch_has_to_be_worth_its_edits(two_fault_bug: Bug) -> None:
    """The answer is not the one that is best by a hair, whatever it replaces."""
    repair = outcome(two_fault_bug, [0.9, 0.905, 0.95], [1, 6, 7], searched=3)
    assert [repair.answer(trials).proposal.patch for trials in (1, 2, 3)] == [
        repair.attempts[number].proposal.patch for number in (1, 1, 3)
    ]

from __future__ import annotations

import io

import pytest
from rich.console import Console

from netmend.agents.methods import Proposal
from netmend.agents.outcome import Attempt, Outcome
from netmend.agents.summary import costs, print_summary, summarise
from netmend.env.bugs.bug import Bug
from netmend.env.training.trial import Status, Trial


def outcome(bug: Bug, *told: tuple[bool | None, float], searched: int) -> Outcome:
    trial = Trial(status=Status.OK, skill=0.5, holdout=0.5, work=10.0, seconds=0.5)
    attempts = [
        Attempt(
            proposal=Proposal(
                program=bug.program, patch=(), by_actions=False, from_model=model, seconds=seconds
            ),
            trial=trial,
        )
        for model, seconds in ((None, 0.0), *told)
    ]
    return Outcome(bug=bug, method="hebo", seed=0, attempts=tuple(attempts), searched=searched)


def test_suggestions_apart_from_their_trials(two_fault_bug: Bug) -> None:
    first = outcome(two_fault_bug, (False, 1.0), (True, 2.0), searched=2)
    second = outcome(two_fault_bug, (True, 6.0), (None, 99.0), searched=1)  # the last one minimised
    found = costs([first, second])
    assert (found.suggestions, found.from_model) == (3, 2)
    assert (found.median_seconds, found.mean_seconds, found.seconds) == (2.0, 3.0, 9.0)
    assert (found.trials, found.trial_seconds, found.work) == (4, 2.0, 40.0)


def test_what_a_method_does_not_tell_is_not_zero(two_fault_bug: Bug) -> None:
    found = costs([outcome(two_fault_bug, (None, 0.0), searched=1)])
    assert (found.from_model, found.median_seconds, found.seconds) == (None, None, None)
    assert costs([]).suggestions == 0


@pytest.mark.parametrize(("told", "shown"), [((True, 1.5), True), ((None, 0.0), False)])
def test_the_table_is_printed_where_there_is_something_to_tell(
    two_fault_bug: Bug, told: tuple[bool | None, float], shown: bool
) -> None:
    text = io.StringIO()
    print_summary(summarise([outcome(two_fault_bug, told, searched=1)], 1), Console(file=text))
    assert ("costs of all repairs" in text.getvalue()) == shown

"""A search as a repair method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from netmend.agents.methods import Thinking
from netmend.agents.peers.method import SearchMethod, SearchRepair
from netmend.agents.peers.pool import SuggestionPool
from netmend.env.bugs.bug import Bug
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Status, Trial

FAILED = Trial(status=Status.CRASHED)
FAIR = Trial(status=Status.OK, skill=0.5, metric=0.6)


@pytest.fixture(scope="module")
def pool() -> Iterator[SuggestionPool]:
    with SuggestionPool(1) as opened:
        yield opened


def _start(
    pool: SuggestionPool, bug: Bug, task: Task, first: Trial = FAILED, trials: int = 5
) -> SearchRepair:
    repair = SearchMethod("random_search", pool).start(bug, task, first, Rules(trials=trials), seed=0)
    assert isinstance(repair, SearchRepair)
    return repair


def test_proposals_say_what_they_change(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    repair = _start(pool, two_fault_bug, scripted_task)
    assert isinstance(repair, Thinking)
    repair.think()
    proposal = repair.ask()
    assert proposal is not None
    assert not proposal.by_actions
    assert proposal.from_model is False
    assert proposal.seconds > 0
    changed = dict(change.split("=") for change in proposal.patch)
    assert float(changed["lr"]) == proposal.program.optimizer.lr
    assert proposal.program != two_fault_bug.program


def test_each_program_and_seed_has_a_stream_of_its_own(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    slower = replace(two_fault_bug.program, optimizer=replace(two_fault_bug.program.optimizer, lr=0.5))
    method = SearchMethod("random_search", pool)
    rates = []
    for program, seed in ((two_fault_bug.program, 0), (slower, 0), (two_fault_bug.program, 1)):
        bug = replace(two_fault_bug, program=program)
        proposal = method.start(bug, scripted_task, FAILED, Rules(), seed).ask()
        assert proposal is not None
        rates.append(proposal.program.optimizer.lr)
    assert len(set(rates)) == 3


def test_ends_with_its_trials(pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task) -> None:
    repair = _start(pool, two_fault_bug, scripted_task, trials=3)
    programs = []
    while (proposal := repair.ask()) is not None:
        programs.append(proposal.program)
        repair.tell(FAIR if len(programs) == 1 else FAILED)
    assert len(set(programs)) == 3


def test_ends_at_an_accuracy_of_99_percent(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    good = replace(FAIR, metric=0.99)
    assert _start(pool, two_fault_bug, scripted_task, first=good).ask() is None
    values = replace(scripted_task, kind="regression", outputs=1)
    assert _start(pool, two_fault_bug, values, first=good).ask() is not None


def test_telling_without_asking_is_refused(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    with pytest.raises(RuntimeError, match="without an ask"):
        _start(pool, two_fault_bug, scripted_task).tell(FAIR)


def test_a_program_that_fails_with_some_seeds_is_not_good_enough(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    """The metric of several seeds is that of those that ran."""
    lucky = replace(FAIR, skill=0.15, metric=0.995, message="2 of 3 seeds: the training loss is nan")
    assert _start(pool, two_fault_bug, scripted_task, first=lucky).ask() is not None


@pytest.mark.parametrize("name", ["random_search", "tpe"])
def test_what_is_asked_for_ahead_is_the_same(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task, name: str
) -> None:
    """As far ahead as chance alone decides: all of them, or until the model has ten results."""

    def start() -> SearchRepair:
        method = SearchMethod(name, pool)
        repair = method.start(two_fault_bug, scripted_task, FAILED, Rules(trials=12), seed=0)
        assert isinstance(repair, SearchRepair)
        return repair

    trials = [replace(FAIR, skill=number / 100) for number in range(12)]
    one, ahead = start(), start()
    expected = []
    for trial in trials:
        expected.append(one.ask())
        one.tell(trial)
    found, told, batches = [], 0, []
    while told < 12:
        while ahead.ready() and (proposal := ahead.ask()) is not None:
            found.append(proposal)
        batches.append(len(found) - told)
        for trial in trials[told : len(found)]:
            ahead.tell(trial)
            told += 1
    assert found == expected
    assert batches == {"random_search": [12], "tpe": [9, 1, 1, 1]}[name]
    assert ahead.ask() is None


def test_a_good_program_ends_what_was_asked_for_ahead(
    pool: SuggestionPool, two_fault_bug: Bug, scripted_task: Task
) -> None:
    repair = _start(pool, two_fault_bug, scripted_task)
    assert repair.ask() is not None
    assert repair.ask() is not None
    repair.tell(replace(FAIR, metric=0.99))
    assert repair.done()
    assert repair.ask() is None

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.loading import without_missing_packs
from netmend.env.data import load_dataset
from netmend.env.program import BatchNorm, Dense, Monitor, Recurrent, find_crash, multiply_accumulates
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.prepare import balanced, training_rows
from netmend.env.training.trial import SKILL_FLOOR, Budget, Status, TrialRequest
from netmend.env.training.work import affordable, expected_seconds, planned_updates, training_work

ROWS = 200
"""Training rows of ``table``."""
UNLIMITED = Budget(work=1e12)


@pytest.fixture
def task(datasets):
    return datasets["table"].task


def shapes(good):
    """The same program at several paces, with and without a last row that is skipped."""
    norm = (good.layers[0], BatchNorm(), *good.layers[1:])
    yield good
    yield replace(good, batch_size=64, epochs=3)
    yield replace(good, batch_size=199, layers=norm)
    yield replace(good, batch_size=199, epochs=2)
    yield replace(good, batch_size=1, epochs=1)
    yield replace(good, batch_size=1000, epochs=20)


BUDGETS = (
    UNLIMITED,
    replace(UNLIMITED, updates=5),
    replace(UNLIMITED, epochs=2, samples=33),
    replace(UNLIMITED, updates=50, work=1.0),
    replace(UNLIMITED, work=0.3),
)


@pytest.mark.parametrize("budget", BUDGETS)
def test_what_is_planned_is_what_is_trained(datasets, good, task, budget):
    rows = min(budget.samples, ROWS)
    for trainer in (LocalTrainer(datasets.__getitem__), CompiledTrainer(datasets.__getitem__)):
        for program in shapes(good):
            updates = planned_updates(program, task, rows, budget)
            (trial,) = trainer.run([TrialRequest(program=program, budget=budget, seed=0)])
            if updates:
                assert trial.status is Status.OK
                assert trial.work == pytest.approx(training_work(program, task, rows, updates))
                assert trial.work <= budget.work
            else:
                assert (trial.status, trial.work) == (Status.TOO_MUCH_WORK, 0.0)


def test_the_cap_leaves_as_many_updates_as_fit(good, task):
    one = 3 * (6 * 16 + 16 * 16 + 16 * 3) / 1e6
    epoch = one * ROWS
    assert planned_updates(good, task, ROWS, UNLIMITED) == 8 * 13
    for work, updates in ((epoch, 13), (0.999 * epoch, 12), (epoch + one * 16, 14), (epoch + one * 15, 13)):
        assert planned_updates(good, task, ROWS, replace(UNLIMITED, work=work)) == updates
    assert planned_updates(good, task, ROWS, replace(UNLIMITED, work=16 * one)) == 1
    assert planned_updates(good, task, ROWS, replace(UNLIMITED, work=15 * one)) == 0
    assert affordable(good, task, ROWS, UNLIMITED) == UNLIMITED


def test_a_program_that_asks_for_too_much_trains_less(run, good):
    whole, cut = run(good, UNLIMITED), run(good, replace(UNLIMITED, work=whole_work(run, good) / 3))
    assert cut.status is Status.OK
    assert cut.curves.train_loss[:2] == whole.curves.train_loss[:2]
    assert len(cut.curves.train_loss) == 3
    assert cut == replace(run(good, replace(UNLIMITED, updates=34)), seconds=cut.seconds)


def whole_work(run, program):
    return run(program, UNLIMITED).work


def test_too_much_for_one_update_is_refused_before_anything_is_built(run, good, monkeypatch):
    monkeypatch.setattr("netmend.env.training.session.Network", None)
    trial = run(good, replace(UNLIMITED, work=0.01), holdout=True)
    assert (trial.status, trial.skill, trial.work) == (Status.TOO_MUCH_WORK, SKILL_FLOOR, 0.0)
    assert trial.metric is trial.holdout is None
    assert "one update takes 0.02 million multiply-accumulates, the budget has 0.01" in trial.message
    assert not trial.says_nothing


def test_what_is_cut_is_as_in_the_plain_loop(datasets, good):
    wide = replace(good, layers=(Dense(units=64, activation="relu"), *good.layers[1:]))
    budget = replace(UNLIMITED, work=2.0)
    requests = [TrialRequest(program=p, budget=budget, seed=s) for p in (good, wide) for s in (0, 1)]
    trials = CompiledTrainer(datasets.__getitem__).run(requests)
    for trial, request in zip(trials, requests, strict=True):
        (plain,) = LocalTrainer(datasets.__getitem__).run([request])
        assert (trial.status, trial.work) == (plain.status, pytest.approx(plain.work))
        assert trial.curves.train_loss == pytest.approx(plain.curves.train_loss, rel=1e-4, abs=1e-6)


def test_monitors_come_on_top(run, good, task):
    monitored = run(replace(good, monitor=Monitor(rates=True, classes=True)), UNLIMITED)
    assert monitored.work > training_work(good, task, ROWS, 8 * 13)


@pytest.mark.parametrize("name", ["tiny", "mutants-v1", "crashes-v1", "real-v1", "icst2023-v1"])
def test_no_program_of_a_suite_is_cut(name):
    suite, looked = load_suite(name), 0
    for bug in without_missing_packs(suite.bugs)[0]:
        for program in filter(None, (bug.program, bug.fixed)):
            dataset, budget = load_dataset(program.data.dataset), bug.budget or suite.budget
            if find_crash(program, dataset.task) is None:
                rows = training_rows(program.data, dataset, budget.samples)
                if any(step.kind == "balance" for step in program.data.prep):
                    rows = balanced(rows)
                assert affordable(program, dataset.task, len(rows), budget) == budget
                looked += 1
    assert looked > 10


def test_nothing_to_multiply_is_never_cut(good, task):
    idle = replace(good, layers=())
    assert multiply_accumulates(idle, task) == 0
    assert planned_updates(idle, task, ROWS, replace(UNLIMITED, work=1e-9)) == 8 * 13


def test_what_is_expected_is_near_what_is_taken(datasets, good):
    """Within what a hang is bounded by: a tenth of its limit."""
    series = replace(good.data, dataset="series")
    for program in (
        replace(good, epochs=12, batch_size=4),
        replace(good, data=series, layers=(Recurrent(cell="gru", units=16), Dense(units=3))),
        replace(good, data=series, layers=(Recurrent(cell="lstm", units=64), Dense(units=3))),
    ):
        dataset = datasets[program.data.dataset]
        updates = planned_updates(program, dataset.task, ROWS, UNLIMITED)
        expected = expected_seconds(program, dataset.task, ROWS, updates, len(dataset.validation))
        begun = time.thread_time()
        LocalTrainer(datasets.__getitem__).run([TrialRequest(program=program, budget=UNLIMITED, seed=0)])
        assert time.thread_time() - begun < 5 * expected
        assert expected < 20 * (time.thread_time() - begun)

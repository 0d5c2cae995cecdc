from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from types import ModuleType

import pytest

from netmend.env.errors import NetmendError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.front import TrialFront
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.store import TrialStore
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import SKILL_FLOOR, Budget, Curves, Status, Trial, TrialRequest

PROGRAM = Program(
    data=Data(dataset="iris"), layers=(Dense(units=3),), loss="cross_entropy", optimizer=Optimizer()
)


def request(seed: int = 0, seeds: int = 1, holdout: bool = False, units: int = 3) -> TrialRequest:
    program = replace(PROGRAM, layers=(Dense(units=units),))
    return TrialRequest(program=program, budget=Budget(seeds=seeds), seed=seed, holdout=holdout)


class Scripted:
    """Gives the trial of each seed, with the hold-out skill to all."""

    def __init__(self, *trials: Trial) -> None:
        self.trials = trials

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [self.trials[request.seed] for request in requests]

    def close(self) -> None: ...


def scored(skill: float) -> Trial:
    return Trial(status=Status.OK, skill=skill, holdout=skill - 0.1, metric=skill / 2, work=2.0, seconds=3.0)


def test_a_trial_is_the_mean_over_its_seeds() -> None:
    shown = {"curves": Curves(train_loss=(1.0,)), "symptoms": Symptoms(oscillation=0.5), "message": "m"}
    first = replace(scored(0.9), **shown)
    trainer = TrialFront(Scripted(first, scored(0.5), scored(0.1)))
    opened, shut = trainer.run([request(seeds=3, holdout=True), request(seeds=3)])
    assert opened.skill == pytest.approx(0.5)
    assert opened.holdout == pytest.approx(0.4)
    assert opened.metric == pytest.approx(0.25)
    assert opened.spread == pytest.approx(stdev([0.9, 0.5, 0.1]))
    assert (opened.work, opened.seconds) == (6.0, 9.0)
    assert (opened.curves, opened.symptoms, opened.message) == (first.curves, first.symptoms, "m")
    assert shut == replace(opened, holdout=None)


def test_a_seed_that_fails_pulls_the_mean_down() -> None:
    failed = Trial(status=Status.DIVERGED, message="loss is not finite")
    trainer = TrialFront(Scripted(scored(0.9), failed, failed, replace(failed, message="not this one")))
    (trial,) = trainer.run([request(seeds=2, holdout=True)])
    assert (trial.status, trial.message) == (Status.OK, "1 of 2 seeds: loss is not finite")
    assert trial.skill == pytest.approx((0.9 + SKILL_FLOOR) / 2)
    assert trial.holdout == pytest.approx((0.8 + SKILL_FLOOR) / 2)
    assert trial.metric == pytest.approx(0.45)
    (trial,) = trainer.run([request(seeds=4)])
    assert (trial.status, trial.message) == (Status.OK, "3 of 4 seeds: loss is not finite")
    (trial,) = trainer.run([request(seed=1, seeds=2, holdout=True)])
    assert (trial.status, trial.message) == (Status.DIVERGED, "loss is not finite")
    assert (trial.skill, trial.holdout, trial.metric, trial.spread) == (SKILL_FLOOR, None, None, 0.0)


def test_where_one_seed_says_nothing_the_trial_says_nothing() -> None:
    hung = Trial(status=Status.HUNG, message="no result")
    trainer = TrialFront(Scripted(scored(0.9), scored(0.5), hung, scored(0.1)))
    known, unknown = trainer.run([request(seeds=2), request(seed=1, seeds=2, holdout=True)])
    assert not known.says_nothing
    assert unknown == hung


def test_the_first_seed_says_how_it_ended() -> None:
    failed = Trial(status=Status.CRASHED, message="no", skill=0.7, holdout=0.7)
    (trial,) = TrialFront(Scripted(failed, scored(0.5))).run([request(seeds=2, holdout=True)])
    assert (trial.status, trial.message) == (Status.CRASHED, "no")
    assert trial.skill == pytest.approx((SKILL_FLOOR + 0.5) / 2)
    assert trial.holdout == pytest.approx((SKILL_FLOOR + 0.4) / 2)


def test_equal_requests_are_trained_once_without_a_store(fake_trainers: ModuleType) -> None:
    recorder = fake_trainers.Recorder()
    trainer = TrialFront(recorder)
    requests = [request(1), request(2), request(1, holdout=True), request(1), request(1, units=4)]
    trials = trainer.run(requests)
    assert trials == [fake_trainers.trial_of(r) for r in requests]
    assert recorder.asked == [requests[2], requests[1], requests[4]]
    assert (trainer.hits, trainer.misses) == (2, 3)
    assert trainer.store is None
    trainer.close()
    assert recorder.closed


def test_trainings_are_shared_and_single_ones_pass_through_unchanged(fake_trainers: ModuleType) -> None:
    recorder = fake_trainers.Recorder()
    single, *_ = requests = [request(5), request(1, seeds=3), request(2, seeds=2)]
    trials = TrialFront(recorder).run(requests)
    assert recorder.asked[0] is single
    assert [(r.seed, r.budget.seeds) for r in recorder.asked] == [(5, 1), (3, 1), (4, 1)]
    assert trials[0] == fake_trainers.trial_of(single)
    assert trials[2].skill == pytest.approx((SKILL_FLOOR + 6 / 3) / 2)


def test_different_seeds_share_no_training(fake_trainers: ModuleType) -> None:
    recorder = fake_trainers.Recorder()
    TrialFront(recorder).run([request(seed, seeds=3) for seed in range(-1, 3)])
    assert [r.seed for r in recorder.asked] == list(range(-3, 9))


def test_hits_and_misses_with_a_store(tmp_path: Path, fake_trainers: ModuleType) -> None:
    recorder = fake_trainers.Recorder()
    trainer = TrialFront(recorder, TrialStore(tmp_path / "t.sqlite"), fingerprint=str)
    requests = [request(0, seeds=3), request(10, seeds=3), request(0, seeds=3)]
    trials = trainer.run(requests)
    assert (trainer.hits, trainer.misses) == (1, 6)
    assert trainer.run(requests) == trials
    assert (trainer.hits, trainer.misses) == (4, 6)
    trainer.run([request(0), request(99)])
    assert (trainer.hits, trainer.misses) == (5, 7)
    assert len(recorder.asked) == 7
    assert trainer.run([]) == []
    trainer.close()


@pytest.mark.parametrize("stored", [True, False])
def test_a_stream_takes_requests_while_it_runs(
    tmp_path: Path, fake_trainers: ModuleType, stored: bool
) -> None:
    """Each training once, and the trials, counts and the store as after as many calls of ``run``."""
    store = TrialStore(tmp_path / "t.sqlite") if stored else None
    recorder = fake_trainers.Recorder()
    trainer = TrialFront(recorder, store, fingerprint=str)
    trainer.run([request(0)])
    later = [request(1, seeds=3), request(5, holdout=True), request(9), request(10, seeds=3)]
    requests = [request(0), request(9), request(9)]
    trials: dict[int, Trial] = {}
    for position, trial in trainer.stream(requests):
        assert position not in trials
        trials[position] = trial
        requests += [later.pop(0)] if later else []
    expected = TrialFront(fake_trainers.Recorder()).run(requests)
    assert [trials[position] for position in range(len(requests))] == expected
    assert (trainer.trials, trainer.statuses.total()) == (8, 8)
    assert trainer.misses == len(recorder.asked) == 9 + (not stored)
    assert trainer.hits == 2 + stored
    if store is not None:
        assert store.summary().trials == 8  # the one with the hold-out part is on file once
    trainer.close()


def test_no_seed_is_refused(fake_trainers: ModuleType) -> None:
    with pytest.raises(NetmendError, match=r"budget\.seeds must be 1 or more, not 0"):
        TrialFront(fake_trainers.Recorder()).run([request(seeds=0)])


def test_who_trains_takes_single_trainings_alone() -> None:
    with pytest.raises(NetmendError, match=r"budget\.seeds=3 reached a trainer of single trainings"):
        LocalTrainer().run([request(seeds=3)])


def test_trials_are_counted_by_request(fake_trainers: ModuleType) -> None:
    trainer = TrialFront(fake_trainers.Recorder())
    trainer.run([request(0), request(4), request(0), request(1, seeds=3)])
    assert trainer.trials == 4
    assert trainer.statuses == {Status.OK: 3, Status.DIVERGED: 1}


def test_real_trainings() -> None:
    program = replace(PROGRAM, data=Data(dataset="moons"), layers=(Dense(units=2),))
    budget = Budget(epochs=2)
    trainer = TrialFront(LocalTrainer())
    (mean,) = trainer.run([TrialRequest(program=program, budget=replace(budget, seeds=3), seed=4)])
    alone = trainer.run([TrialRequest(program=program, budget=budget, seed=seed) for seed in (12, 13, 14)])
    assert mean.skill == pytest.approx(sum(trial.skill for trial in alone) / 3)
    assert mean.spread > 0
    assert mean.curves == alone[0].curves


def test_another_metric_of_the_task_is_another_trial(tmp_path: Path) -> None:
    plain = request()
    asked = [plain, replace(plain, metric="balanced_accuracy"), replace(plain, metric="f1")]
    with closing(TrialFront(LocalTrainer(), TrialStore(tmp_path / "trials.sqlite"))) as trainer:
        trials = trainer.run(asked)
        again = trainer.run(asked)
    assert trainer.misses == 3
    assert again == trials
    assert len({trial.metric for trial in trials}) == 3
    assert trials[0].curves.train_loss == trials[2].curves.train_loss

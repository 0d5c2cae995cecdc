"""A world in which trials are instant: every fault costs a known amount of skill."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from netmend.agents.verbs.config import ActionsConfig
from netmend.agents.verbs.train import AgentConfig, ImitationConfig, TrainConfig, TrainingConfig
from netmend.env.bugs.bug import SPLITS, Bug, Score, Split, Spread, Suite
from netmend.env.program import Data, Dense, Optimizer, Prep, Program
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

GOOD = Program(
    data=Data(dataset="iris", prep=(Prep(kind="standardize"),)),
    layers=(Dense(units=16, activation="relu"), Dense(units=3)),
    loss="cross_entropy",
    optimizer=Optimizer(lr=0.01),
    batch_size=16,
)
ACTIONS = ("data_wrangling/*", "optimizer/*", "activation/*")


def skill_of(program: Program) -> float:
    """1 for the good program; each of three faults takes its share."""
    first = program.layers[0]
    scaled = 0.3 * any(prep.kind == "standardize" for prep in program.data.prep)
    relu = 0.3 * (isinstance(first, Dense) and first.activation == "relu")
    return 0.1 + scaled + relu + 0.3 * (1e-3 <= program.optimizer.lr <= 1e-1)


class InstantTrainer:
    """Answers at once with ``skill_of``; some programs diverge. Calls ``on_run`` with the trials so far."""

    def __init__(self, on_run: Callable[[int], None] | None = None) -> None:
        self.trials = 0
        self.closed = False
        self._on_run = on_run

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.trials += len(requests)
        if self._on_run is not None:
            self._on_run(self.trials)
        return [self._trial(request.program) for request in requests]

    def close(self) -> None:
        self.closed = True

    def _trial(self, program: Program) -> Trial:
        if program.optimizer.lr > 1:
            return Trial(status=Status.DIVERGED, message="loss is not finite", work=1.0)
        return Trial(status=Status.OK, skill=skill_of(program), work=1.0)


def score(mean: float) -> Score:
    spread = Spread(mean=mean, sd=0.0, seeds=8)
    return Score(validation=spread, holdout=spread)


@dataclass(frozen=True)
class World:
    """What a training needs: a suite, its trainer and a configuration."""

    suite: Suite
    trainer: type[InstantTrainer]
    config: TrainConfig


def make_suite() -> Suite:
    faults = {
        "unscaled": replace(GOOD, data=Data(dataset="iris")),
        "slow": replace(GOOD, optimizer=Optimizer(lr=1e-7)),
        "linear": replace(GOOD, layers=(Dense(units=16), Dense(units=3))),
    }

    def bug(name: str, program: Program, split: Split) -> Bug:
        faulty = score(skill_of(program))
        return Bug(
            id=f"{split}-{name}",
            program=program,
            split=split,
            fixed=GOOD,
            faulty_score=faulty,
            fixed_score=score(1.0),
        )

    bugs = tuple(bug(name, program, split) for split in SPLITS for name, program in faults.items())
    return Suite(name="instant", description="three faults", budget=Budget(), bugs=bugs)


def make_config() -> TrainConfig:
    params = {"n_steps": 8, "batch_size": 16, "n_epochs": 2}
    return TrainConfig(
        agent=AgentConfig(
            algorithm="maskable_ppo", n_envs=4, network=[16, 16], activation="tanh", params=params
        ),
        bugs="instant",
        actions=ActionsConfig(names=list(ACTIONS)),
        training=TrainingConfig(steps=128, store=None, validate_every=2, checkpoint_every=2, choosing_bugs=0),
        imitation=ImitationConfig(lessons=0),
        compose=False,
    )


def open_world(monkeypatch: pytest.MonkeyPatch) -> World:
    suite = make_suite()
    for module in ("opening", "config"):
        monkeypatch.setattr(f"netmend.agents.verbs.{module}.load_suite", lambda _: suite)
    # To settle all that the tests have loaded takes as long as one of these trainings.
    monkeypatch.setattr("netmend.agents.train.settled", nullcontext)
    return World(suite, InstantTrainer, make_config())


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return open_world(monkeypatch)


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """While it is open no file can grow beyond 100 bytes: a write fails as it does on a full disk."""

    @contextmanager
    def full() -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "run"

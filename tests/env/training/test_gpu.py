from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from netmend.env.program import Conv2d, Data, Dense, Optimizer, Program
from netmend.env.training import front, gpu
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.gpu import GpuTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

SMALL = Program(
    data=Data(dataset="digits"),
    layers=(Dense(units=64, activation="relu"), Dense(units=10)),
    loss="cross_entropy",
    optimizer=Optimizer(),
)
LARGE = replace(SMALL, layers=(Dense(units=512), Dense(units=512), Dense(units=10)))
MISFIT = replace(SMALL, layers=(Conv2d(filters=10_000), Dense(units=10)))
ODD = replace(LARGE, epochs=-1)


class Named:
    """Says in its trials who it is."""

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [Trial(status=Status.OK, message=self.name) for _ in requests]

    def close(self) -> None:
        self.closed = True


def asked(program: Program) -> TrialRequest:
    return TrialRequest(program=program, budget=Budget(), seed=0)


def test_size_decides_and_what_cannot_be_trained_stays_on_the_cpu() -> None:
    small, large = Named("cpu"), Named("cuda")
    trainer = GpuTrainer(small, large)
    trials = trainer.run([asked(program) for program in (LARGE, SMALL, MISFIT, ODD, LARGE)])
    assert [trial.message for trial in trials] == ["cuda", "cpu", "cpu", "cpu", "cuda"]
    trainer.close()
    assert small.closed
    assert large.closed


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("compiled", [True, False])
def test_build_trainer_makes_it_and_the_store_keeps_its_trials_apart(
    workers: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "_check_device", lambda device: None)
    monkeypatch.setattr(gpu.torch, "set_num_threads", lambda number: None)
    made = front.build_trainer(workers, "cuda:1", compiled=compiled)
    inner = made.trainer._factory() if workers else made.trainer
    assert isinstance(inner, GpuTrainer)
    assert type(inner.small) is (CompiledTrainer if compiled else LocalTrainer)
    assert type(inner.large) is LocalTrainer
    assert inner.large.device == "cuda:1"
    assert made._device == ("cuda+compiled" if compiled else "cuda")

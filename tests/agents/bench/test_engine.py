from __future__ import annotations

from typing import Any

import pytest

from netmend.agents.bench import engine, training_run
from netmend.agents.bench.engine import GPU_SHARE, SEEDS, Bench, measure, requests_of
from netmend.agents.bench.programs import alone
from netmend.agents.bench.result import Comparison, Figure
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Trainer

BENCH = Bench(programs=4, repeats=2, seed=0, device="cpu", workers=3, peak=1e10)


@pytest.fixture(autouse=True)
def short_trials_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_process(*_: Any, **__: Any) -> Trainer:
        return LocalTrainer()

    monkeypatch.setattr(engine, "BUDGET", Budget(samples=64, epochs=1, updates=2))
    monkeypatch.setattr(engine, "build_trainer", in_process)


def comparison_of(row: str) -> Comparison:
    (found,) = (result for result in measure(row, BENCH) if isinstance(result, Comparison))
    return found


@pytest.mark.parametrize(
    ("row", "programs", "cores", "references"),
    [
        ("one_shape", 4, 1, ["loop", "eager"]),
        ("mixed_shape", 4, 1, ["loop", "eager"]),
        ("conv_recurrent", 2, 3, ["loop", "eager"]),
        ("seeds", SEEDS, 1, ["loop", "eager"]),
    ],
)
def test_rows_on_the_cpu(row: str, programs: int, cores: int, references: list[str]) -> None:
    found = comparison_of(row)
    assert (found.row, found.engine.programs, found.engine.cores) == (row, programs, cores)
    assert [timing.way for timing in found.references] == references
    assert all(len(timing.seconds) == 2 and timing.cores == 1 for timing in found.references)
    assert found.work > 0
    assert found.floor == pytest.approx(found.work * 2e6 / (1e10 * cores))
    assert found.agreement is not None
    assert found.agreement.status == 1
    assert found.agreement.work == pytest.approx(1)


@pytest.mark.parametrize("row", ["dense_gpu", "conv_gpu"])
def test_references_train_a_sample_on_a_gpu(row: str) -> None:
    found = comparison_of(row)
    assert found.engine.programs == 16
    assert {timing.programs for timing in found.references} == {16 // GPU_SHARE}
    assert found.agreement is not None
    assert (found.agreement.status, found.agreement.work) == (1, pytest.approx(1))


def test_every_kind_alone() -> None:
    found = measure("alone", BENCH)
    assert [row.detail for row in found if isinstance(row, Comparison)] == list(alone())


def test_seeds_cost() -> None:
    figure = measure("seeds", BENCH)[-1]
    assert isinstance(figure, Figure)
    assert figure.value > 0


def test_a_training_run(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, wide, *_ = alone().values()
    calls = [requests_of([dense, dense, wide], 0), requests_of([wide], 0)]
    monkeypatch.setattr(training_run, "recorded_calls", lambda _workers, _seed: calls)
    comparison, per_call, alike = measure("training_run", BENCH)
    assert isinstance(comparison, Comparison)
    assert comparison.engine.programs == 4
    assert [timing.way for timing in comparison.references] == ["loop"]
    assert comparison.references[0].cores == 3
    assert isinstance(per_call, Figure)
    assert per_call.value == 2
    assert isinstance(alike, Figure)
    assert alike.value == pytest.approx((3 / 2 + 1) / 2)

"""The rows of the engine, as short as they can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from netmend.agents.bench import engine
from netmend.agents.bench.engine import MEASURES
from netmend.agents.bench.measure import Line, Stopwatch
from netmend.agents.verbs.bench import EngineConfig
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest

CONFIG = EngineConfig(programs=4, repeats=2)
TINY = Budget(samples=64, epochs=1, updates=2)


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "Budget", lambda: TINY)
    monkeypatch.setattr(engine, "WHOLE", TINY)


def lines_of(row: str, folder: Path) -> list[Line]:
    return list(MEASURES[row](CONFIG, folder))


@pytest.mark.parametrize("row", ["one_shape", "mixed_shape", "convolutional", "recurrent"])
def test_a_set_is_trained_in_all_three_ways(row: str, tmp_path: Path) -> None:
    (line,) = lines_of(row, tmp_path)
    assert line.what.startswith("4 ")
    ways = ["eager", "loop", "compiled", "alone"]
    ratios = [f"{way} / compiled" for way in ways if way != "compiled"]
    assert list(line.cells) == [*ways[:3], *ratios, "skill apart"]
    assert all(len(line.cells[column].values) == 2 for column in [*ways[:3], *ratios])
    assert line.cells["skill apart"].values[0] < 0.05
    eager, compiled = line.cells["eager"].values, line.cells["compiled"].values
    assert line.cells["eager / compiled"].values == [a / b for a, b in zip(eager, compiled, strict=True)]


def test_the_last_programs_of_a_training_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    requests = [TrialRequest(program=engine.eager.plain(8), budget=TINY, seed=seed) for seed in range(20)]
    monkeypatch.setattr(engine, "in_fresh_process", lambda *_: requests)
    trained: list[Sequence[TrialRequest]] = []

    class Noted(CompiledTrainer):
        def run(self, requests: Sequence[TrialRequest]) -> Any:
            trained.append(requests)
            return super().run(requests)

    monkeypatch.setitem(engine.TRAINERS, "compiled", Noted)
    line, share = lines_of("training_run", tmp_path)
    assert list(line.cells)[:4] == ["loop", "compiled", "loop / compiled", "alone / compiled"]
    assert [len(call) for call in trained].count(1) == 3 * 8
    # For the skills, once before the clock starts, twice by it.
    assert [call for call in trained if len(call) > 1] == [requests[-8:]] * 4
    assert share.cells["compiled"].values == [0]


def test_what_a_training_trains_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [TrialRequest(program=engine.eager.plain(8), budget=TINY, seed=seed) for seed in range(3)]

    def train_with(*words: str) -> None:
        assert words == ("a=b",)
        trainer = CompiledTrainer()
        assert len(trainer.run(requests[:2]) + trainer.run(requests[2:])) == 3

    monkeypatch.setattr(engine, "train_with", train_with)
    assert engine.trained_by("a=b") == requests


def test_an_update_is_the_difference_of_two_trainings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def in_turns(ways: dict[str, object], repeats: int) -> dict[str, list[Stopwatch]]:
        """A training takes 0.1 s and a microsecond an update; a product 20 ms."""
        epochs = engine.WHOLE.epochs
        updates = {name: epochs * int(name.rpartition(" ")[2]) for name in ways if name != "product"}
        seconds = {name: 0.1 + 1e-6 * updates[name] if name in updates else 0.02 for name in ways}
        return {name: [Stopwatch(own, own)] * repeats for name, own in seconds.items()}

    monkeypatch.setattr(engine, "in_turns", in_turns)
    peak, *widths = lines_of("update", tmp_path)
    gigaflops = 2e-9 * 1024**3 / 0.02
    assert peak.cells["of the peak"].values == pytest.approx([gigaflops] * 2)
    assert [line.what for line in widths][2] == "an update, 64-64-64-10"
    assert all(line.cells["eager"].values == pytest.approx([1, 1]) for line in widths)
    operations = 64 * (2 * 64 * 64 + 3 * 64 * 64 + 3 * 64 * 10)
    share = 100 * operations / (1e-6 * gigaflops * 1e9)
    assert widths[2].cells["of the peak"].values == pytest.approx([share] * 2)
    assert (tmp_path / "updates.png").read_bytes().startswith(b"\x89PNG")


def test_compiling_is_measured_in_processes_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = "import os; place = os.environ['NUMBA_CACHE_DIR']; own = f'{place}/{os.getpid()}'; open(own, 'w')"
    monkeypatch.setattr(engine, "LOAD", f"{count}; print(len(os.listdir(place)), 1.5)")
    everything, start = lines_of("compile", tmp_path)
    assert "3 kernels" in everything.what  # all three share a folder
    assert everything.cells["compiled"].values == [1.5]
    assert start.cells["compiled"].values == [1.5] * 2


def test_the_gpus_rows_by_number_of_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[tuple[int, str]] = []
    trained: dict[TrialRequest, Trial] = {}

    class Remembering(LocalTrainer):
        """Trains each program once."""

        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            train = super().run
            trained.update({one: train([one])[0] for one in requests if one not in trained})
            return [trained[one] for one in requests]

    def on_device(workers: int, device: str) -> LocalTrainer:
        made.append((workers, device))
        return Remembering()

    monkeypatch.setattr(engine, "WorkerTrainer", on_device)
    monkeypatch.setattr(engine, "build_trainer", lambda workers: Remembering())
    found = list(MEASURES["gpu"](EngineConfig(programs=4, repeats=1, device="cuda:1"), tmp_path))
    assert made == [(workers, "cuda:1") for workers in (1, 4, 8)] * 2
    assert [line.what.split()[0] for line in found] == ["2"] * 3 + ["16"] * 3
    assert all(set(line.cells) == {"loop", "compiled", "loop / compiled"} for line in found)
    assert len(trained) == 2 + 16
    assert {trial.status for trial in trained.values()} == {Status.OK}

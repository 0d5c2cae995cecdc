"""Programs that nobody writes, trained in compiled code: no index is wrong, and the interpreter lives on."""

from __future__ import annotations

import math
import os
import resource
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip("numba")

from netmend.env.data import Dataset, Part, make_dataset
from netmend.env.program import ACTIVATIONS, LOSSES, Activation, Dense, Layer, Loop, Program
from netmend.env.training.compiled import network
from netmend.env.training.compiled.session import CompiledSession
from netmend.env.training.compiled.table import NotMineError
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.limits import OVER_CPU_LIMIT
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.trial import Budget, Status, TrialRequest

NUMBER = "NETMEND_WILD_PROGRAMS"
"""Environment variable: how many programs ``test_a_wild_program_is_trained_or_says_why`` makes."""
ROWS = 9
BUDGETS = tuple(
    Budget(samples=samples, epochs=2, updates=updates) for samples in (1, 2, 7, ROWS) for updates in (1, 4)
)
EXTREMES: dict[str, tuple[float | str | None, ...]] = {
    "units": (1, 2, 65),
    "filters": (1, 17),
    "kernel": (1, 2, 3, 5),
    "stride": (1, 2, 3, 5),
    "size": (1, 2, 3, 4),
    "back": (1, 2, 3),
    "heads": (1, 2),
    "width": (0, 1, 40),
    "inputs": (1, 3, 20, 21),
    "padding": (0, 1, 2, "same", "valid"),
    "rate": (0.0, 1e-6, 0.999999),
    "dropout": (0.0, 0.999999),
    "deviation": (0.0, 1e3),
    "epsilon": (1e-30, 1.0),
    "factor": (-1e9, 0.0, 1e9),
    "l1": (0.0, 1e3),
    "l2": (0.0, 1e3),
    "momentum": (0.0, 1.0),
    "activation": ACTIVATIONS,
    "function": ACTIVATIONS,
    "trainable": (True, False),
    "bias": (True, False),
}


@pytest.fixture(scope="module")
def wild_datasets(datasets: dict[str, Dataset]) -> dict[str, Dataset]:
    """A few rows of each, as they are, with values that are no numbers or immense, and with one class."""

    def spoilt(x: np.ndarray, bad: float) -> np.ndarray:
        found = x.copy()
        found.reshape(-1)[:: 1 + x[0].size // 2] = bad
        return found

    def made(name: str, bad: float | None, one: bool) -> Dataset:
        whole = datasets[name]
        parts = []
        for part in (whole.train, whole.validation, whole.holdout):
            x, y = part.x[:ROWS], part.y[:ROWS]
            x = x if bad is None or x.dtype.kind != "f" else spoilt(x, bad)
            parts.append(Part(x, np.zeros_like(y) if one else y))
        return make_dataset(whole.task, *parts)

    return {
        f"{name} {kind}": made(name, bad, one)
        for name in datasets
        for kind, bad, one in (
            ("as it is", None, False),
            ("nan", math.nan, False),
            ("infinite", math.inf, False),
            ("huge", 1e30, False),
            ("one class", None, True),
        )
    }


def wild(rng: np.random.Generator, program: Program, layers: list[Layer], kinds: list[str]) -> Program:
    """The program with other numbers, and layers where they do not belong."""
    made = [_extreme(rng, layer) if rng.random() < 0.3 else layer for layer in program.layers]
    if rng.random() < 0.2:
        made.insert(int(rng.integers(len(made))), layers[rng.integers(len(layers))])
    optimizer = replace(
        program.optimizer,
        lr=float(10.0 ** rng.uniform(-8, 6)) if rng.random() < 0.4 else program.optimizer.lr,
        weight_decay=float(rng.choice([0, 0, 1e3])),
        beta1=float(rng.choice([0.0, 0.9, 1 - 1e-9])),
        beta2=float(rng.choice([0.0, 0.999, 1 - 1e-9])),
    )
    data = replace(program.data, dataset=f"{program.data.dataset} {rng.choice(kinds)}")
    if rng.random() < 0.2:
        data = replace(data, prep=())
    return replace(
        program,
        data=data,
        layers=tuple(made),
        optimizer=optimizer,
        loss=str(rng.choice(LOSSES)) if rng.random() < 0.1 else program.loss,
        batch_size=int(rng.choice([1, 2, 4, 5, 64, 4096])),
        epochs=int(rng.choice([1, 2, 1000])),
        loop=Loop(evaluation_mode=False, training_mode=False) if rng.random() < 0.1 else program.loop,
    )


def _extreme(rng: np.random.Generator, layer: Layer) -> Layer:
    names = [field.name for field in fields(layer) if field.name in EXTREMES]
    if not names:
        return layer
    name = names[rng.integers(len(names))]
    choices = EXTREMES[name]
    return replace(layer, **{name: choices[rng.integers(len(choices))]})


def test_a_wild_program_is_trained_or_says_why(wild_datasets, random_program, trunks):
    rng = np.random.default_rng(5)
    layers = [layer for _, own in trunks.values() for layer in own]
    kinds = sorted({name.partition(" ")[2] for name in wild_datasets})
    trainer = CompiledTrainer(wild_datasets.__getitem__)
    statuses, compiled = Counter[Status](), 0
    for _ in range(int(os.environ.get(NUMBER, 300))):
        program = wild(rng, random_program(rng, str(rng.choice(list(trunks)))), layers, kinds)
        budget = BUDGETS[rng.integers(len(BUDGETS))]
        request = TrialRequest(program=program, budget=budget, seed=0, holdout=bool(rng.random() < 0.5))
        plain = trainer.plain
        (trial,) = trainer.run([request])
        statuses[trial.status] += 1
        compiled += trainer.plain == plain and trial.work > 0
        if trial.status is Status.DIVERGED:
            assert "is nan" in trial.message or "is inf" in trial.message or "is -inf" in trial.message
        assert math.isfinite(trial.skill)
    print(f"{dict(statuses)}; in compiled code {compiled}, in the plain loop {trainer.plain}")
    assert not trainer.failed
    assert {Status.OK, Status.DIVERGED, Status.CRASHED} <= set(statuses)
    assert compiled > 5 * trainer.plain


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize(("number", "checks"), [(20_000, "1"), (100_000, "0")])
def test_wild_programs_break_nothing(number, checks):
    """In a process of its own, which may die, and which says at its start whether indices are checked."""
    asked = f"{__file__}::test_a_wild_program_is_trained_or_says_why"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-n", "0", "--timeout", "0", asked]
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": checks, NUMBER: str(number)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    print(done.stdout)


def test_what_needs_too_much_memory_is_refused_before_it_is_taken(datasets, good, monkeypatch):
    wide = (Dense(units=4096), *[Activation(function="tanh")] * 200, Dense(units=3))
    program = replace(good, layers=wide, batch_size=4096)
    monkeypatch.setattr(network, "torch", None)  # which makes the arena
    with pytest.raises(NotMineError, match="too large"):
        CompiledSession(program, datasets["table"], Budget(samples=200), 0, "cpu", PreparedCache(1))
    narrow = replace(program, layers=program.layers[:1] + program.layers[-1:])
    with pytest.raises(AttributeError):
        CompiledSession(narrow, datasets["table"], Budget(samples=200), 0, "cpu", PreparedCache(1))


ENDLESS = """
import time
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.limits import CpuLimit
from netmend.env.training.trial import Budget, TrialRequest
program = Program(
    data=Data(dataset="xor"), layers=(Dense(units=2800), Dense(units=2800), Dense(units=2)),
    loss="cross_entropy", optimizer=Optimizer(), batch_size=1, epochs=1000,
)
short = Budget(samples=600, epochs=1, updates=1)
endless = Budget(samples=600, epochs=10**9, updates=10**9, work=1e15)
trainer = CompiledTrainer()
trainer.run([TrialRequest(program=program, budget=short, seed=0)])
print(time.process_time(), flush=True)
CpuLimit().allow(1.0)
trainer.run([TrialRequest(program=program, budget=endless, seed=0)])
"""
"""Its first epoch, which is one call, takes many times what it is allowed."""


def test_a_training_without_end_is_ended_within_a_call():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", ENDLESS], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == OVER_CPU_LIMIT, done.stderr
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used - float(done.stdout) < 3

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from netmend.env.program import (
    Conv3d,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    Monitor,
    Optimizer,
    Reshape,
    Skip,
)
from netmend.env.training.compiled import passes
from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, TrialRequest

TRUNK_NAMES = (
    "vector", "flat", "tokens as numbers", "dense on steps", "normalised inputs", "noise", "conv1d",
    "conv1d, norms", "conv2d", "conv2d, flat", "conv2d, padded", "transposed", "transposed steps", "skips",
    "shared norms", "detached", "detached beside", "rnn", "gru", "gru without bias", "both ways",
    "rnn both ways", "lstm", "two lstm", "shared gru", "embedding", "embedding, frozen", "embedding, gru",
    "attention", "causal attention",
)  # fmt: skip


@pytest.mark.parametrize("trunk", TRUNK_NAMES)
def test_a_program_trains_as_in_the_plain_loop(datasets, small, random_program, assert_as_plain, trunk):
    rng = np.random.default_rng(TRUNK_NAMES.index(trunk))
    trainer = CompiledTrainer(datasets.__getitem__)
    for nth in range(40 if trunk == "vector" else 8):
        program = random_program(rng, trunk)
        request = TrialRequest(program=program, budget=small, seed=int(rng.integers(3)), holdout=nth % 3 == 0)
        assert_as_plain(trainer.run([request])[0], request)
    assert trainer.plain <= 3
    assert not trainer.failed


def wrong(request, **changes):
    optimizer = replace(request.program.optimizer, **changes)
    return replace(request, program=replace(request.program, optimizer=optimizer))


@pytest.mark.parametrize(
    "changes", [{"beta2": 0.99}, {"lr": 0.00101}, {"weight_decay": 1e-3}, {"beta1": 0.89}]
)
def test_the_comparison_sees_a_wrong_number(datasets, small, good, assert_as_plain, changes):
    program = replace(good, optimizer=Optimizer(kind="adam", lr=0.001))
    request = TrialRequest(program=program, budget=small, seed=0)
    trainer = CompiledTrainer(datasets.__getitem__)
    assert_as_plain(trainer.run([request])[0], request)
    with pytest.raises(AssertionError, match="_loss"):
        assert_as_plain(trainer.run([wrong(request, **changes)])[0], request)


def test_what_it_does_not_know_trains_in_the_plain_loop(datasets, good):
    flat = (Flatten(), Dense(units=3))
    images = replace(good, data=replace(good.data, dataset="images"))
    programs = [
        replace(images, layers=(Reshape(shape=(1, 4, 4, 4)), Conv3d(filters=2), *flat)),
    ]
    requests = [TrialRequest(program=program, budget=Budget(epochs=2), seed=0) for program in programs]
    trainer = CompiledTrainer(datasets.__getitem__)
    assert [replace(trial, seconds=0.0) for trial in trainer.run(requests)] == [
        replace(trial, seconds=0.0) for trial in LocalTrainer(datasets.__getitem__).run(requests)
    ]
    assert trainer.plain == len(programs)


def test_rates_are_tried_as_in_the_plain_loop_and_change_nothing(datasets, good, small):
    noisy = replace(good, layers=(Dropout(rate=0.5), *good.layers))
    requests = [TrialRequest(program=program, budget=small, seed=0) for program in (noisy, good)]
    watch = Monitor(rates=True)
    tried = [replace(request, program=replace(request.program, monitor=watch)) for request in requests]
    trainer = CompiledTrainer(datasets.__getitem__)
    wanted = LocalTrainer(datasets.__getitem__).run(tried)
    for without, found, plain in zip(trainer.run(requests), trainer.run(tried), wanted, strict=True):
        assert found.symptoms.rate_gain == plain.symptoms.rate_gain != 0
        assert found.work == plain.work
        assert found.curves == without.curves
    assert trainer.plain == 0


def test_bad_programs_fail_as_in_the_plain_loop(datasets, good):
    programs = [
        replace(good, layers=(Dense(units=3, kernel_init="ones"), Skip(back=1), Dense(units=3))),
        replace(good, layers=(Dense(units=3, bias_init="orthogonal"),)),
        replace(good, optimizer=Optimizer(kind="sgd", lr=1e6)),
        replace(good, batch_size=0),
        replace(good, layers=(Embedding(units=2), GlobalPool(), Dense(units=3))),
    ]
    requests = [TrialRequest(program=program, budget=Budget(epochs=2), seed=0) for program in programs]
    requests.append(TrialRequest(program=good, budget=Budget(work=1e-9), seed=0))
    found = CompiledTrainer(datasets.__getitem__).run(requests)
    wanted = LocalTrainer(datasets.__getitem__).run(requests)
    assert [trial.status for trial in found] == [trial.status for trial in wanted]
    assert len({trial.status for trial in found}) == 4
    assert [trial.message.replace("nan", "inf") for trial in found] == [
        trial.message.replace("nan", "inf") for trial in wanted
    ]


def test_a_trial_depends_on_nothing_but_its_request(datasets, small, random_program):
    rng = np.random.default_rng(7)
    names = [name for name in TRUNK_NAMES if name != "vector"]
    requests = [
        TrialRequest(program=random_program(rng, str(rng.choice(names))), budget=small, seed=3)
        for _ in range(8)
    ]
    forwards = CompiledTrainer(datasets.__getitem__).run(requests)
    backwards = CompiledTrainer(datasets.__getitem__).run(requests[::-1])[::-1]
    assert [replace(trial, seconds=0.0) for trial in forwards] == [
        replace(trial, seconds=0.0) for trial in backwards
    ]


def test_a_fault_of_compiled_code_is_no_fault_of_a_program(datasets, good, monkeypatch):
    trainer = CompiledTrainer(datasets.__getitem__)
    request = TrialRequest(program=good, budget=Budget(epochs=2), seed=0)
    trainer.run([request])
    monkeypatch.setattr(passes.epochs, "function", lambda *_: [][0])
    (trial,) = trainer.run([request])
    assert (trial.status, trainer.failed) == (Status.OK, 1)


SCRIPT = """
import numpy as np
from netmend.env.training.compiled import jit
from netmend.env.training.compiled.elementwise import rescale
arena, op = np.ones(16, np.float32), np.zeros(32, np.int64)
op[[2, 3, 6, 7, 15]] = 0, 4, 1, 4, 8
rescale(arena, np.zeros(1, np.int16), op, 1, 0, 0)
print(arena[4:8].sum(), jit._cache_of() is not None, sum(rescale.function.stats.cache_hits.values()))
"""


def in_a_process(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_compiled_code_is_kept_where_a_folder_can_be_written(tmp_path):
    done = in_a_process(NUMBA_CACHE_DIR=str(tmp_path))
    assert done.stdout.split() == ["8.0", "True", "0"]
    kept = list(tmp_path.rglob("*rescale*.nbc"))
    assert len(kept) == 1
    assert in_a_process(NUMBA_CACHE_DIR=str(tmp_path)).stdout.split() == ["8.0", "True", "1"]
    assert list(tmp_path.rglob("*rescale*.nbc")) == kept
    in_a_process(NUMBA_CACHE_DIR=str(tmp_path), NUMBA_BOUNDSCHECK="1")
    assert len(list(tmp_path.rglob("*rescale*.nbi"))) == 1


def test_processes_that_need_a_kernel_at_once_compile_it_once(tmp_path):
    """The second one waits for the first and takes its result."""
    with ThreadPoolExecutor() as pool:
        starts = [pool.submit(in_a_process, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert sorted(start.result().stdout.split()[2] for start in starts) == ["0", "1"]


def test_one_output_says_no_third_class(datasets, small, good, assert_as_plain):
    """A third class is never right where one output decides between the first two."""
    labels = replace(good.data, labels="index")
    program = replace(good, layers=(Dense(units=1),), loss="mse", data=labels)
    trainer = CompiledTrainer(datasets.__getitem__)
    for seed in range(3):
        request = TrialRequest(program=program, budget=small, seed=seed)
        assert_as_plain(trainer.run([request])[0], request)
    assert not trainer.plain

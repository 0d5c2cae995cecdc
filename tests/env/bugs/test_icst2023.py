"""The benchmark's suites: its 30 faults, each one edit or the study's fix away from a good program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import SUITES, apart_from, load_bug, load_suite, without_missing_packs
from netmend.env.bugs.writing import write_bug
from netmend.env.data import load_dataset
from netmend.env.data.loading import needs_pack
from netmend.env.data.views import pack_of
from netmend.env.program import Task, check
from netmend.env.program.crashes import find_crash
from netmend.env.program.task import TaskKind

NAMES = ("icst2023-v1", "icst2023-full-v1")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_file_is_as_it_would_be_written(name: str, tmp_path: Path) -> None:
    """So that a file that is written anew shows what was changed and nothing else."""
    paths = sorted((SUITES / name).glob("[CDMRU]*.yaml"))
    assert len(paths) == 30
    for path in paths:
        write_bug(load_bug(path), tmp_path / path.name)
        assert (tmp_path / path.name).read_text() == path.read_text()


def test_the_thirty_faults(name: str) -> None:
    suite = load_suite(name)
    assert Counter(bug.id[0] for bug in suite.bugs) == {"D": 9, "U": 8, "R": 7, "C": 3, "M": 3}
    assert {bug.split for bug in suite.bugs} == {"held-out"}
    for word in ("JPEG", "R52", "UnityEyes", "generated"):
        assert word in suite.description


def test_a_mutant_is_one_change_of_its_base(name: str) -> None:
    mutants = [bug for bug in load_suite(name).bugs if bug.base]
    assert len(mutants) == 21
    for bug in mutants:
        assert bug.fixed is not None
        parts = ("data", "layers", "loss", "optimizer", "batch_size", "epochs")
        differ = [part for part in parts if getattr(bug.program, part) != getattr(bug.fixed, part)]
        assert len(differ) == 1
        if differ == ["layers"]:
            pairs = zip(bug.program.layers, bug.fixed.layers, strict=True)
            assert sum(one != other for one, other in pairs) == 1


def test_both_sizes_have_the_same_training(name: str) -> None:
    """But for D5 and D9, whose filters and batches are a share of the study's at the short budget."""
    for bug, full in zip(load_suite(name).bugs, load_suite("icst2023-full-v1").bugs, strict=True):
        if bug.id not in ("D5", "D9"):
            assert bug.program.layers == full.program.layers
            assert bug.program.batch_size == full.program.batch_size
        assert bug.program.optimizer == full.program.optimizer
        assert bug.program.epochs == full.program.epochs


def task_of(bug: Bug) -> Task:
    """The task as its pack has it: known without the packs, which not every machine has."""
    shapes = {
        "mnist_small": (1, 14, 14),
        "mnist_full": (1, 28, 28),
        "cifar10_small": (3, 22, 22),
        "cifar10_full": (3, 32, 32),
        "eyes_small": (1, 18, 30),
        "eyes_full": (1, 36, 60),
        "reuters_bags_small": (1000,),
        "reuters_bags": (10_000,),
    }
    name = bug.program.data.dataset
    if not needs_pack(name):
        return load_dataset(name).task
    kind: TaskKind = "regression" if pack_of(name) == "eyes" else "classification"
    outputs = {"mnist": 10, "cifar10": 10, "eyes": 2, "reuters_r52": 52}[pack_of(name)]
    return Task(dataset=name, kind=kind, input_shape=shapes[name], outputs=outputs)


def test_programs_are_sound_and_run(name: str) -> None:
    for bug in load_suite(name).bugs:
        task = task_of(bug)
        assert bug.fixed is not None
        for program in (bug.program, bug.fixed):
            assert check(program, task) == []
            assert find_crash(program, task) is None


def test_bugs_without_their_pack_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETMEND_DATA", raising=False)
    kept, note = without_missing_packs(load_suite("icst2023-v1").bugs)
    assert {bug.id for bug in kept} == {"D1", "D2", "D3", "D6", "D7", "D8"}
    for pack in ("mnist (5)", "cifar10 (4)", "eyes (8)", "reuters_r52 (7)"):
        assert pack in note


def test_training_without_the_benchmark_leaves_out_its_datasets() -> None:
    benchmark, real = load_suite("icst2023-v1").bugs, load_suite("real-v1").bugs
    rest = apart_from(real, benchmark)

    def ids(bugs: tuple[Bug, ...]) -> set[str]:
        return {bug.id for bug in bugs}

    gone = ids(real) - ids(rest)
    assert {"SO-31880720", "SO-48385830", "SO-51181393", "SO-59325381", "AT-motivation-dying-relu"} <= gone
    assert not {bug.program.data.dataset for bug in rest} & {"mnist", "cifar10", "five_times"}
    assert apart_from(benchmark, load_suite("icst2023-full-v1").bugs) == ()
    mutants = load_suite("mutants-v1").bugs
    assert apart_from(mutants, benchmark) == mutants

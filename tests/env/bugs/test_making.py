"""Making a suite, with a trainer that knows what is faulty."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.agents.verbs.bugs import suites
from netmend.agents.verbs.bugs.suites import make, statistics
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import load_suite
from netmend.env.bugs.making import make_suite
from netmend.env.bugs.operators import CRASHING, EITHER, SILENT
from netmend.env.bugs.plans import PLANS
from netmend.env.bugs.variants import draw_variants
from netmend.env.data import load_dataset
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.program import Program, dump
from netmend.env.program.crashes import Crash, find_crash
from netmend.env.training.trial import Trainer

TINY = PLANS["tiny"]
CRASHES = replace(
    TINY,
    bugs={"train": 24, "validation": 8, "held-out": 8},
    operators=EITHER + SILENT + CRASHING,
    crash_share=0.5,
)
GOOD = {BASES[name].program for name in TINY.bases}


def _skill(program: Program) -> float:
    """Three quarters of all faults do harm."""
    if program in GOOD:
        return 0.9
    return 0.2 if hash((program.batch_size, program.optimizer.lr, len(program.layers))) % 4 else 0.89


def _any_harm(program: Program) -> float:
    return 0.9 if program in GOOD else 0.2 if zlib.crc32(dump(program).encode()) % 4 else 0.89


def _quiet(line: str) -> None:
    del line


def test_a_suite_is_as_planned(trainer_of: Callable[..., Trainer]) -> None:
    suite = make_suite(TINY, trainer_of(_skill), _quiet)
    assert {split: len(suite.split(split)) for split in TINY.bugs} == TINY.bugs
    assert all(bug.faulty_score and bug.faulty_score.holdout.mean < 0.5 for bug in suite.bugs)
    assert all(bug.split == BASES[bug.base].split for bug in suite.bugs)
    assert {len(bug.operators) for bug in suite.bugs} <= {1, 2, 3}
    assert len({bug.program for bug in suite.bugs}) == len({bug.id for bug in suite.bugs}) == len(suite.bugs)
    per_base = Counter(bug.base for bug in suite.bugs)
    assert max(per_base.values()) - min(per_base.values()) <= 1


def test_the_same_seed_gives_the_same_suite(trainer_of: Callable[..., Trainer]) -> None:
    first, second = (make_suite(TINY, trainer_of(_skill), _quiet) for _ in range(2))
    assert first == second
    assert make_suite(replace(TINY, seed=7), trainer_of(_skill), _quiet) != first


def test_the_wanted_share_of_bugs_crashes_by_one_fault_alone(trainer_of: Callable[..., Trainer]) -> None:
    suite = make_suite(CRASHES, trainer_of(_any_harm), _quiet)
    assert {split: len(suite.split(split)) for split in CRASHES.bugs} == CRASHES.bugs
    for split in CRASHES.bugs:
        crashing = [bug for bug in suite.split(split) if _crash(bug) is not None]
        assert len(crashing) == round(0.5 * CRASHES.bugs[split])
        assert {bug.id for bug in crashing} == {bug.id for bug in suite.split(split) if _crash_faults(bug)}
        assert all(len(_crash_faults(bug)) == 1 for bug in crashing)
    assert {len(bug.operators) for bug in suite.bugs if _crash(bug) is not None} == {1, 2, 3}


def _crash(bug: Bug) -> Crash | None:
    return find_crash(bug.program, load_dataset(bug.program.data.dataset).task)


def _crash_faults(bug: Bug) -> list[str]:
    return [name for name in bug.operators if name in CRASHING]


def test_a_bad_base_is_left_out(trainer_of: Callable[..., Trainer]) -> None:
    bad = BASES["wine_single"].program
    lines: list[str] = []
    suite = make_suite(TINY, trainer_of(lambda p: 0.3 if p == bad else _skill(p)), lines.append)
    assert "wine_single" not in {bug.base for bug in suite.bugs}
    assert any("wine_single" in line and "left out" in line for line in lines)


def test_variants_are_good_programs_of_the_training_split(trainer_of: Callable[..., Trainer]) -> None:
    plan = replace(TINY, variants=2, bugs={"train": 24, "validation": 3, "held-out": 3})
    good = set(GOOD)
    for name in ("circles_logit", "friedman2_sgd"):
        base = BASES[name].program
        good |= set(draw_variants(name, base, load_dataset(base.data.dataset).task, 3, plan.seed))
    suite = make_suite(plan, trainer_of(lambda p: 0.9 if p in good else _skill(p)), _quiet)
    by_base = {bug.base: bug for bug in suite.bugs}
    variants = {name: bug for name, bug in by_base.items() if "~" in name}
    assert 2 <= len(variants) <= 4
    assert all(bug.split == "train" and bug.fixed in good for bug in variants.values())
    assert {name.split("~")[0] for name in variants} <= {"circles_logit", "friedman2_sgd"}


def test_a_training_bug_may_be_killed_with_fewer_seeds(trainer_of: Callable[..., Trainer]) -> None:
    suite = make_suite(replace(TINY, train_seeds=5), trainer_of(_skill), _quiet)
    seeds = {(bug.split, bug.faulty_score.holdout.seeds) for bug in suite.bugs if bug.faulty_score}
    assert seeds == {("train", 5), ("validation", 8), ("held-out", 8)}


def test_harmless_faults_are_no_bugs(trainer_of: Callable[..., Trainer]) -> None:
    assert make_suite(replace(TINY, rounds=2), trainer_of(lambda program: 0.9), _quiet).bugs == ()


def test_what_is_made_can_be_loaded_and_is_not_replaced_silently(
    trainer_of: Callable[..., Trainer], tmp_path: Path
) -> None:
    path = make("tiny", trainer_of(_skill), tmp_path / "new" / "mine.yaml", report=_quiet)
    suite = load_suite(str(path))
    assert suite.budget == TINY.budget
    assert suite.name == "mine"
    assert suite.bugs == make_suite(TINY, trainer_of(_skill), _quiet).bugs
    assert [p.name for p in path.parent.iterdir()] == ["mine.yaml"]
    with pytest.raises(NetmendError, match="force=true"):
        make("tiny", trainer_of(_skill), path, report=_quiet)
    make("tiny", trainer_of(_skill), path, seed=3, force=True, report=_quiet)
    assert load_suite(str(path)) != suite
    assert "seed=3" in path.read_text()
    assert "bugs by operator" in statistics(suite)


def test_an_unknown_plan_lists_the_known(trainer_of: Callable[..., Trainer]) -> None:
    with pytest.raises(UnknownNameError, match="mutants-v1"):
        make("mutants-v2", trainer_of(_skill), Path("mine.yaml"), report=_quiet)


def test_the_verb_says_how_far_it_is(
    trainer_of: Callable[..., Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @contextmanager
    def opened(_: object) -> Iterator[Trainer]:
        yield trainer_of(_skill)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suites, "open_trainer", opened)
    assert main(["bugs", "make", "suite=tiny", "out=mine.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    first = len(TINY.bases) * len(TINY.seeds)
    assert lines[:2] == [f"trainings 0/{first}", f"trainings {first}/{first}  0:00 left"]
    assert "written to mine.yaml" in lines

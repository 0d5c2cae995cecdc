"""The larger programs and their suites: what they are, and that no one is taught on them."""

from __future__ import annotations

import pytest

from netmend.env.bugs import load_suite, suite_names
from netmend.env.bugs.bases import BASES, LARGE_BASES
from netmend.env.bugs.bug import fixed_threshold
from netmend.env.bugs.enlarging import FULL, enlarge
from netmend.env.bugs.lessons import is_judged
from netmend.env.bugs.lessons.leaks import pair_of
from netmend.env.bugs.making import make_suite
from netmend.env.bugs.operators import OPERATORS
from netmend.env.bugs.plans import PLANS
from netmend.env.data.loading import needs_pack
from netmend.env.data.views import pack_of
from netmend.env.program import Attention, Recurrent, Skip, Task, check
from netmend.env.program.crashes import find_crash
from netmend.env.training.loop import LocalTrainer

PLAN = PLANS["large-v1"]
SHAPES: dict[str, tuple[int, ...]] = {
    "cifar10_half": (3, 16, 16),
    "cifar10_full": (3, 32, 32),
    "newsgroups20_short": (64,),
    "newsgroups20_full": (256,),
    "fsdd_digits": (40, 64),
    "fsdd_speakers": (40, 64),
    "steering_small": (3, 16, 50),
    "steering_full": (3, 66, 200),
    "fashion_decoded": (1, 20, 20),
}
OUTPUTS = {"newsgroups20": 20, "fsdd_speakers": 6, "steering": 1, "fashion_mnist": 400}


def task_of(name: str) -> Task:
    """The task as its pack has it: known without the packs, which not every machine has."""
    pack = pack_of(name)
    return Task(
        dataset=name,
        kind="regression" if pack in ("steering", "fashion_mnist") else "classification",
        input_shape=SHAPES.get(name) or SHAPES[name.removesuffix("_full")],
        outputs=OUTPUTS.get(pack, 10),
        vocabulary=20_000 if pack == "newsgroups20" else 0,
    )


def test_the_programs_are_held_out_and_of_all_forms() -> None:
    assert {base.split for base in LARGE_BASES.values()} == {"held-out"}
    assert not LARGE_BASES.keys() & BASES.keys()
    layers = {name: {type(layer) for layer in base.program.layers} for name, base in LARGE_BASES.items()}
    assert Skip in layers["cifar10_resnet"]
    assert Recurrent in layers["newsgroups20_gru"]
    assert Attention in layers["newsgroups20_transformer"]
    assert len(LARGE_BASES["fashion_autoencoder"].program.layers) > 5
    assert {base.program.data.dataset for base in LARGE_BASES.values()} == set(FULL)
    assert all(map(needs_pack, (*FULL, *FULL.values())))


def test_no_one_is_taught_on_a_larger_program_or_one_like_it() -> None:
    assert all(is_judged(base.program) for base in LARGE_BASES.values())
    bugs = [bug for name in suite_names() for bug in load_suite(name).split("train")]
    taught = {pair_of(program) for bug in bugs for program in (bug.program, bug.fixed) if program}
    taught |= {pair_of(base.program) for base in BASES.values()}
    assert not taught & {pair_of(base.program) for base in LARGE_BASES.values()}
    suite = load_suite("large-v1")
    assert not taught & {pair_of(bug.program) for bug in suite.bugs}


def test_the_suite_is_killed_and_names_its_faults() -> None:
    suite = load_suite("large-v1")
    assert len(suite.bugs) >= 20
    assert {bug.split for bug in suite.bugs} == {"held-out"}
    assert {bug.base for bug in suite.bugs} == set(LARGE_BASES)
    assert len({bug.program for bug in suite.bugs}) == len({bug.id for bug in suite.bugs}) == len(suite.bugs)
    for bug in suite.bugs:
        assert set(bug.operators) <= set(OPERATORS)
        assert bug.fixed == LARGE_BASES[bug.base].program
        assert bug.faulty_score is not None
        assert bug.fixed_score is not None
        for part in ("validation", "holdout"):
            faulty, fixed = bug.faulty_score.of(part), bug.fixed_score.of(part)
            assert faulty.mean + faulty.sd < fixed_threshold(fixed)
            assert faulty.seeds == fixed.seeds == len(PLAN.seeds)


@pytest.mark.parametrize("name", ["large-v1", "large-full-v1"])
def test_both_forms_are_sound_and_run(name: str) -> None:
    for bug in load_suite(name).bugs:
        assert bug.fixed is not None
        for program in (bug.program, bug.fixed):
            task = task_of(program.data.dataset)
            assert check(program, task) == []
            assert find_crash(program, task) is None


def test_the_full_form_is_made_of_the_short_one_and_nothing_is_trained() -> None:
    small, plan = load_suite("large-v1"), PLANS["large-full-v1"]
    made = make_suite(plan, LocalTrainer(), print)
    assert made == load_suite("large-full-v1")
    assert made.budget == plan.budget
    assert made.bugs == enlarge(small)
    for bug, full in zip(small.bugs, made.bugs, strict=True):
        assert full.program.data.dataset == FULL[bug.program.data.dataset]
        assert full.program.layers == bug.program.layers
        assert full.fixed_score is full.goal() is None

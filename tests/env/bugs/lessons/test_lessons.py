"""Mutants to learn from."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from netmend.env.bugs import load_suite, suite_names
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.lessons import (
    Lesson,
    LessonBase,
    draw_bases,
    draw_lessons,
    is_judged,
    published_lessons,
    training_datasets,
)
from netmend.env.bugs.lessons.leaks import pair_of
from netmend.env.bugs.lessons.lessons import CHUNK
from netmend.env.bugs.operators import CRASHING, OPERATORS, SILENT
from netmend.env.data import load_dataset
from netmend.env.program import Dense, Program, check, digest, dump
from netmend.env.training.trial import Budget, Trainer, TrialRequest

COUNT = 600


def _bases() -> list[LessonBase]:
    """Drawn ones, and those of the package that share datasets with held-out bugs."""
    drawn = islice(draw_bases(np.random.default_rng(2), training_datasets()), 60)
    own = ((name, base.program) for name, base in BASES.items() if base.split == "train")
    return [
        LessonBase(name=f"{name}-{i}", original=program, target=program, skill=0.9, target_skill=0.95)
        for i, (name, program) in enumerate((*drawn, *own))
    ]


def _skill(program: Program) -> float:
    """Nine of ten do harm."""
    return 0.2 if zlib.crc32(dump(program).encode()) % 10 else 0.9


@pytest.fixture(scope="module")
def bases() -> list[LessonBase]:
    return _bases()


@pytest.fixture(scope="module")
def lessons(bases: list[LessonBase], trainer_of: Callable[..., Trainer]) -> list[Lesson]:
    return list(draw_lessons(bases, trainer_of(_skill), np.random.default_rng(0), COUNT, Budget()))


def test_lessons_are_sound_and_different_programs(lessons: list[Lesson], bases: list[LessonBase]) -> None:
    by_name = {base.name: base for base in bases}
    programs = {lesson.program for lesson in lessons}
    assert len(lessons) == len(programs) == COUNT
    assert not programs & {base.original for base in bases}
    for lesson in lessons:
        base = by_name[lesson.base]
        assert (lesson.original, lesson.target, lesson.goal) == (base.original, base.target, 0.95)
        assert check(lesson.program, load_dataset(lesson.program.data.dataset).task) == []
    assert len({lesson.base for lesson in lessons}) > 0.9 * len(bases)


def test_no_lesson_is_what_a_policy_is_judged_by(
    lessons: list[Lesson], trainer_of: Callable[..., Trainer]
) -> None:
    bugs = [bug for name in suite_names() for bug in load_suite(name).bugs if bug.split != "train"]
    judged = [program for bug in bugs for program in (bug.program, bug.fixed) if program]
    near = BASES["blobs_torch"].program  # without a hidden layer or two it is a held-out program of blobs
    near = replace(near, layers=tuple(layer for layer in near.layers if isinstance(layer, Dense)))
    base = LessonBase(name="near", original=near, target=near, skill=0.9, target_skill=0.9)
    of_near = draw_lessons([base], trainer_of(_skill), np.random.default_rng(0), 300, Budget())
    programs = [lesson.program for lesson in (*lessons, *of_near)]
    assert not set(map(digest, judged)) & set(map(digest, programs))
    assert not set(map(pair_of, judged)) & set(map(pair_of, programs))


def test_kinds_and_numbers_of_faults_have_their_shares(lessons: list[Lesson]) -> None:
    faults = Counter(len(lesson.operators) for lesson in lessons)
    assert [faults[count] / COUNT for count in (1, 2, 3)] == pytest.approx([0.45, 0.37, 0.18], abs=0.06)
    crashing = sum(any(name in CRASHING for name in lesson.operators) for lesson in lessons)
    assert crashing / COUNT == pytest.approx(0.25, abs=0.06)
    silent = sum(any(name in SILENT for name in lesson.operators) for lesson in lessons)
    assert silent / COUNT > 0.14


def test_no_operator_dominates_and_nearly_all_are_used(lessons: list[Lesson]) -> None:
    uses = Counter(name for lesson in lessons for name in lesson.operators)
    assert len(uses) >= len(OPERATORS) - 4
    assert max(uses.values()) < 0.08 * COUNT


def test_few_are_without_harm(lessons: list[Lesson]) -> None:
    harmless = sum(lesson.trial.skill > 0.85 for lesson in lessons)
    assert 0 < harmless < 0.03 * COUNT


def test_lessons_have_the_trial_of_their_seed(
    lessons: list[Lesson], trainer_of: Callable[..., Trainer]
) -> None:
    trainer = trainer_of(_skill)
    assert len({lesson.seed for lesson in lessons}) == 4
    for lesson in lessons[:20]:
        request = TrialRequest(program=lesson.program, budget=Budget(), seed=lesson.seed)
        assert trainer.run([request]) == [lesson.trial]


def test_the_generator_decides_and_lessons_come_when_they_are_asked_for(
    lessons: list[Lesson], bases: list[LessonBase], trainer_of: Callable[..., Trainer]
) -> None:
    trainer = trainer_of(_skill)
    stream = draw_lessons(bases, trainer, np.random.default_rng(0), COUNT, Budget())
    assert next(stream) == lessons[0]
    assert len(trainer.requests) == CHUNK
    other = draw_lessons(bases, trainer, np.random.default_rng(1), COUNT, Budget())
    assert next(other) != lessons[0]


def test_real_bugs_of_training_are_lessons_with_their_published_fixes(
    trainer_of: Callable[..., Trainer],
) -> None:
    suite = load_suite("real-v1")
    asked = [*suite.split("train"), *load_suite("tiny").bugs, *suite.split("held-out")]
    found = list(published_lessons(asked, trainer_of(_skill), np.random.default_rng(0), Budget()))
    fixes = {bug.id: bug for bug in suite.split("train")}
    assert len(found) > 10
    for lesson in found:
        assert lesson.program == fixes[lesson.base].program
        assert lesson.target == lesson.original == fixes[lesson.base].fixed
        assert not is_judged(lesson.program)
    again = published_lessons(asked, trainer_of(_skill), np.random.default_rng(0), Budget())
    assert list(again) == found

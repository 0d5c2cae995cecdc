"""Which drawn programs are kept, and what is better than they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.lessons import LessonBase, draw_bases, improved, is_judged, kept, make_bases
from netmend.env.data import load_dataset
from netmend.env.program import Dense, Program, check, find_crash
from netmend.env.program.sites import hidden_layers, width
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.trial import Budget, Status, Trainer, Trial, TrialRequest

CIRCLES, FRIEDMAN = BASES["circles_logit"].program, BASES["friedman2_sgd"].program


def _base(program: Program, skill: float) -> LessonBase:
    return LessonBase(name="a", original=program, target=program, skill=skill, target_skill=skill)


def _widest(program: Program) -> int:
    return max(width(program.layers[site]) for site in hidden_layers(program))


class BySeed:
    """Skill by the program and the seed."""

    def __init__(self, skill: Callable[[Program, int], float]) -> None:
        self.skill = skill

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        return [Trial(status=Status.OK, skill=self.skill(one.program, one.seed)) for one in requests]

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("program", "skills", "good"),
    [
        (CIRCLES, (0.7, 0.65), True),
        (CIRCLES, (0.9, 0.55), False),
        (FRIEDMAN, (0.55, 0.45), True),
        (FRIEDMAN, (0.9, 0.35), False),
        (replace(CIRCLES, loop=replace(CIRCLES.loop, zero_grad=False)), (0.9, 0.9), False),
        (replace(CIRCLES, layers=(Dense(units=7),)), (0.9, 0.9), False),
    ],
)
def test_kept_is_what_learns_with_every_seed_and_has_no_fault(
    program: Program, skills: tuple[float, float], good: bool
) -> None:
    found = kept([("a", program)], BySeed(lambda _, seed: skills[seed]), Budget())
    mean = sum(skills) / 2
    expected = LessonBase(name="a", original=program, target=program, skill=mean, target_skill=mean)
    assert found == ([expected] if good else [])


def test_most_drawn_programs_learn() -> None:
    drawn = islice(draw_bases(np.random.default_rng(0), ("circles", "xor", "breast_cancer")), 12)
    assert len(kept(drawn, LocalTrainer(), Budget())) > 6


def test_the_target_is_what_gains_most_for_its_price(trainer_of: Callable[..., Trainer]) -> None:
    trainer = trainer_of(lambda program: 0.9 if _widest(program) > 32 else 0.7)
    (base,) = improved([_base(CIRCLES, 0.7)], trainer, Budget())
    assert _widest(base.target) > 32
    assert base.target == replace(CIRCLES, layers=base.target.layers), "one edit is enough"
    assert base.target_skill == pytest.approx(0.9, abs=0.02)
    assert (base.original, base.skill) == (CIRCLES, 0.7)


def test_steps_are_made_one_on_another(trainer_of: Callable[..., Trainer]) -> None:
    """Two edits that gain each for itself are both in the target."""
    trainer = trainer_of(lambda p: 0.6 + 0.1 * (_widest(p) > 32) + 0.1 * (p.optimizer.lr == 0.01))
    program = replace(CIRCLES, optimizer=replace(CIRCLES.optimizer, lr=0.03))
    (base,) = improved([_base(program, 0.6)], trainer, Budget())
    assert _widest(base.target) > 32
    assert base.target.optimizer.lr == 0.01


@pytest.mark.parametrize(
    "skill",
    [
        lambda program, _: 0.7 + 0.02 * (program != CIRCLES),
        lambda program, seed: 0.7 + 0.2 * (program != CIRCLES and seed < 2),
        lambda *_: 0.7,
    ],
    ids=["less than its price", "only with the seeds that chose it", "nothing is better"],
)
def test_the_original_is_the_target_where_nothing_is_shown_to_be_better(
    skill: Callable[[Program, int], float],
) -> None:
    base = _base(CIRCLES, 0.7)
    assert improved([base], BySeed(skill), Budget()) == [base]


def test_bases_are_made_without_end_and_the_seed_decides(trainer_of: Callable[..., Trainer]) -> None:
    def skill(program: Program) -> float:
        return 0.7 + 0.1 * (_widest(program) > 40) if hidden_layers(program) else 0.2

    def made() -> list[LessonBase]:
        bases = make_bases(np.random.default_rng(5), trainer_of(skill), Budget(), ("circles", "digits"))
        return list(islice(bases, 80))

    bases = made()
    assert bases == made()
    assert len({base.name for base in bases}) == len({base.original for base in bases}) == 80
    better = [base for base in bases if base.target != base.original]
    assert better
    for base in better:
        task = load_dataset(base.target.data.dataset).task
        assert check(base.target, task) == []
        assert find_crash(base.target, task) is None
        assert not is_judged(base.target)

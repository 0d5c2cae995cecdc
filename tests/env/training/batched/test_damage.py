"""Damaged data in groups: next to data that are not, and never where the number of rows is another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.env.program import DAMAGES, Damage
from netmend.env.training.batched.candidate import candidate
from netmend.env.training.batched.trainer import GroupTrainer
from netmend.env.training.damage import KEEPS_ROWS
from netmend.env.training.trial import TrialRequest


def harmed(program, kind):
    return replace(program, data=replace(program.data, damage=(Damage(kind=kind, percent=50),)))


@pytest.mark.parametrize("kind", DAMAGES)
def test_only_damage_that_keeps_the_rows_can_be_grouped(kind, datasets, small, random_program):
    program = random_program(np.random.default_rng(1))
    request = TrialRequest(program=program, budget=small, seed=0)
    dataset = datasets[program.data.dataset]
    assert candidate(0, request, dataset) is not None
    own = candidate(0, replace(request, program=harmed(program, kind)), dataset)
    assert (own is not None) == (kind in KEEPS_ROWS)


def test_a_group_with_damaged_members_trains_as_each_of_them(
    datasets, small, random_program, assert_as_plain, group_sizes
):
    program = random_program(np.random.default_rng(1))
    programs = [program, *(harmed(program, kind) for kind in sorted(KEEPS_ROWS))]
    requests = [TrialRequest(program=own, budget=small, seed=1, holdout=True) for own in programs]
    trials = GroupTrainer(datasets.__getitem__).run(requests)
    assert group_sizes == [3]
    for trial, request in zip(trials, requests, strict=True):
        assert_as_plain(trial, request)
    assert len({trial.curves.train_loss for trial in trials}) == 3

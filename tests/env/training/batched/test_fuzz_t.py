from __future__ import annotations

import os

import numpy as np

FUZZ=int(os.environ["FUZZ"])
import pytest

from netmend.env.training.batched.plan import candidate
from netmend.env.training.batched.trainer import GroupTrainer
from netmend.env.training.trial import TrialRequest

TRUNK_NAMES = [
    "vector", "flat", "tokens as numbers", "dense on steps", "normalised inputs", "conv1d", "conv1d, norms",
    "conv2d", "conv2d, flat", "gru", "gru without bias", "lstm", "two lstm", "embedding",
    "embedding, frozen", "embedding, gru",
]  # fmt: skip


def buckets(requests, datasets):
    """What may be one group, the deepest program first."""
    found = {}
    for position, request in enumerate(requests):
        own = candidate(position, request, datasets[request.program.data.dataset])
        assert own is not None
        found.setdefault(own.key, []).append(own)
    for members in found.values():
        members.sort(key=lambda own: -len(own.hidden))
        yield [own.request for own in members]


@pytest.mark.parametrize("trunk", TRUNK_NAMES)
def test_a_mixed_group_trains_as_each_of_its_programs(
    datasets, small, random_program, assert_as_plain, group_sizes, trunk
):
    """As large a group as possible, whatever it costs."""
    rng = np.random.default_rng([FUZZ, TRUNK_NAMES.index(trunk)])
    count = 60
    requests = [
        TrialRequest(
            program=random_program(rng, trunk), budget=small, seed=int(rng.integers(3)), holdout=nth % 3 == 0
        )
        for nth in range(count)
    ]
    trainer = GroupTrainer(datasets.__getitem__)
    for bucket in buckets(requests, datasets):
        group_sizes.clear()
        trials = trainer.run(bucket)
        assert group_sizes == [len(bucket)]
        for trial, request in zip(trials, bucket, strict=True):
            try: assert_as_plain(trial, request)
            except AssertionError as e: print('DIFF', str(e)[:2500])

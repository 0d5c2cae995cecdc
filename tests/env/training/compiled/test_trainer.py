from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from netmend.env.training.compiled.trainer import CompiledTrainer
from netmend.env.training.trial import TrialRequest

TRUNK_NAMES = (
    "vector", "flat", "tokens as numbers", "dense on steps", "normalised inputs", "noise", "conv1d",
    "conv1d, norms", "conv2d", "conv2d, flat", "conv2d, padded", "transposed", "transposed steps", "skips",
    "shared norms", "detached", "detached beside", "rnn", "gru", "gru without bias", "both ways",
    "rnn both ways", "lstm", "two lstm", "shared gru",
    "embedding", "embedding, frozen", "embedding, gru", "attention", "causal attention",
)  # fmt: skip


@pytest.mark.parametrize("trunk", TRUNK_NAMES)
def test_a_program_trains_as_in_the_plain_loop(datasets, small, random_program, assert_as_plain, trunk):
    rng = np.random.default_rng(TRUNK_NAMES.index(trunk))
    trainer = CompiledTrainer(datasets.__getitem__)
    for nth in range(60 if trunk == "vector" else 12):
        program = random_program(rng, trunk)
        request = TrialRequest(program=program, budget=small, seed=int(rng.integers(3)), holdout=nth % 3 == 0)
        assert_as_plain(trainer.run([request])[0], request)
    assert trainer.plain <= 3
    assert not trainer.failed

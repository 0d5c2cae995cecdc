from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from netmend.agents.imitation.fit import Agreement, agreement, fit
from netmend.agents.imitation.states import States, pack

SLOTS, ACTIONS = 30, 13


def states(count: int = 240, seed: int = 0) -> States:
    """In each state the legal actions of one of four groups are right, or the last; a slot says which."""
    rng = np.random.default_rng(seed)
    group = rng.integers(5, size=count)
    observations = 0.1 * rng.normal(size=(count, SLOTS)).astype(np.float32)
    observations[np.arange(count), group] += 1
    groups = np.append(np.arange(ACTIONS - 1) % 4, 4)
    right = groups[None] == group[:, None]
    legal = rng.random((count, ACTIONS)) < 0.8
    legal[np.arange(count), right.argmax(1)] = True
    return pack(observations, legal, right & legal)


def network(seed: int = 0) -> list[nn.Module]:
    torch.manual_seed(seed)
    return [nn.Linear(SLOTS, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, ACTIONS)]


def learned(layers: list[nn.Module], own: States, epochs: int = 40, seed: int = 0, **more) -> Agreement:
    rng = np.random.default_rng(seed)
    return fit(layers, own, rng, epochs=epochs, learning_rate=0.01, batch_size=32, **more)


def test_a_small_set_is_learned() -> None:
    own, layers, rows = states(), network(), np.arange(240)
    before = agreement(layers, own, rows)
    assert before.accuracy < 0.6
    told: list[int] = []
    learned(layers, own, tell=lambda epoch, _: told.append(epoch))
    after = agreement(layers, own, rows)
    assert after.accuracy >= 0.95
    assert after.go >= 0.95
    assert after.loss < 0.5 * before.loss
    assert told == list(range(1, 41))


def test_the_figures_are_those_of_states_that_are_not_learned() -> None:
    """What cannot be learned by heart from others is not right on them."""
    own, rng = states(), np.random.default_rng(3)
    mixed = States(own.observations[rng.permutation(240)], own.masks, own.labels, own.actions)
    assert learned(network(), mixed, epochs=60).accuracy < 0.8


def test_the_same_numbers_give_the_same_weights() -> None:
    weights = []
    for seed in (0, 0, 1):
        layers = network()
        learned(layers, states(), epochs=2, seed=seed)
        weights.append(nn.utils.parameters_to_vector(nn.Sequential(*layers).parameters()).detach().numpy())
        torch.rand(seed + 5)  # what others draw in between makes no difference
    assert weights[0].tobytes() == weights[1].tobytes() != weights[2].tobytes()


def test_no_global_random_state_is_touched() -> None:
    layers, own = network(), states()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    learned(layers, own, epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("count", [1, 3, 33])
def test_few_states_are_enough(count: int) -> None:
    found = learned(network(), states(count), epochs=1)
    assert np.isfinite([found.loss, found.accuracy, found.go]).all()

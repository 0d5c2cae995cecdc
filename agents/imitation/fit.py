"""The supervised step: the network of an agent learns which actions are right in the states of roll-outs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from netmend.agents.imitation.states import States

INPUT_DROPOUT, HIDDEN_DROPOUT = 0.12, 0.25
WEIGHT_DECAY, LARGEST_GRADIENT, WARM_UP = 1e-3, 1.0, 0.1
SUMMED = 0.8
"""Weight of the probability of all right actions together; the rest is on each of them alike."""
HELD_BACK = 20
"""One in so many states is not learned: the figures of an epoch are taken on those."""
LEAST = -30.0
"""Logarithm of the least probability that a right action counts with."""


@dataclass(frozen=True)
class Agreement:
    """How far a network and the teacher agree.

    Attributes:
        loss: mean of what is minimised.
        accuracy: share of the states in which the most likely action is right.
        go: share of the states in which both or neither would train what is pending.
    """

    loss: float
    accuracy: float
    go: float


def fit(
    layers: Sequence[nn.Module],
    states: States,
    rng: Generator,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    tell: Callable[[int, Agreement], None] | None = None,
) -> Agreement:
    """Let a network learn from states; its weights are changed in place.

    AdamW with one cycle of the learning rate. Inputs and hidden units are dropped here and nowhere else, by
    numbers drawn from ``rng``: no global random state is touched, and the same call gives the same weights.

    Args:
        layers: from an observation to one score per action: linear layers and what is between them.
        states: at least one.
        rng: of the order of the states and of what is dropped.
        epochs: passes over the states.
        learning_rate: the highest of the cycle.
        batch_size: states per update.
        tell: is told about each epoch.

    Returns:
        the agreement after the last epoch.
    """
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    order = rng.permutation(len(states))
    held_back, learned = np.split(order, [len(order) // HELD_BACK])
    parameters = list(chain.from_iterable(layer.parameters() for layer in layers))
    optimizer = AdamW(parameters, weight_decay=WEIGHT_DECAY)
    updates = epochs * -(-len(learned) // batch_size)
    cycle = OneCycleLR(optimizer, learning_rate, total_steps=updates + 1, pct_start=WARM_UP)
    for epoch in range(1, epochs + 1):
        for rows in np.split(rng.permutation(learned), range(batch_size, len(learned), batch_size)):
            observations, masks, right = states.batch(rows)
            log = _log_probabilities(_dropping(layers, observations, noise), masks)
            optimizer.zero_grad()
            _losses(log, right).mean().backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(parameters, LARGEST_GRADIENT)
            optimizer.step()
            cycle.step()
        found = agreement(layers, states, held_back if held_back.size else learned)
        if tell is not None:
            tell(epoch, found)
    return found


@torch.no_grad()
def agreement(layers: Sequence[nn.Module], states: States, rows: np.ndarray, size: int = 2048) -> Agreement:
    """How far a network and the teacher agree in some states."""
    sums = np.zeros(3)
    for some in np.split(rows, range(size, len(rows), size)):
        values, masks, right = states.batch(some)
        for layer in layers:
            values = layer(values)
        log = _log_probabilities(values, masks)
        best, go = log.argmax(1), right.shape[1] - 1
        is_right = right.gather(1, best[:, None])
        sums += [float(own.sum()) for own in (_losses(log, right), is_right, (best == go) == right[:, go])]
    return Agreement(*(sums / len(rows)).tolist())


def _dropping(layers: Sequence[nn.Module], values: Tensor, noise: torch.Generator) -> Tensor:
    """The scores, with dropout of the inputs and behind every activation."""
    values = _dropped(values, INPUT_DROPOUT, noise)
    for layer in layers:
        values = layer(values)
        if not isinstance(layer, nn.Linear):
            values = _dropped(values, HIDDEN_DROPOUT, noise)
    return values


def _dropped(values: Tensor, rate: float, noise: torch.Generator) -> Tensor:
    kept = torch.rand(values.shape, generator=noise) >= rate
    return values * kept / (1 - rate)


def _log_probabilities(scores: Tensor, masks: Tensor) -> Tensor:
    return scores.masked_fill(~masks, -torch.inf).log_softmax(1)


def _losses(log: Tensor, right: Tensor) -> Tensor:
    """Of each state: mostly that some right action is likely, and a little that all of them are."""
    together = log.masked_fill(~right, -torch.inf).logsumexp(1)
    each = (log.clamp(min=LEAST) * right).sum(1) / right.sum(1)
    return -SUMMED * together - (1 - SUMMED) * each

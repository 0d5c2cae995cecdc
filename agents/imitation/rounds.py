"""Rounds of an imitation on disk, so that one that was cut off goes on behind its last round."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from netmend.agents.checkpoint import FOLDER, STATE, TENSORS, read_facts
from netmend.agents.imitation.states import MOST_STATES, States
from netmend.agents.progress import Totals
from netmend.agents.tensors import read_tensors
from netmend.env.errors import NetmendError
from netmend.env.program.yaml import write_yaml
from netmend.env.writing import whole_folder

STATES = "states.safetensors"
"""States of a round's roll-outs; they stay until the last round is done."""

_DAMAGES = (NetmendError, OSError, LookupError, ValueError, TypeError, RuntimeError)
"""What reading a round raises where its files are not as they were written."""


@dataclass(frozen=True)
class Rounds:
    """The rounds of a run: its folder, how many there are in all, and who is told of one that is damaged."""

    run: Path
    count: int
    say: Callable[[str], None]

    def save(self, model: BaseAlgorithm, number: int, states: list[States], totals: Totals) -> None:
        """Keep a round that is done, completely or not at all.

        Raises:
            OSError: the disk is full or the folder cannot be written to.
        """
        weights = {name: own.contiguous() for name, own in model.policy.state_dict().items()}
        with whole_folder(self._folder(number)) as fresh:
            (fresh / TENSORS).write_bytes(save(weights))
            (fresh / STATE).write_text(write_yaml({"totals": asdict(totals)}), encoding="utf-8")
            if number < self.count:
                arrays = {name: torch.from_numpy(own) for name, own in states[-1].arrays().items()}
                (fresh / STATES).write_bytes(save(arrays))
        for stale in range(1, number if number == self.count else 0):
            shutil.rmtree(self._folder(stale), ignore_errors=True)

    def done(self) -> int:
        """Number of the last round that is done, 0 where there is none."""
        return max(
            (number for number in range(1, self.count + 1) if self._folder(number).exists()), default=0
        )

    def load(self, model: BaseAlgorithm) -> tuple[int, list[States], Totals]:
        """Put the weights of the last round that is done into a model; its number, the states, the totals.

        No states where nothing is left to be learned from them. A damaged round, and what came after it, is
        done again.
        """
        last = self.done()
        wanted = (last,) if last == self.count else range(1, last + 1)
        done, states, totals = 0, list[States](), Totals()
        weights = model.policy.state_dict()
        for number in wanted:
            try:
                read, known = self._read(number, model)
                shown = [self._states(number, model)] if number < self.count else []
            except _DAMAGES as error:
                self.say(f"imitation: round {number} is damaged and done again: {error}")
                break
            done, weights, totals, states = number, read, known, [*states, *shown]
        model.policy.load_state_dict(weights)
        return done, states, totals

    def _folder(self, number: int) -> Path:
        return self.run / FOLDER / f"round_{number:02d}"

    def _read(self, number: int, model: BaseAlgorithm) -> tuple[dict[str, Tensor], Totals]:
        totals = Totals(**read_facts(self._folder(number) / STATE)["totals"])
        expected = {name: (own.dtype, own.shape) for name, own in model.policy.state_dict().items()}
        weights = read_tensors(self._folder(number) / TENSORS, 2**22 + 8 * _size(model), load)
        if {name: (own.dtype, own.shape) for name, own in weights.items()} != expected:
            raise ValueError(f"{TENSORS}: not the weights of this agent")
        if not all(bool(own.isfinite().all()) for own in weights.values()):
            raise ValueError(f"{TENSORS}: not finite")
        return weights, totals

    def _states(self, number: int, model: BaseAlgorithm) -> States:
        slots, actions = model.observation_space.shape, int(model.action_space.n)  # type: ignore[attr-defined]
        assert slots is not None
        row = 2 * slots[0] + 2 * -(-actions // 8)
        tensors = read_tensors(self._folder(number) / STATES, 2**22 + MOST_STATES * row, load)
        states = States(**{name: own.numpy() for name, own in tensors.items()}, actions=actions)
        shapes = {name: (own.dtype, own.shape) for name, own in states.arrays().items()}
        packed = np.dtype(np.uint8), (len(states), -(-actions // 8))
        wanted = {
            "observations": (np.dtype(np.float16), (len(states), *slots)),
            "masks": packed,
            "labels": packed,
        }
        if shapes != wanted or not len(states):
            raise ValueError(f"{STATES}: not states of this agent")
        return states


def _size(model: BaseAlgorithm) -> int:
    return sum(own.numel() for own in model.policy.state_dict().values())

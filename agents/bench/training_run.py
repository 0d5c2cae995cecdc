"""The programs of a training run of the agent, recorded as they come."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from netmend.agents.train import train
from netmend.agents.verbs.config import checked
from netmend.agents.verbs.train import TrainConfig
from netmend.env.training.front import TrialFront, build_trainer
from netmend.env.training.trial import Trainer, Trial, TrialRequest

STEPS = 512
"""Environment steps of the recorded run: two updates of the default agent."""
REPLAYED = 6
"""Calls of the trainer, the last of the run, that are timed."""
AGENT = "maskable_ppo"


class RecordingTrainer:
    """Hands on what it has not answered before, as a store would, and keeps it.

    Attributes:
        calls: the requests handed on, call by call.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.calls: list[list[TrialRequest]] = []
        self._trainer = trainer
        self._known: dict[TrialRequest, Trial] = {}

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        """Train what is new."""
        fresh = [request for request in dict.fromkeys(requests) if request not in self._known]
        if fresh:
            self.calls.append(fresh)
            self._known.update(zip(fresh, self._trainer.run(fresh), strict=True))
        return [self._known[request] for request in requests]

    def close(self) -> None:
        """Release the trainer behind it."""
        self._trainer.close()


def recorded_calls(workers: int, seed: int) -> list[list[TrialRequest]]:
    """What the default agent's training asks for in its last steps, without what it asked for before."""
    recorder = RecordingTrainer(build_trainer(workers, "cpu", None))
    with TemporaryDirectory() as folder:
        train(run_config(seed), Path(folder), Console(file=StringIO()), lambda _config: TrialFront(recorder))
    return recorder.calls[-REPLAYED:]


def run_config(seed: int) -> TrainConfig:
    """Configuration of a short run without a look at the validation bugs."""
    agent = OmegaConf.create((files("netmend.conf") / "agent" / f"{AGENT}.yaml").read_text())
    changes: dict[str, object] = {
        "training": {"steps": STEPS, "store": None, "validate_every": 0, "validation_bugs": 0}
    }
    changes |= {"imitation": {"lessons": 0}, "compose": False, "seed": seed}
    merged = OmegaConf.merge(OmegaConf.structured(TrainConfig), {"agent": agent}, changes)
    assert isinstance(merged, DictConfig)
    return checked(merged, TrainConfig)

"""Configuration of ``netmend bench``, whose words and measurements are in :mod:`netmend.agents.bench`."""

from __future__ import annotations

from dataclasses import dataclass

from netmend.agents.verbs.config import VerbConfig, at_least, device_problems


@dataclass
class BenchConfig(VerbConfig):
    """``netmend bench``.

    Attributes:
        rows: which rows of the engine's table to measure; null = all that the device can run.
        programs: of a row; half of it where trainings are longer, four times on a GPU.
        repeats: of each measurement, the ways in turns.
        workers: worker processes of the rows on several cores.
        device: ``cuda`` or ``cuda:N`` adds the rows on a GPU; the others stay on the CPU.
        seed: of the programs and the trials.
    """

    rows: list[str] | None = None
    programs: int = 64
    repeats: int = 3
    workers: int = 2
    device: str = "cpu"
    seed: int = 0

    def problems(self) -> list[str]:
        """By key."""
        found = at_least(2, self, "programs") + at_least(0, self, "seed")
        found += at_least(1, self, "repeats", "workers")
        return found + device_problems("device", self.device)

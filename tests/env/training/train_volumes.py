"""Train a program for each case of a JSON list, as a process of its own: PyTorch may end it with a signal.

A case is a layer as a YAML file has it, the shape of a row, and the size of a batch. Before each one its
place in the list is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import numpy as np

from netmend.env.data import Part, make_dataset
from netmend.env.program import LAYER_KINDS, Data, Dense, Flatten, Optimizer, Program, Task, find_crash
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget, Status

ROWS = 8
Case = tuple[str, dict[str, int], Sequence[int], int]


def main(cases: Sequence[Case]) -> None:
    """Train each, two epochs forwards and backwards; an error where a legal one does not end well."""
    random = np.random.default_rng(0)
    for place, (kind, fields, shape, batch) in enumerate(cases):
        print(place, flush=True)
        layers = (LAYER_KINDS[kind](filters=3, **fields), Flatten(), Dense(units=2))
        program = Program(
            data=Data(dataset="volumes"),
            layers=layers,
            loss="cross_entropy",
            optimizer=Optimizer(lr=0.001),
            batch_size=batch,
            epochs=2,
        )
        task = Task(dataset="volumes", kind="classification", input_shape=tuple(shape), outputs=2)
        part = Part(random.normal(size=(ROWS, *shape)).astype(np.float32), np.arange(ROWS) % 2)
        if find_crash(program, task) is not None:
            raise ValueError(f"case {place} is not legal")
        trial = train(program, make_dataset(task, part, part, part), Budget(), 0)
        if trial.status is not Status.OK:
            raise ValueError(f"case {place}: {trial.status}: {trial.message}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

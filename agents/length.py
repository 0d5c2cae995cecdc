"""How long a person's own program is trained: whole where that takes seconds, else cut, and that is said.

Time is what ``netmend.env.training.work`` expects of an ordinary core: a plan is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from netmend.env.data import load_dataset
from netmend.env.data.dataset import Dataset
from netmend.env.program import Program, Task, find_crash
from netmend.env.training.trial import Budget
from netmend.env.training.work import Pace, expected_seconds, planned_updates, training_work
from netmend.repair_actions.mend import MEND

TRIAL_SECONDS = 5.0
"""One trial: a repair takes about five of them, two or three that minimise its patch, and as many again to
confirm it: a minute on one core, less where several work."""
CONFIRM_SECONDS = 20.0
"""One of the six trainings that confirm an answer: longer than a trial, since that is done once."""
LONGER = 4
"""How many times its own epochs a trial may have, so that an edit that lengthens the training can help."""
STRETCH = 2
"""How many times ``TRIAL_SECONDS`` such a longer trial may take."""
HEAVIER = 10
"""How many times the planned work a trial may do, for edits that make the network larger."""
LEAST = Budget()
"""What a cut leaves at least: the limits of the trials that policies learn from."""


def trial_budget(program: Program, dataset: Dataset) -> Budget:
    """The budget of each trial of a person's own program.

    All rows and its own epochs where one training takes at most ``TRIAL_SECONDS``, with room for edits that
    lengthen it; else the epochs are cut, and the rows only where few epochs would be left. A program that
    crashes is taken as what its static check makes of it; where even that crashes nobody knows what it costs,
    and it has the least there is.
    """
    running = _running(program, dataset.task)
    if running is None:
        return LEAST
    cost = _seconds(running, dataset, running.epochs)
    if cost > TRIAL_SECONDS:
        return _cut(running, dataset, TRIAL_SECONDS)
    seconds = STRETCH * TRIAL_SECONDS
    longer = min(LONGER, max(1.0, seconds / cost))
    return _whole(running, dataset, int(longer * running.epochs), seconds)


def trial_seconds(program: Program, dataset: Dataset, budget: Budget) -> float:
    """What a trial within a budget takes in the plain loop, 0 of a program whose cost nobody knows."""
    running = _running(program, dataset.task)
    if running is None:
        return 0.0
    rows = min(len(dataset.train), budget.samples)
    updates = planned_updates(running, dataset.task, rows, budget)
    return expected_seconds(running, dataset.task, rows, updates, len(dataset.validation))


def full_budget(programs: Sequence[Program], dataset: Dataset) -> Budget:
    """One budget under which all of the programs train in full, or as long as ``CONFIRM_SECONDS`` allow."""
    running = [known for program in programs if (known := _running(program, dataset.task)) is not None]
    if not running:
        return LEAST
    dearest = max(running, key=lambda program: _seconds(program, dataset, program.epochs))
    if _seconds(dearest, dataset, dearest.epochs) > CONFIRM_SECONDS:
        return _cut(dearest, dataset, CONFIRM_SECONDS)
    epochs = max(program.epochs for program in running)
    budgets = [_whole(program, dataset, epochs, CONFIRM_SECONDS) for program in running]
    return replace(
        budgets[0],
        updates=max(budget.updates for budget in budgets),
        work=max(budget.work for budget in budgets),
    )


def confirming_budget(limits: Mapping[str, Any]) -> Callable[[Program, Program], Budget]:
    """``full_budget`` by a faulty program and its answer, with the limits that somebody set on purpose."""

    def full(before: Program, after: Program) -> Budget:
        return replace(full_budget((before, after), load_dataset(before.data.dataset)), **limits)

    return full


def told(program: Program, dataset: Dataset, budget: Budget) -> str:
    """What of its rows and epochs a program is trained on: "256 of 1,200 rows and 12 of 40 epochs"."""
    rows = len(dataset.train)
    epochs = epochs_done(program, dataset, budget)
    return f"{_of(min(rows, budget.samples), rows, 'rows')} and {_of(epochs, program.epochs, 'epochs')}"


def is_whole(program: Program, dataset: Dataset, budget: Budget) -> bool:
    """Whether a training within the budget uses all rows and does all epochs of the program."""
    return budget.samples >= len(dataset.train) and epochs_done(program, dataset, budget) == program.epochs


def epochs_done(program: Program, dataset: Dataset, budget: Budget) -> int:
    """Epochs, the last one perhaps in part, that a training within the budget does of a program's own."""
    rows = min(len(dataset.train), budget.samples)
    running = _running(program, dataset.task)
    if running is None:
        return budget.epochs_of(program, rows)
    return math.ceil(planned_updates(running, dataset.task, rows, budget) / _updates(running, rows, 1))


def _whole(program: Program, dataset: Dataset, epochs: int, seconds: float) -> Budget:
    """All rows, so many epochs, and the updates of that, or more where more fit into so many seconds.

    More are needed where an edit makes the batches smaller, and where classes are balanced.
    """
    rows = len(dataset.train)
    own, cost = _updates(program, rows, program.epochs), _seconds(program, dataset, program.epochs)
    updates = max(_updates(program, rows, epochs), int(own * seconds / cost))
    return _budget(program, dataset.task, rows, epochs, updates)


def _cut(program: Program, dataset: Dataset, seconds: float) -> Budget:
    """As many epochs as fit; where these are fewer than the least, as many rows as fit with those."""
    rows = len(dataset.train)
    least = min(program.epochs, LEAST.epochs)
    epochs = int(program.epochs * seconds / _seconds(program, dataset, program.epochs))
    if epochs < least:
        fitting = int(rows * seconds / _seconds(program, dataset, least))
        epochs, rows = least, min(rows, max(fitting, LEAST.samples))
    wanted, cost = _updates(program, rows, epochs), _seconds(program, dataset, epochs, rows)
    fits = max(1, int(wanted * min(1.0, seconds / cost)))
    return _budget(program, dataset.task, rows, epochs, min(wanted, fits))


def _budget(program: Program, task: Task, rows: int, epochs: int, updates: int) -> Budget:
    """A budget whose work does not cut what is planned."""
    work = HEAVIER * training_work(program, task, rows, min(updates, _updates(program, rows, epochs)))
    return Budget(samples=rows, epochs=epochs, updates=updates, work=max(LEAST.work, work))


def _seconds(program: Program, dataset: Dataset, epochs: int, rows: int | None = None) -> float:
    """What so many epochs take, of all rows or of so many."""
    rows = len(dataset.train) if rows is None else rows
    updates = _updates(program, rows, epochs)
    return expected_seconds(program, dataset.task, rows, updates, len(dataset.validation))


def _updates(program: Program, rows: int, epochs: int) -> int:
    return epochs * Pace.of(program, rows).updates


def _running(program: Program, task: Task) -> Program | None:
    """The program, or what the static remedies of its crash make of it; None where even that crashes."""
    mended = MEND.apply(program, task)
    return mended if find_crash(mended, task) is None else None


def _of(used: int, whole: int, what: str) -> str:
    return f"all {whole:,} {what}" if used >= whole else f"{used:,} of {whole:,} {what}"

"""The bugs and the trainer that a configuration asks for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console

from netmend.agents.verbs.config import MeasuringConfig, RepairingConfig, TrainerConfig
from netmend.env.bugs.bug import Suite
from netmend.env.bugs.loading import apart_from, load_suite, without_missing_packs
from netmend.env.data.loading import FOLDER_VARIABLE
from netmend.env.training.front import RAY, TrialFront, build_trainer
from netmend.env.training.store_server import without_password
from netmend.env.training.trial import Trainer


def open_suite(config: RepairingConfig, console: Console) -> Suite:
    """The suite without the bugs that are left out or whose data pack is not here; the console is told.

    Raises:
        NetmendError: there is no such suite, it is damaged, or it has no bug with data.
    """
    set_data_dir(config)
    suite = load_suite(config.bugs)
    if config.without is not None:
        rest = apart_from(suite.bugs, load_suite(config.without).bugs)
        left_out = len(suite.bugs) - len(rest)
        console.print(f"{left_out} bugs are left out: their datasets are those of {config.without}")
        suite = replace(suite, bugs=rest)
    bugs, note = without_missing_packs(suite.bugs)
    if note:
        console.print(note, highlight=False, soft_wrap=True)
    return replace(suite, bugs=bugs)


def make_trainer(config: MeasuringConfig) -> TrialFront:
    """Trainer by configuration; without a number of workers, one for each core this process may use.

    Compiled code trains what it can where that is left open.

    Raises:
        NetmendError: no such device here, or a store that cannot be opened.
    """
    set_data_dir(config)
    training = config.training
    workers = workers_of(training)
    return build_trainer(
        workers,
        training.device,
        training.store or None,
        compiled=training.compiled is not False,
        engine=training.engine,
        address=training.ray.address,
    )


@contextmanager
def open_trainer(config: MeasuringConfig) -> Iterator[Trainer]:
    """The same, closed at the end; after Ctrl-C the message says what is kept."""
    trainer = make_trainer(config)
    try:
        yield trainer
    except KeyboardInterrupt as interrupt:
        store = config.training.store
        kept = (
            f"; finished trials are kept in {without_password(store)}: the same command goes on"
            if store
            else ""
        )
        raise KeyboardInterrupt(f"interrupted{kept}") from interrupt
    finally:
        trainer.close()


def set_data_dir(config: MeasuringConfig) -> None:
    """Make the folder of data packs known to what is loaded from now on."""
    if config.data_dir:
        os.environ[FOLDER_VARIABLE] = config.data_dir  # workers inherit it


@contextmanager
def settled() -> Iterator[None]:
    """What is loaded by now stays to the end: the garbage collector no longer looks at it.

    Libraries, suites and data are some million objects. To look at them again and again takes an eighth of
    an environment step whose programs are new.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def workers_of(config: TrainerConfig) -> int:
    """How many workers; where it is left open one for each usable core, and none beside a single one."""
    if config.workers is not None:
        return config.workers
    cores = usable_cores()
    return cores if cores > 1 or config.engine == RAY else 0


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

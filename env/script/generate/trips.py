"""The round trip: a program is written as a script, the script runs under the recorder, and is lifted.

``python -m netmend.env.script.generate.trips 200`` measures it over drawn programs, faults and styles;
``--keras`` over scripts of Keras, ``--lightning`` over those whose loop Lightning holds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from netmend.env.data import load_dataset
from netmend.env.program import Loop, Program, find_crash
from netmend.env.program.changes import differing
from netmend.env.program.part import changed
from netmend.env.script.generate.keras import keras_bases, keras_problems, keras_shown
from netmend.env.script.generate.programs import Case, draw_case, shown
from netmend.env.script.generate.script import write_script
from netmend.env.script.generate.style import Style, draw_style, in_style
from netmend.env.script.lift import Lifted, NotLifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record

SEEN = Plan(updates=4, wall=100.0)
"""Enough of a run for a lift: two updates show whether gradients are set to zero."""


@dataclass(frozen=True)
class Trip:
    """A round trip.

    Attributes:
        seed: of the case.
        case: the program.
        style: of its script.
        record: of the script's run.
        lifted: the program that it was lifted to, or why not.
        crashes: whether the program crashes before a row is trained on: then there is nothing to lift.
        differences: what is not the same, with both values.
    """

    seed: int
    case: Case
    style: Style
    record: Record
    lifted: Lifted | NotLifted
    crashes: bool
    differences: tuple[str, ...]

    @property
    def captured(self) -> bool:
        """Whether the recorder saw what the script does: its network and its loss, or its crash."""
        seen = bool(self.record.operations) and self.record.loss is not None
        return seen or (self.crashes and self.record.crash is not None)

    @property
    def same(self) -> bool:
        """Whether the program came back."""
        return isinstance(self.lifted, Lifted) and not self.differences


def make_trip(
    seed: int,
    folder: Path,
    runner: Runner,
    *,
    held_out: bool = False,
    lightning: bool = False,
    keras: bool = False,
) -> Trip:
    """Draw a case, write its script into a folder, run it and lift it.

    Args:
        seed: of the draw.
        folder: of the script.
        runner: runs it.
        held_out: whether the program is one of the held-out split.
        lightning: whether Lightning, which has to be installed, holds the loop: then without faults.
        keras: whether it is a script of Keras, which has to be installed.
    """
    rng = np.random.default_rng(seed)
    style = draw_style(rng)
    bases, wrong = (keras_bases(), keras_problems) if keras else (None, None)
    case = draw_case(rng, held_out=held_out, bases=bases, wrong=wrong)
    if keras:
        style = replace(style, batches="slices", keras=True)
    if lightning:
        style = replace(style, batches="loader", lightning=True)
    program = in_style(case.faulty, style)
    if lightning:
        program = changed(program, loop=Loop(optimized=program.loop.optimized))
    record = runner.run(write_script(program, style, rng).write(folder), plan=SEEN)
    lifted = lift(record)
    dataset = load_dataset(program.data.dataset)
    crash = find_crash(program, dataset.task)
    early = crash is not None and crash.phase in ("data", "build", "forward")
    early |= crash is not None and crash.phase == "loss" and not record.updates
    differences: tuple[str, ...] = ()
    if isinstance(lifted, Lifted):
        rows = record.inputs.shape[0] if style.batches == "full" and record.inputs else len(dataset.train)
        task = load_dataset(str(lifted.dataset)).task
        show = keras_shown if keras else shown
        found = show(lifted.program, task, rows)
        wanted = show(program, dataset.task, rows)
        if record.evaluated is None:
            found, wanted = (changed(p, loop=changed(p.loop, evaluation_mode=True)) for p in (found, wanted))
        differences = tuple(_differences(wanted, found))
    return Trip(seed, case, style, record, lifted, early, differences)


def _differences(wanted: Program, found: Program) -> list[str]:
    return [f"{name}: {getattr(wanted, name)} / {getattr(found, name)}" for name in differing(wanted, found)]


def main() -> None:
    """Measure round trips and print what failed."""
    parser = argparse.ArgumentParser(description="Round trips of programs, scripts and lifted programs.")
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--held-out", action="store_true", help="programs of the held-out split")
    parser.add_argument("--lightning", action="store_true", help="scripts whose loop Lightning holds")
    parser.add_argument("--keras", action="store_true", help="scripts of Keras")
    given = parser.parse_args()
    found: Counter[str] = Counter()
    seconds = 0.0
    with tempfile.TemporaryDirectory() as home, Runner() as runner:
        for seed in range(given.first, given.first + given.count):
            folder = Path(home, str(seed))
            trip = make_trip(
                seed,
                folder,
                runner,
                held_out=given.held_out,
                lightning=given.lightning,
                keras=given.keras,
            )
            shutil.rmtree(folder)
            seconds += trip.record.seconds
            found["all"] += 1
            found["captured"] += trip.captured
            found["crash before a row is trained on"] += trip.crashes
            found["lifted"] += isinstance(trip.lifted, Lifted)
            found["the same"] += trip.same
            if not trip.same and not trip.crashes:
                why = trip.lifted.reasons if isinstance(trip.lifted, NotLifted) else trip.differences
                style = f"{trip.style.network} {trip.style.batches} {trip.style.layout}"
                print(
                    seed,
                    trip.case.base,
                    trip.case.operator,
                    style,
                    trip.record.ending,
                    *why,
                    sep=" | ",
                    flush=True,
                )
    print(", ".join(f"{name} {number}" for name, number in found.items()))
    print(f"CPU seconds of a run: {seconds / max(given.count, 1):.2f}")


if __name__ == "__main__":
    main()

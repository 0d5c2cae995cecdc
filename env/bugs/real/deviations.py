"""What every port changes in the same way, in words: generated rows, no decay of the rate, fewer epochs."""

from __future__ import annotations

from collections.abc import Mapping

from netmend.env.bugs.real.programs import Facts
from netmend.env.data import BUILT_IN, load_dataset
from netmend.env.program import Program
from netmend.env.training.trial import Budget

_ARRAYS = {
    "arrays": "generated rows with a pattern for each class",
    "targets": "generated rows with targets that follow the values",
    "tokens": "generated texts with words of their own for each class",
}
"""What stands for the random arrays of crash benchmarks, by the first word of the dataset's name."""


def generated_rows(dataset: str, recorded: object) -> list[str]:
    """How many rows with what in them stand for random arrays; nothing for other datasets.

    Args:
        dataset: its name here.
        recorded: number of rows in the report, None where it is not known.
    """
    what = _ARRAYS.get(dataset.partition("_")[0])
    if what is None:
        return []
    data = load_dataset(dataset)
    rows = sum(len(part.y) for part in (data.train, data.validation, data.holdout))
    return [f"{rows:,} {what}" + ("" if recorded is None else f" (recorded: {recorded:,})")]


def left_out_decay(optimizers: Mapping[str, Facts]) -> list[str]:
    """That the decay of an optimizer is left out, by the program whose optimizer it is."""
    decays = {whose: told["decay"] for whose, told in optimizers.items() if "decay" in told}
    if len(decays) == len(optimizers) and len(set(decays.values())) == 1:
        decays = {"both programs": next(iter(decays.values()))}
    return [f"the optimizer's decay of {decay:g} in {whose} is left out" for whose, decay in decays.items()]


def capped_epochs(programs: Mapping[str, Program], budget: Budget) -> list[str]:
    """How many epochs of each program a trial trains, where its budget ends it sooner."""
    said = {}
    for whose, program in programs.items():
        most = budget.epochs_of(program, _rows(program, budget))
        if most < program.epochs:
            said[whose] = f"{most:,} of {program.epochs:,} epochs"
    if len(said) == len(programs) and len(set(said.values())) == 1:
        said = {"both programs": next(iter(said.values()))}
    ends = " and ".join(f"{epochs} of {whose}" for whose, epochs in said.items())
    return [f"a trial trains at most {ends}"] if said else []


def _rows(program: Program, budget: Budget) -> int:
    """Training rows of a trial; a data pack, which may be absent, has as many as any budget here asks for."""
    name = program.data.dataset
    return min(budget.samples, len(load_dataset(name).train.y)) if name in BUILT_IN else budget.samples

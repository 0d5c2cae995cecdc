"""``netmend bugs deepcrime``: search DeepCrime's operators on one good program, and print what kills it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rich.console import Console

from netmend.agents.progress import StageProgress, ToldTrainer
from netmend.agents.table import Table
from netmend.agents.verbs.config import ConfigError, MeasuringConfig, at_least, one_of
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.opening import open_trainer
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.deepcrime import DEEPCRIME, DeepCrimeOperator, Found, Searched, search
from netmend.env.bugs.killing import TESTS, Test, spread
from netmend.env.bugs.loading import load_bug, load_suite
from netmend.env.errors import UnknownNameError
from netmend.env.program import Program
from netmend.env.training.trial import Budget
from netmend.env.writing import write_csv

RESULTS = "deepcrime.csv"
LEAST_P = 0.001
COLUMNS = (
    *("operator", "group", "fault", "search", "parameter"),
    *("mutant", "value", "killed", "skill", "sd", "p", "d"),
)


@dataclass
class DeepCrimeConfig(MeasuringConfig):
    """``netmend bugs deepcrime``.

    Attributes:
        program: the good program: a bug file whose program is good, or the name of a base program.
        suite: suite of a bug whose published fix is the good program, in place of ``program``.
        bug: id of that bug.
        operators: DeepCrime's ids of the operators. null = all 24.
        seeds: number of trainings of each program. DeepCrime takes 10 to 20.
        test: statistical test of the killing rule, ``glm`` or ``wilcoxon``.
    """

    program: str | None = None
    suite: str | None = None
    bug: str | None = None
    operators: list[str] | None = None
    seeds: int = 10
    test: str = "glm"

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems() + at_least(5, self, "seeds") + one_of(self, "test", TESTS)
        if (self.program is None) == (self.suite is None) or (self.suite is None) != (self.bug is None):
            said = "name the good program, or with suite= and bug= a bug that has it as its fix"
            found.append(f"program: {said}")
        return found

    def require(self) -> None:
        """Look up the good program and the operators."""
        _good(self)
        _operators(self.operators)


def deepcrime_job(config: DeepCrimeConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Search, print the table, and write every mutant to ``deepcrime.csv`` in the run's folder."""
    good, budget = _good(config)
    console = Console()
    with open_trainer(config) as trainer, closing(StageProgress(console)) as tell:
        searched = search(
            good,
            _operators(config.operators),
            ToldTrainer(trainer, tell),
            budget,
            range(config.seeds),
            test=cast("Test", config.test),
            report=tell.say,
        )
    found_table(searched).show(console)
    console.print(summary(searched), highlight=False, soft_wrap=True)
    mutants = list(_mutants(searched))
    write_csv(folder / RESULTS, COLUMNS, mutants)
    console.print(f"every mutant: {folder / RESULTS}", highlight=False, soft_wrap=True)
    return Ended(answer={"run": folder, "mutants": mutants})


def found_table(searched: Searched) -> Table:
    """One row per operator: how many of its mutants were trained and killed, and the mildest of these."""
    head = ("id", "search", "killed", "mildest that is killed", "skill", "p", "d")
    return Table(head=head, rows=map(_row, searched.found), left=range(len(head)))


def summary(searched: Searched) -> str:
    """The good program's skill, and the numbers of operators."""
    original = spread(searched.original)
    applicable = [found for found in searched.found if found.tested]
    killed = [found for found in applicable if found.killed]
    return (
        f"good program: skill {original.mean:.3f} (sd {original.sd:.3f}, {original.seeds} seeds); "
        f"{len(applicable)} of {len(searched.found)} operators are applicable, "
        f"{len(killed)} of them have a mutant that is killed"
    )


def _mutants(searched: Searched) -> Iterator[dict[str, object]]:
    """Every mutant as a row of the file."""
    for found in searched.found:
        one = found.operator
        about = (one.name, one.group, one.description, one.search, one.parameter)
        for tested in found.tested:
            own = spread(tested.skills)
            value = "" if tested.mutation.value is None else f"{tested.mutation.value:g}"
            numbers = (own.mean, own.sd, f"{tested.p:.4g}", f"{tested.effect:.4g}")
            row = (*about, tested.mutation.description, value, tested.killed, *numbers)
            yield dict(zip(COLUMNS, row, strict=True))


def _row(found: Found) -> tuple[str, ...]:
    best, start = found.killing, (found.operator.name.upper(), found.operator.search)
    if not found.tested:
        return (*start, "", "not applicable", "", "", "")
    counts = f"{len(found.killed)} of {len(found.tested)}"
    if best is None:
        return (*start, counts, "none", "", "", "")
    p = f"{best.p:.3f}" if best.p >= LEAST_P else f"<{LEAST_P:g}"
    return (*start, counts, best.mutation.description, f"{best.mean:.3f}", p, f"{best.effect:.2f}")


def _operators(names: Sequence[str] | None) -> list[DeepCrimeOperator]:
    chosen = list(DEEPCRIME) if names is None else [name.lower() for name in names]
    for name in chosen:
        if name not in DEEPCRIME:
            raise UnknownNameError("operator of DeepCrime", name, DEEPCRIME)
    return [DEEPCRIME[name] for name in chosen]


def _good(config: DeepCrimeConfig) -> tuple[Program, Budget]:
    """The good program and the budget of a training."""
    if config.suite is not None:
        return _fix(config.suite, str(config.bug))
    name = str(config.program)
    if name in BASES:
        return BASES[name].program, Budget()
    if not Path(name).expanduser().is_file():
        raise UnknownNameError("base program or file of a bug", name, BASES)
    bug = load_bug(name)
    return bug.program, bug.budget or Budget()


def _fix(suite: str, name: str) -> tuple[Program, Budget]:
    loaded = load_suite(suite)
    bugs = {bug.id: bug for bug in loaded.bugs}
    if name not in bugs:
        raise UnknownNameError(f"bug of {loaded.name}", name, bugs)
    bug = bugs[name]
    if bug.fixed is None:
        raise ConfigError([f"bug: {name} has no published fix that could be the good program"])
    return bug.fixed, bug.budget or loaded.budget

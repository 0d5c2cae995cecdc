"""``netmend bugs``: list the suites, show one or a bug of it, make one, and count what they cover."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten

from omegaconf import MISSING
from rich.console import Console

from netmend.agents.progress import StageProgress, ToldTrainer
from netmend.agents.table import Table
from netmend.agents.verbs.config import MeasuringConfig, at_least
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.opening import open_trainer
from netmend.env.bugs.bug import SPLITS, Bug, Score, Suite
from netmend.env.bugs.coverage import cover, fix_patterns
from netmend.env.bugs.loading import load_suite, suite_folder, suite_names
from netmend.env.bugs.making import make_suite
from netmend.env.bugs.measured import Measured, read_measured
from netmend.env.bugs.plans import PLANS, SuitePlan
from netmend.env.bugs.reach import MOST_ACTIONS
from netmend.env.bugs.verify import HOLDS
from netmend.env.bugs.writing import write_suite
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.program import dump, to_plain
from netmend.env.training.trial import Trainer

MOST_SAID = 240
"""Characters of where a bug came from in a list; ``show`` of the bug itself gives all of them."""


REAL = "real-v1"
"""The suite whose bugs ``coverage`` counts."""


@dataclass
class MakeConfig(MeasuringConfig):
    """``netmend bugs make``.

    Attributes:
        suite: name of the plan of the suite to make, such as ``mutants-v1``.
        seed: seed of the draws. null = the plan's own.
        out: file to write. The suite gets the name of the file.
        force: whether a file that is there already may be replaced.
    """

    suite: str = MISSING
    seed: int | None = None
    out: str = MISSING
    force: bool = False

    def problems(self) -> list[str]:
        """By key."""
        return super().problems() + at_least(0, self, "seed")

    def require(self) -> None:
        """Look whether there is such a plan and the file may be written, before hours of training."""
        _plan(self.suite)
        _check_place(Path(self.out), force=self.force)


def make_job(config: MakeConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Make a suite as the configuration says."""
    with open_trainer(config) as trainer, closing(StageProgress(Console())) as tell:
        told, out = ToldTrainer(trainer, tell), Path(config.out)
        path = make(config.suite, told, out, seed=config.seed, force=config.force, report=tell.say)
    return Ended(answer={"file": path}, then=f"netmend bugs show {path}")


def make(
    suite: str,
    trainer: Trainer,
    out: Path,
    *,
    seed: int | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Make a suite and write it.

    Args:
        suite: name of the plan, one of ``PLANS``.
        trainer: trains all candidates; the caller closes it.
        out: the file to write; the suite is called as it is.
        seed: another seed than the plan's.
        force: whether a file that is there may be replaced.
        report: takes a line of progress.

    Returns:
        the file.

    Raises:
        UnknownNameError: there is no such plan.
        NetmendError: the file is there and may not be replaced.
        OSError: it cannot be written.
    """
    plan = _plan(suite) if seed is None else replace(_plan(suite), seed=seed)
    _check_place(out, force=force)
    made = replace(make_suite(plan, trainer, report), name=out.stem)
    command = f"netmend bugs make suite={suite} seed={plan.seed}"
    seeds = (
        "none"
        if plan.enlarges
        else (
            f"{len(plan.seeds)} from {plan.seeds[0]} (mutants for training: {plan.train_seeds}), "
            f"screening {len(plan.screening_seeds)}"
        )
    )
    write_suite(made, out, {"command": command, "seed": plan.seed, "seeds": seeds, "torch": version("torch")})
    report(statistics(made))
    report(f"written to {out}")
    return out


def list_suites() -> Ended:
    """Print the suites of the package, one a line, with their numbers of bugs by split."""
    suites = [load_suite(name) for name in suite_names()]
    _show(map(_line, suites))
    return Ended(answer={"suites": [_counts(suite) for suite in suites]}, then="netmend bugs show SUITE")


def show_suite(name: str) -> Ended:
    """Print a suite's bugs, one a line.

    Raises UnknownNameError for an unknown suite, ProgramError for a wrong file.
    """
    suite = load_suite(name)
    _show([_line(suite), *map(_bug_line, suite.bugs)])
    answer = {**_counts(suite), "bugs": [_facts(bug) for bug in suite.bugs]}
    return Ended(answer=answer, then=f"netmend bugs show {name} BUG")


def show_bug(name: str, bug: str) -> Ended:
    """Print one bug with its program and its published fix or original.

    Raises UnknownNameError for an unknown suite or bug, ProgramError for a wrong file.
    """
    suite = load_suite(name)
    bugs = {entry.id: entry for entry in suite.bugs}
    if bug not in bugs:
        raise UnknownNameError(f"bug of {suite.name}", bug, bugs)
    own = bugs[bug]
    print(_page(own))
    programs = {
        "program": to_plain(own.program),
        "fixed": None if own.fixed is None else to_plain(own.fixed),
    }
    return Ended(answer={**_facts(own), **programs}, then=f"netmend repair bugs={name} bug={bug}")


def _show(lines: Iterable[str]) -> None:
    """Print lines, which a screen breaks between words; in a file each stays one."""
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def _counts(suite: Suite) -> dict[str, object]:
    """A suite for a program."""
    splits = {split: len(suite.split(split)) for split in SPLITS}
    return {"name": suite.name, "description": suite.description, "splits": splits}


def _facts(bug: Bug) -> dict[str, object]:
    """What is recorded of a bug, for a program."""
    names = ("id", "split", "provenance", "verdict", "base", "operators", "faulty_score", "fixed_score")
    return {name: getattr(bug, name) for name in names}


def statistics(suite: Suite) -> str:
    """Bugs by split, number of faults, dataset, base and operator, each a line."""
    counts: dict[str, list[str]] = {
        "split": [bug.split for bug in suite.bugs],
        "faults": [str(len(bug.operators)) for bug in suite.bugs],
        "dataset": [bug.program.data.dataset for bug in suite.bugs],
        "base": [bug.base for bug in suite.bugs],
        "operator": [name for bug in suite.bugs for name in bug.operators],
    }
    return "\n".join(f"bugs by {key}: {_counted(values)}" for key, values in counts.items())


def print_coverage() -> Ended:
    """Print how many sub-actions each pattern has, and how many real bugs are loaded, reproduced, reached."""
    console, real = Console(), load_suite(REAL)
    rows = cover([bug for name in suite_names() for bug in load_suite(name).bugs])
    of_real = Counter(pattern for bug in real.bugs for pattern in fix_patterns(bug))
    cells = [
        (row.pattern, *map(str, (row.stack_overflow, row.github, row.actions, row.edits, row.working)))
        for row in rows
    ]
    head = ("pattern", "SO %", "GH %", "actions", "sub-actions", "working", "real bugs")
    Table(head=head, rows=[(*row, str(of_real[row[0]])) for row in cells]).show(console)
    enough = sum(row.working >= 3 for row in rows)
    console.print(f"{len(rows)} of 15 patterns, {enough} with at least 3 working sub-actions")
    folder = suite_folder(real.name)
    entries = {} if folder is None else read_measured(folder)
    mine = [entries.get(bug.id, Measured()) for bug in real.bugs]
    loaded = sum(entry.verdict not in ("", "not loaded") for entry in mine)
    held = [entry for entry in mine if entry.verdict in HOLDS]
    targets = [entry for entry in mine if entry.verdict == "reproduced"]
    goals = {bug.id: bug.goal("validation") for bug in real.bugs}
    reached = sum(_reaches(entries[name], goal) for name, goal in goals.items() if name in entries)
    console.print(
        f"{real.name}: {len(real.bugs)} bugs, {loaded} loaded, {len(held)} reproduced "
        f"({len(held) - len(targets)} of them fixes without gain, as recorded), "
        f"{reached} of {len(targets)} reachable in {MOST_ACTIONS} actions"
    )
    patterns = [{**vars(row), "real bugs": of_real[row.pattern]} for row in rows]
    counts = {"bugs": len(mine), "loaded": loaded, "reproduced": len(held), "reachable": reached}
    return Ended(answer={"patterns": patterns, real.name: counts})


def _reaches(entry: Measured, goal: float | None) -> bool:
    if goal is None or not entry.patch or entry.patch_skill is None:
        return False
    return entry.patch_skill >= goal


def _counted(values: Sequence[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(values).most_common())


def _plan(suite: str) -> SuitePlan:
    if suite not in PLANS:
        raise UnknownNameError("suite to make", suite, PLANS)
    return PLANS[suite]


def _check_place(path: Path, *, force: bool) -> None:
    # before hours of training, not after them
    if path.exists() and not force:
        raise NetmendError(f"{path} is there already; force=true replaces it, out=... writes elsewhere")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise NetmendError(f"{folder} is not writable; out=... writes elsewhere")


def _line(suite: Suite) -> str:
    splits = ", ".join(f"{len(suite.split(name))} {name}" for name in SPLITS)
    return f"{suite.name}: {len(suite.bugs)} bugs ({splits}). {suite.description}"


def _bug_line(bug: Bug) -> str:
    scores = f"{_skills(bug.faulty_score)} -> {_skills(bug.fixed_score)}"
    about = shorten("  ".join(filter(None, (bug.verdict, bug.provenance))), MOST_SAID, placeholder=" ...")
    return f"{bug.id}  {bug.split}  {scores}  {about}"


def _skills(score: Score | None) -> str:
    return "?" if score is None else f"{score.holdout.mean:.2f}"


def _page(bug: Bug) -> str:
    parts = [f"# {bug.id} ({bug.split})", f"# {bug.provenance}", *_recorded(bug)]
    parts.append(
        f"# hold-out skill, faulty -> fixed: {_skills(bug.faulty_score)} -> {_skills(bug.fixed_score)}"
    )
    parts.append(dump(bug.program))
    if bug.fixed is not None:
        parts += ["# the original" if bug.base else "# the published fix", dump(bug.fixed)]
    return "\n".join(parts)


def _recorded(bug: Bug) -> list[str]:
    """What is recorded of a real bug, a line for each thing that is."""
    known = {
        "kind": bug.kind if bug.verdict or bug.quality else "",
        "quality": bug.quality,
        "symptom": bug.symptom,
        "fix patterns": ", ".join(bug.fix_patterns),
        "the fix helps": bug.fix_helps,
        "verdict": bug.verdict,
        "not reproduced": bug.not_reproduced,
        "budget": "" if bug.budget is None else str(bug.budget),
    }
    return [f"# {name}: {value}" for name, value in known.items() if value]

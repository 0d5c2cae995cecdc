"""Bug files from the facts: ``python -m netmend.env.bugs.real.make`` writes all of ``real-v1`` anew."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from netmend.env.bugs.bug import SPLITS, Bug, BugKind, Split
from netmend.env.bugs.real.deviations import capped_epochs, generated_rows, left_out_decay
from netmend.env.bugs.real.programs import Facts, to_programs
from netmend.env.bugs.writing import write_bug
from netmend.env.data import BUILT_IN, load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program import Program, Task, read_yaml
from netmend.env.program.crashes import Phase
from netmend.env.training.trial import Budget

HERE = Path(__file__).parent
FACTS, SPLIT_FILE = HERE / "facts.yaml", HERE / "splits.yaml"
FOLDER = HERE.parent / "suites" / "real-v1"
SUITE = FOLDER / "suite.yaml"

PACKS: dict[str, Task] = {
    "mnist": Task(dataset="mnist", kind="classification", input_shape=(1, 28, 28), outputs=10),
    "cifar10": Task(dataset="cifar10", kind="classification", input_shape=(3, 32, 32), outputs=10),
}
"""Tasks of the data packs that bugs need, so that their files can be made without the packs."""


def read_facts() -> tuple[Facts, ...]:
    """The facts of all bugs, in the order of their file."""
    plain = cast(Facts, read_yaml(FACTS.read_text(encoding="utf-8"), str(FACTS)))
    return tuple(cast("list[Facts]", plain["bugs"]))


def read_splits() -> dict[str, Split]:
    """The split of each bug by its id."""
    plain = cast(Facts, read_yaml(SPLIT_FILE.read_text(encoding="utf-8"), str(SPLIT_FILE)))
    return {name: split for split in SPLITS for name in cast("list[str]", plain[split])}


def make_bugs() -> tuple[Bug, ...]:
    """All bugs, in the order of the facts.

    Raises:
        NetmendError: facts that make no program; the message names the bug.
    """
    splits = read_splits()
    return tuple(_bug(facts, splits[str(facts["id"])]) for facts in read_facts())


def task_of(facts: Facts) -> Task:
    """The task of a bug, known without its data pack."""
    name = str(cast(Facts, facts["port"])["dataset"])
    return load_dataset(name).task if name in BUILT_IN else PACKS[name]


def write_bugs(folder: Path) -> None:
    """Write a file for each bug; files of bugs that are no longer there are removed."""
    bugs = {f"{bug.id}.yaml": bug for bug in make_bugs()}
    for path in folder.glob("[A-Z]*.yaml"):
        if path.name not in bugs:
            path.unlink()
    for name, bug in bugs.items():
        write_bug(bug, folder / name)


def _bug(facts: Facts, split: Split) -> Bug:
    port = cast(Facts, facts["port"])
    try:
        faulty, fixed = to_programs(facts, task_of(facts))
    except NetmendError as error:
        raise NetmendError(f"{facts['id']}: {error}") from error
    budget = _budget(cast("Mapping[str, int]", port["budget"])) if "budget" in port else None
    return Bug(
        id=str(facts["id"]),
        program=faulty,
        split=split,
        fixed=fixed,
        operators=_names(facts["fault_labels"]),
        provenance=_provenance(facts, {"the faulty program": faulty, "the fix": fixed}, budget),
        kind=cast(BugKind, facts["kind"]),
        quality=str(facts["quality"]),
        symptom=str(facts["symptom"]),
        fix_helps=_qualifier({**facts, **port}.get("fix_helps")),
        fix_patterns=_names(facts["fix_patterns"]),
        crash_phase=cast("Phase", str(port["crash"]).split()[0]) if "crash" in port else "",
        not_reproduced=str(port.get("not_reproduced", "")),
        budget=budget,
    )


def _provenance(facts: Facts, programs: Mapping[str, Program], budget: Budget | None) -> str:
    """Post or commit, who restated it, and every deviation of the programs here."""
    parts = [_place(str(facts["id"])), "restated from " + ", ".join(_names(facts["sources"]))]
    data, port = cast(Facts, facts["data"]), cast(Facts, facts["port"])
    parts.append(f"data: {data['name']} ({data['recipe']})")
    here = [str(port["why"])] if "why" in port else []
    here += generated_rows(str(port["dataset"]), data["rows"])
    here += left_out_decay(_optimizers(facts, tuple(programs)))
    here += capped_epochs(programs, budget or _suite_budget())
    return "; ".join([*parts, "here: " + "; ".join(here)] if here else parts)


def _optimizers(facts: Facts, whose: tuple[str, ...]) -> dict[str, Facts]:
    """The recorded optimizers of both programs."""
    faulty = cast(Facts, facts["faulty"])
    told = (faulty, {**faulty, **cast(Facts, facts["fixed"])})
    return {name: cast(Facts, each["optimizer"]) for name, each in zip(whose, told, strict=True)}


def _suite_budget() -> Budget:
    plain = cast(Facts, read_yaml(SUITE.read_text(encoding="utf-8"), str(SUITE)))
    return _budget(cast("Mapping[str, int]", plain["budget"]))


def _place(name: str) -> str:
    if name.startswith("SO-"):
        return f"Stack Overflow question {name.removeprefix('SO-')}"
    if name.startswith("AT-"):
        return f"AutoTrainer's {name.removeprefix('AT-')}"
    return f"GitHub commit {name.removeprefix('GH-')}"


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, cast("list[object]", value)))


def _qualifier(value: object) -> str:
    return "" if value is None or value is True else "false" if value is False else str(value)


def _budget(told: Mapping[str, int]) -> Budget:
    return Budget(**told)


if __name__ == "__main__":
    write_bugs(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

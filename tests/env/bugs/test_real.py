"""The real bugs: what their files say, and that it is true of their programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from netmend.agents.verbs.bugs.suites import show_suite
from netmend.env.bugs.bug import SPLITS, Bug
from netmend.env.bugs.loading import SUITES, load_bug, load_suite, suite_folder, suite_names
from netmend.env.bugs.writing import write_bug
from netmend.env.data import BUILT_IN, load_dataset
from netmend.env.errors import DataError, NetmendError
from netmend.env.program import Data, Program, Task, Weighted, check, find_crash, to_plain

FOLDER = SUITES / "real-v1"
BUGS = {bug.id: bug for bug in load_suite("real-v1").bugs}
PACKS = {
    "mnist": Task(dataset="mnist", kind="classification", input_shape=(1, 28, 28), outputs=10),
    "cifar10": Task(dataset="cifar10", kind="classification", input_shape=(3, 32, 32), outputs=10),
}
"""Tasks of the data packs, so that nothing here needs the packs."""
CRASHES = {
    **{"build rank": 6, "build size": 5, "data type": 1, "forward rank": 7, "forward size": 6},
    **{"loss label": 1, "loss rank": 7, "loss size": 14, "predict rank": 3, "predict size": 1},
}
"""Phase and kind of the recorded crashes, with their numbers."""
STILL_BROKEN = "SO-43464835"
"""The published fix of this one leaves a second crash."""


def task_of(bug: Bug) -> Task:
    name = bug.program.data.dataset
    return load_dataset(name).task if name in BUILT_IN else PACKS[name]


def test_all_94_bugs_are_there_under_their_names() -> None:
    kinds = Counter(bug.kind for bug in BUGS.values())
    assert kinds == {"performance": 39, "crash": 51, "demo": 4}
    assert {path.stem for path in FOLDER.glob("[A-Z]*.yaml")} == set(BUGS)
    assert Counter(bug.quality for bug in BUGS.values()) == {"A": 42, "B": 44, "C": 8}


@pytest.mark.parametrize("name", BUGS)
def test_both_programs_of_a_bug_are_valid_and_only_the_faulty_one_crashes(name: str) -> None:
    bug, task = BUGS[name], task_of(BUGS[name])
    assert bug.fixed is not None
    assert check(bug.program, task) == check(bug.fixed, task) == []
    crash = find_crash(bug.program, task)
    assert bug.crash_phase == ("" if crash is None else crash.phase)
    assert (bug.kind == "crash") == bool(bug.crash_phase)
    assert (find_crash(bug.fixed, task) is not None) == (name == STILL_BROKEN)
    assert bug.symptom
    assert bug.operators
    assert bug.fix_patterns
    assert (bug.program == bug.fixed) <= (bug.fix_helps == "false")


def test_the_crashes_are_of_the_recorded_kinds() -> None:
    found = Counter(
        f"{crash.phase} {crash.kind}"
        for bug in BUGS.values()
        if (crash := find_crash(bug.program, task_of(bug))) is not None
    )
    assert found == CRASHES


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_says_where_it_is_from_and_who_restated_it(name: str) -> None:
    place = {"SO": "Stack Overflow question", "GH": "GitHub commit", "AT": "AutoTrainer's"}[name[:2]]
    said = BUGS[name].provenance
    assert said.startswith(f"{place} {name[3:]}; restated from ")
    assert "; data: " in said
    assert "; recorded sizes: " in said


@pytest.mark.parametrize("name", BUGS)
def test_a_file_is_as_it_would_be_written(name: str, tmp_path: Path) -> None:
    """So that a file that is written anew shows what was changed and nothing else."""
    write_bug(load_bug(FOLDER / f"{name}.yaml"), tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_text() == (FOLDER / f"{name}.yaml").read_text()


def test_splits_are_even_and_share_no_twin() -> None:
    size = {name: sum(bug.split == name for bug in BUGS.values()) / len(BUGS) for name in SPLITS}
    assert size["train"] == pytest.approx(0.55, abs=0.03)
    assert size["validation"] == pytest.approx(0.15, abs=0.03)
    assert size["held-out"] == pytest.approx(0.30, abs=0.03)
    for kind in ("performance", "crash", "demo"):
        assert {bug.split for bug in BUGS.values() if bug.kind == kind} == set(SPLITS)
    homes = defaultdict(set)
    for bug in BUGS.values():
        homes[bug.id.split("-")[1], "post"].add(bug.split)
        for key in _twin_keys(bug):
            homes[key].add(bug.split)
    assert {key for key, splits in homes.items() if len(splits) > 1 and key[1] != "post"} == set()
    assert {key for key, splits in homes.items() if len(splits) > 1} <= {("demo", "post")}


def _twin_keys(bug: Bug) -> list[tuple[str, str]]:
    """Bugs with a key in common are twins.

    The same data and network; whatever the data, the same network with the same crash or fix, or the same
    chain of layers with a kernel with the same crash and fix.
    """
    assert bug.fixed is not None
    keys = [(program.data.dataset, _outline(program)) for program in (bug.program, bug.fixed)]
    crash, fix = find_crash(bug.program, task_of(bug)), _fix(bug.program, bug.fixed)
    if crash is None:
        return [*keys, (_outline(bug.program), fix)]
    met = f"{crash.phase} {crash.kind}"
    kernels = [type(layer).__name__ for layer in bug.program.layers if isinstance(layer, Weighted)]
    return [*keys, (_outline(bug.program), met), (str(kernels), f"{met} {fix}")]


def _fix(faulty: Program, fixed: Program) -> str:
    """The fields that a fix changes, and what it changes of the preparation; never which data they are."""
    before, after = to_plain(faulty), to_plain(fixed)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    prepared = [(set(one.prep) - set(two.prep), one.labels) for one, two in _data_both_ways(faulty, fixed)]
    return str((names, prepared if "data" in names else []))


def _data_both_ways(faulty: Program, fixed: Program) -> list[tuple[Data, Data]]:
    return [(faulty.data, fixed.data), (fixed.data, faulty.data)]


def _outline(program: Program) -> str:
    """Kinds and sizes of the layers."""
    sizes = [getattr(layer, "units", getattr(layer, "filters", "")) for layer in program.layers]
    return str([(type(layer).__name__, size) for layer, size in zip(program.layers, sizes, strict=True)])


def test_the_suite_by_its_short_name_its_split_and_with_another() -> None:
    real = load_suite("real")
    assert real.name == "real-v1"
    assert len(real.bugs) == 94
    held = load_suite("real-v1/held-out")
    assert held.bugs == real.split("held-out")
    assert load_suite("real/held-out") == held
    both = load_suite("tiny+real/validation")
    assert len(both.bugs) == len(load_suite("tiny").bugs) + len(real.split("validation"))
    budgets = {bug.id: bug.budget for bug in both.bugs}
    assert budgets[load_suite("tiny").bugs[0].id] == load_suite("tiny").budget
    own = next(bug for bug in real.split("validation") if bug.budget is not None)
    assert budgets[own.id] == own.budget
    assert suite_folder("real") == suite_folder("real-v1") == FOLDER
    assert suite_folder("tiny") is None
    assert "real-v1" in suite_names()


def test_an_id_that_two_suites_have_gets_the_name_of_the_suite() -> None:
    both = load_suite("tiny+real-v1/train+real-v1/held-out")
    assert not any("/" in bug.id for bug in both.bugs)
    name = load_suite("real-v1/train").bugs[0].id
    ids = {bug.id for bug in load_suite("real+real-v1/train").bugs}
    assert {f"real-v1/{name}", f"real-v1/train/{name}"} <= ids


def test_a_suite_with_itself_is_an_error() -> None:
    with pytest.raises(NetmendError, match="comes 2 times"):
        load_suite("tiny+tiny")


def test_a_bug_whose_pack_is_absent_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETMEND_DATA", raising=False)
    packs = {bug.program.data.dataset for bug in load_suite("real").bugs} - BUILT_IN.keys()
    assert packs == {"mnist", "cifar10"}
    assert "SO-48385830" in str(show_suite("real").answer)
    with pytest.raises(DataError, match="data pack 'cifar10' not found: set data_dir or NETMEND_DATA"):
        load_dataset("cifar10")


def test_a_declared_shape_is_wrong_in_the_same_way() -> None:
    bug = BUGS["SO-41651628"]
    assert bug.program.input == (28, 1, 28)
    assert bug.fixed is not None
    assert bug.fixed.input == (1, 28, 28)


def test_a_shape_is_declared_only_where_the_faulty_program_crashes() -> None:
    for bug in BUGS.values():
        assert bug.fixed is not None
        if bug.program.input is not None or bug.fixed.input is not None:
            assert find_crash(bug.program, task_of(bug)) is not None


def test_epochs_that_the_budget_cuts_off_stand_in_the_provenance() -> None:
    suite, cut = load_suite("real-v1"), 0
    for bug in BUGS.values():
        budget = bug.budget or suite.budget
        for program in filter(None, (bug.program, bug.fixed)):
            name, rows = program.data.dataset, budget.samples
            if name in BUILT_IN:  # a data pack has as many rows as any budget asks for
                rows = min(rows, len(load_dataset(name).train.y))
            most = budget.epochs_of(program, rows)
            if most < program.epochs:
                assert f"{most:,} of {program.epochs:,} epochs" in bug.provenance.partition("; here: ")[2]
                cut += 1
    assert cut >= 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SO-57423915", "800 generated rows with a pattern for each class (recorded: 4,725)"),
        ("SO-34311586", "the optimizer's decay of 1e-06 in both programs is left out"),
        ("SO-34311586", "a trial trains at most 1,000 of 10,000 epochs of the fix"),
        (
            "SO-39217567",
            "at most 334 of 1,000 epochs of the faulty program and 8 of 1,000 epochs of the fix",
        ),
        ("SO-48385830", "a trial trains at most 10 of 30 epochs of both programs"),
    ],
)
def test_what_every_port_changes_stands_in_the_provenance(name: str, words: str) -> None:
    assert words in BUGS[name].provenance.partition("; here: ")[2]


def test_what_a_report_says_of_a_bug_is_kept() -> None:
    bug: Bug = BUGS["SO-48594888"]
    assert bug.quality == "A"
    assert bug.operators == ("CPP", "LCF", "LCN", "RCD")
    assert "Stack Overflow question 48594888" in bug.provenance
    assert "a quarter of the filters" in bug.provenance
    assert (
        "measured by a source study: faulty accuracy 0.66, fixed accuracy 0.75 over 10 runs" in bug.provenance
    )
    assert BUGS["GH-DanilaEremenko-eba6bed"].fix_helps == "loss only"
    assert BUGS["SO-56380303"].fix_helps == "false"

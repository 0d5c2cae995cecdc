"""The suites of the package and those from outside."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.verbs.bugs.suites import list_suites, show_bug, show_suite
from netmend.env.bugs import load_bug, load_suite, suite_names
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.bug import SPLITS, Bug, Score, Spread, fixed_threshold
from netmend.env.bugs.files import BUG_KEYS, FIX_PATTERNS, read_suite, written_in
from netmend.env.bugs.loading import SUITES, suite_folder
from netmend.env.bugs.measured import Measured, write_measured
from netmend.env.bugs.operators import CRASHING, OPERATORS, SILENT
from netmend.env.bugs.variants import is_dense
from netmend.env.bugs.writing import write_bug
from netmend.env.data import load_dataset
from netmend.env.errors import FileError, ProgramError, UnknownNameError
from netmend.env.program import Conv1d, Conv2d, Program, Recurrent, check, dump
from netmend.env.program.crashes import PHASES, find_crash
from netmend.env.program.yaml import VERSION_KEY
from netmend.env.reading import read_yaml
from netmend.env.training.trial import Budget
from netmend.repair_actions import PATTERNS

DOCUMENT = Path(__file__).parents[3] / "docs" / "program.md"
BUG = """
netmend: 1
provenance: written by hand
program:
  data: {dataset: DATASET, labels: index}
  layers:
    - dense: {units: 8, activation: sigmoid}
    - dense: {units: 3}
  loss: cross_entropy
  optimizer: {kind: sgd, lr: 10.0}
"""

WRONG = "split: test\nfaulty_score: {validation: {mean: x}}\ncolour: red\n"


MUTANTS = [name for name in suite_names() if suite_folder(name) is None and not name.startswith("large")]


@pytest.mark.parametrize("name", MUTANTS)
def test_every_suite_of_mutants_keeps_its_contract(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert len({bug.id for bug in suite.bugs}) == len(suite.bugs)
    assert len({bug.program for bug in suite.bugs}) == len(suite.bugs)
    for bug in suite.bugs:
        assert check(bug.program, load_dataset(bug.program.data.dataset).task) == []
        assert set(bug.operators) <= set(OPERATORS)
        assert bug.fixed is not None
        assert bug.faulty_score is not None
        assert bug.fixed_score is not None
        for part in ("validation", "holdout"):
            faulty, fixed = getattr(bug.faulty_score, part), getattr(bug.fixed_score, part)
            assert faulty.mean + faulty.sd < fixed_threshold(fixed)
            assert fixed.seeds >= 8
            assert faulty.seeds >= (5 if bug.split == "train" else 8)


def test_splits_of_the_default_suite_share_no_base_and_half_of_the_held_out_bugs_no_dataset() -> None:
    suite = load_suite("mutants-v1")
    bases = {name: {bug.base for bug in suite.split(name)} for name in ("train", "validation", "held-out")}
    assert not bases["train"] & bases["held-out"]
    assert not bases["train"] & bases["validation"]
    assert not bases["validation"] & bases["held-out"]
    known = {bug.program.data.dataset for bug in suite.bugs if bug.split != "held-out"}
    new = [bug for bug in suite.split("held-out") if bug.program.data.dataset not in known]
    assert len(new) >= len(suite.split("held-out")) / 2


def test_the_default_suite_is_large_and_even() -> None:
    suite = load_suite("mutants-v1")
    sizes = [len(suite.split(name)) for name in ("train", "validation", "held-out")]
    assert sizes[0] >= 540
    assert sizes[1] >= 54
    assert sizes[2] >= 72
    uses = Counter(name for bug in suite.bugs for name in set(bug.operators))
    assert len(uses) >= 25
    assert max(uses.values()) <= 0.15 * len(suite.bugs)
    assert uses["hlr"] + uses["hlx"] <= 0.15 * len(suite.bugs)
    for split in SPLITS:
        dense = sum(is_dense(bug.fixed) for bug in suite.split(split) if bug.fixed is not None)
        assert 0.5 <= dense / len(suite.split(split)) <= 0.7
    for split in ("train", "held-out"):
        kinds = {type(layer) for bug in suite.split(split) for layer in bug.program.layers}
        assert {Conv1d, Conv2d, Recurrent} <= kinds
        tasks = {load_dataset(bug.program.data.dataset).task.kind for bug in suite.split(split)}
        assert len(tasks) == 2


def test_variants_are_for_training_only() -> None:
    suite = load_suite("mutants-v1")
    variants = {bug.base for bug in suite.bugs if "~" in bug.base}
    assert len(variants) >= 50
    assert variants <= {bug.base for bug in suite.split("train")}
    assert {name.split("~")[0] for name in variants} <= set(BASES)
    fixes = {bug.fixed: bug.base for bug in suite.bugs}
    assert len(fixes) == len({bug.base for bug in suite.bugs})


def test_the_default_suite_loads_fast() -> None:
    start = time.process_time()
    read_suite(SUITES / "mutants-v1.yaml")
    assert time.process_time() - start < 3.0  # under 1 s on an idle core


def test_a_folder_of_bug_files(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(BUG.replace("DATASET", "iris"))
    (tmp_path / "two.yaml").write_text(BUG.replace("DATASET", "mine.csv") + "split: train\n")
    (tmp_path / "suite.yaml").write_text("description: two\nbudget: {epochs: 3}\n")
    suite = load_suite(str(tmp_path))
    assert [bug.id for bug in suite.bugs] == ["one", "two"]
    assert [bug.split for bug in suite.bugs] == ["held-out", "train"]
    assert suite.bugs[1].program.data.dataset == str(tmp_path / "mine.csv")
    assert suite.bugs[0].fixed is None
    assert (suite.budget.epochs, suite.budget.samples) == (3, Budget().samples)
    assert load_suite(str(tmp_path / "one.yaml")).bugs == (load_bug(tmp_path / "one.yaml"),)


def test_the_complete_example_of_the_documentation_is_a_bug(tmp_path: Path) -> None:
    text = DOCUMENT.read_text().split("## A complete example")[1].split("```")[1].removeprefix("yaml")
    (tmp_path / "whole.yaml").write_text(text)
    bug = load_bug(tmp_path / "whole.yaml")
    task = load_dataset("digits_images").task
    assert (bug.id, bug.split, bug.program.patience) == ("whole", "held-out", 4)
    assert not check(bug.program, task)
    assert find_crash(bug.program, task) is None


def test_what_is_written_is_read_wherever_the_folders_go(tmp_path: Path, mlp_program: Program) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "runs").mkdir()
    data = replace(mlp_program.data, dataset=str(tmp_path / "mine" / "data.csv"))
    program = replace(mlp_program, data=data)
    written = written_in(program, tmp_path / "runs")
    assert written.data.dataset == "../mine/data.csv"
    (tmp_path / "runs" / "repaired.yaml").write_text(dump(written))
    assert load_bug(tmp_path / "runs" / "repaired.yaml").program == program
    assert load_suite(str(tmp_path / "runs")).bugs[0].program == program
    assert written_in(mlp_program, tmp_path) == mlp_program


def test_problems_of_a_program_file_have_the_paths_of_a_program(tmp_path: Path, mlp_program: Program) -> None:
    (tmp_path / "bad.yaml").write_text(dump(mlp_program).replace("units: 16", "units: 0") + "colour: red\n")
    with pytest.raises(ProgramError) as caught:
        load_bug(tmp_path / "bad.yaml")
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["colour", "layers[0].units"]


def test_a_wrong_bug_file_lists_every_problem_with_its_path(tmp_path: Path) -> None:
    text = BUG.replace("units: 8", "units: 0").replace("loss: cross_entropy", "loss: cross")
    (tmp_path / "bad.yaml").write_text(text + WRONG)
    with pytest.raises(ProgramError) as caught:
        load_bug(tmp_path / "bad.yaml")
    problems = "\n".join(caught.value.problems)
    for path in (
        "program.layers[0].units",
        "program.loss",
        "split",
        "faulty_score.validation.mean",
        "colour",
    ):
        assert path in problems
    with pytest.raises(ProgramError, match=r"bad\.yaml: program\.loss"):
        load_suite(str(tmp_path))


def test_a_budget_of_time_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(
        BUG.replace("DATASET", "iris") + "budget: {epochs: 3, seconds: 20.0}\n"
    )
    with pytest.raises(
        ProgramError, match=r"budget\.seconds: .* work and not by time; write `work`"
    ) as caught:
        load_bug(tmp_path / "old.yaml")
    assert len(caught.value.problems) == 1


def test_what_a_bug_file_may_say_besides(tmp_path: Path) -> None:
    more = (
        "kind: crash\nquality: A\nsymptom: it crashes\nfix_helps: 'false'\nfix_patterns: [Data dimension]\n"
        "crash_phase: build\nnot_reproduced: no data\ntask_metric: f1\n"
        "budget: {samples: 9, updates: 7, work: 2.5}\n"
    )
    (tmp_path / "one.yaml").write_text(BUG.replace("DATASET", "iris") + more)
    bug = load_bug(tmp_path / "one.yaml")
    assert (bug.kind, bug.quality, bug.symptom, bug.fix_helps) == ("crash", "A", "it crashes", "false")
    assert (bug.fix_patterns, bug.crash_phase) == (("Data dimension",), "build")
    assert (bug.not_reproduced, bug.budget) == ("no data", Budget(samples=9, updates=7, work=2.5))
    assert bug.task_metric == "f1"
    write_bug(bug, tmp_path / "again.yaml")
    assert load_bug(tmp_path / "again.yaml") == bug
    (tmp_path / "two.yaml").write_text(BUG.replace("DATASET", "iris"))
    plain = load_bug(tmp_path / "two.yaml")
    assert (plain.kind, plain.crash_phase, plain.budget, plain.fix_patterns) == ("performance", "", None, ())
    assert plain.task_metric is None


def test_a_bug_is_read_as_it_was_written_whatever_its_keys(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(BUG.replace("DATASET", "iris"))
    plain = load_bug(tmp_path / "one.yaml")
    spread = Spread(mean=0.5, sd=0.1, seeds=3)
    whole = replace(
        plain,
        split="validation",
        fixed=replace(plain.program, patience=3),
        base="iris_mlp",
        operators=("olr",),
        kind="crash",
        quality="B",
        symptom="it crashes",
        fix_helps="loss only",
        fix_patterns=("Data dimension",),
        crash_phase="build",
        not_reproduced="no data",
        task_metric="f1",
        causes=("crash", "dead_units"),
        remedies=("loss_function/*",),
        budget=Budget(samples=9, updates=7, work=2.5),
        faulty_score=Score(validation=spread, holdout=spread),
        fixed_score=Score(validation=replace(spread, mean=0.75), holdout=spread),
    )
    write_bug(whole, tmp_path / "again.yaml")
    # the verdict is what a command found of it, and no part of the file
    without = [key for key in vars(whole) if key != "verdict" and not getattr(whole, key)]
    assert not without
    assert set(read_yaml(tmp_path / "again.yaml")) == {VERSION_KEY, *BUG_KEYS}
    assert load_bug(tmp_path / "again.yaml") == whole


@pytest.mark.parametrize(("written", "read"), [("false", "false"), ("", ""), ("loss only", "loss only")])
def test_a_fix_that_is_said_to_gain_nothing(tmp_path: Path, written: str, read: str) -> None:
    (tmp_path / "one.yaml").write_text(BUG.replace("DATASET", "iris") + f"fix_helps: {written}\n")
    assert load_bug(tmp_path / "one.yaml").fix_helps == read


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("fix_helps: true", "fix_helps: True is not one of false, loss only"),
        ("fix_helps: 'no'", "fix_helps: 'no' is not one of false, loss only"),
        ("task_metric: mse", "task_metric: 'mse' is not one of balanced_accuracy, f1"),
        ("quality: D", "quality: 'D' is not one of A, B, C"),
        (
            "fix_patterns: [Data type, Magic]",
            "fix_patterns: 'Magic' is not one of Loss function, Activation, ",
        ),
    ],
)
def test_an_unknown_word_of_a_record_is_one_problem(tmp_path: Path, wrong: str, problem: str) -> None:
    (tmp_path / "bad.yaml").write_text(BUG.replace("DATASET", "iris") + wrong + "\n")
    with pytest.raises(ProgramError) as caught:
        load_bug(tmp_path / "bad.yaml")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_fix_patterns_of_a_record_are_those_of_the_catalogue() -> None:
    assert {name.lower().replace(" ", "_") for name in FIX_PATTERNS} == set(PATTERNS)


def test_wrong_words_in_a_bug_file_are_listed(tmp_path: Path) -> None:
    wrong = "kind: odd\ncrash_phase: later\nfix_patterns: one\nbudget: {updates: 0, days: 3}\n"
    (tmp_path / "bad.yaml").write_text(BUG.replace("DATASET", "iris") + wrong)
    with pytest.raises(ProgramError) as caught:
        load_bug(tmp_path / "bad.yaml")
    problems = "\n".join(caught.value.problems)
    for path in ("kind: 'odd'", "crash_phase: 'later'", "fix_patterns", "budget.updates", "budget.days"):
        assert path in problems


def test_what_was_measured_of_a_folder_is_read_with_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(BUG.replace("DATASET", "iris"))
    write_measured(tmp_path, {"one": Measured(verdict="not reproduced", reason="why")}, {})
    assert [bug.verdict for bug in load_suite(str(tmp_path)).bugs] == ["not reproduced", ""]


@pytest.mark.parametrize("text", ["", "- 1\n", "{", "netmend: 2\nprogram: {}\n", "netmend: 1\n"])
def test_a_file_that_is_no_bug_is_a_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "bug.yaml").write_text(text)
    with pytest.raises(FileError, match=r"bug\.yaml"):
        load_bug(tmp_path / "bug.yaml")


def test_an_empty_folder_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="no bug file"):
        load_suite(str(tmp_path))
    with pytest.raises(UnknownNameError, match="mutants-v1"):
        load_suite("mutants-v0")


def test_two_bugs_with_one_id(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(BUG.replace("DATASET", "iris") + "id: same\n")
    with pytest.raises(ProgramError, match="'same' comes 2 times"):
        load_suite(str(tmp_path))


def test_listing_and_showing(capsys: pytest.CaptureFixture[str]) -> None:
    list_suites()
    assert "tiny: 12 bugs" in capsys.readouterr().out
    bug = load_suite("tiny").bugs[0]
    show_suite("tiny")
    assert bug.provenance in capsys.readouterr().out
    show_bug("tiny", bug.id)
    assert "# the original\n" in capsys.readouterr().out
    with pytest.raises(UnknownNameError, match=bug.base):
        show_bug("tiny", bug.id + "x")


def test_a_screen_breaks_the_list_of_suites_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    list_suites()
    whole = capsys.readouterr().out
    assert len(whole.splitlines()) == len(suite_names())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    list_suites()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.split() == whole.split()


def _crashes(bug: Bug) -> bool:
    return find_crash(bug.program, load_dataset(bug.program.data.dataset).task) is not None


def test_three_in_five_bugs_of_the_crash_suite_crash() -> None:
    suite = load_suite("crashes-v1")
    sizes = [len(suite.split(name)) for name in SPLITS]
    assert sizes[0] >= 315
    assert sizes[1] >= 36
    assert sizes[2] >= 54
    for split in SPLITS:
        crashing = [bug for bug in suite.split(split) if _crashes(bug)]
        assert 0.5 <= len(crashing) / len(suite.split(split)) <= 0.7
        faults = Counter(len(bug.operators) for bug in crashing)
        assert faults[2] + faults[3] >= 0.5 * len(crashing), "a crash, and bad training behind it"
        for bug in suite.split(split):
            assert sum(name in CRASHING for name in bug.operators) == _crashes(bug)
    assert not any(bug.fixed is not None and _crashes(replace(bug, program=bug.fixed)) for bug in suite.bugs)


def test_the_crash_suite_holds_all_new_faults_and_shares_the_bases_of_the_default_suite() -> None:
    suite, first = load_suite("crashes-v1"), load_suite("mutants-v1")
    uses = Counter(name for bug in suite.bugs for name in set(bug.operators))
    assert len([name for name in CRASHING if uses[name]]) >= 0.9 * len(CRASHING)
    assert len([name for name in SILENT if uses[name]]) >= 0.75 * len(SILENT)
    assert max(uses.values()) <= 0.1 * len(suite.bugs)
    splits = {bug.base.split("~")[0]: bug.split for bug in first.bugs}
    assert {bug.base.split("~")[0]: bug.split for bug in suite.bugs}.items() <= splits.items()
    phases = {
        crash.phase
        for bug in suite.bugs
        if (crash := find_crash(bug.program, load_dataset(bug.program.data.dataset).task)) is not None
    }
    assert phases == set(PHASES)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("budget: {seeds: 1000000000}", "budget.seeds: 1000000000 is not a whole number in 1..100"),
        ("budget: {samples: 0.5}", "budget.samples: 0.5 is not a whole number in 1..1000000"),
        ("budget: {updates: 20.5}", "budget.updates: 20.5 is not a whole number"),
        ("budget: {work: .inf}", "budget.work: inf is not a number in 0..1e+12 without 0"),
        ("budget: {epochs: true}", "budget.epochs: True is not a whole number"),
        ("id: [a]", "id: ['a'] is not a text"),
        ('id: "a\\nb"', r"id: 'a\nb' is not a name of 1 to 200 characters"),
        ("provenance: {a: 1}", "provenance: {'a': 1} is not a text"),
        (
            f"causes: [{'a, ' * 101}]",
            "causes: ['a', 'a', 'a', 'a', 'a', 'a', ...] is not a list of at most 100",
        ),
        (
            "faulty_score: {validation: {mean: 0, sd: -1, seeds: 3}, holdout: {mean: 0, sd: 0, seeds: 3}}",
            "faulty_score.validation.sd: -1 is not a number in 0..1000000",
        ),
    ],
)
def test_values_without_measure_are_one_line(tmp_path: Path, wrong: str, problem: str) -> None:
    text = "".join(line for line in BUG.splitlines(True) if line.partition(":")[0] != wrong.partition(":")[0])
    (tmp_path / "bad.yaml").write_text(text.replace("DATASET", "iris") + wrong + "\n")
    with pytest.raises(ProgramError) as caught:
        load_bug(tmp_path / "bad.yaml")
    assert [found[: len(problem)] for found in caught.value.problems] == [problem]
    assert "\n" not in str(caught.value)


def test_a_million_layers_are_counted_and_not_built(tmp_path: Path) -> None:
    many = BUG.replace("- dense: {units: 3}", "- flatten\n    " * 300_000).replace("DATASET", "iris")
    (tmp_path / "bad.yaml").write_text(many)
    with pytest.raises(ProgramError, match=r"program\.layers: 300001 entries, expected 1\.\.64$"):
        load_bug(tmp_path / "bad.yaml")


def test_the_problems_of_a_hostile_suite_are_not_all_sought(tmp_path: Path) -> None:
    keys = ", ".join(f"k{number}: 1" for number in range(100_000))
    (tmp_path / "bad.yaml").write_text(
        f"netmend: 1\nbugs: [{{program: {{{keys}}}}}]\n{keys.replace(', ', chr(10))}"
    )
    before = time.process_time()
    with pytest.raises(ProgramError) as caught:
        load_suite(str(tmp_path / "bad.yaml"))
    assert len(str(caught.value)) < 10_000
    assert time.process_time() - before < 5


def test_a_link_to_a_file_without_a_suffix_is_read(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("a,class\n" + "1,yes\n2,no\n" * 20)
    (tmp_path / "mine.csv").symlink_to("table")
    (tmp_path / "one.yaml").write_text(BUG.replace("DATASET", "mine.csv"))
    name = load_bug(tmp_path / "one.yaml").program.data.dataset
    assert name == str(tmp_path / "mine.csv")
    assert load_dataset(name).task.outputs == 2

"""The real bugs: what the script makes of the facts, and what the facts say of the programs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from netmend.env.bugs.bug import SPLITS, Bug
from netmend.env.bugs.command import show
from netmend.env.bugs.files import read_bug
from netmend.env.bugs.loading import load_suite, suite_folder, suite_names
from netmend.env.bugs.real.layers import features_first, to_layers
from netmend.env.bugs.real.make import FOLDER, make_bugs, read_facts, read_splits, task_of, write_bugs
from netmend.env.bugs.real.programs import Facts, to_programs
from netmend.env.data import BUILT_IN, load_dataset
from netmend.env.errors import DataError, NetmendError
from netmend.env.program import (
    Conv2d,
    Crop,
    Data,
    Dense,
    Embedding,
    Optimizer,
    Program,
    Recurrent,
    Rescale,
    Reshape,
    Weighted,
    check,
    find_crash,
    to_plain,
)

FACTS = {str(facts["id"]): facts for facts in read_facts()}
BUGS = {bug.id: bug for bug in make_bugs()}
STILL_BROKEN = "SO-43464835"
"""The published fix of this one leaves a second crash."""


def _port(name: str) -> Facts:
    return cast(Facts, FACTS[name]["port"])


def test_the_committed_files_are_what_the_script_makes(tmp_path: Path) -> None:
    write_bugs(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_text() for path in FOLDER.glob("[A-Z]*.yaml")}


def test_a_file_of_a_bug_that_is_gone_is_removed(tmp_path: Path) -> None:
    for name in ("SO-1.yaml", "suite.yaml", "measured.yaml"):
        (tmp_path / name).write_text("")
    write_bugs(tmp_path)
    assert not (tmp_path / "SO-1.yaml").exists()
    assert (tmp_path / "suite.yaml").exists()
    assert (tmp_path / "measured.yaml").exists()


def test_all_94_bugs_are_there() -> None:
    kinds = Counter(bug.kind for bug in BUGS.values())
    assert kinds == {"performance": 39, "crash": 51, "demo": 4}
    assert read_splits().keys() == BUGS.keys()
    assert Counter(bug.quality for bug in BUGS.values()) == {"A": 42, "B": 44, "C": 8}


@pytest.mark.parametrize("name", FACTS)
def test_both_programs_of_a_bug_are_valid_and_only_the_faulty_one_crashes(name: str) -> None:
    bug, task = BUGS[name], task_of(FACTS[name])
    assert bug.fixed is not None
    assert check(bug.program, task) == check(bug.fixed, task) == []
    crash = find_crash(bug.program, task)
    expected = str(_port(name).get("crash", ""))
    assert ("" if crash is None else f"{crash.phase} {crash.kind}") == expected
    assert (bug.kind == "crash") == bool(expected)
    assert bug.crash_phase == expected.partition(" ")[0]
    assert (find_crash(bug.fixed, task) is not None) == (name == STILL_BROKEN)
    assert bug.symptom
    assert bug.fix_patterns
    assert (bug.program == bug.fixed) <= (bug.fix_helps == "false")


@pytest.mark.parametrize("name", FACTS)
def test_a_bug_file_is_read_as_it_was_made(name: str) -> None:
    assert read_bug(FOLDER / f"{name}.yaml") == BUGS[name]


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
    crash, fix = find_crash(bug.program, task_of(FACTS[bug.id])), _fix(bug.program, bug.fixed)
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
    assert "SO-48385830" in show("real")
    with pytest.raises(DataError, match="data pack 'cifar10' not found: set data_dir or NETMEND_DATA"):
        load_dataset("cifar10")


def test_layers_in_the_words_of_the_facts() -> None:
    text = (
        "conv2d 8 k3 s2 pad=same act=relu; masking 0; bilstm 4 seq; "
        "timedist dense 2 act=sigmoid init=normal1; embedding 9,5 frozen; "
        "crop2d 2,1 rows; scale x/255-0.5; reshape 1,48,6"
    )
    assert to_layers(text) == (
        Conv2d(filters=8, kernel=3, stride=2, padding="same", activation="relu"),
        Recurrent(cell="lstm", units=4, return_sequences=True, bidirectional=True),
        Dense(units=2, activation="sigmoid", kernel_init="standard_normal"),
        Embedding(inputs=9, units=5, trainable=False),
        Crop(top=2, bottom=1),
        Rescale(factor=1 / 255, offset=-0.5),
        Reshape(shape=(6, 1, 48)),
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("conv3d 4 k3", "conv3d"),
        ("dense 4 act=swish", "swish"),
        ("dense 4 l2=0.1", "l2"),
        ("conv2d 4 k3 channels_first", "channels_first"),
        ("dense 4 init=magic", "magic"),
        ("scale 255", "255"),
    ],
)
def test_a_layer_without_a_counterpart_is_an_error(text: str, word: str) -> None:
    with pytest.raises(NetmendError, match=word):
        to_layers(text)


def test_a_declared_shape_is_wrong_in_the_same_way() -> None:
    assert features_first([28, 28, 1]) == (1, 28, 28)
    assert features_first([1, 28, 28]) == (28, 1, 28)
    assert features_first([7]) == (7,)
    bug = BUGS["SO-41651628"]
    assert bug.program.input == (28, 1, 28)
    assert bug.fixed is not None
    assert bug.fixed.input == (1, 28, 28)
    assert BUGS["SO-48385830"].program.input is None


FACT: dict[str, object] = {
    "input": [4],
    "layers": "dense 3 act=softmax",
    "loss": "categorical_crossentropy",
    "optimizer": {"name": "adam", "lr": "default"},
    "batch_size": 8,
    "epochs": 2,
    "metric": "accuracy",
    "prep": [],
    "labels": "one-hot 3",
}


def _made(faulty: Mapping[str, object], fixed: Mapping[str, object]) -> tuple[Program, Program]:
    facts = {"faulty": {**FACT, **faulty}, "fixed": fixed, "port": {"dataset": "iris"}}
    return to_programs(facts, load_dataset("iris").task)


def test_only_what_is_wrong_is_declared() -> None:
    assert [program.input for program in _made({}, {"epochs": 3})] == [None, None]
    assert [program.input for program in _made({"input": [5]}, {"input": [4]})] == [(5,), (4,)]


def test_a_step_at_prediction_that_only_the_fix_has_is_the_fault() -> None:
    faulty, fixed = _made({}, {"prep": ["predict: add a batch axis"]})
    assert faulty.loop.predict == "row"
    assert fixed == Program(
        data=Data(dataset="iris", labels="one_hot"),
        layers=(Dense(units=3, activation="softmax"),),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="adam", lr=0.001),
        batch_size=8,
        epochs=2,
    )


@pytest.mark.parametrize("changed", [{"prep": ["magic"]}, {"loss": "focal"}, {"optimizer": {"name": "lion"}}])
def test_facts_without_a_counterpart_are_an_error(changed: Mapping[str, object]) -> None:
    with pytest.raises(NetmendError, match="no counterpart"):
        _made(changed, {})


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
    assert BUGS["GH-DanilaEremenko-eba6bed"].fix_helps == "loss only"
    assert BUGS["SO-56380303"].fix_helps == "false"

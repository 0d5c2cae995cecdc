"""The contract of all 24 operators."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.deepcrime.table import (
    DEEPCRIME,
    KERAS_FUNCTIONS,
    KERAS_INITIALISERS,
    KERAS_LOSSES,
    KERAS_RATES,
)
from netmend.env.data import load_dataset
from netmend.env.program import Program, Task, check, digest, find_crash

IDS = (
    "tcl trd tud tan tco hbs hlr hne hdb ach arm aal raw rcw rrw rcd rcp wci wab wrb lch och ocg vrm".split()  # noqa: SIM905
)
DOCS = Path(__file__).parents[4] / "docs" / "bugs.md"
BINARY = {"tcl", "trd", "tud", "tan", "tco", "hlr", "hne", "rcp"}


def task_of(program: Program) -> Task:
    return load_dataset(program.data.dataset).task


def base(name: str) -> Program:
    return BASES[name].program


def texts(operator: str, program: Program) -> list[str]:
    return [one.description for one in DEEPCRIME[operator].mutations(program, task_of(program))]


def values(operator: str, program: Program) -> list[float | None]:
    return [one.value for one in DEEPCRIME[operator].mutations(program, task_of(program))]


def test_all_24_are_there_in_order() -> None:
    assert list(DEEPCRIME) == IDS
    assert all(DEEPCRIME[name].name == name for name in IDS)
    assert {name for name, one in DEEPCRIME.items() if one.search == "binary"} == BINARY


@pytest.mark.parametrize("name", IDS)
def test_every_mutant_is_another_sound_program_or_the_operator_is_not_applicable(name: str) -> None:
    operator, made = DEEPCRIME[name], 0
    for entry in BASES.values():
        program, task = entry.program, task_of(entry.program)
        before = digest(program)
        mutants = list(operator.mutations(program, task))
        made += bool(mutants)
        programs = [mutation.apply(program) for mutation in mutants]
        assert len(set(programs)) == len({mutation.description for mutation in mutants}) == len(mutants)
        for mutant in programs:
            assert mutant != program
            assert check(mutant, task) == []
            assert find_crash(mutant, task) is None
        assert digest(program) == before
        if name in BINARY:
            assert None not in [mutation.value for mutation in mutants]
    assert made >= 2


def test_a_binary_search_has_the_ranges_of_the_mnist_subject_from_the_mildest_to_the_strongest() -> None:
    mnist = replace(
        base("blobs_torch"),
        optimizer=replace(base("blobs_torch").optimizer, kind="adadelta", lr=1.0),
        batch_size=128,
        patience=10,
    )
    percent = [float(value) for value in range(5, 101, 5)]
    for name in ("tcl", "tud", "tan", "tco"):
        assert values(name, mnist) == percent
    assert values("trd", mnist) == [*percent[:-1], 99.0]
    assert values("hlr", mnist) == pytest.approx([*(1 - n / 100 for n in range(1, 100)), 0.001])
    assert values("hne", mnist) == [*range(11, 0, -1)]
    assert values("rcp", mnist) == [*range(9, 0, -1)]
    assert texts("hbs", mnist) == [f"batch_size 128 -> {size}" for size in (32, 64, 256, 512)]
    assert len(texts("och", mnist)) == len(KERAS_RATES) == 6
    assert texts("rcd", mnist) == [f"dropout of layer 1 -> {rate}" for rate in (0.125, 0.25, 0.75)]
    assert texts("ocg", mnist) == ["gradient clipped by norm at 0.5", "gradient clipped by value at 0.5"]
    assert texts("vrm", mnist) == ["no validation part"]


def test_exhaustive_searches_have_every_value_on_every_layer() -> None:
    program = base("blobs_torch")  # dense relu with l2, dropout, dense relu, dense linear
    assert (len(KERAS_FUNCTIONS), len(KERAS_INITIALISERS), len(KERAS_LOSSES)) == (11, 13, 13)
    assert len(texts("ach", program)) == 2 * 10
    assert texts("arm", program) == [f"activation of layer {i} removed" for i in (0, 2)]
    assert len(texts("aal", program)) == 10
    assert len(texts("wci", program)) == 3 * 13 - 3
    assert len(texts("raw", program)) == 2 * 3
    assert texts("rcw", program) == ["l1 0.01 and l2 0 on layer 0", "l1 0.01 and l2 0.01 on layer 0"]
    assert texts("rrw", program) == ["regulariser of layer 0 removed"]
    assert texts("wrb", program) == [f"bias of layer {i} removed" for i in (0, 2, 3)]
    assert texts("wab", program) == []
    assert texts("wab", base("digits_norm")) == ["bias of layer 0 added"]
    for name, losses in (("digits_keras", 12), ("moons_elu", 13), ("cancer_sigmoid", 12)):
        assert len(texts("lch", base(name))) == losses


def test_what_is_not_there_cannot_be_changed() -> None:
    program = replace(base("xor_tanh"), patience=None)
    for name in ("rcd", "rcp", "rcw", "rrw", "wab", "vrm", "aal"):
        assert texts(name, program) == []
    assert texts("rcp", replace(program, patience=1)) == []
    assert texts("tan", base("reviews_mean")) == []
    assert texts("tcl", base("reviews_mean"))[-1] == "change_labels 100 %"


def test_the_documentation_has_the_search_of_every_operator() -> None:
    lines = [line.split("|")[1:-1] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 4]
    searches = {name: row[-1] for row in rows for name in re.findall("`([a-z]{3})`", row[0])}
    assert set(searches) == set(DEEPCRIME)
    for name, operator in DEEPCRIME.items():
        assert searches[name].startswith(operator.search)

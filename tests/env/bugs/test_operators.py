"""The contract of every mutation operator, and of mutants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.mutation import Draw, Mutation, apply_all, mutate, remainders
from netmend.env.bugs.operators import (
    CRASHING,
    FIRST_OPERATORS,
    OPERATORS,
    SILENT,
    TRANSFORMER,
    _registry,
)
from netmend.env.data import load_dataset
from netmend.env.program import (
    Attention,
    Data,
    Dense,
    Embedding,
    GlobalPool,
    Optimizer,
    Position,
    Program,
    Task,
    check,
    digest,
)
from netmend.env.program.api import resolved
from netmend.env.program.crashes import Crash, find_crash

BLOCK = Attention(heads=4, width=32, norm="before", dropout=0.1)
TRANSFORMERS = {
    "words": Program(
        data=Data(dataset="grammar"),
        layers=(Embedding(units=16), Position(), BLOCK, BLOCK, GlobalPool(), Dense(units=2)),
        loss="cross_entropy",
        optimizer=Optimizer(),
    ),
    "series": Program(
        data=Data(dataset="pulses"),
        layers=(Dense(units=16), Position(), BLOCK, GlobalPool(), Dense(units=3)),
        loss="cross_entropy",
        optimizer=Optimizer(),
    ),
}
PROGRAMS = {name: entry.program for name, entry in BASES.items()} | TRANSFORMERS
DEEPCRIME = (
    "hbs hlr hne hdb ach arm aal wci wab wrb lch och ocg raw rcw rrw rcd rcp".split()  # noqa: SIM905
)
FIRST = [
    *("hbs", "hdb", "hlr", "hlx", "hne", "lch", "och", "ocg", "omo", "owd", "rcp"),
    *("dis", "diw", "dts", "dtw", "dns", "dle", "ach", "arm", "aal", "wci", "wbi", "wab", "wrb", "wfr"),
    *("raw", "rcw", "rrw", "rcd", "rad", "lbn", "lou", "lrn", "lrh"),
]


def _drawn(name: str, base: str, seed: int = 3) -> list[Mutation]:
    """Some mutations that an operator draws for a base."""
    draw = Draw(PROGRAMS[base], _task(base), np.random.default_rng([seed, len(base)]))
    return [mutation for _ in range(6) if (mutation := OPERATORS[name].propose(draw)) is not None]


def _crashes(name: str, base: str) -> list[Crash]:
    task = _task(base)
    found = [find_crash(mutation.apply(PROGRAMS[base]), task) for mutation in _drawn(name, base)]
    assert None not in found
    return [crash for crash in found if crash is not None]


def _task(name: str) -> Task:
    return load_dataset(PROGRAMS[name].data.dataset).task


def test_deepcrimes_operators_of_these_groups_are_there() -> None:
    own = {name for name, operator in OPERATORS.items() if operator.source == "deepcrime"}
    assert own == set(DEEPCRIME)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_keeps_its_contract(name: str) -> None:
    operator = OPERATORS[name]
    rng = np.random.default_rng(3)
    made = 0
    for base, program in PROGRAMS.items():
        task = _task(base)
        before = digest(program)
        mutation = operator.propose(Draw(program, task, rng))
        if mutation is None:
            continue
        made += 1
        faulty = mutation.apply(program)
        assert digest(program) == before
        assert check(faulty, task) == [] or faulty == program
        assert mutation.apply(program) == faulty
        assert mutation.description
        assert mutation.touches
        assert (len(faulty.layers) != len(program.layers)) == mutation.structural
    assert made >= 2


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_draws_by_its_generator_alone(name: str) -> None:
    for base, program in PROGRAMS.items():
        drawn = [mutate(program, _task(base), [OPERATORS[name]], np.random.default_rng(5)) for _ in range(2)]
        assert [m and m.program for m in drawn] == [drawn[0] and drawn[0].program] * 2


def test_a_mutant_of_three_holds_all_its_faults_and_can_be_mended_one_by_one() -> None:
    base = BASES["digits_keras"].program
    operators = [OPERATORS[name] for name in ("rad", "hbs", "wrb")]
    mutant = mutate(base, _task("digits_keras"), operators, np.random.default_rng(0))
    assert mutant is not None
    assert mutant.program.batch_size != base.batch_size
    assert len(mutant.program.layers) == len(base.layers) + 1
    assert mutant.operators[-1] == "rad", "a change of the layers comes last"
    rest = remainders(base, mutant)
    assert len(set(rest)) == 3
    assert mutant.program not in rest
    assert apply_all(base, mutant.mutations) == mutant.program


def test_two_faults_of_one_part_are_no_mutant() -> None:
    base = BASES["digits_keras"].program
    operators = [OPERATORS["hbs"], OPERATORS["hdb"]]
    assert mutate(base, _task("digits_keras"), operators, np.random.default_rng(0)) is None


def test_a_duplicate_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="hbs"):
        _registry((OPERATORS["hbs"], OPERATORS["hbs"]))


def test_the_operators_of_the_first_suite_stay_as_they_are() -> None:
    """Or its recipe would draw other mutants: their order, and what they choose from."""
    assert list(FIRST_OPERATORS) == FIRST
    for name in ("lch", "wci"):
        texts = {m.description for base in BASES for seed in range(9) for m in _drawn(name, base, seed)}
        assert len(texts) > 10
        assert not [text for text in texts if "sparse" in text or "standard_normal" in text]


def test_every_operator_is_of_one_kind() -> None:
    kinds = (FIRST_OPERATORS, SILENT, CRASHING, TRANSFORMER)
    assert set(OPERATORS) == {name for kind in kinds for name in kind}
    assert len(OPERATORS) == sum(map(len, kinds))
    assert len(CRASHING) >= 20
    assert len(SILENT) >= 12


@pytest.mark.parametrize("name", CRASHING)
def test_a_crash_operator_gives_the_crash_that_it_promises(name: str) -> None:
    found = {crash.phase for base in BASES for crash in _crashes(name, base)}
    assert found == OPERATORS[name].crash, "no other phase, and every promised one"


@pytest.mark.parametrize("name", SILENT)
def test_a_silent_operator_changes_what_a_program_does_without_a_crash(name: str) -> None:
    for base, entry in BASES.items():
        for mutation in _drawn(name, base):
            faulty = mutation.apply(entry.program)
            assert find_crash(faulty, _task(base)) is None
            assert resolved(faulty) != resolved(entry.program)


@pytest.mark.parametrize("name", [*SILENT, *CRASHING])
def test_every_new_operator_has_bugs_for_training(name: str) -> None:
    bases = [base for base, entry in BASES.items() if entry.split == "train" and _drawn(name, base)]
    assert bases


@pytest.mark.parametrize("name", TRANSFORMER)
def test_an_operator_for_transformers_leaves_all_others_as_they_are(name: str) -> None:
    assert not any(_drawn(name, base) for base in BASES if not _attends(PROGRAMS[base]))
    for base in TRANSFORMERS:
        assert _drawn(name, base)
        for mutation in _drawn(name, base):
            crash = find_crash(mutation.apply(PROGRAMS[base]), _task(base))
            assert frozenset(() if crash is None else (crash.phase,)) == OPERATORS[name].crash


def _attends(program: Program) -> bool:
    return any(isinstance(layer, Attention) for layer in program.layers)


def test_faults_of_a_transformer_in_detail() -> None:
    assert _faulty("lpo", "words").layers == (Embedding(units=16), BLOCK, BLOCK, GlobalPool(), Dense(units=2))
    assert {m.description for m in _drawn("lan", "series")} == {
        "normalisation behind the sums (layer 2)",
        "no normalisation (layer 2)",
    }
    assert {crash.kind for crash in _crashes("xhe", "words")} == {"size"}
    assert {crash.layer for crash in _crashes("xpo", "words")} == {1}
    rates = [layer.dropout for layer in _faulty("rcd", "series").layers if isinstance(layer, Attention)]
    assert rates[0] >= 0.5


def test_an_operator_draws_among_all_its_mutations() -> None:
    assert {m.description for m in _drawn("xpr", "digits_keras")} == {
        "single row without batch axis to predict",
        "rows along the last axis to predict",
    }
    assert len({m.description for m in _drawn("xin", "gestures_conv")}) > 3


def test_crashes_say_what_is_wrong() -> None:
    for crash in _crashes("xin", "cancer_sigmoid"):
        assert crash.kind == "size"
        assert crash.expected != crash.found == {0: (30,), 1: (16,)}[crash.layer or 0]
    assert {crash.kind for crash in _crashes("xti", "reviews_mean")} == {"type"}
    assert {crash.kind for crash in _crashes("xfl", "digits_lenet")} == {"rank"}
    assert {crash.kind for crash in _crashes("xap", "digits_keras")} == {"name"}
    assert {crash.kind for crash in _crashes("xop", "moons_elu")} == {"graph"}


def _faulty(name: str, base: str) -> Program:
    return _drawn(name, base)[0].apply(PROGRAMS[base])


def test_some_silent_faults_in_detail() -> None:
    assert not _faulty("tzg", "digits_keras").loop.zero_grad
    assert _faulty("tsu", "digits_keras").reduction == "sum"
    watched = _faulty("tmw", "friedman1_relu")
    assert (watched.metric, watched.stop_on) == ("accuracy", "metric")
    assert watched.patience in (1, 2, 3)
    half = _faulty("dhp", "spot_conv").data
    assert half.input_type == "float16"
    assert [step.kind for step in half.prep] == ["scale", "standardize_target"]
    rows = {step.kind: step.rows for step in _faulty("dtr", "spot_conv").data.prep}
    assert rows == {"scale": "train", "standardize_target": "all"}


def test_an_old_level_is_a_fault_only_with_old_defaults() -> None:
    program = replace(BASES["digits_keras"].program, optimizer=Optimizer(kind="adam", lr=0.003))
    assert resolved(replace(program, api="keras_2")) == resolved(program)
    for mutation in _drawn("tad", "digits_keras"):
        faulty = mutation.apply(program)
        assert faulty.api in ("keras_2", "tensorflow_1")
        assert resolved(faulty) != resolved(replace(faulty, api="current"))

"""The contract of every mutation operator, and of mutants."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.deepcrime import DEEPCRIME
from netmend.env.bugs.mutation import Mutation, Operator, apply_all, mutate, remainders
from netmend.env.bugs.operators import CRASHING, EITHER, OPERATORS, SILENT, _registry
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

ATTENTION = Attention(heads=4, width=32, norm="before", dropout=0.1)
TRANSFORMER = Program(
    data=Data(dataset="grammar"),
    layers=(Embedding(units=16), Position(), ATTENTION, GlobalPool(), Dense(units=2)),
    loss="cross_entropy",
    optimizer=Optimizer(),
)
FIRST = [
    *("hbs", "hdb", "hlr", "hlx", "hne", "lch", "och", "ocg", "omo", "owd", "rcp"),
    *("dis", "diw", "dts", "dtw", "dns", "dle", "ach", "arm", "aal", "wci", "wbi", "wab", "wrb", "wfr"),
    *("raw", "rcw", "rrw", "rcd", "rad", "lbn", "lou", "lrn", "lrh"),
]


def _listed(name: str, base: str) -> list[Mutation]:
    """What an operator lists for a base."""
    return list(OPERATORS[name].mutations(BASES[base].program, _task(base)))


def _crashes(name: str, base: str) -> list[Crash]:
    task = _task(base)
    found = [find_crash(mutation.apply(BASES[base].program), task) for mutation in _listed(name, base)]
    assert None not in found
    return [crash for crash in found if crash is not None]


def _task(name: str) -> Task:
    return load_dataset(BASES[name].program.data.dataset).task


def test_deepcrimes_operators_but_those_of_damaged_data_are_there() -> None:
    assert set(DEEPCRIME) - set(OPERATORS) == {"tcl", "trd", "tud", "tan", "tco", "vrm"}
    assert all(DEEPCRIME[name].group == OPERATORS[name].group for name in set(DEEPCRIME) & set(OPERATORS))


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_keeps_its_contract(name: str) -> None:
    """It lists what it promises, the same each time, and leaves the base as it is."""
    operator, found = OPERATORS[name], 0
    for base, entry in BASES.items():
        task, before = _task(base), digest(entry.program)
        mutations = list(operator.mutations(entry.program, task))
        found += bool(mutations)
        assert [one.description for one in _listed(name, base)] == [one.description for one in mutations]
        assert len({one.description for one in mutations}) == len(mutations)
        for mutation in mutations:
            faulty = mutation.apply(entry.program)
            assert faulty != entry.program
            assert check(faulty, task) == []
            assert mutation.description
            assert mutation.touches
            assert (len(faulty.layers) != len(entry.program.layers)) == mutation.structural
            crash = find_crash(faulty, task)
            if operator.crash == ():
                assert crash is None
                assert resolved(faulty) != resolved(entry.program)
            elif operator.crash:
                assert crash is not None
                assert crash.phase in operator.crash
        assert digest(entry.program) == before
    assert found >= 2
    assert any(_listed(name, base) for base, entry in BASES.items() if entry.split == "train")


@pytest.mark.parametrize("name", OPERATORS)
def test_what_is_drawn_is_among_what_is_listed_and_the_generator_decides(name: str) -> None:
    operator = OPERATORS[name]
    for base, entry in BASES.items():
        listed = {mutation.description for mutation in _listed(name, base)}
        one, again = (operator.draw(entry.program, _task(base), np.random.default_rng(5)) for _ in range(2))
        assert (one and one.description) == (again and again.description)
        assert (one is not None) == bool(listed)
        assert one is None or one.description in listed


def test_every_mutation_that_is_listed_is_drawn() -> None:
    base, rng = BASES["gestures_conv"].program, np.random.default_rng(0)
    drawn = [OPERATORS["xin"].draw(base, _task("gestures_conv"), rng) for _ in range(200)]
    listed = {mutation.description for mutation in _listed("xin", "gestures_conv")}
    assert {mutation.description for mutation in drawn if mutation} == listed
    assert len(listed) > 3


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


def test_every_operator_is_of_one_kind() -> None:
    assert set(EITHER) == set(FIRST)
    assert len(OPERATORS) == len(EITHER) + len(SILENT) + len(CRASHING)
    assert len(CRASHING) >= 20
    assert len(SILENT) >= 12


@pytest.mark.parametrize("name", CRASHING)
def test_a_crash_operator_gives_every_crash_that_it_promises(name: str) -> None:
    assert {crash.phase for base in BASES for crash in _crashes(name, base)} == set(
        OPERATORS[name].crash or ()
    )


def test_crashes_say_what_is_wrong() -> None:
    for crash in _crashes("xin", "cancer_sigmoid"):
        assert crash.kind == "size"
        assert crash.expected != crash.found == {0: (30,), 1: (16,)}[crash.layer or 0]
    assert {crash.kind for crash in _crashes("xti", "reviews_mean")} == {"type"}
    assert {crash.kind for crash in _crashes("xfl", "digits_lenet")} == {"rank"}
    assert {crash.kind for crash in _crashes("xap", "digits_keras")} == {"name"}
    assert {crash.kind for crash in _crashes("xop", "moons_elu")} == {"graph"}


def _faulty(name: str, base: str) -> Program:
    return _listed(name, base)[0].apply(BASES[base].program)


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
    for mutation in _listed("tad", "digits_keras"):
        faulty = mutation.apply(program)
        assert faulty.api in ("keras_2", "tensorflow_1")
        assert resolved(faulty) != resolved(replace(faulty, api="current"))


def _of_transformer(name: str) -> dict[str, Program]:
    """What an operator makes of a transformer, by description."""
    task = load_dataset("grammar").task
    return {m.description: m.apply(TRANSFORMER) for m in OPERATORS[name].mutations(TRANSFORMER, task)}


def test_faults_of_a_transformer_in_detail() -> None:
    embedding, _, block, *rest = TRANSFORMER.layers
    (without,) = _of_transformer("lpo").values()
    assert without.layers == (embedding, block, *rest)
    assert set(_of_transformer("lan")) == {
        "normalisation behind the sums (layer 2)",
        "no normalisation (layer 2)",
    }
    task = load_dataset("grammar").task
    for name, place in (("xhe", 2), ("xpo", 1)):
        crashes = [find_crash(program, task) for program in _of_transformer(name).values()]
        assert {crash and crash.layer for crash in crashes} == {place}
    rates = [cast(Attention, program.layers[2]).dropout for program in _of_transformer("rcd").values()]
    assert rates
    assert min(rates) >= 0.5
    assert not [name for name in ("xhe", "xpo", "lpo", "lan") if _listed(name, "digits_keras")]


def test_a_draw_tries_few_of_many_mutations() -> None:
    """A generator draws tens of thousands: it must not have to apply all that an operator lists."""
    program = next(iter(BASES.values())).program
    applied: list[int] = []

    def options(_program: Program, _task: Task) -> list[Mutation]:
        def apply(number: int) -> Mutation:
            def with_epochs(before: Program) -> Program:
                applied.append(number)
                return replace(before, epochs=number + 1)

            return Mutation(description="", touches=frozenset({"epochs"}), apply=with_epochs)

        return [apply(number) for number in range(1000)]

    operator = Operator("many", "hyper-parameters", "other epochs", options)
    drawn = operator.draw(program, load_dataset(program.data.dataset).task, np.random.default_rng(0))
    assert drawn is not None
    assert len(applied) <= 2

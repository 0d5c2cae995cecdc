"""The contract of every mutation operator, and of mutants."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.mutation import Draw, apply_all, mutate, remainders
from netmend.env.bugs.operators import OPERATORS, _registry
from netmend.env.data import load_dataset
from netmend.env.program import Task, check, digest

DEEPCRIME = (
    "hbs hlr hne hdb ach arm aal wci wab wrb lch och ocg raw rcw rrw rcd rcp".split()  # noqa: SIM905
)


def _task(name: str) -> Task:
    return load_dataset(BASES[name].program.data.dataset).task


def test_deepcrimes_operators_of_these_groups_are_there() -> None:
    own = {name for name, operator in OPERATORS.items() if operator.source == "deepcrime"}
    assert own == set(DEEPCRIME)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_keeps_its_contract(name: str) -> None:
    operator = OPERATORS[name]
    rng = np.random.default_rng(3)
    made = 0
    for base, entry in BASES.items():
        task = _task(base)
        before = digest(entry.program)
        mutation = operator.propose(Draw(entry.program, task, rng))
        if mutation is None:
            continue
        made += 1
        faulty = mutation.apply(entry.program)
        assert digest(entry.program) == before
        assert check(faulty, task) == [] or faulty == entry.program
        assert mutation.apply(entry.program) == faulty
        assert mutation.description
        assert mutation.touches
        assert (len(faulty.layers) != len(entry.program.layers)) == mutation.structural
    assert made >= 2


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_draws_by_its_generator_alone(name: str) -> None:
    for base, entry in BASES.items():
        drawn = [
            mutate(entry.program, _task(base), [OPERATORS[name]], np.random.default_rng(5)) for _ in range(2)
        ]
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

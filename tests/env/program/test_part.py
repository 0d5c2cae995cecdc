"""Parts remember their hash and their text, and forget them where they would be wrong."""

from __future__ import annotations

import hashlib
import json
import pickle
from copy import deepcopy
from dataclasses import replace

import pytest

from netmend.env.program import SCHEMA_VERSION, Clip, Dense, Program, check, digest, to_plain
from netmend.env.program.part import REMEMBERED, changed


def remembered(program: Program) -> set[str]:
    return {name for part in (program, *program.layers) for name in part.__dict__ if name in REMEMBERED}


def test_a_changed_part_is_a_replaced_one(mlp_program: Program) -> None:
    digest(mlp_program), hash(mlp_program)
    after = changed(mlp_program, epochs=3, batch_size=8)
    assert after == replace(mlp_program, epochs=3, batch_size=8)
    assert after != mlp_program
    assert hash(after) == hash(replace(mlp_program, epochs=3, batch_size=8))
    assert digest(after) == digest(replace(mlp_program, epochs=3, batch_size=8))


def test_nothing_changed_is_the_part_itself(mlp_program: Program) -> None:
    assert changed(mlp_program, epochs=mlp_program.epochs) is mlp_program
    assert changed(mlp_program.layers[0], units=16) is mlp_program.layers[0]


def test_one_variant_of_equal_parts_is_one_object() -> None:
    first, second = Dense(units=77), Dense(units=77)
    assert changed(first, activation="elu") is changed(second, activation="elu")
    assert changed(first, activation="elu") == Dense(units=77, activation="elu")


def test_what_is_remembered_stays_in_its_process(mlp_program: Program) -> None:
    hash(mlp_program), digest(mlp_program), check(mlp_program)
    assert remembered(mlp_program) == set(REMEMBERED)
    for copy in (pickle.loads(pickle.dumps(mlp_program)), deepcopy(mlp_program)):
        assert remembered(copy) == set()
        assert (copy, hash(copy), digest(copy)) == (mlp_program, hash(mlp_program), digest(mlp_program))


@pytest.mark.parametrize(
    "name", ["mlp_program", "regression_program", "conv_program", "recurrent_program", "token_program"]
)
def test_a_digest_is_that_of_the_plain_form(name: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(name)
    for each in (program, replace(program, clip=Clip(kind="norm", limit=2), patience=3)):
        canonical = json.dumps([SCHEMA_VERSION, to_plain(each)], separators=(",", ":"))
        assert digest(each) == hashlib.sha256(canonical.encode()).hexdigest()

"""Selection, legality and the documentation of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netmend.env.errors import UnknownNameError
from netmend.env.program import Dense, Flatten, Program, Task
from netmend.env.program.checks import check
from netmend.repair_actions import CATALOGUE, PATTERNS, RepairAction, edited, select, successors
from netmend.repair_actions.catalogue import _collect
from netmend.repair_actions.recipes import RECIPES, WITH_RECIPES

Corpus = dict[str, tuple[Program, Task]]
DOCUMENT = Path(__file__).parents[2] / "docs" / "actions.md"
ALL = select(["*"])


def action_of(program: Program) -> RepairAction:
    return RepairAction(
        pattern="test", edit="set", site="program", description="test", apply=lambda *_: program
    )


def test_the_fifteen_patterns_stand_in_a_fixed_order() -> None:
    patterns = [action.pattern for action in CATALOGUE.values()]
    assert len(CATALOGUE) >= 120
    assert list(PATTERNS) == [
        "loss_function",
        "activation",
        "optimizer",
        "iterations",
        "add_layer",
        "layer_dimension",
        "data_wrangling",
        "neural_connection",
        "change_neural_architecture",
        "data_dimension",
        "data_type",
        "api_contract",
        "versioning",
        "accuracy_metric",
        "monitor",
    ]
    assert patterns == sorted(patterns, key=PATTERNS.index)


def test_selects_names_and_globs_once_each_in_the_order_of_the_catalogue() -> None:
    chosen = select(["activation/*@output", "loss_function/mse@program", "activation/linear@output"])
    assert [action.name for action in chosen] == [
        "loss_function/mse@program",
        "activation/linear@output",
        "activation/sigmoid@output",
        "activation/softmax@output",
    ]
    assert tuple(CATALOGUE.values()) == ALL
    rest = select(["optimizer/*", "!*/lr_*", "!optimizer/adam@program"])
    assert set(select(["optimizer/*"])) - set(rest) == set(
        select(["optimizer/lr_*", "optimizer/adam@program"])
    )


def test_recipes_are_chosen_where_they_are_actions() -> None:
    assert select(["*"], WITH_RECIPES) == (*ALL, *RECIPES.values())
    assert select(["*", "!recipe/*"], WITH_RECIPES) == ALL
    with pytest.raises(UnknownNameError, match="recipe"):
        select(["recipe/*"])


@pytest.mark.parametrize("name", ["optimizer/adan@program", "no_such_pattern/*"])
def test_an_unknown_name_or_glob_is_an_error(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown repair action") as error:
        select(["*", name])
    assert name in str(error.value)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(UnknownNameError, match="optimizer/adam@program"):
        select(["optimizer/adan@program"])


def test_two_actions_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="loss_function/mse@program"):
        _collect([*CATALOGUE.values(), CATALOGUE["loss_function/mse@program"]])


def test_an_edit_that_changes_nothing_is_not_legal(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    assert edited(action_of(program), program, task) is None
    assert edited(action_of(replace(program)), program, task) is None


def test_an_edit_that_makes_a_valid_program_invalid_is_not_legal(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    endless = replace(program, epochs=80_000)
    assert edited(CATALOGUE["iterations/epochs_x2@program"], endless, task) is None
    assert (
        edited(CATALOGUE["iterations/epochs_x2@program"], replace(program, epochs=40_000), task) is not None
    )


def test_widths_are_scaled_up_to_a_limit(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    wide = replace(program, layers=(Dense(units=100), Dense(units=2048), Dense(units=10)))
    wider = edited(CATALOGUE["layer_dimension/units_x4@hidden"], wide, task)
    assert wider == replace(program, layers=(Dense(units=256), Dense(units=2048), Dense(units=10)))
    assert edited(CATALOGUE["layer_dimension/units_x4@hidden"], wider, task) is None


def test_an_edit_after_which_the_layers_do_not_fit_is_not_legal(corpus: Corpus) -> None:
    program, task = corpus["image"]
    flat_first = replace(program, layers=(Flatten(), *program.layers))
    assert edited(action_of(flat_first), program, task) is None


def test_an_invalid_program_can_still_be_edited(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    broken = replace(program, batch_size=0)
    assert edited(CATALOGUE["optimizer/sgd@program"], broken, task) is not None
    repaired = edited(CATALOGUE["iterations/batch_32@program"], broken, task)
    assert repaired is not None
    assert check(repaired, task) == []


def test_successors_are_the_edited_programs_in_the_order_asked_for(corpus: Corpus) -> None:
    backwards = ALL[::-1]
    for program, task in corpus.values():
        expected = tuple(edited(action, program, task) for action in backwards)
        assert tuple(successors(backwards, program, task)) == expected
        assert successors(backwards, program, task) is successors(backwards, replace(program), task)


def test_the_documentation_lists_exactly_the_catalogue() -> None:
    rows = [
        f"| {action.pattern} | `{action.edit}` | {action.site} | {action.description} |"
        for action in CATALOGUE.values()
    ]
    listed = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.count("|") == 5]
    assert listed[2:] == rows

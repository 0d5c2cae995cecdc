"""What must not be touched is not touched, by any action."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from netmend.env.errors import UnknownNameError
from netmend.env.program import Detach, Program, Task, Weighted
from netmend.repair_actions import CATALOGUE, select, successors
from netmend.repair_actions.keep import PARTS, allowed, broken, check_keep, keeping, touched
from netmend.repair_actions.patch import applied

Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])
MAY: dict[str, tuple[str, ...]] = {
    "architecture": ("activation/relu@hidden", "optimizer/adam@program", "data_wrangling/standardize@inputs"),
    "data": ("add_layer/batch_norm@hidden", "optimizer/adam@program"),
    "frozen": ("activation/softmax@output", "optimizer/adam@program"),
    "labels": ("optimizer/adam@program", "data_wrangling/standardize@inputs"),
}
MAY_NOT: dict[str, tuple[str, ...]] = {
    "architecture": ("add_layer/*", "change_neural_architecture/*", "layer_dimension/units_*"),
    "data": ("data_wrangling/standardize@inputs", "data_wrangling/shuffle@program"),
    "frozen": ("neural_connection/unfreeze@all", "neural_connection/remove_detach@all"),
    "labels": ("data_dimension/one_hot@targets", "data_wrangling/standardize_target@targets"),
}


def frozen(program: Program) -> Program:
    layers = tuple(replace(x, trainable=False) if isinstance(x, Weighted) else x for x in program.layers[:1])
    return replace(program, layers=(*layers, Detach(), *program.layers[1:]))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("change", [lambda program: program, frozen], ids=["as it is", "frozen"])
def test_an_allowed_action_leaves_the_part_alone(
    corpus: Corpus, part: str, change: Callable[[Program], Program]
) -> None:
    seen = {True: 0, False: 0}
    for original, task in corpus.values():
        program = change(original)
        free = allowed(ALL, program, task, (part,))
        for action, result, ok in zip(ALL, successors(ALL, program, task), free, strict=True):
            if result is not None:
                assert ok == (PARTS[part](program) == PARTS[part](result)), action.name
                seen[ok] += 1
    assert seen[True] > 0
    assert seen[False] > 0 or (part == "frozen" and change(original) == original)


@pytest.mark.parametrize("part", PARTS)
def test_what_a_part_means(corpus: Corpus, part: str) -> None:
    hits = set()
    for original, task in corpus.values():
        program = frozen(original)
        for pattern in MAY[part]:
            for action in select([pattern]):
                assert not touched(program, action.apply(program, task), (part,)), action.name
        for pattern in MAY_NOT[part]:
            for action in select([pattern]):
                result = action.apply(program, task)
                if result != program and touched(program, result, (part,)):
                    hits.add(pattern)
    assert hits == set(MAY_NOT[part])


def test_patterns_rule_out_actions_and_what_is_made_of_them(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    free = dict(zip(ALL, allowed(ALL, program, task, ("optimizer/*",)), strict=True))
    after = dict(zip(ALL, successors(ALL, program, task), strict=True))
    for action in ALL:
        assert free[action] == (after[action] is None or action.pattern != "optimizer")
    detached, task = corpus["detached"]
    mend = CATALOGUE["api_contract/mend_crash@program"]
    assert allowed((mend,), detached, task, ()) == (True,)
    assert allowed((mend,), detached, task, ("api_contract/loss_graph@*",)) == (False,)


def test_a_recipe_goes_without_what_would_touch_what_is_kept(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    recipe = ("optimizer/sgd@program", "add_layer/batch_norm@hidden", "iterations/batch_16@program")
    assert keeping(program, task, recipe, ()) == recipe
    assert keeping(program, task, recipe, ("architecture", "iterations/*")) == recipe[:1]
    after = applied(program, task, recipe)
    assert broken(program, after, recipe, ("architecture", "iterations/*")) == ("architecture", recipe[2])


def test_an_unknown_name_lists_near_ones() -> None:
    check_keep(["architecture", "optimizer/*", "api_contract/zero_grad@program"])
    with pytest.raises(UnknownNameError, match="architecture"):
        check_keep(["architectur"])

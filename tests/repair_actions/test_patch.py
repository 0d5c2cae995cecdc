"""Patches hold no edit that can be left out without a change of the program."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.env.program import Program, Task
from netmend.repair_actions import select, successors
from netmend.repair_actions.patch import applied, needed

Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])


@pytest.mark.parametrize("seed", range(4))
def test_no_edit_of_a_needed_patch_can_be_left_out(corpus: Corpus, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shorter = 0
    for program, task in corpus.values():
        met, patch = program, []
        for _ in range(6):
            legal = [(a, p) for a, p in zip(ALL, successors(ALL, met, task), strict=True) if p is not None]
            if not legal:
                break
            action, after = legal[rng.integers(len(legal))]
            patch += action.patch(met, task)
            met = after
        left = needed(program, task, tuple(patch))
        assert applied(program, task, left) == met
        shorter += len(left) < len(patch)
        for position in range(len(left)):
            rest = (*left[:position], *left[position + 1 :])
            assert applied(program, task, rest) != met, (left, position)
    assert shorter > 0


def test_epochs_beyond_the_most_are_no_change(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    patch = ("iterations/epochs_x4@program", "iterations/batch_16@program")
    assert needed(program, task, patch, program.epochs) == patch[1:]
    assert needed(program, task, patch) == patch


def test_two_edits_that_undo_each_other_go_together(corpus: Corpus) -> None:
    program, task = corpus["mlp"]
    patch = ("optimizer/lr_x10@program", "iterations/batch_16@program", "optimizer/lr_div10@program")
    assert needed(program, task, patch) == patch[1:2]

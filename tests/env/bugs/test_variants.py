"""Variants of good programs."""

from __future__ import annotations

import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.variants import draw_variants, is_dense
from netmend.env.data import load_dataset
from netmend.env.program import check, infer_shapes, output_activation

TRAIN = tuple(name for name, base in BASES.items() if base.split == "train")


@pytest.mark.parametrize("name", TRAIN)
def test_variants_are_different_programs_for_the_same_task(name: str) -> None:
    base = BASES[name].program
    task = load_dataset(base.data.dataset).task
    variants = draw_variants(name, base, task, 6, seed=1)
    assert len({base, *variants}) == 7
    for variant in variants:
        assert variant.data.dataset == base.data.dataset
        assert is_dense(variant) == is_dense(base)
        assert check(variant, task) == []
        assert infer_shapes(variant.layers, task)[-1] == infer_shapes(base.layers, task)[-1]


def test_the_seed_and_the_name_decide() -> None:
    base = BASES["digits_keras"].program
    task = load_dataset("digits").task
    first = draw_variants("a", base, task, 4, seed=1)
    assert draw_variants("a", base, task, 4, seed=1) == first
    assert draw_variants("a", base, task, 4, seed=2) != first
    assert draw_variants("b", base, task, 4, seed=1) != first


def test_loss_activation_and_labels_change_together() -> None:
    base = BASES["digits_keras"].program
    variants = draw_variants("digits_keras", base, load_dataset("digits").task, 30, seed=0)
    styles = {(variant.loss, output_activation(variant), variant.data.labels) for variant in variants}
    assert styles == {
        ("categorical_crossentropy", "softmax", "one_hot"),
        ("cross_entropy", "linear", "index"),
    }

"""Nothing that a policy is judged by is drawn."""

from __future__ import annotations

from itertools import islice

import numpy as np

from netmend.env.bugs import Bug, load_suite, suite_names
from netmend.env.bugs.bases import BASES
from netmend.env.bugs.lessons import draw_bases, is_judged, training_datasets
from netmend.env.bugs.lessons.leaks import pair_of
from netmend.env.data.views import pack_of


def _judged() -> list[Bug]:
    return [bug for name in suite_names() for bug in load_suite(name).bugs if bug.split != "train"]


def test_every_bug_and_base_that_is_judged_is_known() -> None:
    bugs = _judged()
    assert len(bugs) > 300
    assert all(is_judged(bug.program) for bug in bugs)
    assert all(is_judged(bug.fixed) for bug in bugs if bug.fixed is not None)
    assert all(is_judged(base.program) == (base.split != "train") for base in BASES.values())


def test_a_dataset_of_judged_bugs_is_drawn_from_only_where_a_training_base_has_it() -> None:
    own = {base.program.data.dataset for base in BASES.values() if base.split == "train"}
    judged = {pack_of(bug.program.data.dataset) for bug in _judged()}
    datasets = set(training_datasets())
    assert own <= datasets
    assert not (datasets - own) & judged
    assert len(datasets) > 40


def test_no_dataset_of_the_benchmark_where_it_is_left_out() -> None:
    benchmark = load_suite("icst2023-v1").bugs
    theirs = {pack_of(bug.program.data.dataset) for bug in benchmark}
    assert not theirs & set(training_datasets(benchmark))


def test_no_drawn_program_has_the_dataset_and_the_architecture_of_a_judged_bug() -> None:
    judged = {pair_of(program) for bug in _judged() for program in (bug.program, bug.fixed) if program}
    # the datasets that training bases share with others, where most pairs are near
    datasets = ("blobs", "digits", "prices", "tank", "pulses", "grammar")
    drawn = [program for _, program in islice(draw_bases(np.random.default_rng(0), datasets), 300)]
    assert not judged & {pair_of(program) for program in drawn}
    # without the check some would be drawn
    assert {("dense", "dense"), ("dense", "dropout", "dense")} <= {
        kinds for dataset, kinds in judged if dataset == "blobs"
    }

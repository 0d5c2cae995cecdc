from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from netmend.env.data import Part, load_dataset
from netmend.env.data.dataset import judged
from netmend.env.program import (
    BatchNorm,
    Conv2d,
    Data,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Optimizer,
    Program,
    Recurrent,
    find_crash,
)
from netmend.env.training import building
from netmend.env.training.batched.candidate import candidate
from netmend.env.training.batched.outline import outline
from netmend.env.training.batched.plan import plan
from netmend.env.training.trial import Budget, TrialRequest

OUT = Dense(units=3)


@pytest.fixture
def requests(random_program, small):
    """Of all kinds, some of which can't be grouped."""

    def make(seed, count=24):
        rng = np.random.default_rng(seed)
        trunks = ["vector", "vector", "flat", "conv1d", "conv1d, norms", "gru", "embedding"]
        made = []
        for nth in range(count):
            program = random_program(rng, str(rng.choice(trunks)))
            if rng.random() < 0.1:
                program = replace(program, layers=(Conv2d(filters=2), Embedding(units=2), OUT))
            budget = replace(small, samples=int(rng.choice([40, 64])))
            made.append(TrialRequest(program=program, budget=budget, seed=nth % 4))
        return made

    return make


def test_every_request_is_planned_once_and_groups_are_of_one_kind(requests, datasets):
    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 1000),
        count=st.integers(0, 30),
        memory=st.sampled_from([1, 4, 256]),
        longest=st.sampled_from([0.0, 0.01, 0.06, math.inf]),
    )
    def holds(seed, count, memory, longest):
        asked = requests(seed, count)
        groups = plan(asked, datasets.__getitem__, memory=memory, longest=longest)
        assert sorted(position for group in groups for position in group) == list(range(count))
        assert plan(asked, datasets.__getitem__, memory=memory, longest=longest) == groups
        for group in groups:
            members = [candidate(p, asked[p], datasets[asked[p].program.data.dataset]) for p in group]
            if len(group) > 1:
                assert len({member.key for member in members}) == 1
            depths = [len(member.hidden) for member in members if member is not None]
            assert depths == sorted(depths, reverse=True)

    holds()


def test_equal_programs_do_not_depend_on_the_order_of_requests(requests, datasets):
    """Groups are the same programs, whichever comes first."""
    asked = requests(3)
    forward = plan(asked, datasets.__getitem__)
    backward = plan(asked[::-1], datasets.__getitem__)

    def sizes(groups):
        return sorted(map(len, groups))

    assert sizes(forward) == sizes(backward)


def ask(program, seeds=1, budget=None):
    return [TrialRequest(program=program, budget=budget or Budget(), seed=seed) for seed in range(seeds)]


def test_seeds_of_one_program_are_one_group(datasets, good):
    assert plan(ask(good, 8), datasets.__getitem__, longest=math.inf) == [tuple(range(8))]


def test_the_costliest_group_comes_first(datasets, good):
    wide = replace(good, layers=(Dense(units=256), Dense(units=256), OUT), batch_size=32, epochs=12)
    tiny = replace(good, layers=(Dense(units=2), OUT), batch_size=64, epochs=1)
    asked = [*ask(tiny, 2), *ask(good, 2), *ask(wide, 2)]
    found = [group[0] // 2 for group in plan(asked, datasets.__getitem__)]
    assert found.index(2) < found.index(1) < found.index(0)


def test_a_group_takes_no_longer_than_it_may(datasets, good):
    asked = ask(good, 32)
    counts = [len(plan(asked, datasets.__getitem__, longest=longest)) for longest in (math.inf, 0.1, 0.02, 0)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] == 32


def test_a_group_takes_no_more_memory_than_it_may(datasets, good):
    wide = replace(good, layers=(Dense(units=128), Dense(units=128), OUT))
    sizes = [
        max(map(len, plan(ask(wide, 64), datasets.__getitem__, memory=memory, longest=math.inf)))
        for memory in (1, 24, 40, 72, 512)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    assert sizes[-1] == 64
    # What scoring takes, 8 MiB, does not grow with the group.
    assert sizes[2] == pytest.approx(2 * sizes[1], abs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 32},
        {"layers": (Flatten(), OUT), "data": Data(dataset="table")},
        {"layers": (BatchNorm(), OUT)},
        {"layers": (Dropout(rate=0.1), OUT), "clip": None, "loss": "categorical_hinge", "patience": 2,
         "data": Data(dataset="table", labels="one_hot", shuffle=False)},
        {"epochs": 1},
    ],
)  # fmt: skip
def test_what_may_share_a_group(datasets, good, changes):
    first, other = (
        candidate(0, ask(program)[0], datasets["table"]) for program in (good, replace(good, **changes))
    )
    assert (first.key == other.key) is ("batch_size" not in changes)


def test_other_budgets_and_rows_are_other_groups(datasets, good):
    budgets = [Budget(), Budget(epochs=3), Budget(samples=100)]
    keys = {candidate(0, ask(good, budget=budget)[0], datasets["table"]).key for budget in budgets}
    assert len(keys) == 3


def test_a_left_over_row_parts_those_that_must_skip_it(datasets, good):
    program = replace(good, batch_size=199)
    norm = replace(program, layers=(BatchNorm(), *program.layers))
    keys = [candidate(0, ask(p)[0], datasets["table"]).key for p in (program, norm)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0},
        {"layers": (Conv2d(filters=2), OUT)},
        {"layers": (Dense(units=2),)},
        {"layers": (BatchNorm(), OUT), "batch_size": 1},
        {"layers": (Flatten(), Embedding(units=2), Flatten(), OUT), "data": Data(dataset="tokens")},
        {"layers": (BatchNorm(),)},
        {"class_weights": "balanced"},
    ],
)
def test_what_only_the_plain_loop_can_train_or_fail_is_alone(datasets, good, changes):
    bad = replace(good, **changes)
    assert candidate(0, ask(bad)[0], datasets[bad.data.dataset]) is None
    asked = [*ask(bad, 2), *ask(good, 2)]
    assert plan(asked, datasets.__getitem__, longest=math.inf) == [(2, 3), (0,), (1,)]


def test_a_task_that_is_judged_by_another_metric_is_alone(datasets, good):
    (asked,) = ask(good)
    assert candidate(0, asked, datasets["table"]) is not None
    assert candidate(0, replace(asked, metric="f1"), datasets["table"]) is None
    assert candidate(0, asked, judged(datasets["table"], "f1")) is None


def test_outputs_at_each_step_are_alone(datasets):
    program = Program(
        data=Data(dataset="rooms", labels="value"),
        layers=(Recurrent(cell="gru", units=2, return_sequences=True), Dense(units=1)),
        loss="mse",
        optimizer=Optimizer(),
    )
    rooms = load_dataset("rooms")
    assert find_crash(program, rooms.task) is None
    assert candidate(0, ask(program)[0], rooms) is None
    flat = replace(program, layers=(*program.layers, Flatten()))
    assert candidate(0, ask(flat)[0], rooms) is not None


def test_noise_that_is_drawn_by_batch_is_alone(datasets, good):
    program = replace(good, layers=(Dense(units=4096), Dropout(rate=0.1), OUT))
    assert building.LARGEST_NOISE > 200 * 4096
    assert candidate(0, ask(program)[0], datasets["table"]) is not None
    rows = Part(np.zeros((3000, 6), np.float32), np.zeros(3000, np.int64))
    large = replace(datasets["table"], train=rows)
    assert candidate(0, ask(program, budget=Budget(samples=3000))[0], large) is None


def test_the_plan_asks_for_nothing_but_the_datasets(good):
    """A plan is made in the process that hands out the work, without training anything."""
    program = replace(good, data=Data(dataset="iris"))
    assert plan(ask(program, 2), load_dataset, longest=math.inf) == [(0, 1)]
    assert plan([], load_dataset) == []


def test_the_order_inside_a_group_puts_equal_tails_side_by_side(datasets, good):
    relu, tanh = (replace(good, layers=(Dense(units=8, activation=name), OUT)) for name in ("relu", "tanh"))
    asked = [TrialRequest(program=p, budget=Budget(), seed=0) for p in (relu, tanh) * 3]
    (group,) = plan(asked, datasets.__getitem__, longest=math.inf)
    tails = [outline(asked[p].program, datasets["table"].task).hidden[0].tail for p in group]
    assert tails == sorted(tails, key=str)

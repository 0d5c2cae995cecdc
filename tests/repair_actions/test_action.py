"""The contract of every repair action, and walks of many of them."""

from __future__ import annotations

import re
from copy import deepcopy
from itertools import combinations

import pytest
from hypothesis import given, settings, strategies as st

from netmend.env.program import PHASES, Program, Task, check, find_crash
from netmend.env.program.yaml import digest, from_plain, to_plain
from netmend.repair_actions import CATALOGUE, RepairAction, edited, select, successors
from netmend.repair_actions.action import SITES

Corpus = dict[str, tuple[Program, Task]]
ALL = select(["*"])


def phase(program: Program, task: Task) -> int:
    """Where a program crashes; beyond the last phase where it does not."""
    crash = find_crash(program, task)
    return len(PHASES) if crash is None else PHASES.index(crash.phase)


LOSS = PHASES.index("loss")


@pytest.mark.parametrize("action", ALL, ids=lambda action: action.name)
class TestContract:
    def test_is_named_and_described(self, action: RepairAction) -> None:
        assert re.fullmatch(r"[a-z0-9_.]+", action.edit)
        assert action.site in SITES
        assert CATALOGUE[f"{action.pattern}/{action.edit}@{action.site}"] is action
        assert 5 < len(action.description) < 100
        assert not action.description.endswith(".")

    def test_is_pure(self, action: RepairAction, corpus: Corpus) -> None:
        for program, task in corpus.values():
            before = deepcopy(program)
            first = action.apply(program, task)
            assert program == before
            assert action.apply(before, task) == first
            hash(first)

    def test_is_legal_somewhere(self, action: RepairAction, corpus: Corpus) -> None:
        assert any(edited(action, *case) is not None for case in corpus.values())

    def test_changes_what_is_trained_and_breaks_nothing(self, action: RepairAction, corpus: Corpus) -> None:
        for program, task in corpus.values():
            result = edited(action, program, task)
            if result is None:
                continue
            assert digest(result) != digest(program)
            assert check(result, task) == []
            assert phase(result, task) >= min(phase(program, task), LOSS)

    def test_cannot_touch_the_task(self, action: RepairAction, corpus: Corpus) -> None:
        for program, task in corpus.values():
            result = action.apply(program, task)
            assert result.data.dataset == program.data.dataset


def test_the_corpus_is_one_of_programs(corpus: Corpus) -> None:
    assert {name for name, case in corpus.items() if check(*case)} == set()


def test_no_two_actions_always_do_the_same(corpus: Corpus) -> None:
    effects = {action.name: [edited(action, *case) for case in corpus.values()] for action in ALL}
    assert [pair for pair in combinations(effects, 2) if effects[pair[0]] == effects[pair[1]]] == []


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 100), steps=st.lists(st.integers(0, 1000), max_size=10))
def test_a_walk_of_legal_actions_stays_among_programs_and_never_stands_still(
    corpus: Corpus, start: int, steps: list[int]
) -> None:
    program, task = list(corpus.values())[start % len(corpus)]
    for step in steps:
        before, kept = digest(program), deepcopy(program)
        legal = [result for result in successors(ALL, program, task) if result is not None]
        assert program == kept
        if not legal:
            return
        after = legal[step % len(legal)]
        assert digest(after) != before
        assert check(after, task) == []
        assert phase(after, task) >= min(phase(program, task), LOSS)
        assert from_plain(to_plain(after), "walk") == after
        program = after

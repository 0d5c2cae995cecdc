"""Answers about programs are found once for all programs that share what was read."""

from __future__ import annotations

from dataclasses import replace

from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.program.part import changed
from netmend.repair_actions.recall import Recall

MLP = Program(
    data=Data(dataset="digits"), layers=(Dense(units=10),), loss="cross_entropy", optimizer=Optimizer()
)
SLOW = replace(MLP, optimizer=Optimizer(lr=1e-6))


class Rule:
    """Reads the batch size, and the rate of an optimizer where that is small; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, program: Program, subject: str, key: int) -> str:
        self.calls += 1
        result = changed(program, batch_size=program.batch_size + key)
        rate = result.optimizer.lr if result.batch_size < 10 else 0
        return f"{subject} {result.batch_size} {rate}"


def test_what_is_not_read_makes_no_other_answer() -> None:
    rule = Rule()
    recall = Recall(rule, most=100)
    assert recall.answers(MLP, "a", [1, 2]) == ["a 33 0", "a 34 0"]
    assert recall.answers(replace(MLP, epochs=3), "a", [2, 1]) == ["a 34 0", "a 33 0"]
    assert recall.answers(SLOW, "a", [1]) == ["a 33 0"]
    assert rule.calls == 2
    assert recall.answers(MLP, "b", [1]) == ["b 33 0"]
    assert recall.answers(MLP, "a", [3]) == ["a 35 0"]
    assert rule.calls == 4


def test_what_is_read_of_some_programs_only_counts_for_those() -> None:
    rule = Rule()
    recall = Recall(rule, most=100)
    for program in (MLP, SLOW):
        small = replace(program, batch_size=4)
        assert recall.answers(program, "a", [0]) == ["a 32 0"]
        assert recall.answers(small, "a", [0]) == [f"a 4 {program.optimizer.lr}"]
    assert rule.calls == 3


def test_a_rule_that_needs_a_whole_program_gets_one() -> None:
    seen = []

    def rule(program: Program, _subject: None, _key: None) -> int:
        seen.append(replace(program, batch_size=1))
        return hash(program) and program.epochs

    recall = Recall(rule, most=100)
    for program in (MLP, replace(MLP, epochs=3), MLP):
        assert recall.answers(program, None, [None]) == [program.epochs]
    assert len(seen) == 2


def test_it_begins_anew_when_there_are_too_many_answers() -> None:
    rule = Rule()
    recall = Recall(rule, most=2)
    for key in (1, 2, 3, 3, 1):
        recall.answers(MLP, "a", [key])
    assert rule.calls == 4

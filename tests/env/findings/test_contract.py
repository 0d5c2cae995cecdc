"""What holds for every kind of finding."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import fields
from fnmatch import fnmatchcase

import pytest

from netmend.env.bugs import load_suite
from netmend.env.data import load_dataset
from netmend.env.data.loading import needs_pack
from netmend.env.findings import Finding, faults, findings, only_answers
from netmend.env.findings.catalogue import CATALOGUE as HEURISTICS
from netmend.env.findings.crashes import ANSWERS
from netmend.env.findings.finding import Case
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import Status, Trial
from netmend.repair_actions import CATALOGUE, successors

BY_NAME = {heuristic.name: heuristic for heuristic in HEURISTICS}
ACTIONS = tuple(CATALOGUE.values())
WORDS_OF_SYMPTOMS = {field.name for field in fields(Symptoms) if "_" in field.name}


UNANSWERED = {"ended"}
"""A limit of the machine, which no edit of a program moves."""


def found_in(kind: str, case: Case) -> Finding:
    (finding, *_) = BY_NAME[kind].findings(case)
    return finding


def assert_known(edits: tuple[str, ...]) -> None:
    for edit in edits:
        assert any(fnmatchcase(action, edit) for action in CATALOGUE), edit


def test_every_kind_has_one_name_and_one_example(examples: dict[str, Case]) -> None:
    assert [name for name, count in Counter(one.name for one in HEURISTICS).items() if count > 1] == []
    assert examples.keys() == BY_NAME.keys()


def test_it_is_among_the_findings_of_its_example(kind: str, case: Case) -> None:
    finding = found_in(kind, case)
    told = findings(case.program, case.dataset, case.trial or Trial(status=Status.OK))
    assert finding in told
    assert (finding in faults(case.program, case.dataset)) == (finding.severity == "fault")
    assert [one.severity for one in told] == sorted(one.severity for one in told)


def test_it_is_a_sentence_that_needs_no_glossary(kind: str, case: Case) -> None:
    finding = found_in(kind, case)
    assert not re.search(r"[{}]|nan\b|\binf\b", finding.text)
    assert not any(word in finding.text for word in WORDS_OF_SYMPTOMS)
    assert len(finding.text) < 160
    assert not finding.text.endswith(".")
    assert math.isfinite(finding.value)


def test_its_edits_are_actions_and_one_of_them_is_legal(kind: str, case: Case) -> None:
    finding = found_in(kind, case)
    assert_known(finding.edits)
    assert bool(finding.edits) == (kind not in UNANSWERED)
    legal = successors(ACTIONS, case.program, case.task).legal
    offered = [action.name for action, may in zip(ACTIONS, legal, strict=True) if may]
    answers = any(fnmatchcase(action, edit) for action in offered for edit in finding.edits)
    assert answers == bool(finding.edits)


def test_the_edits_of_every_crash_are_actions() -> None:
    for edits in ANSWERS.values():
        assert_known(edits)


@pytest.mark.parametrize("suite", ["mutants-v1", "real-v1", "icst2023-v1"])
def test_no_published_fix_has_a_fault_whose_answer_would_come_first(suite: str) -> None:
    fixes = {bug.fixed for bug in load_suite(suite).bugs if bug.fixed is not None}
    here = [fix for fix in fixes if not needs_pack(fix.data.dataset)]
    assert len(here) >= 5
    for fix in here:
        assert only_answers(fix, load_dataset(fix.data.dataset)) == frozenset(), fix

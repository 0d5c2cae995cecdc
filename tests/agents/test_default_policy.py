"""The policy of the package: it is found by its name, and its card says what it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.card import CARD, COLUMNS, SAMPLE, SEEDS, sample_row
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.policy import DEFAULT, NAMED, RETRAIN, PolicyError, load_policy
from netmend.agents.repair_one import policy_method
from netmend.agents.verbs.config import BudgetConfig, make_rules
from netmend.env.bugs import load_suite
from netmend.env.training.front import build_trainer
from netmend.repair_actions.recipes import WITH_RECIPES

MOST_BYTES = 20_000_000
OTHERWISE = 2
"""Repairs of the sample that may come out otherwise: another processor rounds otherwise."""


@pytest.fixture(scope="module")
def card() -> str:
    return (NAMED[DEFAULT] / CARD).read_text()


def rows(card: str, head: str) -> list[tuple[str, ...]]:
    """The rows of the table of the card that begins with this cell."""
    lines = iter(card.splitlines())
    next(line for line in lines if line.startswith(f"| {head} |"))
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append(tuple(cell.strip() for cell in line.strip("|").split(" | ")))
    return found


def test_it_is_found_by_its_name_wherever_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / DEFAULT).mkdir()
    monkeypatch.chdir(tmp_path)
    policy = load_policy(DEFAULT)
    assert policy.members > 1
    assert policy.confidence is not None
    assert sum(file.stat().st_size for file in NAMED[DEFAULT].iterdir()) <= MOST_BYTES
    with pytest.raises(PolicyError, match="no policy in"):
        load_policy(f"./{DEFAULT}")


def test_where_the_catalogue_has_moved_on_it_says_how_to_make_it_anew(monkeypatch) -> None:
    first = load_policy(DEFAULT).repair_actions()[0]
    moved = {**WITH_RECIPES, first.name: replace(first, description="something else")}
    monkeypatch.setattr("netmend.agents.policy.WITH_RECIPES", moved)
    with pytest.raises(PolicyError, match=rf"changed: {first.name}; {RETRAIN} makes it anew"):
        load_policy(DEFAULT)


def test_the_repairs_of_the_sample_come_out_again(card: str) -> None:
    policy = load_policy(DEFAULT)
    suite = load_suite(str(policy.facts["suite"]))
    told = rows(card, COLUMNS[0])
    assert len(told) == SAMPLE
    by_id = {bug.id: bug for bug in suite.bugs}
    bugs = tuple(by_id[row[0]] for row in told)
    assert {bug.split for bug in bugs} == {"validation"}
    trainer = build_trainer()
    outcomes = run_repairs(
        Evaluation(
            bugs=bugs,
            methods=(policy_method(DEFAULT),),
            rules=make_rules(BudgetConfig(), suite.budget),
            seeds=SEEDS[:1],
            minimise=False,
        ),
        trainer,
    )
    trainer.close()
    again = [sample_row(outcome) for outcome in outcomes]
    assert sum(mine != theirs for mine, theirs in zip(again, told, strict=True)) <= OTHERWISE

"""What a repair may spend: a bug's own budget, the suite's, and what was set on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from netmend.agents.baselines.fixed_order import find_order
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import Proposal, Repair
from netmend.agents.repair import repair
from netmend.agents.verbs.config import BudgetConfig, make_rules
from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.program import Task
from netmend.env.repair_env import RepairEnv
from netmend.env.reward import LIMITS, Rules
from netmend.env.setting import make_setting
from netmend.env.training.trial import Budget, Status, Trial, TrialRequest
from netmend.env.vector import RepairVectorEnv
from netmend.repair_actions import select

OWN = Budget(samples=1000, epochs=50, updates=3000, work=600.0)


class Noting:
    """Trains nothing, notes the budgets that it is asked for; every later program is better."""

    def __init__(self) -> None:
        self.budgets: list[Budget] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.budgets += [request.budget for request in requests]
        return [Trial(status=Status.OK, skill=0.1 * len(self.budgets), holdout=0.1) for _ in requests]

    def close(self) -> None:
        pass


class TwoEdits:
    """A method that puts two actions together, so that its patch can be minimised."""

    name = "two edits"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        assert rules.budget == OWN
        assert bug.budget == OWN
        program = bug.program
        names = []
        for name in ("optimizer/sgd@program", "layer_dimension/units_x2@hidden"):
            (action,) = select([name])
            program = action.apply(program, task)
            names.append(name)
        return _Once(Proposal(program=program, patch=tuple(names)))


class _Once:
    def __init__(self, proposal: Proposal) -> None:
        self._proposals = [proposal]

    def ask(self) -> Proposal | None:
        return self._proposals.pop() if self._proposals else None

    def tell(self, trial: Trial) -> None:
        del trial


@pytest.fixture
def bugs() -> tuple[Bug, Bug]:
    """The first with a budget of its own, the second without."""
    first, second = load_suite("tiny").bugs[:2]
    return replace(first, budget=OWN), second


def test_a_bugs_own_budget_replaces_the_suites(bugs: tuple[Bug, Bug]) -> None:
    suite = Budget(samples=64)
    rules = make_rules(BudgetConfig(), suite)
    assert rules.of(bugs[0]).budget == OWN
    assert rules.of(bugs[1]).budget == suite
    assert rules.of(bugs[0]).of(bugs[0]) == rules.of(bugs[0])


def test_what_the_configuration_sets_wins(bugs: tuple[Bug, Bug]) -> None:
    rules = make_rules(BudgetConfig(samples=99, work=5.0), Budget(epochs=3))
    assert rules.of(bugs[0]).budget == replace(OWN, samples=99, work=5.0)
    assert rules.of(bugs[1]).budget == Budget(samples=99, epochs=3, work=5.0)
    everything = make_rules(BudgetConfig(samples=1, epochs=2, updates=3, work=4.0, seeds=5), Budget())
    assert everything.of(bugs[0]) == everything


def test_rules_that_are_given_whole_hold_for_every_bug(bugs: tuple[Bug, Bug]) -> None:
    given = Rules(budget=Budget(samples=50))
    assert given.of(bugs[0]) == given
    assert make_setting(bugs, rules=given).episode(bugs[0], 0).rules == given
    assert set(Budget.__dataclass_fields__) == LIMITS


@pytest.mark.parametrize("kind", [RepairEnv, lambda *args, **named: RepairVectorEnv(2, *args, **named)])
def test_environments_train_with_the_bugs_budget(
    kind: Callable[..., RepairEnv], bugs: tuple[Bug, Bug]
) -> None:
    trainer = Noting()
    env = kind([bugs[0]], trainer=trainer)
    env.reset(seed=0)
    masks = env.action_masks().reshape(-1, env.action_masks().shape[-1])
    first = masks.argmax(axis=1)
    env.step(first if len(first) > 1 else first[0])
    assert len(trainer.budgets) >= 2
    assert set(trainer.budgets) == {OWN}
    env.close()


def test_evaluation_and_minimising_train_with_the_bugs_budget(bugs: tuple[Bug, Bug]) -> None:
    trainer = Noting()
    rules = make_rules(BudgetConfig(), Budget(samples=64))
    evaluation = Evaluation(bugs=(bugs[0],), methods=(TwoEdits(),), rules=rules)
    (outcome,) = run_repairs(evaluation, trainer)
    assert outcome.trials > outcome.searched == 1
    assert set(trainer.budgets) == {OWN}
    repair(bugs[0], TwoEdits(), trainer, rules)
    assert set(trainer.budgets) == {OWN}


def test_the_search_for_an_order_trains_each_bug_with_its_budget(bugs: tuple[Bug, Bug]) -> None:
    trainer = Noting()
    suite = Budget(samples=64)
    rules = make_rules(BudgetConfig(), suite)
    find_order(bugs, select(["optimizer/*"]), rules, trainer)
    assert set(trainer.budgets) == {OWN, suite}

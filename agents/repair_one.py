"""Repair one program: what ``netmend repair`` and, in Python, ``netmend.repair`` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from netmend.agents.length import confirming_budget, trial_budget, trial_seconds
from netmend.agents.methods import PolicyMethod
from netmend.agents.named_bug import find_bug
from netmend.agents.policy import DEFAULT, load_policy
from netmend.agents.repair import BudgetOf, RepairResult, repair as search_and_confirm
from netmend.agents.verbs.config import BudgetConfig, RepairingConfig, check, make_rules
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.program import Program
from netmend.env.reward import Rules
from netmend.env.training.front import build_trainer
from netmend.env.training.trial import Budget

COMPILING = 2.0
"""Seconds of a trial from which on a repair is sooner done by compiled code: on a new machine that is
compiled first, for twenty seconds, which the fifteen trainings of a repair have to win back."""


def repair(
    program: Program | Path | str,
    policy: Path | str = DEFAULT,
    *,
    keep: Sequence[str] = (),
    trials: int = Rules.trials,
    seed: int = 0,
    bugs: str = RepairingConfig.bugs,
) -> RepairResult:
    """Repair one program, in this process, as ``netmend repair`` does.

    >>> result = netmend.repair("mine.yaml", keep=["architecture"])
    >>> result.findings, result.patch, result.gain, result.program

    Args:
        program: a program, the path of its file, or the id of a bug of the suite ``bugs``.
        policy: ``default``, or the folder of a training run or of its policy.
        keep: what no edit may touch, as ``keep=`` of ``netmend repair``.
        trials: most trials of the search.
        seed: of the trials.
        bugs: suite in which ids are looked for.

    Raises:
        NetmendError: there is no such program or policy, or it is damaged; or a value makes no sense.
    """
    config = RepairingConfig(bugs=bugs, budget=BudgetConfig(trials=trials), keep=list(keep), seed=seed)
    check(config)
    if isinstance(program, Program):
        found: tuple[Bug, Budget | None] = Bug(id="program", program=program), None
    else:
        found = find_bug(str(program), bugs)
    rules, confirming = rules_for(*found, config)
    method = policy_method(policy)
    with closing(build_trainer(compiled=worth_compiling(found[0], rules))) as trainer:
        return search_and_confirm(found[0], method, trainer, rules, seed=seed, budget_of=confirming)


def rules_for(
    bug: Bug, suite_budget: Budget | None, config: RepairingConfig
) -> tuple[Rules, BudgetOf | None]:
    """Rules of a bug's search, and budgets of what confirms its answer.

    Without a budget of its suite or of its own it is a person's program, which is trained at its own length.
    """
    own = suite_budget is None and bug.budget is None
    budget = suite_budget or Budget()
    if own:
        budget = trial_budget(bug.program, load_dataset(bug.program.data.dataset))
    confirming = confirming_budget(config.budget.stated()) if own else None
    return make_rules(config.budget, budget, config.keep), confirming


def worth_compiling(bug: Bug, rules: Rules) -> bool:
    """Whether the trials of one repair are long enough for compiled code: the same on every machine."""
    data, budget = load_dataset(bug.program.data.dataset), rules.of(bug).budget
    return trial_seconds(bug.program, data, budget) > COMPILING


def policy_method(policy: Path | str) -> PolicyMethod:
    """The policy of that name or folder, with the very actions that it was trained with."""
    loaded = load_policy(policy)
    return PolicyMethod(loaded, loaded.repair_actions(), compose=loaded.compose)

"""``netmend bugs claims``: count what ``repair`` claims of good and faulty programs, and what is not true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import MISSING
from rich.console import Console

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.claims import at_own_length, cases, measure, print_claims, to_plain, write_claims
from netmend.agents.length import confirming_budget
from netmend.agents.methods import Method, MethodError
from netmend.agents.progress import make_round_progress
from netmend.agents.repair_one import policy_method
from netmend.agents.verbs.config import (
    RepairingConfig,
    at_least,
    make_rules,
    one_of,
    require_policy,
    split_problems,
)
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.evaluate import POLICY, require_method
from netmend.agents.verbs.opening import open_suite, open_trainer
from netmend.env.training.trial import Budget
from netmend.env.writing import from_here
from netmend.repair_actions import CATALOGUE

OWN_LENGTH = "own"
LENGTHS = ("suite", OWN_LENGTH)


@dataclass
class ClaimsConfig(RepairingConfig):
    """``netmend bugs claims``.

    Attributes:
        method: method that repairs them. ``policy`` is the trained agent.
        policy: folder of a training run or of its policy.
        split: which bugs: ``train``, ``validation`` or ``held-out``.
        good: whether good programs are repaired too. These are the programs behind the mutants, and the
            published fixes of real bugs that gain something.
        seeds: how often each program is repaired, with the seeds from ``seed`` on.
        limit: most programs, the first ones. null = all.
        length: length of the trials: ``suite`` takes the budgets of suite and bug. ``own`` trains a program
            at its own length if that takes seconds, as ``netmend repair`` does.
    """

    bugs: str = MISSING
    method: str = POLICY
    policy: str | None = None
    split: str = "held-out"
    good: bool = True
    seeds: int = 3
    limit: int | None = None
    length: str = "suite"

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems() + split_problems(self)
        found += at_least(1, self, "seeds", "limit") + one_of(self, "length", LENGTHS)
        if (self.method == POLICY) != (self.policy is not None):
            found.append("policy: name the folder of a training run, or another method with method=")
        return found

    def require(self) -> None:
        """Look up the suites, the method and the policy."""
        super().require()
        require_method(self.method)
        require_policy(self.policy)


def claims_job(config: ClaimsConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Repair, check what was claimed, print the table, write both files into the run's folder."""
    console = Console()
    method = _method(config)
    suites = [open_suite(replace(config, bugs=name.strip()), console) for name in config.bugs.split("+")]
    programs = cases(suites, config.split, good=config.good)[: config.limit]
    budget_of = None
    if config.length == OWN_LENGTH:
        programs = tuple(at_own_length(case) for case in programs)
        budget_of = confirming_budget(config.budget.stated())
    rules = make_rules(config.budget, Budget(), config.keep)
    seeds = range(config.seed, config.seed + config.seeds)
    with open_trainer(config) as trainer, make_round_progress(console) as progress:
        rows = measure(
            programs,
            method,
            rules,
            seeds,
            trainer,
            budget_of=budget_of,
            progress=progress,
            report=console.print,
        )
    write_claims(rows, folder)
    print_claims(rows, console)
    console.print(f"results  {from_here(folder)}", highlight=False, soft_wrap=True)
    return Ended(answer={"run": folder, **to_plain(rows)})


def _method(config: ClaimsConfig) -> Method:
    """The method that repairs, with all actions, or a policy with its own."""
    if config.method == POLICY:
        return policy_method(str(config.policy))

    def no_order() -> tuple[str, ...]:
        raise MethodError(
            "fixed_order needs an order found on training bugs; compare it with netmend evaluate"
        )

    return BASELINES[config.method](Ingredients(actions=tuple(CATALOGUE.values()), order=no_order))

"""``netmend bugs claims``: count what ``repair`` says of good and faulty programs, and what is not so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.bugs_config import OWN_LENGTH, ClaimsConfig, check_claims
from netmend.agents.claims import Case, Row, Share, cases, groups, measure, shares, unconfirmed, write_claims
from netmend.agents.config import BugsConfig, make_rules, stated, typed
from netmend.agents.folders import shown
from netmend.agents.length import confirming_budget, trial_budget
from netmend.agents.methods import Method, MethodError, PolicyMethod
from netmend.agents.policy import load_policy
from netmend.agents.progress import make_round_progress
from netmend.agents.runner import open_suite, open_trainer
from netmend.agents.tables import FILE_WIDTH, METHOD_WIDTH, widen
from netmend.env.bugs.bug import Suite
from netmend.env.data import load_dataset
from netmend.env.errors import UnknownNameError
from netmend.env.training.trial import Budget
from netmend.repair_actions import CATALOGUE

POLICY = "policy"


def claims_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """Repair, check what was claimed, print the table, write both files into the run's folder."""
    config = typed(composed, ClaimsConfig)
    check_claims(config)
    console = Console()
    method = _method(config)
    programs = cases(_suites(config, console), config.split, good=config.good)[: config.limit]
    budget_of = None
    if config.length == OWN_LENGTH:
        programs = tuple(_at_own_length(case) for case in programs)
        budget_of = confirming_budget(stated(config.budget))
    rules = make_rules(config.budget, Budget(), config.keep)
    seeds = range(config.seed, config.seed + config.seeds)
    with open_trainer(config.training, config.data_dir) as trainer, make_round_progress(console) as progress:
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
    console.print(f"results  {shown(folder)}", highlight=False, soft_wrap=True)


def print_claims(rows: Sequence[Row], console: Console) -> None:
    """Print the table of all groups and the claims that were not confirmed."""
    widen(console, max(FILE_WIDTH, METHOD_WIDTH * (len(groups(rows)) + 1)))
    console.print(claims_table(rows))
    for row in unconfirmed(rows):
        console.print(_line(row), markup=False, highlight=False, soft_wrap=True)


def claims_table(rows: Sequence[Row]) -> Table:
    """One column for each suite, the good programs and all of them."""
    by_name = groups(rows)
    table = Table(
        title=f"what repair says of {len(rows)} repairs, and whether it is so",
        caption="In brackets: exact 95% interval. A claim is confirmed where three other seeds find "
        "the gain again on the hold-out part.",
    )
    table.add_column("")
    for name in by_name:
        table.add_column(name, justify="right")
    for severity in ("fault", "warning"):
        counts = (str(sum(row.count(severity) for row in own)) for own in by_name.values())
        table.add_row(f"findings: {severity}s", *counts)
    counted = [shares(own) for own in by_name.values()]
    for title in counted[0]:
        table.add_row(title, *(_cell(found[title]) for found in counted))
    return table


def _cell(share: Share) -> str:
    low, high = share.interval
    return f"{share.count} of {share.of} ({100 * low:.1f}-{100 * high:.1f}%)" if share.of else "-"


def _line(row: Row) -> str:
    confirmation, fresh = row.result.confirmation, row.fresh
    assert confirmation is not None
    assert fresh is not None
    gains = f"{confirmation.gain:+.3f} claimed, {fresh.gain:+.3f} in the fresh run"
    patch = ", ".join(row.result.answer.proposal.patch)
    return f"not confirmed: {row.case.bug.id}, seed {row.result.outcome.seed}: {gains} ({patch})"


def _at_own_length(case: Case) -> Case:
    program = case.bug.program
    budget = trial_budget(program, load_dataset(program.data.dataset))
    return replace(case, bug=replace(case.bug, budget=budget))


def _suites(config: ClaimsConfig, console: Console) -> list[Suite]:
    names = [name.strip() for name in config.suite.split("+")]
    return [open_suite(BugsConfig(suite=name), console, config.data_dir) for name in names]


def _method(config: ClaimsConfig) -> Method:
    """The method that repairs, with all actions, or a policy with its own."""
    if config.method == POLICY:
        policy = load_policy(str(config.policy))
        return PolicyMethod(policy, policy.repair_actions())
    if config.method not in BASELINES:
        raise UnknownNameError("method", config.method, (POLICY, *BASELINES))
    return BASELINES[config.method](Ingredients(actions=tuple(CATALOGUE.values()), order=_no_order))


def _no_order() -> tuple[str, ...]:
    raise MethodError("fixed_order needs an order found on training bugs; compare it with netmend evaluate")

"""``netmend evaluate`` and ``netmend repair``: from configuration to what does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.baselines.fixed_order import find_order, load_order, save_order
from netmend.agents.config import (
    ActionsConfig,
    ConfigError,
    EvaluateConfig,
    RepairConfig,
    budget_problems,
    check_repair,
    make_rules,
    runner_problems,
    split_problems,
    stated,
    typed,
)
from netmend.agents.evaluate import Evaluation, evaluate, task_of
from netmend.agents.folders import shown
from netmend.agents.length import confirming_budget, trial_budget
from netmend.agents.methods import Method, MethodError, PolicyMethod
from netmend.agents.named_bug import find_bug
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.policy import load_policy
from netmend.agents.progress import make_round_progress
from netmend.agents.repair import repair
from netmend.agents.repair_page import print_repair, write_offer
from netmend.agents.runner import open_suite, open_trainer, workers_of
from netmend.agents.tables import print_summary
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.data import load_dataset
from netmend.env.errors import UnknownNameError
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Trainer
from netmend.repair_actions import RepairAction, select

POLICY, FIXED_ORDER = "policy", "fixed_order"
SEARCHED = ("train", "validation")
"""Splits whose bugs decide what an agent becomes."""

SUGGESTIONS = "suggestions.sqlite"
"""File beside the store of trials with what searches over hyper-parameters suggested."""

ORDER = "fixed_order.yaml"
"""File that an evaluation writes beside its results."""

UNREPAIRED = 3
"""Exit status of a repair after which there is nothing to offer."""


def evaluate_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """The verb ``evaluate``: compare methods, write results into the run's folder, print the table."""
    config = typed(composed, EvaluateConfig)
    _check_evaluate(config)
    console = Console()
    suite = open_suite(config.bugs, console, config.data_dir)
    bugs = _bugs(suite, config)
    policy = _policy_method(config.policy) if POLICY in config.methods and config.policy else None
    actions = _actions(config.actions, policy, console)
    with open_trainer(config.training, config.data_dir) as trainer, _suggestions(config) as suggestions:
        rules = make_rules(config.budget, suite.budget, config.keep)

        def order() -> tuple[str, ...]:
            return _order(config, suite, actions, rules, trainer, folder, console)

        ingredients = Ingredients(actions=actions, order=order, suggestions=suggestions)
        methods, missing = _methods(config.methods, policy, ingredients)
        evaluation = Evaluation(
            bugs=bugs,
            methods=methods,
            rules=rules,
            seeds=tuple(range(config.seed, config.seed + config.seeds)),
            seen=frozenset(bug.program.data.dataset for name in SEARCHED for bug in suite.split(name)),
            minimise=config.minimise,
            work=config.budget.total_work,
            missing=missing,
        )
        with make_round_progress(console) as progress:
            summary = evaluate(evaluation, trainer, folder, progress=progress)
    print_summary(summary, console)
    console.print(f"results  {shown(folder)}", highlight=False, soft_wrap=True)


def repair_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> int:  # noqa: ARG001
    """The verb ``repair``: repair one bug, say what was found and done, write the program that is offered.

    Returns:
        0, or ``UNREPAIRED`` where there is nothing to offer.
    """
    config = typed(composed, RepairConfig)
    check_repair(config)
    bug, suite_budget = find_bug(config.bug, config.bugs.suite)
    method = _policy_method(config.policy)
    with open_trainer(config.training, config.data_dir) as trainer:
        data = load_dataset(bug.program.data.dataset)
        own = suite_budget is None and bug.budget is None
        budget = suite_budget or (trial_budget(bug.program, data) if own else Budget())
        rules = make_rules(config.budget, budget, config.keep)
        confirming = confirming_budget(stated(config.budget)) if own else None
        result = repair(bug, method, trainer, rules, seed=config.seed, budget_of=confirming)
    console = Console()
    print_repair(result, console, budget=rules.of(bug).budget)
    written = write_offer(result, folder)
    if written is None:
        return UNREPAIRED
    console.print(f"{written.stem} program  {shown(written)}", highlight=False, soft_wrap=True)
    return 0


def _check_evaluate(config: EvaluateConfig) -> None:
    problems = [
        *budget_problems(config.budget, by_work=True),
        *runner_problems(config.training),
        *split_problems(config.split),
    ]
    if POLICY in config.methods and config.policy is None:
        problems.append("policy: name the folder of a training run, or leave 'policy' out of methods")
    if config.suggestion_seconds <= 0:
        problems.append(f"suggestion_seconds: {config.suggestion_seconds} is not above 0")
    if not config.methods:
        problems.append("methods: name at least one method")
    if len(set(config.methods)) < len(config.methods):
        problems.append("methods: name each method once")
    problems += [
        f"{key}: {value} is below 1" for key, value in _counts(config) if value is not None and value < 1
    ]
    if problems:
        raise ConfigError(problems)
    for name in config.methods:
        if name not in (POLICY, *BASELINES):
            raise UnknownNameError("method", name, (POLICY, *BASELINES))


def _counts(config: EvaluateConfig) -> tuple[tuple[str, int | None], ...]:
    return ("seeds", config.seeds), ("limit", config.limit), ("order_trials", config.order_trials)


def _bugs(suite: Suite, config: EvaluateConfig) -> tuple[Bug, ...]:
    bugs = suite.split(config.split)
    if not bugs:
        raise ConfigError([f"split: suite {suite.name!r} has no bugs in split {config.split!r}"])
    if FIXED_ORDER in config.methods and config.order is None and not suite.split("train"):
        raise ConfigError(
            [
                f"order: suite {suite.name!r} has no training bugs to find the order of {FIXED_ORDER} on; "
                f"give one with order=FILE, or leave {FIXED_ORDER} out of methods"
            ]
        )
    return bugs[: config.limit]


def _actions(
    config: ActionsConfig, policy: PolicyMethod | None, console: Console
) -> tuple[RepairAction, ...]:
    """The actions of the baselines: the policy's own where the configuration leaves all of them open."""
    if policy is not None and config.names == ActionsConfig().names:
        return policy.actions
    actions = select(config.names)
    if policy is not None and set(actions) != set(policy.actions):
        console.print(
            f"warning: the baselines have {len(actions)} actions, the policy its own {len(policy.actions)}; "
            "without actions=... they have the same",
            soft_wrap=True,
        )
    return actions


def _methods(
    names: Sequence[str], policy: PolicyMethod | None, ingredients: Ingredients
) -> tuple[tuple[Method, ...], dict[str, str]]:
    """The methods by name, and why some of them cannot be built here."""
    methods: list[Method] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            methods.append(policy if name == POLICY and policy is not None else BASELINES[name](ingredients))
        except MethodError as error:
            missing[name] = str(error)
    return tuple(methods), missing


def _suggestions(config: EvaluateConfig) -> SuggestionPool:
    """Where searches over hyper-parameters work; what they suggest is kept beside the store of trials."""
    store = config.training.store
    cache = Path(store).parent / SUGGESTIONS if store else None
    return SuggestionPool(workers_of(config.training), cache, config.suggestion_seconds)


def _order(
    config: EvaluateConfig,
    suite: Suite,
    actions: tuple[RepairAction, ...],
    rules: Rules,
    trainer: Trainer,
    folder: Path,
    console: Console,
) -> tuple[str, ...]:
    if config.order is not None:
        return load_order(Path(config.order))
    bugs, most = suite.split("train"), config.order_trials
    console.print(f"finding the order of {FIXED_ORDER} on the training bugs: at most {most} trials")
    found = find_order(bugs, actions, rules, trainer, task_of, trials=most, seed=config.seed)
    save_order(folder / ORDER, found)
    return found


def _policy_method(folder: str) -> PolicyMethod:
    """The policy with the very actions that it was trained with."""
    policy = load_policy(folder)
    return PolicyMethod(policy, policy.repair_actions())

"""``netmend evaluate``: compare methods on bugs that no agent has seen."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.baselines.fixed_order import find_order, load_order, save_order
from netmend.agents.evaluate import SUMMARY, evaluate
from netmend.agents.explain import Explanation, print_explanations
from netmend.agents.lockstep import Evaluation
from netmend.agents.methods import Method, MethodError, PolicyMethod
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.policy import DEFAULT
from netmend.agents.progress import StageProgress, ToldTrainer, make_round_progress, time_left
from netmend.agents.repair_one import policy_method
from netmend.agents.summary import print_summary
from netmend.agents.verbs.config import (
    ActionsConfig,
    ConfigError,
    RepairingConfig,
    above_zero,
    at_least,
    make_rules,
    require_policy,
    split_problems,
)
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.hydra_job import run_job
from netmend.agents.verbs.opening import open_suite, open_trainer, workers_of
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.errors import UnknownNameError
from netmend.env.reward import Rules
from netmend.env.script.suite import is_suite, read_suite
from netmend.env.training.store_server import URL
from netmend.env.training.trial import Trainer
from netmend.env.writing import from_here
from netmend.repair_actions import CATALOGUE, RepairAction, select

POLICY, FIXED_ORDER = "policy", "fixed_order"
SEARCHED = ("train", "validation")
"""Splits whose bugs decide what an agent becomes."""

SUGGESTIONS = "suggestions.sqlite"
"""File beside the store of trials with what searches over hyper-parameters suggested."""

ORDER = "fixed_order.yaml"
"""File that an evaluation writes beside its results."""


@dataclass
class EvaluateConfig(RepairingConfig):
    """``netmend evaluate``.

    Attributes:
        methods: names of the methods to compare. ``policy`` is the trained agent.
        policy: ``default``, the policy of the package, or the folder of a training run or of its policy.
            Several are joined with ``+``; all but the first are called by their folders' names.
        split: which bugs: ``train``, ``validation`` or ``held-out``.
        seeds: how often each method repairs each bug, with the seeds from ``seed`` on.
        limit: most bugs, the first of the split. null = all.
        order: file with the order of ``fixed_order``. null = find it on the training bugs.
        order_trials: most trials that are spent to find it.
        lockstep: whether each repair waits until all other repairs have had their trial too. ``false``
            keeps many workers busy.
        minimise: whether patches that are made of repair actions are minimised. Those trials are charged.
        explain: whether to look into why repairs fixed nothing, once all are done.
        suggestion_seconds: time limit of a suggestion by a search over hyper-parameters. If it takes
            longer, its repair ends.
    """

    ends_by_work = True
    actions: ActionsConfig = field(default_factory=ActionsConfig)
    methods: list[str] = field(default_factory=lambda: [POLICY, "random", "defaults", "rewrite", FIXED_ORDER])
    policy: str | None = DEFAULT
    split: str = "held-out"
    seeds: int = 1
    limit: int | None = None
    order: str | None = None
    order_trials: int = 2000
    lockstep: bool = True
    minimise: bool = True
    explain: bool = False
    suggestion_seconds: float = 600.0

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems() + self.actions.problems() + split_problems(self)
        found += above_zero(self, "suggestion_seconds")
        if POLICY in self.methods and self.policy is None:
            found.append("policy: name the folder of a training run, or leave 'policy' out of methods")
        if not self.methods:
            found.append("methods: name at least one method")
        if len(set(self.methods)) < len(self.methods):
            found.append("methods: name each method once")
        return found + at_least(1, self, "seeds", "limit", "order_trials")

    def require(self) -> None:
        """Look up the suite, or the scripts, the methods and the policy that are named."""
        if is_suite(Path(self.bugs)):
            read_suite(Path(self.bugs))
        else:
            super().require()
        for name in self.methods:
            require_method(name)
        if POLICY in self.methods and self.policy is not None:
            for name in self.policy.split("+"):
                require_policy(name)


def evaluate_verb(words: Sequence[str]) -> Ended:
    """Run the verb."""
    return run_job("evaluate", words, EvaluateConfig, evaluate_job)


def evaluate_job(config: EvaluateConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Compare methods, or repair scripts; write results into the run's folder, print the table."""
    console = Console()
    if is_suite(Path(config.bugs)):
        return _evaluate_scripts(config, folder, console)
    suite = open_suite(config, console)
    bugs = _bugs(suite, config)
    policies = _policies(config.policy) if POLICY in config.methods and config.policy else ()
    actions = _actions(config.actions, policies[0] if policies else None, console)
    explanations: list[Explanation] = []
    with open_trainer(config) as trainer, _suggestions(config) as suggestions:
        rules = make_rules(config.budget, suite.budget, config.keep)

        def order() -> tuple[str, ...]:
            return _order(config, suite, actions, rules, trainer, folder, console)

        methods, missing = _methods(
            config.methods, policies, Ingredients(actions=actions, order=order, suggestions=suggestions)
        )
        evaluation = Evaluation(
            bugs=bugs,
            methods=methods,
            rules=rules,
            seeds=tuple(range(config.seed, config.seed + config.seeds)),
            seen=frozenset(bug.program.data.dataset for name in SEARCHED for bug in suite.split(name)),
            minimise=config.minimise,
            work=config.budget.total_work,
            missing=missing,
            lockstep=config.lockstep,
        )
        with make_round_progress(console) as progress:
            explained = explanations.extend if config.explain else None
            summary = evaluate(evaluation, trainer, folder, progress, explained)
    print_summary(summary, console)
    if config.explain:
        print_explanations(explanations, console)
    console.print(f"results  {from_here(folder)}", highlight=False, soft_wrap=True)
    return Ended(
        answer={"run": folder, **json.loads((folder / SUMMARY).read_text())},
        then=f"netmend report {from_here(folder)}",
    )


def _evaluate_scripts(config: EvaluateConfig, folder: Path, console: Console) -> Ended:
    """Repair the scripts of a folder with the policy: the other methods do not work on scripts."""

    from netmend.agents.script_repair.evaluation import (
        RESULTS,
        Judged,
        evaluate_scripts,
        table_of,
        write_results,
    )

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    cases = [case for case in read_suite(Path(config.bugs)) if case.split in ("", config.split)]
    cases = cases[: config.limit]
    method = policy_method((config.policy or DEFAULT).split("+")[0])
    judged: list[Judged] = []
    begun = time.monotonic()
    for one in evaluate_scripts(cases, method, config.keep, config.budget.trials, tell):
        judged.append(one)
        write_results(folder / RESULTS, judged)
        left = time_left(time.monotonic() - begun, len(judged), len(cases) - len(judged))
        tell(f"{len(judged)} of {len(cases)}  {one.case}: {one.claim}  {left}")
    table_of(judged).show(console)
    console.print(f"results  {from_here(folder)}", highlight=False, soft_wrap=True)
    return Ended(answer={"run": folder, "scripts": judged})


def require_method(name: str) -> None:
    """Raise UnknownNameError where there is no such method."""
    if name not in (POLICY, *BASELINES):
        raise UnknownNameError("method", name, (POLICY, *BASELINES))


def _policies(names: str) -> tuple[PolicyMethod, ...]:
    """The first of several policies is ``policy``, each of the others ``policy`` and its folder's name."""
    first, *others = names.split("+")
    named = {f"{POLICY} {Path(name).name}": name for name in others}
    if len(named) < len(others):
        raise ConfigError([f"policy: {names} names two policies with one name"])
    return (policy_method(first), *(replace(policy_method(own), name=name) for name, own in named.items()))


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
    """The actions of the baselines: the policy's own where the configuration leaves all of them open.

    Recipes are methods beside the baselines by actions and not among their actions.
    """
    own = () if policy is None else tuple(one for one in policy.actions if one.name in CATALOGUE)
    if policy is not None and config.names == ActionsConfig().names:
        return own
    actions = select(config.names)
    if policy is not None and set(actions) != set(own):
        console.print(
            f"warning: the baselines have {len(actions)} actions, the policy its own {len(own)}; "
            "without actions=... they have the same",
            soft_wrap=True,
        )
    return actions


def _methods(
    names: Sequence[str], policies: Sequence[PolicyMethod], ingredients: Ingredients
) -> tuple[tuple[Method, ...], dict[str, str]]:
    """The methods by name, and why some of them cannot be built here."""
    methods: list[Method] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            methods += policies if name == POLICY else [BASELINES[name](ingredients)]
        except MethodError as error:
            missing[name] = str(error)
    return tuple(methods), missing


def _suggestions(config: EvaluateConfig) -> SuggestionPool:
    """Where searches over hyper-parameters work; what they suggest is kept beside the store of trials."""
    store = config.training.store
    cache = Path(store).parent / SUGGESTIONS if store and not URL.match(store) else None
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
    with closing(StageProgress(console)) as tell:
        told = ToldTrainer(trainer, tell)
        found = find_order(bugs, actions, rules, told, trials=most, seed=config.seed)
    save_order(folder / ORDER, found)
    return found

"""Configuration of the verbs: typed schemas for ``conf/`` and the checks that types cannot make.

Importing this costs no torch, so that ``--help`` is quick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, OmegaConf

from netmend.env.bugs.bug import SPLITS
from netmend.env.errors import NetmendError
from netmend.env.reward import LIMITS, Rules
from netmend.env.training.trial import Budget
from netmend.repair_actions.keep import check_keep

DEVICE = re.compile(r"cpu|cuda(:\d+)?")
Config = TypeVar("Config")
NETWORK_ACTIVATIONS = ("tanh", "relu")


class ConfigError(NetmendError):
    """The configuration is wrong.

    Attributes:
        problems: every problem found, each starting with the path of its key.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            super().__init__(f"configuration: {self.problems[0]}")
        else:
            lines = "".join(f"\n  - {problem}" for problem in self.problems)
            super().__init__(f"configuration: {len(self.problems)} problems{lines}")


@dataclass
class AgentConfig:
    """Which Stable-Baselines3 algorithm, with what network.

    Attributes:
        algorithm: name in ``netmend.agents.algorithms.ALGORITHMS``.
        n_envs: repairs that run side by side.
        network: units of the hidden layers.
        activation: of the hidden layers, tanh or relu.
        weight_decay: decoupled (AdamW), so that the policy generalises from few bugs.
        anneal: whether the learning rate falls linearly to 0 over the training.
        params: passed to the algorithm's class as they stand.
    """

    algorithm: str = MISSING
    n_envs: int = 16
    network: list[int] = field(default_factory=lambda: [128, 128])
    activation: str = "tanh"
    weight_decay: float = 0.0
    anneal: bool = False
    params: dict[str, Any] = field(default_factory=dict)


@dataclass
class BugsConfig:
    """Where the bugs come from.

    Attributes:
        suite: a suite's name or the path of a folder of bug files.
        without: the same of bugs that an agent will be measured on: all bugs on their datasets are left out.
    """

    suite: str = MISSING
    without: str | None = None


@dataclass
class ActionsConfig:
    """Names or patterns (``activation/*``) of the repair actions that an agent may use."""

    names: list[str] = field(default_factory=lambda: ["*"])


@dataclass
class BudgetConfig:
    """What a repair may spend.

    Attributes:
        trials: most trials of one repair.
        price: what a trial costs in reward, in skill.
        part_price: what each replaced part of the program costs in reward, in skill: a setting is one part, a
            layer two, a network twice its number of layers.
        tolerance: loss of skill from which an edit is taken back.
        samples, epochs, updates: of one training; null = as the suite was verified with, like the next two.
        work: most millions of multiply-accumulates of one training (forward and backward, counted before it
            starts); what asks for more gets fewer updates.
        seeds: trainings of which a trial is the mean; they cost one trial, and little more time than one.
            With k of them a trial's seed s stands for the seeds s·k to s·k+k-1.
        total_work: of ``netmend evaluate`` alone: a repair ends once its trainings took so many times the
            work of the faulty program's own; null = no such limit, and none where that one did no work.
    """

    trials: int = 5
    price: float = 0.005
    part_price: float = 0.01
    tolerance: float = 0.05
    samples: int | None = None
    epochs: int | None = None
    updates: int | None = None
    work: float | None = None
    seeds: int | None = None
    total_work: float | None = None


@dataclass
class RunnerConfig:
    """Who trains the trials.

    Attributes:
        workers: processes; 0 = in this one, null = one for each core.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        batched: whether programs that can share a computation are trained together.
        memory: mebibytes that such a group may take, in each process; null = a bound that suits the device.
        store: SQLite file of finished trials, shared by all runs; null = none.
    """

    workers: int | None = None
    device: str = "cpu"
    batched: bool = True
    memory: int | None = None
    store: str | None = "runs/trials.sqlite"


@dataclass
class TrainingConfig(RunnerConfig):
    """How long to train and what to write meanwhile.

    Attributes:
        steps: environment steps in all; rounded up to whole updates.
        trial_seeds: an episode's trials use one of this many seeds.
        checkpoint_every: updates between checkpoints.
        validate_every: updates between looks at the validation bugs; 0 = only at the end.
        validation_bugs: most validation bugs per look.
        traces: repairs written out as text at each look.
        shuffle_rewards: permute the rewards within each rollout: a control in which nothing can be learned.
    """

    steps: int = 20_000
    trial_seeds: int = 1
    checkpoint_every: int = 20
    validate_every: int = 40
    validation_bugs: int = 50
    traces: int = 3
    shuffle_rewards: bool = False


@dataclass
class TrainConfig:
    """``netmend train``.

    Attributes:
        keep: what no edit may touch: ``architecture``, ``data``, ``frozen``, ``labels``, or names of actions
            and patterns of names.
        seed: of the agent and of the bugs that it meets.
        data_dir: folder of the data packs; null = the variable NETMEND_DATA.
        resume: folder of a run that was cut off.
    """

    agent: AgentConfig = field(default_factory=AgentConfig)
    bugs: BugsConfig = field(default_factory=BugsConfig)
    actions: ActionsConfig = field(default_factory=ActionsConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    keep: list[str] = field(default_factory=list)
    seed: int = 0
    data_dir: str | None = None
    resume: str | None = None


@dataclass
class EvaluateConfig:
    """``netmend evaluate``.

    Attributes:
        methods: names of the methods to compare; ``policy`` is the trained agent.
        policy: folder of a training run or of its policy.
        split: which bugs.
        seeds: repairs of each bug by each method, with the seeds from ``seed`` on.
        limit: at most this many bugs, the first of the split; null = all.
        order: file with the order of ``fixed_order``; null = found on the training bugs.
        order_trials: most trials that finding it may ask for.
        minimise: whether patches that are made of repair actions are minimised; those trials are charged.
        suggestion_seconds: after which a suggestion of a search over hyper-parameters is given up, and its
            repair with it.
        keep: see ``TrainConfig``; it holds for every method.
    """

    bugs: BugsConfig = field(default_factory=BugsConfig)
    actions: ActionsConfig = field(default_factory=ActionsConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    training: RunnerConfig = field(default_factory=RunnerConfig)
    methods: list[str] = field(default_factory=list)
    policy: str | None = None
    split: str = "held-out"
    seeds: int = 1
    limit: int | None = None
    order: str | None = None
    order_trials: int = 2000
    minimise: bool = True
    suggestion_seconds: float = 600.0
    keep: list[str] = field(default_factory=list)
    seed: int = 0
    data_dir: str | None = None


@dataclass
class RepairConfig:
    """``netmend repair``.

    Attributes:
        bug: path of a bug file, or the id of a bug of the suite.
        policy: folder of a training run or of its policy.
        keep: what no edit may touch; see ``TrainConfig``.
        seed: of the trials.
    """

    bugs: BugsConfig = field(default_factory=BugsConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    training: RunnerConfig = field(default_factory=RunnerConfig)
    bug: str = MISSING
    policy: str = MISSING
    keep: list[str] = field(default_factory=list)
    seed: int = 0
    data_dir: str | None = None


@dataclass
class BenchConfig:
    """``netmend bench``.

    Attributes:
        rows: which rows of the engine's table to measure; null = all that the device can run.
        programs: trained together in a row; half of it where trainings are longer, four times on a GPU.
        repeats: of each measurement, the ways in turns.
        workers: worker processes of the rows on several cores.
        growth_to: most programs in one call of the row ``growth``.
        memory: MiB that a group of the engine may take in the row ``memory``.
        device: ``cuda`` or ``cuda:N`` adds the rows on a GPU; the others stay on the CPU.
        seed: of the programs and the trials.
    """

    rows: list[str] | None = None
    programs: int = 64
    repeats: int = 3
    workers: int = 2
    growth_to: int = 4096
    memory: int = 32
    device: str = "cpu"
    seed: int = 0


def typed(composed: DictConfig, kind: type[Config]) -> Config:
    """Typed configuration from a composed one.

    Raises:
        ConfigError: values are missing, or keys that the verb does not know were added with ``+key=value``.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError([f"{path}: say it with {path}=..." for path in missing])
    config = OmegaConf.to_object(composed)
    assert isinstance(config, kind)
    unknown = list(_unknown_keys(config))
    if unknown:
        raise ConfigError([f"{path}: there is no such key" for path in unknown])
    return config


def _unknown_keys(config: object, prefix: str = "") -> Iterator[str]:
    """Paths of the attributes of nested dataclasses that are not their fields."""
    known = {entry.name for entry in fields(config)} if is_dataclass(config) else set()
    for key, value in vars(config).items():
        if key not in known:
            yield f"{prefix}{key}"
        elif is_dataclass(value):
            yield from _unknown_keys(value, f"{prefix}{key}.")


def make_rules(config: BudgetConfig, suite_budget: Budget, keep: Sequence[str] = ()) -> Rules:
    """Rules of every repair: the trial budget of bug or suite where the configuration leaves it open.

    Raises:
        UnknownNameError: ``keep`` names neither a part of a program nor an action.
    """
    check_keep(keep)
    changes = stated(config)
    return Rules(
        trials=config.trials,
        budget=replace(suite_budget, **changes),
        open_limits=LIMITS - changes.keys(),
        price=config.price,
        part_price=config.part_price,
        tolerance=config.tolerance,
        keep=tuple(keep),
    )


def stated(config: BudgetConfig) -> dict[str, Any]:
    """The limits of a trial that the configuration sets, by name; the others are left open."""
    wanted = {name: getattr(config, name) for name in LIMITS}
    return {name: value for name, value in wanted.items() if value is not None}


def check_repair(config: RepairConfig) -> None:
    """Refuse values that make no sense. Raises ConfigError with every problem."""
    problems = budget_problems(config.budget) + runner_problems(config.training)
    problems += at_least("seed", config.seed, 0)
    if problems:
        raise ConfigError(problems)


def check_train(config: TrainConfig) -> None:
    """Refuse values that their types allow but that make no sense; all of them at once.

    Raises:
        ConfigError: naming every problem with the path of its key.
    """
    problems = [*_agent(config.agent), *budget_problems(config.budget), *runner_problems(config.training)]
    training = config.training
    for key, least in (
        ("steps", 1),
        ("trial_seeds", 1),
        ("checkpoint_every", 1),
        ("validate_every", 0),
        ("validation_bugs", 0),
        ("traces", 0),
    ):
        problems += at_least(f"training.{key}", getattr(training, key), least)
    problems += at_least("seed", config.seed, 0)
    if not config.actions.names:
        problems.append("actions.names: name at least one action")
    if problems:
        raise ConfigError(problems)


def check_bench(config: BenchConfig) -> None:
    """Refuse values that their types allow but that make no sense; all of them at once.

    Raises:
        ConfigError: naming every problem with the path of its key.
    """
    problems = at_least("programs", config.programs, 2) + at_least("seed", config.seed, 0)
    for key in ("repeats", "workers", "growth_to", "memory"):
        problems += at_least(key, getattr(config, key), 1)
    problems += _device_problems("device", config.device)
    if problems:
        raise ConfigError(problems)


def budget_problems(config: BudgetConfig, *, by_work: bool = False) -> list[str]:
    """What is wrong with a budget, by key; ``by_work``: whether a repair may end by its work."""
    problems = at_least("budget.trials", config.trials, 1) + at_least("budget.price", config.price, 0)
    problems += at_least("budget.part_price", config.part_price, 0)
    problems += at_least("budget.tolerance", config.tolerance, 0)
    for key in ("samples", "epochs", "updates", "seeds"):
        problems += at_least(f"budget.{key}", getattr(config, key), 1)
    for key in ("work", "total_work"):
        value = getattr(config, key)
        if value is not None and not value > 0:
            problems.append(f"budget.{key}: {value} is not above 0")
    if config.total_work is not None and not by_work:
        problems.append("budget.total_work: netmend evaluate alone ends repairs by their work")
    return problems


def runner_problems(config: RunnerConfig) -> list[str]:
    """What is wrong with the choice of who trains, by key."""
    problems = at_least("training.workers", config.workers, 0) + at_least("training.memory", config.memory, 1)
    return problems + _device_problems("training.device", config.device)


def split_problems(split: str) -> list[str]:
    """What is wrong with the name of a split."""
    return [] if split in SPLITS else [f"split: {split!r} is none of {', '.join(SPLITS)}"]


def _agent(config: AgentConfig) -> Iterator[str]:
    yield from at_least("agent.n_envs", config.n_envs, 1)
    for index, units in enumerate(config.network):
        yield from at_least(f"agent.network[{index}]", units, 1)
    if config.activation not in NETWORK_ACTIVATIONS:
        yield f"agent.activation: {config.activation!r} is none of {', '.join(NETWORK_ACTIVATIONS)}"


def _device_problems(path: str, device: str) -> list[str]:
    return [] if DEVICE.fullmatch(device) else [f"{path}: {device!r} is none of cpu, cuda, cuda:N"]


def at_least(path: str, value: float | None, least: float) -> list[str]:
    """The problem of a number below the least that makes sense, if it is one."""
    return [] if value is None or value >= least else [f"{path}: {value} is below {least}"]

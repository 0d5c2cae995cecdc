"""Configuration that several verbs have in common, the checks that types cannot make, and what keys mean."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING as NO_DEFAULT, Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, TypeVar

from omegaconf import DictConfig, OmegaConf

from netmend.agents.policy import load_policy
from netmend.env.bugs.bug import SPLITS
from netmend.env.bugs.loading import load_suite
from netmend.env.errors import ProblemsError
from netmend.env.program.limits import BUDGETS
from netmend.env.reward import LIMITS, Rules
from netmend.env.training.front import ENGINES, LOCAL, RAY
from netmend.env.training.ray_trainer import require_ray
from netmend.env.training.trial import Budget
from netmend.repair_actions import CATALOGUE, RepairAction, select
from netmend.repair_actions.keep import check_keep

DEVICE = re.compile(r"cpu|cuda(:\d+)?")
KEY = re.compile(r"^ {4,8}(\w+(?:, \w+)*): (.*)$")
"""A line of a docstring's list of attributes that begins a new one."""
MOST, MOST_TRIALS = 2**31 - 1, 10_000
"""The largest whole number that makes sense anywhere, and as the trials of a repair."""


class ConfigError(ProblemsError):
    """The configuration is wrong; each problem starts with the path of its key."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("configuration", problems)


@dataclass
class VerbConfig:
    """What every configuration of a verb has: ways to say what is wrong with it."""

    def problems(self) -> list[str]:
        """What the types allow but makes no sense, each with the path of its key."""
        return []

    def require(self) -> None:
        """Raise NetmendError where something small that is named is not there, before anything is made."""


@dataclass
class ActionsConfig:
    """Which repair actions there are.

    Attributes:
        names: names or patterns (``activation/*``) of the actions that an agent may use. A ``!`` in front
            leaves out what follows it (``!recipe/*``).
    """

    names: list[str] = field(default_factory=lambda: ["*"])

    def problems(self, among: Mapping[str, RepairAction] = CATALOGUE) -> list[str]:
        """None of no actions. Raises UnknownNameError where a name names none of the known ones."""
        if not self.names:
            return ["actions.names: name at least one action"]
        return [] if select(self.names, among) else ["actions.names: leave at least one action"]


@dataclass
class BudgetConfig:
    """What a repair may spend.

    Attributes:
        trials: most trials of one repair.
        price: what a trial costs, in skill. It is taken from the reward.
        part_price: what each replaced part of the program costs, in skill. It is taken from the reward. A
            setting is one part, a layer two, a network twice its number of layers.
        tolerance: an edit is taken back if the skill of its trial is this much below the best so far.
        samples: most rows of one training. null = as many as the suite was verified with; so for the next
            three.
        epochs: most epochs of one training.
        updates: most updates of one training.
        work: most millions of multiply-accumulates of one training, forward and backward. They are counted
            before it starts. A program that asks for more gets fewer updates.
        seeds: number of trainings in a trial, which shows their mean. They cost one trial, and little more
            time than one. With k of them, a trial with seed s uses the seeds s·k to s·k+k-1.
        total_work: limit of a whole repair in ``netmend evaluate``: a repair ends once its trainings took
            so many times the work of the faulty program's own. null = no limit. There is none either if the
            faulty program does no work.
    """

    trials: int = Rules.trials
    price: float = Rules.price
    part_price: float = Rules.part_price
    tolerance: float = Rules.tolerance
    samples: int | None = None
    epochs: int | None = None
    updates: int | None = None
    work: float | None = None
    seeds: int | None = None
    total_work: float | None = None

    def problems(self, *, by_work: bool = False) -> list[str]:
        """By key; ``by_work``: whether a repair may end by its work."""
        found = at_least(1, self, "trials", path="budget.", most=MOST_TRIALS)
        found += at_least(0, self, "price", "part_price", "tolerance", path="budget.")
        for key in ("samples", "epochs", "updates", "seeds"):
            found += at_least(1, self, key, path="budget.", most=BUDGETS[key].high)
        found += above_zero(self, "work", "total_work", path="budget.")
        if self.total_work is not None and not by_work:
            found.append("budget.total_work: netmend evaluate alone ends repairs by their work")
        return found

    def stated(self) -> dict[str, Any]:
        """The limits of a trial that are set, by name; the others are left open."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}


@dataclass
class RayConfig:
    """The Ray cluster, where that is the engine.

    Attributes:
        address: address of a running Ray cluster; ``auto`` finds that of this machine. null = start one
            here, with ``training.workers`` CPUs.
    """

    address: str | None = None


@dataclass
class TrainerConfig:
    """Who trains the trials.

    Attributes:
        engine: ``local`` trains in processes of this machine, ``ray`` on a cluster (``pip install
            netmend[ray]``).
        workers: number of processes that train. 0 = train in this process, null = one process for each
            core.
        device: ``cpu``, ``cuda`` or ``cuda:N``. Small programs stay on the CPU anyway.
        compiled: whether compiled code trains what it can; the plain loop trains the rest. null = yes,
            except for a single program whose repair would be over before the code is compiled.
        store: SQLite file of finished trials, which all runs share, or ``postgresql://USER@HOST/NAME`` for
            runs on several machines (``pip install netmend[postgresql]``). null = keep none.
    """

    engine: str = LOCAL
    ray: RayConfig = field(default_factory=RayConfig)
    workers: int | None = None
    device: str = "cpu"
    compiled: bool | None = None
    store: str | None = "runs/trials.sqlite"

    def problems(self) -> list[str]:
        """By key."""
        least = 1 if self.engine == RAY else 0
        found = one_of(self, "engine", ENGINES, "training.")
        found += at_least(least, self, "workers", path="training.", most=4096)
        if self.ray.address is not None and self.engine != RAY:
            found.append("training.ray.address: goes with training.engine=ray")
        return found + device_problems("training.device", self.device)


@dataclass
class MeasuringConfig(VerbConfig):
    """What trains programs.

    Attributes:
        data_dir: folder of the data packs. null = the folder that NETMEND_DATA names.
    """

    training: TrainerConfig = field(default_factory=TrainerConfig)
    data_dir: str | None = None

    def problems(self) -> list[str]:
        """Those of the trainer, and a folder that is none."""
        there = not self.data_dir or os.path.isdir(self.data_dir)
        missing = [] if there else [f"data_dir: there is no folder {shortened(self.data_dir)}"]
        return self.training.problems() + missing

    def require(self) -> None:
        """Refuse Ray where it is not installed."""
        if self.training.engine == RAY:
            require_ray()


@dataclass
class RepairingConfig(MeasuringConfig):
    """What repairs bugs.

    Attributes:
        bugs: name of a suite, or path of a folder of bug files. Several are joined with ``+``.
        without: suite or folder that an agent will be measured on: bugs on any of its datasets are left
            out.
        keep: what no edit may touch: ``architecture``, ``data``, ``frozen``, ``labels``, or names and
            patterns of actions.
        seed: the first of the random seeds.
    """

    ends_by_work: ClassVar[bool] = False
    bugs: str = "mutants-v1"
    without: str | None = None
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    keep: list[str] = field(default_factory=list)
    seed: int = 0

    def problems(self) -> list[str]:
        """By key. Raises UnknownNameError where ``keep`` names nothing."""
        check_keep(self.keep)
        found = self.budget.problems(by_work=self.ends_by_work)
        return found + super().problems() + at_least(0, self, "seed")

    def require(self) -> None:
        """Look up the suites, and Ray where it is asked for."""
        super().require()
        load_suite(self.bugs)
        if self.without is not None:
            load_suite(self.without)


def make_rules(
    config: BudgetConfig, suite_budget: Budget, keep: Sequence[str] = (), *, compose: bool = False
) -> Rules:
    """Rules of every repair: the trial budget of bug or suite where the configuration leaves it open."""
    limits = config.stated()
    return Rules(
        trials=config.trials,
        budget=replace(suite_budget, **limits),
        open_limits=LIMITS - limits.keys(),
        price=config.price,
        part_price=config.part_price,
        tolerance=config.tolerance,
        keep=tuple(keep),
        compose=compose,
    )


Config = TypeVar("Config", bound=VerbConfig)


def check(config: VerbConfig) -> None:
    """Refuse values that make no sense. Raises ConfigError with every problem."""
    found = config.problems()
    if found:
        raise ConfigError(found)


def checked(composed: DictConfig, kind: type[Config]) -> Config:
    """Typed configuration from a composed one.

    Raises:
        ConfigError: values are missing or make no sense, or keys that the verb does not know were added with
            ``+key=value``.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        raise ConfigError([f"{path}: missing; set it with {path}=..." for path in missing])
    config = OmegaConf.to_object(composed)
    assert isinstance(config, kind)
    unknown = [f"{path}: there is no such key" for path in _unknown_keys(config)]
    if unknown:
        raise ConfigError(unknown)
    check(config)
    config.require()
    return config


def _unknown_keys(config: object, prefix: str = "") -> Iterator[str]:
    """Paths of the attributes of nested dataclasses that are not their fields."""
    known = {entry.name for entry in fields(config)} if is_dataclass(config) else set()
    for key, value in vars(config).items():
        if key not in known:
            yield f"{prefix}{key}"
        elif is_dataclass(value):
            yield from _unknown_keys(value, f"{prefix}{key}.")


def explained(kind: type[object], prefix: str = "") -> dict[str, str]:
    """What each key of a configuration means, by its path: from the docstrings of its classes.

    A key that no docstring explains has an empty text.
    """
    assert is_dataclass(kind)
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        texts |= _attributes(base.__doc__ or "")
    found: dict[str, str] = {}
    for entry in fields(kind):
        group = _group_of(entry)
        if group is None:
            found[f"{prefix}{entry.name}"] = texts.get(entry.name, "")
        else:
            found |= explained(group, f"{prefix}{entry.name}.")
    return found


def _group_of(entry: Field[Any]) -> type[object] | None:
    """The class of a key that has keys of its own."""
    default = None if entry.default_factory is NO_DEFAULT else entry.default_factory()
    return type(default) if is_dataclass(default) else None


def _attributes(docstring: str) -> Mapping[str, str]:
    """The texts of a list of attributes, by name."""
    found: dict[str, str] = {}
    names: tuple[str, ...] = ()
    for line in docstring.partition("Attributes:\n")[2].splitlines():
        if begun := KEY.match(line):
            names = tuple(begun[1].split(", "))
            found |= dict.fromkeys(names, begun[2])
        else:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return found


def at_least(least: float, config: object, *keys: str, path: str = "", most: float = MOST) -> list[str]:
    """What is wrong with the numbers under these keys: below what makes sense, or beyond."""
    found = []
    for key in keys:
        value = getattr(config, key)
        if value is not None and not least <= value <= most:
            bound = f"above {most:g}" if value > most else f"below {least}"
            found.append(f"{path}{key}: {shortened(value)} is {bound}")
    return found


def above_zero(config: object, *keys: str, path: str = "") -> list[str]:
    """The problems of the numbers under these keys that are not above 0, or no finite numbers."""
    known = [(key, getattr(config, key)) for key in keys]
    return [
        f"{path}{key}: {value} is not above 0"
        for key, value in known
        if value is not None and not 0 < value < math.inf
    ]


def one_of(config: object, key: str, known: Sequence[str], path: str = "") -> list[str]:
    """The problem of a word that is none of the known ones."""
    value = getattr(config, key)
    return [] if value in known else [f"{path}{key}: {shortened(value)!r} is not one of {', '.join(known)}"]


def split_problems(config: object) -> list[str]:
    """What is wrong with the name of a split."""
    return one_of(config, "split", SPLITS)


def device_problems(path: str, device: str) -> list[str]:
    """What is wrong with the name of a device."""
    known = DEVICE.fullmatch(device)
    return [] if known else [f"{path}: {shortened(device)!r} is not one of cpu, cuda, cuda:N"]


def require_policy(folder: str | None) -> None:
    """Raise PolicyError where there is no policy in a folder that is named."""
    if folder is not None:
        load_policy(folder)


def shortened(value: object, most: int = 80) -> str:
    """A value as a message shows it."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}..."

"""Configuration of the words of ``netmend bugs``: typed schemas and the checks that types cannot make."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING

from netmend.agents.config import (
    BudgetConfig,
    ConfigError,
    RunnerConfig,
    at_least,
    budget_problems,
    runner_problems,
    split_problems,
)

DEEPCRIME_TESTS = ("glm", "wilcoxon")
OWN_LENGTH = "own"
LENGTHS = ("suite", OWN_LENGTH)


@dataclass
class MakeBugsConfig:
    """``netmend bugs make``.

    Attributes:
        suite: name of the plan of the suite to make.
        seed: another one than the plan's own.
        out: file to write; the suite is called as it is.
        force: whether a file that is there may be replaced.
    """

    training: RunnerConfig = field(default_factory=RunnerConfig)
    suite: str = MISSING
    seed: int | None = None
    out: str = MISSING
    force: bool = False


@dataclass
class MeasureBugsConfig:
    """``netmend bugs verify`` and ``netmend bugs reachable``.

    Attributes:
        suite: whose bugs: a name, or the path of a folder of bug files.
        only: ids of some of them; null = all.
        seeds: trainings of each program.
        write: whether ``verify`` keeps what it measured in the folder of the bug files.
        search: whether ``reachable`` looks for sequences where none is on file that holds; it keeps them.
        longest: most actions of a sequence that it looks for.
    """

    training: RunnerConfig = field(default_factory=RunnerConfig)
    suite: str = MISSING
    only: list[str] | None = None
    seeds: int = 8
    write: bool = False
    search: bool = False
    longest: int = 4
    data_dir: str | None = None


@dataclass
class ClaimsConfig:
    """``netmend bugs claims``.

    Attributes:
        suite: whose bugs are repaired; several with ``+`` between them.
        method: that repairs them; ``policy`` is the trained agent.
        policy: folder of a training run or of its policy.
        split: which bugs.
        good: whether good programs are repaired too: the bases of mutants, and the published fixes of the
            suites' real bugs with a measured gain.
        seeds: repairs of each program, with the seeds from ``seed`` on.
        limit: at most this many programs, the first ones; null = all.
        length: of the trials: ``suite``, by the budgets of suite and bug, or ``own``, the program's own
            length wherever that takes seconds, as ``netmend repair`` trains a person's program.
        keep: what no edit may touch; see ``TrainConfig``.
    """

    budget: BudgetConfig = field(default_factory=BudgetConfig)
    training: RunnerConfig = field(default_factory=RunnerConfig)
    suite: str = MISSING
    method: str = "policy"
    policy: str | None = None
    split: str = "held-out"
    good: bool = True
    seeds: int = 3
    limit: int | None = None
    length: str = "suite"
    keep: list[str] = field(default_factory=list)
    seed: int = 0
    data_dir: str | None = None


@dataclass
class DeepCrimeConfig:
    """``netmend bugs deepcrime``.

    Attributes:
        program: the good program: file of a bug that has it as its program, or name of a base program.
        suite: in its place, a suite whose bug ``bug`` has the good program as its published fix.
        bug: id of that bug.
        operators: DeepCrime's ids; null = all 24.
        seeds: trainings of each program; DeepCrime takes 10 to 20.
        test: of the killing rule, ``glm`` or ``wilcoxon``.
    """

    training: RunnerConfig = field(default_factory=RunnerConfig)
    program: str | None = None
    suite: str | None = None
    bug: str | None = None
    operators: list[str] | None = None
    seeds: int = 10
    test: str = "glm"
    data_dir: str | None = None


def check_measure(config: MeasureBugsConfig) -> None:
    """Refuse numbers that make no sense. Raises ConfigError with every problem."""
    problems = runner_problems(config.training)
    problems += at_least("seeds", config.seeds, 5) + at_least("longest", config.longest, 1)
    if problems:
        raise ConfigError(problems)


def check_claims(config: ClaimsConfig) -> None:
    """Refuse what makes no sense. Raises ConfigError with every problem."""
    problems = budget_problems(config.budget) + runner_problems(config.training)
    problems += split_problems(config.split)
    problems += at_least("seeds", config.seeds, 1) + at_least("limit", config.limit, 1)
    problems += at_least("seed", config.seed, 0)
    if config.length not in LENGTHS:
        problems.append(f"length: {config.length!r} is none of {', '.join(LENGTHS)}")
    if (config.method == "policy") != (config.policy is not None):
        problems.append("policy: name the folder of a training run, or another method with method=")
    if problems:
        raise ConfigError(problems)


def check_deepcrime(config: DeepCrimeConfig) -> None:
    """Refuse what makes no sense. Raises ConfigError with every problem."""
    problems = runner_problems(config.training) + at_least("seeds", config.seeds, 5)
    if config.test not in DEEPCRIME_TESTS:
        problems.append(f"test: {config.test!r} is none of {', '.join(DEEPCRIME_TESTS)}")
    if (config.program is None) == (config.suite is None) or (config.suite is None) != (config.bug is None):
        problems.append(
            "program: name the good program, or with suite= and bug= a bug that has it as its fix"
        )
    if problems:
        raise ConfigError(problems)

"""``netmend bugs``: list the suites, show one or a bug of it, make one, and measure what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from netmend.agents.bugs_config import MakeBugsConfig, MeasureBugsConfig, check_measure
from netmend.agents.config import ConfigError, runner_problems, typed
from netmend.agents.hydra_run import run_job
from netmend.agents.runner import open_trainer
from netmend.env.bugs.bug import Suite
from netmend.env.bugs.command import list_suites, make, show
from netmend.env.bugs.loading import load_suite, suite_folder, suite_names
from netmend.env.errors import UnknownNameError

USAGE = """\
usage: netmend bugs                   list the suites
       netmend bugs show SUITE        list the bugs of a suite: a name or the path of a folder
       netmend bugs show SUITE BUG    show a bug: its faulty program and the published fix
       netmend bugs make suite=NAME out=FILE   make a suite; `netmend bugs make --help` shows the keys
       netmend bugs verify SUITE      train faulty programs and fixes: which bugs are as recorded?
       netmend bugs reachable SUITE   check that a few actions reach the fixes; search=true finds them
       netmend bugs claims SUITES     repair good and faulty programs: is what is said of them true?
       netmend bugs deepcrime program=NAME   search DeepCrime's 24 operators on a good program
       netmend bugs coverage          fix patterns and their actions, real bugs and what became of them
"""
WORDS = ("list", "show", "make", "verify", "reachable", "claims", "deepcrime", "coverage")
REAL = "real-v1"
"""The suite whose bugs ``coverage`` counts."""


def run_bugs(words: Sequence[str]) -> int:
    """Run the verb; returns the exit status.

    Raises:
        NetmendError: there is no such suite or bug, or the words make no sense.
    """
    match list(words):
        case [] | ["list"]:
            print(list_suites())
        case ["-h" | "--help", *_]:
            print(USAGE, end="")
        case ["show", suite]:
            print(show(suite))
        case ["show", suite, bug]:
            print(show(suite, bug))
        case ["make", *rest]:
            return run_job("make_bugs", rest, "netmend.agents.bugs_verb:make_job", shown="bugs make")
        case ["verify" | "reachable" as word, suite, *rest] if "=" not in suite and not suite.startswith("-"):
            return _measure(word, [f"suite={suite}", *rest])
        case ["verify" | "reachable" as word, *rest]:
            return _measure(word, rest)
        case ["claims", *rest]:
            named = bool(rest) and "=" not in rest[0] and not rest[0].startswith("-")
            words = [f"suite={rest[0]}", *rest[1:]] if named else rest
            return run_job("claims", words, "netmend.agents.claims_verb:claims_job", shown="bugs claims")
        case ["deepcrime", *rest]:
            job = "netmend.agents.deepcrime_verb:deepcrime_job"
            return run_job("deepcrime", rest, job, shown="bugs deepcrime")
        case ["coverage"]:
            _coverage()
        case ["coverage", *_]:
            raise ConfigError([f"bugs coverage takes nothing else\n{USAGE}"])
        case ["show", *_]:
            raise ConfigError([f"bugs show takes a suite and perhaps a bug\n{USAGE}"])
        case [word, *_]:
            raise UnknownNameError("word after 'bugs'", word, WORDS)
    return 0


def make_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """Make a suite as the configuration says."""
    config = typed(composed, MakeBugsConfig)
    problems = runner_problems(config.training)
    if problems:
        raise ConfigError(problems)
    with open_trainer(config.training) as trainer:
        make(config.suite, trainer, Path(config.out), seed=config.seed, force=config.force)


def _measure(word: str, words: Sequence[str]) -> int:
    job = f"netmend.agents.bugs_verb:{word}_job"
    return run_job("measure_bugs", words, job, shown=f"bugs {word}")


def verify_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """Verify the bugs of a suite."""
    from netmend.agents.bugs_report import verify_suite

    config = _measure_config(composed)
    suite, place = _suite(config)
    with open_trainer(config.training, config.data_dir) as trainer:
        verify_suite(suite, trainer, range(config.seeds), Console(), place)


def reachable_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """Check or find the sequences of actions that reach the published fixes of a suite."""
    from netmend.agents.bugs_report import reach_suite

    config = _measure_config(composed)
    suite, _ = _suite(config)
    place = suite_folder(config.suite)
    with open_trainer(config.training, config.data_dir) as trainer:
        seeds = range(config.seeds)
        reach_suite(suite, trainer, seeds, Console(), folder=place, search=config.search, most=config.longest)


def _coverage() -> None:
    from netmend.agents.bugs_report import print_coverage

    suites = [load_suite(name) for name in suite_names()]
    print_coverage(suites, load_suite(REAL), Console())


def _measure_config(composed: DictConfig) -> MeasureBugsConfig:
    config = typed(composed, MeasureBugsConfig)
    check_measure(config)
    return config


def _suite(config: MeasureBugsConfig) -> tuple[Suite, Path | None]:
    """The bugs to measure, and the folder where what is measured is kept, if that is asked for."""
    suite = load_suite(config.suite)
    if config.only is not None:
        known = {bug.id: bug for bug in suite.bugs}
        for name in config.only:
            if name not in known:
                raise UnknownNameError(f"bug of {suite.name}", name, known)
        suite = replace(suite, bugs=tuple(known[name] for name in config.only))
    if not config.write:
        return suite, None
    place = suite_folder(config.suite)
    if place is None:
        raise ConfigError([f"write: {config.suite} is no folder of bug files in which results could be kept"])
    return suite, place

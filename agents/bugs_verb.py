"""``netmend bugs``: list the suites, show one or a bug of it, make one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from netmend.agents.config import ConfigError, MakeBugsConfig, runner_problems, typed
from netmend.agents.hydra_run import run_job
from netmend.agents.runner import open_trainer
from netmend.env.bugs.command import list_suites, make, show
from netmend.env.errors import UnknownNameError

USAGE = """\
usage: netmend bugs                   list the suites
       netmend bugs show SUITE        list the bugs of a suite: a name or the path of a folder
       netmend bugs show SUITE BUG    show a bug: its faulty program and the published fix
       netmend bugs make suite=NAME   make a suite again; `netmend bugs make --help` shows the keys
"""


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
        case ["show", *_]:
            raise ConfigError([f"bugs show takes a suite and perhaps a bug\n{USAGE}"])
        case [word, *_]:
            raise UnknownNameError("word after 'bugs'", word, ("list", "show", "make"))
    return 0


def make_job(composed: DictConfig, folder: Path, overrides: Sequence[str]) -> None:  # noqa: ARG001
    """Make a suite as the configuration says."""
    config = typed(composed, MakeBugsConfig)
    problems = runner_problems(config.training)
    if problems:
        raise ConfigError(problems)
    with open_trainer(config.training) as trainer:
        out = Path(config.out) if config.out else None
        make(config.suite, trainer, seed=config.seed, out=out, force=config.force)

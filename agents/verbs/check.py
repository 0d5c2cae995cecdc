"""``netmend check``: run a person's own training script for a while, and say what is wrong with it."""

from __future__ import annotations

import argparse
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from netmend.agents.check_page import FORMATS
from netmend.env.errors import NetmendError
from netmend.env.script.plan import Plan

FOUND = 1
"""Exit status where something was found."""
_UPDATES, _SECONDS, _MEMORY = 100, 60.0, 4.0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, as every verb does."""
        raise NetmendError(f"check: {message}; netmend check --help shows what it takes")


def check_verb(words: Sequence[str]) -> int:
    """Run the verb; returns the exit status: 0, or 1 where something was found.

    Raises:
        NetmendError: the words make no sense, or the script could not be run.
    """
    own, arguments = _parted(words)
    parser = _parser()
    if {"-h", "--help"} & set(own):
        parser.print_help()
        return 0
    asked = parser.parse_args(own)
    plan = _plan(asked)
    script = Path(asked.script)
    print(_warning(script, plan), file=sys.stderr)
    try:
        from netmend.env.script.check import check_script

        checked = check_script(script, arguments, plan)
        print(FORMATS["json" if asked.json else asked.format](checked))
    except (NetmendError, OSError):
        raise
    except Exception as error:  # status 1 means findings: a bug of netmend must not look like one
        raise NetmendError(f"this is a bug of netmend\n{traceback.format_exc()}") from error
    counted = [one for one in checked.findings if asked.fail_on == "warning" or one.severity == "fault"]
    return FOUND if counted else 0


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The verb's own words, and those for the script behind ``--``."""
    place = words.index("--") if "--" in words else len(words)
    return list(words[:place]), list(words[place + 1 :])


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="netmend check",
        usage="netmend check SCRIPT [options] [-- ARGUMENTS OF THE SCRIPT]",
        description="Run a training script for a while, in a copy of its folder, and say what is wrong.",
        epilog="exit status: 0 nothing found, 1 something found, 2 it could not be run",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("script", help="a .py or .ipynb file")
    add("--format", choices=FORMATS, default="text", help="text (default), json, github or sarif")
    add("--json", action="store_true", help="the same as --format json")
    add("--fail-on", choices=("warning", "fault"), default="warning", help="what makes the exit status 1")
    add("--metric", metavar="NAME=REGEX", help="read the score from what the script prints")
    add("--updates", type=int, default=_UPDATES, metavar="N", help=f"updates to look at ({_UPDATES})")
    add("--seconds", type=float, default=_SECONDS, metavar="S", help=f"time for the run ({_SECONDS:g})")
    add("--memory", type=float, default=_MEMORY, metavar="GB", help=f"memory for the run ({_MEMORY:g})")
    add("--allow-network", action="store_true", help="let the script use the network")
    return parser


def _plan(asked: argparse.Namespace) -> Plan:
    for name in ("updates", "seconds", "memory"):
        if not 0 < getattr(asked, name) < float("inf"):
            raise NetmendError(f"check: --{name} {getattr(asked, name)}: it has to be above 0")
    if asked.metric is not None:
        name, _, pattern = asked.metric.partition("=")
        try:
            re.compile(pattern)
        except re.error as error:
            raise NetmendError(f"check: --metric {asked.metric}: no regular expression: {error}") from error
        if not name or not pattern:
            raise NetmendError(f"check: --metric {asked.metric}: it has to be NAME=REGEX")
    return Plan(
        updates=asked.updates,
        wall=asked.seconds,
        cpu=2 * asked.seconds,
        memory=int(asked.memory * 2**30),
        network=asked.allow_network,
        metric=asked.metric,
    )


def _warning(script: Path, plan: Plan) -> str:
    network = "with" if plan.network else "without"
    return (
        f"netmend runs {script}, which is your own code: on a copy of its folder, {network} network,"
        f" at most {plan.updates} updates and {plan.wall:g} s"
    )

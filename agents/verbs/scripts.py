"""Words that the verbs about scripts share: the script, its own arguments, and the limits of its runs."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from netmend.agents.verbs.words import VerbParser
from netmend.env.errors import FileError
from netmend.env.script.figures import is_loss
from netmend.env.script.plan import Plan

WIDTH = 80
"""Columns of what is printed for people."""
MEMORY = 4.0
SUFFIXES = (".py", ".ipynb")


@dataclass(frozen=True)
class Limits:
    """Of the runs of a script, where the words set no others.

    Attributes:
        updates: None for no limit.
        seconds: of one run.
    """

    updates: int | None
    seconds: float


def parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The verb's own words, and those for the script behind ``--``."""
    place = words.index("--") if "--" in words else len(words)
    return list(words[:place]), list(words[place + 1 :])


def is_script(words: Sequence[str]) -> bool:
    """Whether a word of ``netmend repair`` is a script; those of its configuration are KEY=VALUE."""
    return any(word.endswith(SUFFIXES) and "=" not in word for word in parted(words)[0])


def no_such_script(path: Path) -> FileError:
    """What to say where a script is not there: with the name that may be meant."""
    forgotten = (path.with_name(path.name + suffix) for suffix in SUFFIXES)
    beside = [one.name for suffix in SUFFIXES for one in path.parent.glob(f"*{suffix}")]
    near = map(path.with_name, difflib.get_close_matches(path.name, beside, n=1))
    meant = [*(one for one in forgotten if one.is_file()), *near]
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return FileError(str(path), [f"there is no such file{hint}"])


def script_parser(verb: str, description: str, epilog: str, limits: Limits) -> VerbParser:
    """A parser of the words that all verbs about scripts take."""
    parser = VerbParser(
        prog=f"netmend {verb}",
        usage=f"netmend {verb} SCRIPT [options] [-- ARGUMENTS OF THE SCRIPT]",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("script", help="a .py or .ipynb file")
    add("--metric", metavar="NAME=REGEX", help="read the score, or an error, from what the script prints")
    if limits.updates is not None:
        add(
            "--updates",
            type=int,
            default=limits.updates,
            metavar="N",
            help=f"most updates ({limits.updates})",
        )
    add(
        "--seconds",
        type=float,
        default=limits.seconds,
        metavar="S",
        help=f"most seconds of a run ({limits.seconds:g})",
    )
    add("--memory", type=float, default=MEMORY, metavar="GB", help=f"most memory of a run ({MEMORY:g})")
    add("--allow-network", action="store_true", help="let the script use the network")
    return parser


@dataclass(frozen=True)
class Asked:
    """What the words of a verb ask for.

    Attributes:
        options: of the verb.
        script: its path.
        arguments: of the script.
        plan: limits of its runs.
    """

    options: argparse.Namespace
    script: Path
    arguments: list[str]
    plan: Plan


def asked_for(words: Sequence[str], parser: VerbParser) -> Asked | None:
    """What is asked for; None where that is help, which is then printed.

    Raises:
        NetmendError: the words make no sense.
    """
    own, arguments = parted(words)
    if {"-h", "--help"} & set(own):
        parser.print_help()
        return None
    options = parser.parse_args(own)
    script = Path(options.script)
    plan = _plan(parser, options)
    if not script.is_file():
        raise no_such_script(script)
    return Asked(options, script, arguments, plan)


def _plan(parser: VerbParser, asked: argparse.Namespace) -> Plan:
    """What a run may use. Raises NetmendError where the words make no sense."""
    for name in ("updates", "seconds", "memory", "trials"):
        if hasattr(asked, name) and not 0 < getattr(asked, name) < float("inf"):
            parser.error(f"--{name} {getattr(asked, name)}: it has to be above 0")
    if asked.metric is not None:
        name, _, pattern = asked.metric.partition("=")
        try:
            re.compile(pattern)
        except re.error as error:
            parser.error(f"--metric {asked.metric}: no regular expression: {error}")
        if not name or not pattern:
            parser.error(f"--metric {asked.metric}: it has to be NAME=REGEX")
        if is_loss(name) and hasattr(asked, "trials"):  # a check edits nothing
            parser.error(f"--metric {name}: an edit may change what a loss means; name an error or accuracy")
    return Plan(
        updates=getattr(asked, "updates", None),
        wall=asked.seconds,
        cpu=2 * asked.seconds,
        memory=int(asked.memory * 2**30),
        network=asked.allow_network,
        metric=asked.metric,
    )


def say(text: str) -> None:
    """Print lines for people to the error stream, in 80 columns; a line that is too long goes on below."""
    for line in text.split("\n"):
        indent = " " * (4 + len(line) - len(line.lstrip()))
        told = fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        print(told, file=sys.stderr)


def warning(script: Path, plan: Plan) -> str:
    """That a person's own code is run, and within which limits."""
    network = "with" if plan.network else "without"
    updates = "" if plan.updates is None else f"at most {plan.updates} updates and "
    return (
        f"netmend runs {script}, which is your own code: on a copy of its folder, {network} network,"
        f" {updates}at most {plan.wall:g} s a run"
    )

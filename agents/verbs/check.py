"""``netmend check``: run a person's own training script for a while, and say what is wrong with it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from netmend.agents.check_page import FORMATS
from netmend.agents.verbs.scripts import Limits, asked_for, say, script_parser, warning
from netmend.agents.verbs.words import VerbParser
from netmend.env.errors import NetmendError

FOUND = 1
"""Exit status where something was found."""
_UPDATES, _SECONDS = 100, 60.0


def check_verb(words: Sequence[str]) -> int:
    """Run the verb; returns the exit status: 0, or 1 where something was found.

    Raises:
        NetmendError: the words make no sense, or the script could not be run.
    """
    asked = asked_for(words, make_parser())
    if asked is None:
        return 0
    say(warning(asked.script, asked.plan))
    try:
        from netmend.env.script.check import check_script

        checked = check_script(asked.script, asked.arguments, asked.plan)
        print(FORMATS["json" if asked.options.json else asked.options.format](checked))
    except (NetmendError, OSError):
        raise
    except Exception as error:  # status 1 means findings: a bug of netmend must not look like one
        raise NetmendError(f"this is a bug of netmend\n{traceback.format_exc()}") from error
    counted = [
        one for one in checked.findings if asked.options.fail_on == "warning" or one.severity == "fault"
    ]
    return FOUND if counted else 0


def make_parser() -> VerbParser:
    """What ``netmend check`` takes."""
    parser = script_parser(
        "check",
        "Run a training script for a while, in a copy of its folder, and say what is wrong.",
        "exit status: 0 nothing found, 1 something found, 2 it could not be run",
        Limits(updates=_UPDATES, seconds=_SECONDS),
    )
    add = parser.add_argument
    add("--format", choices=FORMATS, default="text", help="text (default), json, github or sarif")
    add("--json", action="store_true", help="the same as --format json")
    add("--fail-on", choices=("warning", "fault"), default="warning", help="what makes the exit status 1")
    return parser

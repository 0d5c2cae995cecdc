"""``netmend bugs``: list the suites, show one or a bug of it, make one, and measure what is in it."""

from __future__ import annotations

from collections.abc import Sequence

from netmend.agents.verbs.bugs.claims import ClaimsConfig, claims_job
from netmend.agents.verbs.bugs.deepcrime import DeepCrimeConfig, deepcrime_job
from netmend.agents.verbs.bugs.measure import MeasureConfig, reachable_job, verify_job
from netmend.agents.verbs.bugs.suites import (
    MakeConfig,
    list_suites,
    make_job,
    print_coverage,
    show_bug,
    show_suite,
)
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.hydra_job import run_job
from netmend.env.errors import UnknownNameError

USAGE = """\
usage: netmend bugs                          list the suites
       netmend bugs show SUITE               list the bugs of a suite or folder
       netmend bugs show SUITE BUG           show a bug: faulty program and fix
       netmend bugs make suite=NAME out=FILE make a suite
       netmend bugs verify SUITE             train programs and fixes: are the
                                             bugs as recorded?
       netmend bugs reachable SUITE          do a few actions reach the fixes?
                                             search=true looks for them
       netmend bugs claims SUITES            repair good and faulty programs:
                                             are the claims true?
       netmend bugs deepcrime program=NAME   search DeepCrime's 24 operators
                                             on a good program
       netmend bugs coverage                 count the actions of each fix
                                             pattern, and the real bugs
`netmend bugs make --help` shows the keys of make. Other words do the same.
"""
WORDS = ("list", "show", "make", "verify", "reachable", "claims", "deepcrime", "coverage")


def bugs_verb(words: Sequence[str]) -> Ended:
    """Run the verb.

    Raises:
        NetmendError: there is no such suite or bug, or the words make no sense.
    """
    match list(words):
        case [] | ["list"]:
            return list_suites()
        case ["-h" | "--help", *_]:
            print(USAGE, end="")
        case ["show", suite]:
            return show_suite(suite)
        case ["show", suite, bug]:
            return show_bug(suite, bug)
        case ["make", *rest]:
            return run_job("make_bugs", rest, MakeConfig, make_job, "bugs make")
        case ["verify", *rest]:
            return run_job("measure_bugs", _named(rest), MeasureConfig, verify_job, "bugs verify")
        case ["reachable", *rest]:
            words = _named(rest)
            return run_job("measure_bugs", words, MeasureConfig, reachable_job, "bugs reachable")
        case ["claims", *rest]:
            return run_job("claims", _named(rest), ClaimsConfig, claims_job, "bugs claims")
        case ["deepcrime", *rest]:
            return run_job("deepcrime", rest, DeepCrimeConfig, deepcrime_job, "bugs deepcrime")
        case ["coverage"]:
            return print_coverage()
        case ["coverage", *_]:
            raise ConfigError([f"bugs coverage takes nothing else\n{USAGE}"])
        case ["show", *_]:
            raise ConfigError([f"bugs show takes a suite and perhaps a bug\n{USAGE}"])
        case [word, *_]:
            raise UnknownNameError("word after 'bugs'", word, WORDS)
    return Ended()


def _named(words: Sequence[str]) -> list[str]:
    """Words of which the first may be a value alone: ``real`` is short for ``bugs=real``."""
    first = words[:1]
    if not first or "=" in first[0] or first[0].startswith("-"):
        return list(words)
    return [f"bugs={first[0]}", *words[1:]]

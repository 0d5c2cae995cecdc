"""``netmend repair train.py``: a verified diff for a person's own training script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netmend.agents.repair_one import policy_method
from netmend.agents.script_repair.page import as_json, as_lines
from netmend.agents.script_repair.repair import TRIALS, ScriptRepairer
from netmend.agents.script_repair.runs import RealRuns
from netmend.agents.verbs.repair import UNREPAIRED
from netmend.agents.verbs.scripts import Limits, asked_for, say, script_parser, warning
from netmend.agents.verbs.words import VerbParser
from netmend.env.script.parent import Runner
from netmend.env.writing import write_whole
from netmend.repair_actions.keep import PARTS, check_keep

SECONDS, WHOLE_SECONDS = 600.0, 86_400.0
"""Wall time of one run of the script, and of one that is never cut."""


def repair_script_verb(words: Sequence[str]) -> int:
    """Run the verb; returns the exit status: 0, or 3 where there is nothing to offer.

    Raises:
        NetmendError: the words make no sense, or the script could not be run.
    """
    asked = asked_for(words, make_parser())
    if asked is None:
        return 0
    script, options = asked.script, asked.options
    keep = tuple(name for part in options.keep for name in part.split(",") if name)
    check_keep(keep)
    method = policy_method(options.policy)
    plan = asked.plan
    if options.whole and options.seconds == SECONDS:
        plan = replace(plan, wall=WHOLE_SECONDS, cpu=2 * WHOLE_SECONDS)
    say(warning(script, plan))
    with Runner() as runner:
        runs = RealRuns(runner, script, asked.arguments, plan)
        repairer = ScriptRepairer(runs, method, keep, options.trials, options.whole, options.more, _tell)
        result = repairer.repair()
    for line in as_lines(script, result):
        say(line)
    print(as_json(script, result) if options.json else result.diff, end="\n" if options.json else "")
    if options.apply:
        for name, text in result.texts.items():
            write_whole((script.parent / name).resolve(), text)
    return 0 if result.diff else UNREPAIRED


def make_parser() -> VerbParser:
    """What ``netmend repair SCRIPT`` takes."""
    parser = script_parser(
        "repair",
        "Find a diff that makes a training script run, or train better, and confirm it by real runs. "
        "The diff is printed; everything else goes to the error stream.",
        "exit status: 0 a diff is offered, 2 the script could not be run, 3 nothing helped",
        Limits(updates=None, seconds=SECONDS),
    )
    add = parser.add_argument
    add("--policy", default="default", help="folder of a trained policy, or default")
    add(
        "--keep",
        action="append",
        default=[],
        metavar="PART",
        help=f"what must not be touched: {', '.join(PARTS)}, or actions such as optimizer/*",
    )
    add("--trials", type=int, default=TRIALS, metavar="N", help=f"most trials of the search ({TRIALS})")
    add("--whole", action="store_true", help="let every run of the script go to its end")
    add("--more", action="store_true", help="let a search add to what answers the findings well")
    add("--apply", action="store_true", help="write the diff into the script's files")
    add("--json", action="store_true", help="print one JSON object in place of the diff")
    return parser


def _tell(line: str) -> None:
    say(f"  {line}")

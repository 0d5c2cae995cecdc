"""The ``netmend`` command: a verb, then what the verb takes. What a user can mend gets one message."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

import netmend
from netmend.agents.verbs.ended import JSON, Ended, all_to_stderr, as_json
from netmend.agents.verbs.scripts import is_script, parted
from netmend.env.errors import NetmendError, UnknownNameError

USAGE = """\
usage: netmend VERB ...

  check     say what is wrong with a script
              netmend check train.py
  repair    mend a script, or a program in YAML
              netmend repair train.py
              netmend repair bug=bug.yaml
  train     train an agent that repairs programs
              netmend train agent=ppo training.steps=20000
  evaluate  compare methods on unseen bugs
              netmend evaluate policy=runs/train/RUN
  report    show what runs came to, as one page
              netmend report runs/evaluate/RUN
  bugs      list, show and make suites of bugs
              netmend bugs show mutants-v1
  bench     measure the engine of trials
              netmend bench engine

`netmend VERB --help` shows what a verb takes. Hydra configures train,
evaluate, repair and bench: group=option, key=value, --config-dir FOLDER for
groups of your own, -m for several runs (-m seed=0,1,2).

  VERB ... --json  print one JSON object on stdout, and all else on stderr
  --help           show this text
  --version        show the version
"""
FAILED = 1
REFUSED = 2
INTERRUPTED = 130
MOST_OF_A_PATH = 200
"""Characters of it in a message: a name that is too long for a file is too long for a screen."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Returns:
        the exit status: 0, 1 (a bug of netmend; ``check``: something was found), 2 (refused), 3 (``repair``
        has nothing to offer) or 130 (Ctrl-C).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except KeyboardInterrupt as interrupt:
        return _complain(words, str(interrupt) or "interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except NetmendError as error:
        return _complain(words, str(error), REFUSED)
    except OSError as error:
        return _complain(words, _describe(error), REFUSED)
    except Exception:
        return _complain(words, f"this is a bug of netmend\n{traceback.format_exc()}", FAILED)


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if words else REFUSED
    if words[0] == "--version":
        print(f"netmend {netmend.__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        raise UnknownNameError("verb", verb, VERBS)
    module, _, name = VERBS[verb].partition(":")
    run: Callable[[list[str]], int | Ended] = getattr(importlib.import_module(module), name)
    if not _wants_json(words) or verb == "check" or (verb == "repair" and is_script(rest)):
        return _told(run(rest))  # the verbs about scripts know --json themselves
    with all_to_stderr() as out:
        ended = run([word for word in rest if word != JSON])
        status = _told(ended)
    if isinstance(ended, Ended):
        print(as_json(ended.answer), file=out)
    return status


def _told(ended: int | Ended) -> int:
    """Say what to do next; the exit status."""
    if isinstance(ended, int):
        return ended
    if ended.then:
        print(f"next: {ended.then}", file=sys.stderr)
    return ended.status


def _wants_json(words: Sequence[str]) -> bool:
    return JSON in parted(words)[0]


VERBS = {
    "check": "netmend.agents.verbs.check:check_verb",
    "train": "netmend.agents.verbs.train:train_verb",
    "evaluate": "netmend.agents.verbs.evaluate:evaluate_verb",
    "repair": "netmend.agents.verbs.repair:repair_verb",
    "bugs": "netmend.agents.verbs.bugs:bugs_verb",
    "bench": "netmend.agents.verbs.bench:bench_verb",
    "report": "netmend.agents.verbs.report:report_verb",
}
"""Where the function of each verb is; it takes the words after it and returns what it came to."""


def _complain(words: Sequence[str], message: str, status: int) -> int:
    print(f"netmend: {message.rstrip()}", file=sys.stderr)
    if _wants_json(words):
        print(as_json({"error": message.rstrip()}))
    return status


def _describe(error: OSError) -> str:
    where = f": {str(error.filename)[:MOST_OF_A_PATH]}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; what was finished before is kept"
    return f"{error.strerror or error}{where}"


if __name__ == "__main__":
    sys.exit(main())

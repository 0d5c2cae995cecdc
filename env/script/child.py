"""Runs one script under the recorder, in a process of its own that ends with it."""

from __future__ import annotations

import builtins
import os
import random
import re
import sys
import time
import types
import warnings
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from netmend.env.script.codec import encode
from netmend.env.script.exhausted import exhausted_facts
from netmend.env.script.flow import Flow
from netmend.env.script.frames import Frames
from netmend.env.script.hooks import install
from netmend.env.script.keeping import kept_facts
from netmend.env.script.limits import confine, rest
from netmend.env.script.mirrors import mirror_facts
from netmend.env.script.mixing import look_for_mixing
from netmend.env.script.notebook import read_script
from netmend.env.script.plan import Plan
from netmend.env.script.record import Crashed, Ending, Record, Score
from netmend.env.script.recorder import Recorder
from netmend.env.script.scalers import scale_facts
from netmend.env.script.seeds import move_seeds
from netmend.env.script.shuffles import shuffle_facts
from netmend.env.script.site import Site
from netmend.env.script.source import Project
from netmend.env.script.stop import StopScript
from netmend.env.script.stopping import stopping_facts
from netmend.env.script.summary import summarise
from netmend.env.script.tensorflow import install_tensorflow
from netmend.env.script.unnamed import unnamed_facts

WARM = ("sklearn", "scipy", "pandas", "torch")
"""Libraries that take long to import: once a script has imported one, its next runs find it there."""
_NO_MEMORY = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "bad_alloc")
_QUIET = {
    "MPLBACKEND": "Agg",
    "WANDB_MODE": "disabled",
    "TQDM_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "COMET_MODE": "disabled",
    "CLEARML_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


_LOOKS = (
    *(shuffle_facts, kept_facts, mirror_facts, scale_facts, exhausted_facts, stopping_facts),
    unnamed_facts,
)
"""What looks at a script's source once it has run."""


def run_script(
    folder: Path, script: str, arguments: tuple[str, ...], plan: Plan, kept: Path, out: Path
) -> None:
    """Run it and write ``record.json``. Called in a forked process, which it does not outlive.

    Args:
        folder: copy of the script's folder; script: path in it.
        arguments: of the command line.
        plan: of the run.
        kept: the original folder.
        out: folder for ``record.json``, ``data.npz``, ``output`` and ``imported``, outside of ``folder``.
    """
    path = folder / script
    own = os.getpid()
    os.chdir(folder)
    _settle(out, plan)
    frames = Frames(folder)
    recorder = Recorder(frames, plan)
    install(recorder)
    install_tensorflow(folder)
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.parent)
    there = set(sys.modules)
    main = types.ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    confine(plan, kept)
    began = time.process_time()
    ending: Ending = "finished"
    message, crash = "", None
    try:
        with Flow(recorder, gpu=torch.cuda.is_available()):
            # Not with the ``annotations`` of this file: types of the script's fields would be texts.
            code = compile(read_script(path), str(path), "exec", dont_inherit=True)
            exec(code, main.__dict__)
    except StopScript as stop:
        ending = stop.ending
        message = "its time was used up" if ending == "timeout" else ""
    except SystemExit as left:
        if left.code not in (None, 0):
            ending, message = "exited", left.code[:300] if isinstance(left.code, str) else ""
    except BaseException as error:
        ending, message, crash = _crashed(error, recorder, frames)
    rest()
    if os.getpid() != own:
        os._exit(0)  # a process that the script has forked: it has nothing to say
    if recorder.capped and ending in ("finished", "crashed"):
        ending = "capped"
    seconds = time.process_time() - began
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    look_for_mixing(recorder)
    with torch._C.DisableTorchFunction():
        record = summarise(recorder, str(out / "data.npz"))
    printed = (out / "output").read_text("utf-8", errors="replace")
    record = replace(
        record,
        ending=ending,
        message=message or (_usage(printed) if ending == "exited" else ""),
        crash=crash if ending == "crashed" else None,
        printed=printed[-4_000:],
        score=_printed_score(plan.metric, printed) if plan.metric else _believed(record, ending),
        seconds=seconds,
        imports=max(recorder.began - began, 0.0) if recorder.began else seconds,
        files=_files(folder, script),
    )
    with suppress(Exception):  # a stranger's source may be of any kind
        project = Project.read(folder, record.files)
        for look in _LOOKS:
            with suppress(Exception):
                record = replace(record, facts=(*record.facts, *look(project, record)))
    (out / "imported").write_text(" ".join(_libraries() - there))
    temporary = out / "record.part"
    temporary.write_text(encode(record))
    temporary.rename(out / "record.json")


def _settle(out: Path, plan: Plan) -> None:
    """Make the process one in which a script finds what it expects, and nothing to wait for."""
    os.environ.update(_QUIET, HOME=str(out / "home"))
    if find_spec("tensorflow") is None:  # Keras would look for it
        os.environ.setdefault("KERAS_BACKEND", "torch")
    (out / "home").mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    builtins.input = lambda prompt="": print(prompt, plan.answer) or plan.answer
    torch.set_num_threads(plan.threads)
    if plan.seed is not None:
        random.seed(plan.seed)
        np.random.seed(plan.seed)
        torch.manual_seed(plan.seed)
    if plan.shift:
        move_seeds(plan.shift)


def _crashed(error: BaseException, recorder: Recorder, frames: Frames) -> tuple[Ending, str, Crashed]:
    """How it ended, in words, and the crash, with the operation where torch raised the error."""
    message = f"{type(error).__name__}: {error}"[:300]
    no_memory = isinstance(error, MemoryError) or any(words in message for words in _NO_MEMORY)
    if recorder.crash is not None and recorder.crash[0] is error:
        crash = recorder.crash[1]
    else:
        crash = Crashed(
            error=type(error).__name__,
            message=str(error)[:300],
            site=_site(error, frames),
            applied=_site(error, frames, outside=True),
        )
    return ("memory" if no_memory else "crashed"), message, crash


def _site(error: BaseException, frames: Frames, *, outside: bool = False) -> Site | None:
    """The innermost place of the traceback in the script's own files; that in front of the first module's."""
    found = None
    place = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        if (
            outside
            and code.co_name == "__call__"
            and isinstance(place.tb_frame.f_locals.get("self"), nn.Module)
        ):
            return found
        name = frames.file(code)
        if name is not None:
            positions = next(islice(code.co_positions(), place.tb_lasti // 2, None))
            line, end_line, column, end_column = (number or 0 for number in positions)
            found = Site(name, line or place.tb_lineno, column, end_line, end_column, code.co_name)
        place = place.tb_next
    if outside:
        return None
    if isinstance(error, SyntaxError) and error.lineno and found is None:
        found = Site(Path(error.filename or "").name, error.lineno, 0, error.lineno, 0)
    return found


def _usage(printed: str) -> str:
    """What a script that ended says of it: its usage, and its last line."""
    lines = [line for line in printed.splitlines() if line.strip()]
    usage = next((line for line in reversed(lines) if line.lower().startswith("usage:")), "")
    return " ".join(filter(None, (usage, lines[-1] if lines else "it ended without a word")))[:300]


def _printed_score(metric: str, printed: str) -> Score | None:
    """The last figure in the output that ``NAME=REGEX`` finds: its first group, or all of it.

    What stands in front of a percent sign is divided by 100.
    """
    name, _, pattern = metric.partition("=")
    found = list(re.finditer(pattern, printed, re.MULTILINE))
    if not found:
        return None
    match = found[-1]
    group = match.re.groups and 1
    share = printed[match.end(group) :].lstrip(" ").startswith("%")
    try:
        value = float(match.group(group)) / (100 if share else 1)
    except (TypeError, ValueError):  # the group took no part, or took no number
        return None
    return Score(kind=name, value=value, rows=0, source="printed")


def _believed(record: Record, ending: Ending) -> Score | None:
    return record.score if ending in ("finished", "capped", "timeout") else None


def _libraries() -> set[str]:
    """Names of the imported modules of ``WARM``."""
    return {name for name in list(sys.modules) if name.partition(".")[0] in WARM}


def _files(folder: Path, script: str) -> tuple[str, ...]:
    """The script's own files that were imported, itself first."""
    below, modules = f"{folder}/", list(sys.modules.values())
    files = (str(getattr(module, "__file__", None)) for module in modules)
    # Of the thousand that are imported, only those below the folder are worth a Path.
    own = {str(Path(file).relative_to(folder)) for file in files if file.startswith(below)}
    return (script, *sorted(own - {script}))

"""Runs a verb's job under Hydra, with Hydra's own error printing replaced by exceptions."""

from __future__ import annotations

import difflib
import io
import json
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from textwrap import wrap
from typing import TypeVar

import hydra
from hydra import compose, initialize_config_module
from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from netmend.agents.verbs.config import ConfigError, VerbConfig, checked, explained, shortened
from netmend.agents.verbs.ended import Ended, as_json, joined
from netmend.agents.verbs.words import SWEEP, prepare, separated, unfit, value_of
from netmend.env.errors import FileError, NetmendError
from netmend.env.reading import read_yaml, shown_path

CONF = "netmend.conf"
ERROR_FILE = "error.txt"
NOISE = ("full_key:", "object_type=", "reference_type=")
CODE = ("_target_", "()")
"""Keys under which Hydra and Python's logging look for what to call."""
HELP = frozenset({"-h", "--help"})
MOST_SAID = 400
"""Characters of what Hydra complains about."""

Config = TypeVar("Config", bound=VerbConfig)


Job = Callable[[Config, Path, Sequence[str]], Ended]
"""What a verb does with its configuration, in the folder of its run. A sweep may send it elsewhere."""


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's reader of groups outside the package, which may be a stranger's.

    The name is that of Hydra's class, by which its registry knows the scheme.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file, once it is within the limits of every YAML file and names no code to run."""
        path = Path(self.path) / self._normalize_file_name(config_path)
        if _names_code(read_yaml(path)):
            raise FileError(
                shown_path(path), [f"a key {' or '.join(CODE)} is not read: it names code to run"]
            )
        return super().load_config(config_path)


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Hydra's reader of the schemas, which never changes.

    Hydra copies its readers for each group that it lists, and with this one all schemas.
    """

    def __deepcopy__(self, _: object) -> StructuredConfigSource:
        """What is read is copied where it is read."""
        return self


def _names_code(plain: object) -> bool:
    inside = (
        [*plain, *plain.values()] if isinstance(plain, dict) else plain if isinstance(plain, list) else []
    )
    return any(value in CODE if isinstance(value, str) else _names_code(value) for value in inside)


SOURCES = (FileConfigSource, StructuredConfigSource)
"""Readers that take the place of Hydra's own."""


class JobError(Exception):
    """A job failed in a way that nobody foresaw; the message is its traceback, which crosses processes."""


def run_job(
    name: str, words: Sequence[str], kind: type[Config], job: Job[Config], shown: str | None = None
) -> Ended:
    """Compose ``conf/<name>.yaml`` with the words and run the job, once for each point of a sweep.

    A single run is checked before anything is made or imported. Where a job fails, its traceback is written
    to ``error.txt`` in the run's folder and the exception comes out of this function. ``shown`` is what the
    user typed where that is not the name.

    Returns:
        what all runs together came to.

    Raises:
        NetmendError: the user can mend it.
        JobError: nobody foresaw it.
    """
    Plugins.instance()  # it would register Hydra's own readers
    SourcesRegistry.instance().types |= {source.scheme(): source for source in SOURCES}
    ConfigStore.instance().store(name=f"{name}_schema", node=kind)
    problems = unfit(words)
    if problems:
        raise ConfigError(problems)
    prepared = _with_run_folder(prepare(words))
    _check_flags(prepared)
    _check_first(name, prepared, kind)
    failures: list[Exception] = []
    with tempfile.NamedTemporaryFile("r") as ended:
        entry = hydra.main(version_base="1.3", config_path=f"pkg://{CONF}", config_name=name)
        task = _task(kind, job, Path(ended.name), failures)
        with _seen_by_hydra(f"netmend {shown or name}", prepared):
            _call(entry(task))
        if failures:
            raise failures[0]
        if HELP & set(prepared):
            print_keys(kind)
        return joined([Ended(**json.loads(line)) for line in ended])


def _task(
    kind: type[Config], job: Job[Config], told: Path, failures: list[Exception]
) -> Callable[[DictConfig], float | None]:
    """What Hydra calls for each run, perhaps in another process: a file takes what it came to.

    The error of a single run is left in ``failures``: Hydra would print a line of its own.
    """

    def task(composed: DictConfig) -> float | None:
        _own_start_method()
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        try:
            ended = job(checked(composed, kind), folder, list(settings.overrides.task))
        except Exception as error:
            _write_traceback(folder)
            if settings.mode == RunMode.RUN:
                failures.append(error)
                return None
            if isinstance(error, NetmendError | OSError):
                raise
            raise JobError(traceback.format_exc()) from error
        with told.open("a") as file:
            file.write(f"{as_json(ended)}\n")
        return ended.figure

    return task


def _own_start_method() -> None:
    """In a process of joblib's launcher, use a start method that the processes started from it know too.

    There the default is joblib's own, whose name a worker looks up before it has imported joblib.
    """
    known = multiprocessing.get_all_start_methods()
    if multiprocessing.get_start_method(allow_none=True) not in (None, *known):
        multiprocessing.set_start_method("spawn", force=True)


def _check_flags(words: Sequence[str]) -> None:
    """Let Hydra's parser see the flags, without the twenty lines that it prints where one is wrong."""
    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            get_args_parser().parse_args(words)
    except SystemExit as stop:
        if stop.code:
            raise ConfigError([said.getvalue().rpartition("error: ")[2].strip()]) from None


def _check_first(name: str, words: Sequence[str], kind: type[Config]) -> None:
    """Compose and check the configuration of a single run, before Hydra makes a folder for it."""
    flags, overrides = separated(words)
    if "--config-dir" in flags[:1] and len(flags) == 2:
        overrides = [f"hydra.searchpath=['file://{Path(flags[1]).absolute()}']", *overrides]
    elif flags:
        return  # a sweep is checked run by run, and what only shows something makes no folder
    with _explained_errors(), initialize_config_module(CONF, version_base="1.3"):
        composed = compose(name, overrides)
        if composed.get("resume") is None:
            checked(composed, kind)


def print_keys(kind: type[VerbConfig]) -> None:
    """Print what each key means."""
    print("\nKeys\n")
    for path, text in explained(kind).items():
        print(f"  {path}", *wrap(text.replace("``", ""), 74), sep="\n      ")


def explain(error: Exception) -> str:
    """Hydra's or OmegaConf's complaint in one line, with near matches of a misspelt key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return f"{cause.full_key}: there is no such key{_near(cause)}"
    text = str(cause if cause is not error else error).partition("Config search path")[0]
    lines = [line.strip() for line in text.splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith(NOISE))
    key = getattr(cause, "full_key", None) or getattr(error, "override", None)
    said = f"{key}: {message}" if key else message or type(error).__name__
    return shortened(said, MOST_SAID)


def _near(error: OmegaConfBaseException) -> str:
    siblings = [str(key) for key in error.parent_node] if isinstance(error.parent_node, DictConfig) else []
    near = difflib.get_close_matches(str(error.key), siblings, n=2)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; known: {', '.join(siblings)}"


def _call(entry: Callable[[], object]) -> None:
    """Run Hydra's entry point; it leaves by SystemExit(0) after printing help."""
    with _explained_errors():
        try:
            entry()
        except SystemExit as stop:
            if stop.code:
                raise


@contextmanager
def _explained_errors() -> Iterator[None]:
    """Whatever Hydra, OmegaConf or a plug-in raises is about the configuration; a job's own errors pass."""
    try:
        yield
    except (NetmendError, JobError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and not isinstance(error, HydraException):
            raise
        raise ConfigError([explain(error)]) from error


def _with_run_folder(words: list[str]) -> list[str]:
    """A resumed run goes on in its own folder, whose configuration Hydra must not write over."""
    resumed = value_of(words, "resume")
    if resumed in (None, "null"):
        return words
    if not resumed:  # an empty variable of a shell: no new run was meant
        raise ConfigError(["resume: name the folder of a run"])
    if SWEEP & set(words):
        raise ConfigError(["resume: goes on with one run; leave out --multirun"])
    if not Path(str(resumed)).is_dir():
        raise ConfigError([f"resume: there is no folder {resumed}"])
    folder = value_of(prepare([f"policy={resumed}"]), "policy")
    return [*words, f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]


def _write_traceback(folder: Path) -> None:
    try:
        (folder / ERROR_FILE).write_text(traceback.format_exc())
    except OSError:
        return  # the disk may be what failed; the exception itself is on its way


@contextmanager
def _seen_by_hydra(program: str, words: list[str]) -> Iterator[None]:
    """Hydra reads ``sys.argv`` alone, and prints errors itself and exits unless a variable is set."""
    argv, before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [program, *words], "1"
    try:
        yield
    finally:
        sys.argv = argv
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before

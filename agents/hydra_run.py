"""Runs a verb's job under Hydra, with Hydra's own error printing replaced by exceptions."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from netmend.agents.config import ConfigError
from netmend.agents.overrides import prepare, value_of
from netmend.agents.schemas import register_schemas

ERROR_FILE = "error.txt"
NOISE = ("full_key:", "object_type=", "reference_type=")


class Job(Protocol):
    """What a verb does with its composed configuration, in the folder of its run."""

    def __call__(self, composed: DictConfig, folder: Path, overrides: Sequence[str]) -> int | None:
        """Do it; returns an exit status, None for 0. Raises NetmendError where the user can mend it."""
        ...


def run_job(verb: str, words: Sequence[str], job_path: str, shown: str | None = None) -> int:
    """Compose ``conf/<verb>.yaml`` with the words and run the job ``module:function``, once per sweep point.

    The job's module is imported only when it runs, so that ``--help`` answers at once. Where a job fails, its
    traceback is written to ``error.txt`` in the run's folder and the exception comes out of this function.
    ``shown`` is what the user typed where that is not the verb.

    Returns:
        the exit status: the highest that a job gave.
    """
    failures: list[Exception] = []
    statuses = [0]

    def task(composed: DictConfig) -> None:
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        try:
            statuses.append(_load(job_path)(composed, folder, list(settings.overrides.task)) or 0)
        except Exception as error:
            _write_traceback(folder)
            if settings.mode == RunMode.MULTIRUN:
                raise
            failures.append(error)  # raised below: Hydra would print a line of its own

    register_schemas()
    entry = hydra.main(version_base="1.3", config_path="pkg://netmend.conf", config_name=verb)(task)
    try:
        with _command_line(f"netmend {shown or verb}", _with_run_folder(prepare(words))), _plain_exceptions():
            _call(entry)
        if failures:
            raise failures[0]
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([explain(error)]) from error
    return max(statuses)


def explain(error: Exception) -> str:
    """Hydra's or OmegaConf's complaint in one line, with near matches of a misspelt key."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        return f"{cause.full_key}: there is no such key{_near(cause)}"
    text = str(cause if cause is not error else error).partition("Config search path")[0]
    lines = [line.strip() for line in text.splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith(NOISE))
    key = getattr(cause, "full_key", None) or getattr(error, "override", None)
    return f"{key}: {message}" if key else message


def _near(error: OmegaConfBaseException) -> str:
    siblings = [str(key) for key in error.parent_node] if isinstance(error.parent_node, DictConfig) else []
    near = difflib.get_close_matches(str(error.key), siblings, n=2)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; known: {', '.join(siblings)}"


def _call(entry: object) -> None:
    """Run Hydra's entry point; it leaves by SystemExit(0) after printing help."""
    assert callable(entry)
    try:
        entry()
    except SystemExit as stop:
        if stop.code:
            raise


def _load(job_path: str) -> Job:
    module, _, name = job_path.partition(":")
    job: Job = getattr(importlib.import_module(module), name)
    return job


def _with_run_folder(words: list[str]) -> list[str]:
    """A resumed run goes on in its own folder, whose configuration Hydra must not write over."""
    resumed = value_of(words, "resume")
    if resumed in (None, "", "null"):
        return words
    if "-m" in words or "--multirun" in words:
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
def _command_line(program: str, words: list[str]) -> Iterator[None]:
    """Hydra reads ``sys.argv`` alone."""
    before = sys.argv
    sys.argv = [program, *words]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _plain_exceptions() -> Iterator[None]:
    """Hydra prints errors itself and exits unless this variable is set."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before

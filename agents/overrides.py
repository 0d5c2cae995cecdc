"""What a user writes after the verb, brought into the form that Hydra's grammar wants."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

PATH_KEYS = frozenset(
    {"bug", "policy", "program", "resume", "data_dir", "bugs.suite", "suite", "training.store", "order"}
)
"""Keys whose value is a path or a bug's id, taken literally: ``=`` or a blank in it needs no quotes."""

VALUE_FLAGS = frozenset(
    {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"}
)
"""Flags of Hydra's that take a word, which may hold ``=`` too."""

_PLAIN = re.compile(r"[\w./:@*?|%$+-]*")


def prepare(words: Sequence[str]) -> list[str]:
    """Words for Hydra: ``bugs=path/to/folder`` selects the group's ``suite`` option, odd paths are quoted.

    So does ``bugs=a+b``, several suites together. ``keep=a,b`` is a list.

    A suite's name stays a choice of the group ``bugs``; a value that looks like a path, or is one, becomes
    ``bugs=suite bugs.suite=PATH``. Flags come first, whatever the order was: argparse refuses overrides on
    both sides of a flag. Other overrides pass unchanged.
    """
    flags, overrides = _separated(words)
    return [*flags, *(prepared for word in overrides for prepared in _prepare_word(word))]


def value_of(words: Sequence[str], key: str) -> str | None:
    """The last value that the words give to a key, without its quotes; None where they give none."""
    values = [word.partition("=")[2] for word in words if word.partition("=")[0].lstrip("+") == key]
    return values[-1].strip("'\"") if values else None


def _separated(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    before = ""
    for word in words:
        is_override = ("=" in word or word.startswith("~")) and not word.startswith("-")
        (overrides if is_override and before not in VALUE_FLAGS else flags).append(word)
        before = word
    return flags, overrides


def _prepare_word(word: str) -> list[str]:
    key, equals, value = word.partition("=")
    if not equals:
        return [word]
    if key == "bugs" and any(_is_path(part) for part in _parts(value)):
        return ["bugs=suite", f"bugs.suite={_sweep(value)}"]
    if key == "keep" and value and value[0] not in "['\"":
        return [f"keep=[{_sweep(value)}]"]
    if key.lstrip("+") in PATH_KEYS:
        return [f"{key}={_sweep(value)}"]
    return [word]


def _parts(value: str) -> list[str]:
    """The values of a sweep (``a,b``); a path that exists is one value, commas and all."""
    return [value] if Path(value).expanduser().exists() else value.split(",")


def _sweep(value: str) -> str:
    return ",".join(_quoted(part) for part in _parts(value))


def _is_path(value: str) -> bool:
    looks = (
        any(mark in value for mark in ("/", os.sep, "+"))
        or value.startswith((".", "~"))
        or value.endswith((".yaml", ".yml"))
    )
    return looks or Path(value).is_dir()


def _quoted(value: str) -> str:
    """A value that Hydra reads as it was written; ``~`` becomes the home folder, as a shell would have it."""
    value = str(Path(value).expanduser()) if value.startswith("~") else value
    if not value or _PLAIN.fullmatch(value) or value[0] in "'\"":
        return value
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"

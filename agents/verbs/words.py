"""What a user writes after the verb, brought into the form that Hydra's grammar wants."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from netmend.env.errors import NetmendError

PATH_KEYS = frozenset(
    {
        "bug",
        "bugs",
        "without",
        "policy",
        "program",
        "resume",
        "data_dir",
        "suite",
        "training.store",
        "order",
        "ship",
        "run",
    }
)
"""Keys whose value is a path, a suite's or a bug's id, taken literally: ``=`` or a blank needs no quotes."""

LIST_KEYS = frozenset({"keep", "methods", "actions.names", "operators", "rows"})
"""Keys whose value is a list of names, which needs no brackets: ``keep=a,b``."""

VALUE_FLAGS = frozenset(
    {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"}
)
"""Flags of Hydra's that take a word, which may hold ``=`` too."""
CONFIG_DIR = frozenset({"--config-dir", "-cd"})
SWEEP = frozenset({"-m", "--multirun"})
SHOWS = frozenset({"--cfg", "-c", "--info", "-i", "--run", "-r", "--shell-completion", "-sc"})
"""Flags that ask for something else than a sweep does."""

MOST_CHARACTERS, MOST_DEPTH = 5_000, 20
"""Of one word, and of brackets in brackets: beyond, the parser takes minutes or never returns."""

_PLAIN = re.compile(r"[\w./:@*?|%$+-]*")


def prepare(words: Sequence[str]) -> list[str]:
    """Words for Hydra: odd paths are quoted, lists of names get their brackets.

    Flags come first, whatever the order was: argparse refuses overrides on both sides of a flag. Other
    overrides pass unchanged.
    """
    flags, overrides = separated(words)
    return [*flags, *map(_prepared, overrides)]


def unfit(words: Sequence[str]) -> list[str]:
    """What is wrong with words that no parser should see, or with flags that exclude each other."""
    problems = []
    for word in words:
        shown = f"{word[:40]}..." if len(word) > 40 else word
        if not word.isprintable():
            problems.append(f"{shown!a}: holds characters that cannot be printed")
        elif len(word) > MOST_CHARACTERS:
            problems.append(f"{shown}: longer than {MOST_CHARACTERS} characters")
        elif _depth(word) > MOST_DEPTH:
            problems.append(f"{shown}: more than {MOST_DEPTH} brackets in brackets")
    flags, _ = separated(words)
    others = sorted(SHOWS & {flag.partition("=")[0] for flag in flags})
    for before, word in pairwise(["", *flags]):
        if not word.startswith("-") and before not in VALUE_FLAGS:
            problems.append(f"{word[:40]!a}: neither KEY=VALUE nor a flag")
        if before in CONFIG_DIR and not os.path.isdir(word):
            problems.append(f"{before}: there is no folder {word[:40]!a}")
    if SWEEP & set(flags) and others:
        problems.append(f"--multirun: starts several runs; leave it out, or {others[0]}")
    return problems


def value_of(words: Sequence[str], key: str) -> str | None:
    """The last value that the words give to a key, without its quotes; None where they give none."""
    values = [word.partition("=")[2] for word in words if word.partition("=")[0].lstrip("+") == key]
    return values[-1].strip("'\"") if values else None


def separated(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Flags with their values, and overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    before = ""
    for word in words:
        is_override = ("=" in word or word.startswith("~")) and not word.startswith("-")
        (overrides if is_override and before not in VALUE_FLAGS else flags).append(word)
        before = word
    return flags, overrides


def _depth(word: str) -> int:
    depth = deepest = 0
    for character in word:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _prepared(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals:
        return word
    if key in LIST_KEYS and value not in ("", "null") and value[0] not in "['\"":
        return f"{key}=[{_sweep(value)}]"
    return f"{key}={_sweep(value)}" if key.lstrip("+") in PATH_KEYS else word


def _sweep(value: str) -> str:
    """The values of a sweep (``a,b``); a path that exists is one value, commas and all."""
    parts = [value] if os.path.exists(os.path.expanduser(value)) else value.split(",")
    return ",".join(map(_quoted, parts))


def _quoted(value: str) -> str:
    """A value that Hydra reads as it was written; ``~`` becomes the home folder, as a shell would have it."""
    value = os.path.expanduser(value)
    if not value or _PLAIN.fullmatch(value) or value[0] in "'\"":
        return value
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"


class VerbParser(argparse.ArgumentParser):
    """Of the verbs that Hydra does not configure; says what is wrong in one line, as every verb does."""

    def error(self, message: str) -> NoReturn:
        """Raise it. Raises NetmendError."""
        raise NetmendError(f"{self.prog.split()[-1]}: {message}; {self.prog} --help shows what it takes")

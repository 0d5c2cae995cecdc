"""The one reader of files that may come from a stranger: what is opened, how texts and YAML are read.

Only regular files are opened. A YAML text is built from the events of its parser, and every limit is checked
before the value that would break it is built. It holds plain values only: no anchors, merges or tags.
"""

from __future__ import annotations

import gc
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

import yaml

from netmend.env.errors import FileError

Value: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a YAML text may be at most.

    Attributes:
        size: bytes of the file.
        depth: levels of collections inside each other.
        items: values and keys, collections among them.
        text: characters of one text.
        digits: characters of one number or key.
    """

    size: int = 20_000_000
    depth: int = 32
    items: int = 2_100_000
    text: int = 100_000
    digits: int = 100


LIMITS = Limits()
"""What a suite of 24,000 mutants needs; any text is read or refused within five seconds."""


def read_yaml(path: Path | str, limits: Limits = LIMITS) -> object:
    """What a YAML file holds: mappings, lists and plain values.

    Raises:
        FileError: see ``open_regular`` and ``parse_yaml``.
    """
    return parse_yaml(read_text(path, limits.size), shown_path(path), limits)


def parse_yaml(text: str, where: str, limits: Limits = LIMITS) -> object:
    """What a YAML text holds. Numbers may be written as in YAML 1.2 (``1e-3``), dates stay texts.

    Args:
        text: one document.
        where: what an error calls it.
        limits: what it may be at most.

    Raises:
        FileError: not YAML, over a limit, or holding what is not read; with line and column.
    """
    if directive := _DIRECTIVE.search(text):
        line = text.count("\n", 0, directive.start()) + 1
        raise FileError(where, [f"line {line}: a line that begins with % is not read"])
    if text.count(",") > limits.items:  # each stands between two values; texts hardly have so many
        raise FileError(where, [f"more than {limits.items:,} values"])
    # the collector would look at every object again and again while a large text is read: twice the time
    collects = gc.isenabled()
    gc.disable()
    try:
        return _built(text, limits)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        is_tab = mark is not None and text[mark.index : mark.index + 1] == "\t"
        problem = "a tab; indent with blanks" if is_tab else error.problem or error.context
        raise FileError(where, [f"{place}{problem}"]) from None
    except yaml.YAMLError as error:
        raise FileError(where, [f"not YAML: {' '.join(str(error).split())}"]) from None
    finally:
        if collects:
            gc.enable()


def read_text(path: Path | str, most_bytes: int) -> str:
    """The text of a UTF-8 file, with or without a byte order mark. Raises FileError as ``open_regular``."""
    with open_regular(path, most_bytes) as file:
        raw = file.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise FileError(shown_path(path), [f"more than {most_bytes:,} bytes"])
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError(shown_path(path), ["written in UTF-16; save it as UTF-8"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: byte 0x{raw[error.start]:02x} is no UTF-8 (Latin-1?); save it as UTF-8"
        raise FileError(shown_path(path), [problem]) from None


@contextmanager
def open_regular(path: Path | str, most_bytes: int) -> Iterator[BinaryIO]:
    """A regular file for reading, links followed: nothing that blocks, never ends, or acts when opened.

    Raises:
        FileError: it is missing, cannot be read, is no regular file, or is larger than ``most_bytes``.
    """
    where = shown_path(path)
    try:
        _check_regular(os.stat(path), where, most_bytes)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _check_regular(os.fstat(descriptor), where, most_bytes)  # another one may have come in between
            yield file
    except OSError as error:
        raise FileError(where, [f"cannot be read: {error.strerror or error}"]) from None
    except ValueError as error:
        if "\0" not in str(path):
            raise
        raise FileError(where, [f"cannot be read: {error}"]) from None


def shown_path(path: Path | str) -> str:
    """A path as a message of one line shows it."""
    text = str(path)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= MOST_SHOWN else f"...{text[-MOST_SHOWN:]}"


MOST_SHOWN = 300


def _check_regular(found: os.stat_result, where: str, most_bytes: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise FileError(where, ["a folder, not a file"])
    if not stat.S_ISREG(found.st_mode):
        raise FileError(where, ["no regular file (a pipe or a device?)"])
    if found.st_size > most_bytes:
        raise FileError(where, [f"{found.st_size:,} bytes; at most {most_bytes:,} are read"])


def _built(text: str, limits: Limits) -> object:
    builder = _Builder(limits)
    for event in yaml.parse(text, Loader=_Parser):
        builder.take(event)
    return builder.top[0] if builder.top else None


_Parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast parser where there is one. It crashes in deep nesting, which is refused long before."""
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
"""Many of them take the parser a time that grows with their square."""


class _Builder:
    """Plain values from the events of a parser, without recursion."""

    def __init__(self, limits: Limits) -> None:
        self.top: list[object] = []
        self._limits = limits
        self._open: list[list[object] | dict[Value, object]] = [self.top]
        self._keys: list[Value | _NoKey] = [_NO_KEY]
        self._items = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.NodeEvent):
            self._check(event)
            if isinstance(event, yaml.ScalarEvent):
                self._add(self._value(event), event)
            else:
                fresh: dict[Value, object] | list[object] = _FRESH[type(event)]()
                self._add(fresh, event)
                self._open.append(fresh)
                self._keys.append(_NO_KEY)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()
        elif isinstance(event, yaml.DocumentStartEvent) and self.top:
            raise _refusal("a second document begins; one is read", event)

    def _check(self, event: yaml.NodeEvent) -> None:
        self._items += 1
        if event.anchor is not None:
            raise _refusal(f"anchors and aliases ({event.anchor[:40]!r}) are not read; write it out", event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refusal(f"the tag {tag[:40]!r} is not read; only plain values are", event)
        if self._items > self._limits.items:
            raise _refusal(f"more than {self._limits.items:,} values", event)
        if len(self._open) > self._limits.depth and not isinstance(event, yaml.ScalarEvent):
            raise _refusal(f"nested more than {self._limits.depth} levels deep", event)

    def _value(self, event: yaml.ScalarEvent) -> Value:
        text, limits = event.value, self._limits
        if len(text) > limits.digits:
            if event.implicit[0] and _kind(text) in _NUMBERS:
                raise _refusal(f"a number of {len(text)} characters; at most {limits.digits} are read", event)
            if len(text) > limits.text:
                raise _refusal(f"a text of {len(text):,} characters; at most {limits.text:,} are read", event)
        elif event.implicit[0]:
            return _plain_value(text)
        if "\0" in text:
            raise _refusal("a text with a NUL character", event)
        return text

    def _add(self, value: object, event: yaml.NodeEvent) -> None:
        inside, key = self._open[-1], self._keys[-1]
        if isinstance(inside, list):
            inside.append(value)
        elif isinstance(key, _NoKey):
            self._keys[-1] = self._key(value, inside, event)
        else:
            inside[key] = value
            self._keys[-1] = _NO_KEY

    def _key(self, value: object, inside: dict[Value, object], event: yaml.NodeEvent) -> Value:
        if not isinstance(value, Value):
            raise _refusal("a key must be a word or a number", event)
        if isinstance(value, str) and len(value) > self._limits.digits:
            raise _refusal(f"a key of {len(value):,} characters; at most {self._limits.digits}", event)
        if value == "<<":
            raise _refusal("merges (<<) are not read; write it out", event)
        if value in inside:
            raise _refusal(f"the key {str(value)!r} stands here twice", event)
        return value


class _NoKey:
    """Stands where a mapping waits for its next key."""


_NO_KEY = _NoKey()
_FRESH: dict[type[yaml.Event], type[list[object]] | type[dict[Value, object]]] = {
    yaml.SequenceStartEvent: list,
    yaml.MappingStartEvent: dict,
}


def _refusal(problem: str, event: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast(yaml.Mark, event.start_mark))


class _Resolver(yaml.resolver.Resolver):
    """YAML 1.1's plain values, with the exponents of YAML 1.2."""


_Resolver.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
_RESOLVER, _CONSTRUCTOR = _Resolver(), yaml.constructor.SafeConstructor()
_NUMBERS = {"int": _CONSTRUCTOR.construct_yaml_int, "float": _CONSTRUCTOR.construct_yaml_float}
_CONSTRUCTED = _NUMBERS | {"bool": _CONSTRUCTOR.construct_yaml_bool, "null": _CONSTRUCTOR.construct_yaml_null}


def _kind(text: str) -> str:
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag.rpartition(":")[2]


@lru_cache(maxsize=10_000)
def _plain_value(text: str) -> Value:
    """The value of a text without quotes; one that only looks like a number (``0x_``) stays a text."""
    construct = _CONSTRUCTED.get(_kind(text))
    if construct is None:
        return text
    try:
        value: Value = construct(yaml.ScalarNode("", text))
    except ValueError:
        return text
    return value

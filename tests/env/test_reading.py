from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest
import yaml

from netmend.env.bugs.loading import SUITES
from netmend.env.errors import FileError
from netmend.env.reading import LIMITS, Limits, open_regular, parse_yaml, read_text, read_yaml

SMALL = Limits(size=100, depth=3, items=10, text=20, digits=8)
REFUSED = {
    "a:\n\tb: 1": "line 2, column 1: a tab; indent with blanks",
    "[" * 100_000: "line 1, column 33: nested more than 32 levels deep",
    "{a: " * 100_000: "nested more than 32 levels deep",
    "- " * 100_000: "nested more than 32 levels deep",
    "\n".join(" " * i + "a:" for i in range(100)): "line 33, column 33: nested",
    "? " * 100_000: "a key must be a word",
    "a: &a [x]\nb: [*a, *a]": "line 1, column 4: anchors and aliases ('a') are not read",
    "b: *a": "anchors and aliases",
    "a: {<<: {b: 1}}": "merges (<<) are not read",
    "a: !!python/object/apply:os.system [true]": "tag 'tag:yaml.org,2002:python/object/apply:os' is not",
    "a: !!binary aGk=": "the tag 'tag:yaml.org,2002:binary'",
    "%TAG !a! tag:x\n" * 9: "line 1: a line that begins with % is not read",
    "a: 1\nb: 2\na: 3": "line 3, column 1: the key 'a' stands here twice",
    "[a]: 1": "line 1, column 1: a key must be a word",
    f"a: {'1' * 400}": "a number of 400 characters; at most 100 are read",
    f"a: 0.{'1' * 400}": "a number of 402 characters",
    f"{'k' * 101}: 1": "a key of 101 characters",
    "a: " + "x" * 100_001: "a text of 100,001 characters",
    'a: "x\\0"': "line 1, column 4: a text with a NUL character",
    "a: 1\n---\nb: 2": "line 2, column 1: a second document begins",
    "a: [1": "line 2, column 1: did not find expected",
    "a: \x01": "unacceptable character #x0001",
    'a: "\\ud800"': "invalid Unicode",
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_not_read_is_one_line_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(FileError) as caught:
        parse_yaml(text, "bad.yaml")
    message = str(caught.value)
    assert problem in message
    assert message.startswith("bad.yaml: ")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[[[]]]]", "nested more than 3 levels deep"),
        ("[0,1,2,3,4,5,6,7,8,9]", "more than 10 values"),
        ("a" * 21, "a text of 21 characters; at most 20"),
        ("123456789", "a number of 9 characters; at most 8"),
        ("abcdefghi: 1", "a key of 9 characters; at most 8"),
    ],
)
def test_limits(text: str, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        parse_yaml(text, "bad", SMALL)


def test_what_just_fits() -> None:
    texts = ("[[[0]]]", "[0,1,2,3,4,5,6,7,8]", "a" * 20, "12345678", "abcdefgh: '123456789'")
    values = [[[[0]]], list(range(9)), "a" * 20, 12345678, {"abcdefgh": "123456789"}]
    assert [parse_yaml(text, "fits", SMALL) for text in texts] == values


def test_a_suite_of_24000_mutants_just_fits() -> None:
    head, _, bugs = read_text(SUITES / "mutants-v1.yaml", LIMITS.size).partition("\nbugs:\n")
    values = sum(isinstance(event, yaml.NodeEvent) for event in yaml.parse(bugs, yaml.SafeLoader))
    share = 24_000 / bugs.count("- id: ")
    assert share < 40
    assert values * share < LIMITS.items
    assert len(head) + len(bugs) * share < LIMITS.size


def test_plain_values() -> None:
    text = """
int: [1, -2, 0x1F, 1_000, 0x_]
float: [1.5, 1e-3, 1.5e3, -2E+4, .5e1, -.inf, 1e5x, v1e5]
other: [true, No, null, ~, '', "1", 2020-01-01, "a\\tb", =]
1: {nested: {}}
empty:
"""
    assert parse_yaml(text, "text") == {
        "int": [1, -2, 31, 1000, "0x_"],
        "float": [1.5, 1e-3, 1500.0, -2e4, 5.0, float("-inf"), "1e5x", "v1e5"],
        "other": [True, False, None, None, "", "1", "2020-01-01", "a\tb", "="],
        1: {"nested": {}},
        "empty": None,
    }
    assert parse_yaml("", "text") is None
    assert parse_yaml("--- 5\n...\n", "text") == 5


def test_the_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    parse_yaml("a: 1", "text")
    assert gc.isenabled()
    gc.disable()
    try:
        parse_yaml("a: 1", "text")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_text_at_the_limits_is_read_in_seconds() -> None:
    before = time.process_time()
    assert isinstance(parse_yaml("[" + "{a: 1}, " * 100_000 + "]", "large"), list)
    assert time.process_time() - before < 3


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "long.yaml").write_text("a" * 101)
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(5_000_000_000)
    refused = {
        tmp_path / "pipe": "no regular file",
        Path("/dev/zero"): "no regular file",
        tmp_path: "a folder, not a file",
        tmp_path / "none": "cannot be read: No such file or directory",
        tmp_path / "loop": "cannot be read: Too many levels of symbolic links",
        tmp_path / "long.yaml": "101 bytes; at most 100 are read",
        sparse: "5,000,000,000 bytes",
        Path("/proc/cpuinfo"): "more than 100 bytes",
        "a\0b": "'a\\x00b': cannot be read: embedded null byte",
        "a\nb": "'a\\nb': cannot be read: No such file",
        "x" * 5000: "File name too long",
    }
    for path, problem in refused.items():
        with pytest.raises(FileError) as caught:
            read_yaml(path, SMALL)
        assert problem in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("a: 1")
    (tmp_path / "link.yaml").symlink_to("real")
    assert read_yaml(tmp_path / "link.yaml") == {"a": 1}


def test_an_error_of_the_one_who_reads_passes(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    with pytest.raises(ValueError, match="mine"), open_regular(tmp_path / "file", 10):
        raise ValueError("mine")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("a: é".encode("utf-16"), "written in UTF-16; save it as UTF-8"),
        ("a: 1\nb: é".encode("latin-1"), r"line 2: byte 0xe9 is no UTF-8 \(Latin-1\?\); save it as UTF-8"),
    ],
)
def test_encodings(raw: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(FileError, match=problem):
        read_text(tmp_path / "file", 100)


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("a: é".encode("utf-8-sig"))
    assert read_yaml(tmp_path / "file") == {"a": "é"}

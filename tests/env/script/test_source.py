"""The text of files: nodes by site, splices, conflicts, and a diff that git takes."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from netmend.env.script.site import Site
from netmend.env.script.source import Draft, EditRefused, Project, SourceFile, diff


def _draft(text: str) -> Draft:
    return Draft(SourceFile("train.py", text))


def _named(draft: Draft, name: str) -> ast.expr:
    return next(n for n in ast.walk(draft.file.tree) if isinstance(n, ast.Name) and n.id == name)


def _statement(draft: Draft, name: str) -> ast.stmt:
    return draft.file.statement(_named(draft, name))


def _call(draft: Draft) -> ast.Call:
    return next(n for n in ast.walk(draft.file.tree) if isinstance(n, ast.Call))


@pytest.mark.parametrize(
    "text", ["é = 'ö'; x = f(é)\n", "\ufeffx = f(1)\r\n", "\ufeffa = 1\nx = f(1)\n", "x = f(1)"]
)
def test_a_node_is_found_by_its_range_in_bytes(text: str) -> None:
    draft = _draft(text)
    call = _call(draft)
    site = Site("train.py", call.lineno, call.col_offset, call.end_lineno or 0, call.end_col_offset or 0)
    assert draft.file.node(site) is call
    draft.put(call, "g()")
    assert draft.result() == text.replace(draft.file.text_of(call), "g()")


def test_no_expression_at_a_site_is_said() -> None:
    with pytest.raises(EditRefused, match=r"no expression stands at train\.py:1"):
        SourceFile("train.py", "x = 1\n").node(Site("train.py", 1, 0, 1, 4))


def test_what_no_splice_covers_stays_byte_for_byte() -> None:
    text = "x  =  f( 1 ,\r\n\t# why\r\n 2)   ; y=3 # end \r\n\x0c\r\n"
    draft = _draft(text)
    draft.put(draft.file.tree.body[0].value.args[0], "10")  # type: ignore[attr-defined]
    assert draft.result() == text.replace("f( 1 ", "f( 10 ")


def test_overlapping_changes_conflict() -> None:
    draft = _draft("x = f(a)\n")
    draft.put(_call(draft), "g()")
    draft.put(_named(draft, "a"), "b")
    with pytest.raises(EditRefused, match="two changes edit the same place"):
        draft.result()


def test_the_same_replacement_twice_is_one() -> None:
    draft = _draft("x = f(a)\n")
    draft.put(_named(draft, "a"), "b")
    draft.put(_named(draft, "a"), "b")
    assert draft.result() == "x = f(b)\n"


def test_a_result_that_is_no_python_is_refused() -> None:
    draft = _draft("x = f(a)\n")
    draft.put(_named(draft, "a"), "b c")
    with pytest.raises(EditRefused, match="would not be Python"):
        draft.result()


def test_wraps_nest_by_size_and_by_order() -> None:
    draft = _draft("x = f(a)\n")
    draft.wrap(_named(draft, "a"), "[", "]")
    draft.wrap(_call(draft), "(", ")")
    draft.wrap(_call(draft), "g(", ")")
    assert draft.result() == "x = g((f([a])))\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x = f(a)\n", "x = a\n"),
        ("x = f(a + b) * 2\n", "x = (a + b) * 2\n"),
        ("x = f(a + b)\n", "x = a + b\n"),
        ("return_ = [f( a , dim=1 )]\n", "return_ = [a]\n"),
    ],
)
def test_a_call_is_unwrapped(text: str, left: str) -> None:
    draft = _draft(text)
    draft.unwrap(_call(draft), _call(draft).args[0])
    assert draft.result() == left


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("if z:\n    a.go()  # now\n    b()\n", "if z:\n    new()\n    a.go()  # now\n    b()\n"),
        ("\ta.go()".lstrip("\t") + "\r\nb()\r\n", "new()\r\na.go()\r\nb()\r\n"),
        ("b(); a.go()\n", "b(); new(); a.go()\n"),
        ("if z: a.go()\n", "if z: new(); a.go()\n"),
        ("a.go()", "new()\na.go()"),
    ],
)
def test_a_statement_is_put_in_front(text: str, after: str) -> None:
    draft = _draft(text)
    draft.before(_statement(draft, "a"), "new()")
    assert draft.result() == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("if z:\n    a.go()  # now\n    b()\n", "if z:\n    a.go()  # now\n    new()\n    b()\n"),
        ("a.go(\r\n)\r\nb()\r\n", "a.go(\r\n)\r\nnew()\r\nb()\r\n"),
        ("a.go(); b()\n", "a.go(); new(); b()\n"),
        ("if z: a.go()\n", "if z: a.go(); new()\n"),
        ("a.go()", "a.go()\nnew()"),
    ],
)
def test_a_statement_is_put_behind(text: str, after: str) -> None:
    draft = _draft(text)
    draft.after(_statement(draft, "a"), "new()")
    assert draft.result() == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("b()\na.go()  # gone\nc()\n", "b()\nc()\n"),
        ("b(); a.go(); c()\n", "b(); c()\n"),
        ("b(); a.go()  # stays\n", "b()  # stays\n"),
        ("a.go(); b()\n", "b()\n"),
        ("if z:\n    a.go()\n", "if z:\n    pass\n"),
        ("b()\na.go()", "b()\n"),
    ],
)
def test_a_statement_is_removed(text: str, after: str) -> None:
    draft = _draft(text)
    draft.remove(_statement(draft, "a"))
    assert draft.result() == after


def test_a_block_cannot_join_a_shared_line() -> None:
    draft = _draft("if z: a.go()\n")
    with pytest.raises(EditRefused, match="a line that is shared"):
        draft.after(_statement(draft, "a"), "for x in y:\n    pass")


def test_nothing_stands_in_front_of_a_branch() -> None:
    draft = _draft("if z:\n    b()\nelif a:\n    c()\n")
    with pytest.raises(EditRefused, match="is a branch"):
        draft.before(_statement(draft, "a"), "new()")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\nb = 2\n", "a = 1\nb = 3\n"),
        ("a = 1\nb = 2", "a = 1\nb = 3"),
        ("a = 1\nb = 2", "a = 1\nb = 3\n"),
        ("a = 1\r\nb = 2\r\n", "a = 1\r\nb = 3\r\n"),
        ("é = 'x\u2028y'\n\x0cb = 2\n", "é = 'x\u2028y'\n\x0cb = 3\n"),
    ],
)
@pytest.mark.parametrize("path", ["train.py", "pa ckage/mödel.py"])
def test_git_applies_the_diff(tmp_path: Path, path: str, before: str, after: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(before.encode())
    patch = diff({path: before}, {path: after}).encode()
    subprocess.run(["git", "apply", "-"], input=patch, cwd=tmp_path, check=True, capture_output=True)
    assert file.read_bytes() == after.encode()


def test_files_that_a_diff_could_not_hold_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_bytes("\ufeffx = 'é'\r\n".encode())
    (tmp_path / "old.py").write_bytes("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"))
    (tmp_path / "binary.py").write_bytes(b"\x00\xff")
    (tmp_path / "data.txt").write_text("no python here")
    others = ["old.py", "binary.py", "data.txt", "gone.py"]
    project = Project.read(tmp_path, ["new.py", *others])
    assert project.file("new.py").text == "\ufeffx = 'é'\r\n"
    for path in others:
        with pytest.raises(EditRefused, match="not one of the script's own files"):
            project.file(path)

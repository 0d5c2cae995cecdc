"""The source of a script: nodes by their site, edits as splices of bytes, and the diff.

Positions are bytes of UTF-8, as in ``ast`` and in :class:`~netmend.env.script.site.Site`. What no splice
covers stays byte for byte.
"""

from __future__ import annotations

import ast
import difflib
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netmend.env.errors import NetmendError
from netmend.env.script.imports import bound, of_keras
from netmend.env.script.notebook import read_notebook
from netmend.env.script.site import Site

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MARK = "\ufeff"  # a byte order mark stands in front of column 0
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_HEAD = re.compile(rb"(?:[\s),]|#[^\n]*\n)*:")  # from the last expression of a ``with`` to its colon
_CUT = "\0"  # stands in no source


class EditRefused(NetmendError):  # noqa: N818
    """A change cannot be written into a source as it stands; the message says why."""


class SourceFile:
    """One file: its text, its tree, and the way from a range to a node.

    Args:
        path: relative to the script's folder, with forward slashes.
        text: with the line ends of the file.

    Raises:
        EditRefused: the text is no Python.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text, self.raw = path, text, text.encode()
        try:
            self.tree = ast.parse(text.removeprefix(_MARK))
        except (SyntaxError, ValueError) as error:
            raise EditRefused(f"{path} is not Python: {error}") from error
        self._starts = [len(_MARK.encode()) if text.startswith(_MARK) else 0]
        end = 0
        for line in self.raw.splitlines(keepends=True):
            end += len(line)
            self._starts.append(end)

    @property
    def newline(self) -> str:
        """How its lines end."""
        return "\r\n" if b"\r\n" in self.raw else "\n"

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """What each node stands in."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _by_range(self) -> dict[tuple[int, int, int | None, int | None], ast.expr]:
        return {
            (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset): node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.expr)
        }

    def node(self, site: Site) -> ast.expr:
        """The expression at a site.

        Raises:
            EditRefused: there is none, as where a decorator or an import calls.
        """
        found = self._by_range.get((site.line, site.column, site.end_line, site.end_column))
        if found is None:
            raise EditRefused(f"no expression stands at {site}")
        return found

    def site(self, node: ast.expr) -> Site:
        """Where an expression stands."""
        end = node.end_lineno or node.lineno, node.end_col_offset or 0
        return Site(self.path, node.lineno, node.col_offset, *end)

    def line_start(self, line: int) -> int:
        """Where a line starts; one behind the last is the end of the file."""
        return self._starts[line - 1]

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Where a node starts and ends; a definition starts at its decorators."""
        first = min(
            [node, *getattr(node, "decorator_list", ())], key=lambda part: (part.lineno, part.col_offset)
        )
        column = first.col_offset - (first is not node)  # the @ in front of a decorator
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or 0
        return self.line_start(first.lineno) + column, self.line_start(end_line) + end_column

    def text_of(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.raw[start:end].decode()

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node stands in, the innermost first."""
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that a node is part of."""
        return next(part for part in (node, *self.around(node)) if isinstance(part, ast.stmt))

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The innermost function that a node stands in, None at the top level."""
        return next((part for part in self.around(node) if isinstance(part, FUNCTIONS)), None)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The innermost class that a node stands in."""
        return next((part for part in self.around(node) if isinstance(part, ast.ClassDef)), None)

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """The statements that one stands among."""
        parent = self.parents[statement]
        for name in ("body", "orelse", "finalbody"):
            block = getattr(parent, name, ())
            if statement in block:
                return list(block)
        raise EditRefused(f"{self.path}:{statement.lineno} stands in no block")

    def indent(self, statement: ast.stmt) -> str | None:
        """The white space in front of a statement, None where it shares its line with what is in front."""
        start = self.span(statement)[0]
        lines = self.raw[:start].splitlines(keepends=True)
        before = lines[-1].decode() if lines and not lines[-1].endswith((b"\n", b"\r")) else ""
        before = before.removeprefix(_MARK)
        return None if before.strip() else before

    def rest_of_line(self, end: int) -> bytes:
        """What stands behind a position on its line, without the line's end."""
        return self.raw[end:].split(b"\n", 1)[0].rstrip(b"\r")

    @cached_property
    def imports(self) -> dict[str, str]:
        """Names that imports bind, in functions too, and the dotted names that they stand for."""
        return self._imported(everywhere=True)

    @cached_property
    def global_imports(self) -> dict[str, str]:
        """Those that are bound outside of functions, so that the whole file can use them."""
        return self._imported(everywhere=False)

    def _imported(self, *, everywhere: bool) -> dict[str, str]:
        nodes = (node for node in ast.walk(self.tree) if isinstance(node, ast.Import | ast.ImportFrom))
        inside = (node for node in nodes if everywhere or self.function(node) is None)
        return {name: dotted for node in inside for name, dotted in bound(node)}

    def dotted(self, node: ast.expr) -> str:
        """Dotted name of what a name or an attribute stands for, through imports; empty for anything else."""
        if isinstance(node, ast.Name):
            return self.imports.get(node.id, node.id)
        base = self.dotted(node.value) if isinstance(node, ast.Attribute) else ""
        return of_keras(f"{base}.{node.attr}") if base and isinstance(node, ast.Attribute) else ""


class Project:
    """The files of a script.

    Args:
        texts: text by path; files that are no Python are left out. Of a notebook its file, as JSON.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = dict(texts)
        self.files: dict[str, SourceFile] = {}
        for path, text in texts.items():
            with suppress(EditRefused, ValueError):
                source = read_notebook(text).text if path.endswith(".ipynb") else text
                self.files[path] = SourceFile(path, source)

    @classmethod
    def read(cls, folder: Path, files: Iterable[str]) -> Project:
        """Read files of a folder, less those in another encoding than UTF-8: a diff has one for all files."""
        texts = {}
        for path in files:
            with suppress(OSError, SyntaxError, ValueError), (folder / path).open("rb") as file:
                encoding, _ = tokenize.detect_encoding(file.readline)
                if encoding.startswith("utf-8"):
                    texts[path] = (folder / path).read_bytes().decode()
        return cls(texts)

    def file(self, path: str) -> SourceFile:
        """One of the files.

        Raises:
            EditRefused: it is none of the script's own, or no Python.
        """
        if path not in self.files:
            raise EditRefused(f"{path} is not one of the script's own files in UTF-8")
        return self.files[path]

    def module(self, dotted: str) -> SourceFile | None:
        """The file that an import of a dotted name reads, None where it is none of the script's own."""
        path = dotted.replace(".", "/")
        found = (name for name in (f"{path}.py", f"{path}/__init__.py") if name in self.files)
        return next((self.files[name] for name in found), None)


@dataclass(frozen=True)
class _Splice:
    start: int
    end: int
    text: str
    order: tuple[int, int, int]


class Draft:
    """A file with the splices that are to be made in it.

    Insertions at one position stand in this order: ends of what is wrapped (the inner first), what was
    appended, what was put in front, starts of what is wrapped (the outer first).
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self._splices: list[_Splice] = []

    def free_name(self, name: str) -> str:
        """A name that nothing in the file has yet, nor anything that was promised one before."""
        found, number = name, 1
        while found in self._names:
            number += 1
            found = f"{name}_{number}"
        self._names.add(found)
        return found

    @cached_property
    def _names(self) -> set[str]:
        """Every name, attribute and text of the file; modules are named by texts too."""
        fields = ("id", "attr", "arg", "value")
        return {str(getattr(node, field, "")) for node in ast.walk(self.file.tree) for field in fields}

    def replace(self, start: int, end: int, text: str) -> None:
        """Put text in the place of a range; the same replacement twice counts once."""
        if all((old.start, old.end, old.text) != (start, end, text) for old in self._splices):
            self._splices.append(_Splice(start, end, text, (4, 0, 0)))

    def insert(self, at: int, text: str, *, behind: bool = True) -> None:
        """Put text at a position, behind or in front of what else is put there."""
        self._splices.append(_Splice(at, at, text, (1 if behind else 2, 0, len(self._splices))))

    def put(self, node: ast.expr, text: str) -> None:
        """Put text in the place of a node."""
        self.replace(*self.file.span(node), text)

    def wrap(self, node: ast.expr, before: str, after: str) -> None:
        """Put text around a node."""
        start, end = self.file.span(node)
        number = len(self._splices)
        self._splices.append(_Splice(start, start, before, (3, start - end, -number)))
        self._splices.append(_Splice(end, end, after, (0, end - start, number)))

    def unwrap(self, outer: ast.expr, inner: ast.expr) -> None:
        """Leave of a node only another one inside of it, in parentheses where it needs them."""
        start, end = self.file.span(outer)
        first, last = self.file.span(inner)
        safe = isinstance(inner, ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.Constant)
        keeps = isinstance(self.file.parents[outer], ast.Assign | ast.Return | ast.keyword | ast.Expr)
        opening, closing = ("", "") if safe or keeps else ("(", ")")
        self.replace(start, first, opening)
        self.replace(last, end, closing)

    def before(self, statement: ast.stmt, text: str) -> None:
        """Put lines of code, without indentation, in front of a statement."""
        start = self.file.span(statement)[0]
        indent = self.file.indent(statement)
        if self.file.raw[start:].startswith(b"elif"):
            raise EditRefused(f"{self.file.path}:{statement.lineno} is a branch: nothing can stand in front")
        if indent is None:
            self.insert(start, f"{self._short(text)}; ", behind=False)
        else:
            self.insert(start - len(indent.encode()), self._lines(text, indent), behind=False)

    def after(self, statement: ast.stmt, text: str) -> None:
        """Put lines of code, without indentation, behind a statement."""
        end = self.file.span(statement)[1]
        indent, rest = self.file.indent(statement), self.file.rest_of_line(end)
        if indent is None or rest.lstrip().startswith(b";"):
            self.insert(end, f"; {self._short(text)}")
            return
        lines = self._lines(text, indent)
        at = self.file.line_start((statement.end_lineno or statement.lineno) + 1)
        if not self.file.raw[:at].endswith((b"\n", b"\r")):
            lines = self.file.newline + lines.removesuffix(self.file.newline)
        self.insert(at, lines)

    def remove(self, statement: ast.stmt) -> None:
        """Take a statement away with its line; one that is alone in its block becomes ``pass``."""
        start, end = self.file.span(statement)
        indent, rest = self.file.indent(statement), self.file.rest_of_line(end)
        semicolon = re.match(rb"\s*;[ \t]*", rest)
        if len(self.file.block(statement)) == 1:
            self.replace(start, end, "pass")
        elif semicolon:
            self.replace(start, end + semicolon.end(), "")
        elif indent is None:
            head = self.file.raw[:start].rstrip(b" \t").removesuffix(b";").rstrip(b" \t")
            self.replace(len(head), end, "")
        else:
            last = self.file.line_start((statement.end_lineno or statement.lineno) + 1)
            self.replace(start - len(indent.encode()), last, "")

    def unblock(self, statement: ast.With) -> None:
        """Take the head of a ``with`` away and its block to the left; texts of several lines stay."""
        file, first = self.file, statement.body[0]
        start, end = file.span(statement)[0], file.span(statement.items[-1].context_expr)[1]
        indent, outer = file.indent(first), file.indent(statement)
        if indent is None or outer is None:  # on one line
            self.replace(start, file.span(first)[0], "")
            return
        end += _HEAD.match(file.raw[end:]).end()  # type: ignore[union-attr]
        head = file.raw[:end].count(b"\n") + 2
        self.replace(start - len(outer.encode()), file.line_start(head), "")
        inside = {
            line
            for node in ast.walk(statement)
            if isinstance(node, ast.JoinedStr | ast.Constant)
            for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)
        }
        for line in range(head, (statement.end_lineno or head) + 1):
            at = file.line_start(line)
            if line not in inside and file.raw[at:].startswith(indent.encode()):
                self.replace(at + len(outer.encode()), at + len(indent.encode()), "")

    def result(self) -> str:
        """The text with all splices.

        Raises:
            EditRefused: two of them touch the same place, or the result would not be Python.
        """
        return "".join(self.parts())

    def parts(self, cuts: Iterable[int] = ()) -> list[str]:
        """The same, cut where the lines begin that are named: what is put behind a line stays with it."""
        marks = [_Splice(at, at, _CUT, (1, 1, 0)) for at in map(self.file.line_start, cuts)]
        ordered = sorted(
            [*self._splices, *marks],
            key=lambda splice: (splice.start, splice.end > splice.start, splice.order),
        )
        raw, parts, at = self.file.raw, [], 0
        for splice in ordered:
            if splice.start < at:
                raise EditRefused(f"two changes edit the same place of {self.file.path}")
            parts += [raw[at : splice.start], splice.text.encode()]
            at = splice.end
        text = b"".join([*parts, raw[at:]]).decode()
        try:
            ast.parse(text.replace(_CUT, "").removeprefix(_MARK))
        except SyntaxError as error:
            raise EditRefused(f"{self.file.path} would not be Python: {error}") from error
        return text.split(_CUT)

    def _lines(self, text: str, indent: str) -> str:
        return "".join(f"{indent}{line}{self.file.newline}" for line in text.split("\n"))

    def _short(self, text: str) -> str:
        if "\n" in text or text.startswith(("for ", "if ", "with ")):
            raise EditRefused(f"{self.file.path}: a block cannot stand on a line that is shared")
        return text


def diff(before: Mapping[str, str], after: Mapping[str, str], folder: str = "") -> str:
    """The unified diff of files by path, as ``git apply`` takes it; empty where nothing differs.

    Args:
        before, after: texts by path.
        folder: in front of each path, with a slash at its end.
    """
    lines: list[str] = []
    for path, text in after.items():
        name = folder + path + ("\t" if " " in folder + path else "")  # ends a name with spaces
        old, new = _LINE.findall(before[path]), _LINE.findall(text)
        for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"):
            ended = line.endswith("\n")
            lines += [line] if ended else [f"{line}\n", "\\ No newline at end of file\n"]
    return "".join(lines)

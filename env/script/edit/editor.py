"""What every kind of change needs: nodes of recorded sites, values at their source, arguments, names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from netmend.env.script.changes import SourceChange
from netmend.env.script.follow import Place, argument, definition, is_written_out
from netmend.env.script.notebook import read_notebook, with_cells
from netmend.env.script.record import Operation, Record, Setting
from netmend.env.script.site import Site
from netmend.env.script.source import Draft, EditRefused, Project

Old: TypeAlias = Setting | tuple[int, ...]


@dataclass(frozen=True)
class Code:
    """Source text that stands for a value: a name or a call, not a constant."""

    text: str


Value: TypeAlias = Setting | tuple[int, ...] | Code
_SHOWS = frozenset(
    {
        "print",
        "format",
        "log",
        "info",
        "debug",
        "write",
        "set_description",
        "set_postfix",
        "range",
        "DataLoader",
    }
)
"""Calls that may read a setting of the script along with what it is for."""


@dataclass(frozen=True)
class _Wish:
    """A value that an expression shall have; ``uses`` are where it began."""

    text: str
    old: Old
    uses: tuple[Place, ...]
    place: Place


def written(value: Value) -> str:
    """How a value is written in a source."""
    if isinstance(value, str):
        return json.dumps(value)
    return value.text if isinstance(value, Code) else repr(value)


class Editor:
    """The edits of one patch: changes write into it, ``texts`` gives the result.

    Attributes:
        project: the sources as they stand.
        record: of a run of them.
        changes: all changes of the patch, for what only some of several uses may want.
        notes: what a person should know about the edits.
    """

    def __init__(self, project: Project, record: Record, changes: Sequence[SourceChange]) -> None:
        self.project, self.record, self.changes = project, record, tuple(changes)
        self.notes: list[str] = []
        self._drafts: dict[str, Draft] = {}
        self._wishes: dict[ast.expr, _Wish] = {}
        self._imports: set[tuple[str, str]] = set()
        self._gone: dict[ast.AST, list[ast.expr | ast.keyword]] = {}

    def draft(self, path: str) -> Draft:
        """The draft of a file."""
        if path not in self._drafts:
            self._drafts[path] = Draft(self.project.file(path))
        return self._drafts[path]

    def at(self, site: Site | None, what: str) -> tuple[Draft, ast.expr]:
        """The expression at a recorded site, and the draft of its file.

        Raises:
            EditRefused: the run did not show where it is.
        """
        if site is None:
            raise EditRefused(f"the run did not show where {what} is")
        draft = self.draft(site.file)
        return draft, draft.file.node(site)

    def call(self, site: Site | None, what: str) -> tuple[Draft, ast.Call]:
        """The call at a recorded site."""
        draft, node = self.at(site, what)
        if not isinstance(node, ast.Call):
            raise EditRefused(f"{site}: {what} is no call")
        return draft, node

    def operation(self, change: SourceChange) -> Operation:
        """The operation that a change is about."""
        if change.at is None or not 0 <= change.at < len(self.record.operations):
            raise EditRefused(f"{change.what} names no operation of the network")
        return self.record.operations[change.at]

    def alone(self, change: SourceChange, site: Site | None, *, made: bool) -> bool:
        """Whether all operations of one site (``made`` or ``called``) take part in a change.

        A line in a loop, a helper that is called twice and a module that is applied twice stand for
        several operations; what is written there holds for all of them. A module with weights is one layer
        however often it is applied.
        """
        wanted = {other.at for other in self._alike(change)}
        operations = self.record.operations
        layers = {operations[at].module for at in wanted if at is not None and operations[at].module}
        return all(
            index in wanted
            or (made and operation.module in layers and operation.trainable + operation.frozen)
            for index, operation in enumerate(operations)
            if site is not None and (operation.made if made else operation.called) == site
        )

    def first(self, change: SourceChange, site: Site | None, *, made: bool) -> bool:
        """Whether a change is the one that writes for all operations of its site; the others follow it.

        Raises:
            EditRefused: operations stand at the site that the change leaves as they are.
        """
        if not self.alone(change, site, made=made):
            raise EditRefused(f"{site} makes several layers, and only some of them change")
        operations = self.record.operations
        return change.at == min(
            other.at
            for other in self._alike(change)
            if other.at is not None
            and (operations[other.at].made if made else operations[other.at].called) == site
        )

    def _alike(self, change: SourceChange) -> list[SourceChange]:
        return [
            other
            for other in self.changes
            if (other.what, other.value, other.layers) == (change.what, change.value, change.layers)
        ]

    def want(self, draft: Draft, node: ast.expr, value: Value, old: Old = None) -> None:
        """Let an expression have a value, at its source where nothing else reads that.

        Args:
            draft: of its file.
            node: the expression.
            value: that it shall have.
            old: that it has; what does not have it is no source of it. None where that is not known.

        Raises:
            EditRefused: another change wants another value there.
        """
        place = Place(draft.file, node)
        wish = _Wish(written(value), old, (place,), place)
        if self._wishes.setdefault(node, wish).text != wish.text:
            raise EditRefused(f"two changes want another value at {draft.file.path}:{node.lineno}")

    def arguments(
        self,
        draft: Draft,
        call: ast.Call,
        wanted: Mapping[str, Value],
        positions: Mapping[str, int] | None = None,
        old: Mapping[str, Setting] | None = None,
        leave: Sequence[str] = (),
    ) -> None:
        """Set arguments of a call, by keyword where it does not give them yet, and leave others out.

        Args:
            draft: of the call's file.
            call: what is called.
            wanted: value by name.
            positions: of arguments that can be given by position.
            old: what they were, see ``want``.
            leave: keywords that go.

        Raises:
            EditRefused: the call spreads a list or a dictionary, which may hold the argument.
        """
        positions, old = positions or {}, old or {}
        gone = [keyword for keyword in call.keywords if keyword.arg in leave]
        for keyword in gone:
            self.drop(call, keyword)
        new = []
        for name, value in wanted.items():
            node = argument(call, name, positions.get(name))
            if node is not None:
                self.want(draft, node, value, old.get(name))
            elif any(keyword.arg is None for keyword in call.keywords):
                raise EditRefused(
                    f"{draft.file.path}:{call.lineno} spreads a dictionary: {name} may be in it"
                )
            else:
                new.append(f"{name}={written(value)}")
        if new:
            kept = [part for part in elements(call) if part not in gone]
            append_element(draft, call, ", ".join(new), bool(kept))

    def drop(self, holder: ast.AST, part: ast.expr | ast.keyword) -> None:
        """Take an argument of a call or an element of a list away, together with its neighbours that go."""
        gone = self._gone.setdefault(holder, [])
        if all(part is not other for other in gone):
            gone.append(part)

    def _holding(self, node: ast.AST) -> Draft:
        return next(draft for draft in self._drafts.values() if node in draft.file.parents)

    def spell(self, draft: Draft, dotted: str) -> str:
        """How a file says a dotted name, by its own imports; adds an import where it has none that helps."""
        imports = draft.file.global_imports
        fits = [name for name, full in imports.items() if f"{dotted}.".startswith(f"{full}.")]
        if fits:
            best = max(fits, key=lambda name: len(imports[name]))
            return best + dotted.removeprefix(imports[best])
        self._import(draft, dotted.partition(".")[0])
        return dotted

    def _import(self, draft: Draft, module: str) -> None:
        if (draft.file.path, module) in self._imports:
            return
        self._imports.add((draft.file.path, module))
        body = draft.file.tree.body
        imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        homes = [getattr(node, "module", None) or "" for node in imports]
        of_tensorflow = module == "keras" and any(home.startswith("tensorflow.keras") for home in homes)
        line = "from tensorflow import keras" if of_tensorflow else f"import {module}"
        if imports:
            draft.after(imports[-1], line)
        else:
            draft.before(body_start(body), line)

    def texts(self) -> dict[str, str]:
        """The new text of every file that changes, by path.

        Raises:
            EditRefused: changes are in each other's way, or change nothing.
        """
        self._settle()
        for holder, gone in self._gone.items():
            drop_elements(self._holding(holder), elements(holder), gone)
        texts = {path: self._text(path, draft) for path, draft in self._drafts.items()}
        texts = {path: text for path, text in texts.items() if text != self.project.texts[path]}
        if not texts:
            raise EditRefused("nothing is left to change")
        return texts

    def _text(self, path: str, draft: Draft) -> str:
        raw = self.project.texts[path]
        if not path.endswith(".ipynb"):
            return draft.result()
        return with_cells(raw, draft.parts([start for _, start in read_notebook(raw).starts[1:]]))

    def _settle(self) -> None:
        """Take every wish to its source, one definition after another, as long as all who read it agree."""
        moved = True
        while moved:
            moved = sum(self._step(wish) for wish in list(self._wishes.values())) > 0
        for node, wish in self._wishes.items():
            if is_written_out(node) and wish.old is not None and not _is_value(node, wish.old):
                places = wish.uses
            else:
                places = (wish.place,)
            for place in places:
                self.draft(place.file.path).put(place.node, wish.text)
                if not is_written_out(place.node):
                    name = f"{place.file.path}:{place.node.lineno}: {place.file.text_of(place.node)}"
                    self.notes.append(f"{name} is replaced where it is used")

    def _step(self, wish: _Wish) -> bool:
        """One definition back, for all that read it; whether that was possible."""
        node = wish.place.node
        if self._wishes.get(node) is not wish or is_written_out(node):
            return False
        hop = definition(self.project, wish.place)
        if hop is None:
            return False
        others = [self._wishes.get(use) for use in hop.uses]
        for use, other in zip(hop.uses, others, strict=True):
            if use is node or (other is not None and other.text == wish.text):
                continue
            if other is not None or not self._indifferent(use):
                return False
        there = self._wishes.get(hop.value.node)
        if there is not None and there.text != wish.text:
            return False
        uses = [place for other in (wish, there, *others) if other is not None for place in other.uses]
        for use in hop.uses:
            self._wishes.pop(use, None)
        self._wishes.pop(node, None)
        self._wishes[hop.value.node] = _Wish(wish.text, wish.old, tuple(dict.fromkeys(uses)), hop.value)
        return True

    def _indifferent(self, use: ast.expr) -> bool:
        """Whether a use only shows a value or computes along with it: printed, compared, sliced."""
        file = next(file for file in self.project.files.values() if use in file.parents)
        inner: ast.AST = use
        for node in file.around(use):
            if isinstance(node, ast.JoinedStr | ast.Compare | ast.Slice):
                return True
            if isinstance(node, ast.keyword) and node.arg == "batch_size":
                return True
            if isinstance(node, ast.Call) and inner is not node.func:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                return name in _SHOWS
            if isinstance(node, ast.stmt):
                return isinstance(node, ast.AugAssign)
            inner = node
        return False


def _is_value(node: ast.expr, old: Old) -> bool:
    expression = ast.Expression(node)
    try:
        value = eval(compile(expression, "", "eval"), {"__builtins__": {}})  # constants and signs alone
    except (ArithmeticError, TypeError, ValueError):
        return False
    return bool(value == old) or (isinstance(old, tuple) and set(old) == {value})


def body_start(body: Sequence[ast.stmt]) -> ast.stmt:
    """The first statement of a block behind its docstring, or the docstring where it is alone."""
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1] if documented and len(body) > 1 else first


def elements(holder: ast.AST) -> list[ast.expr | ast.keyword]:
    """Arguments of a call or elements of a list, in the order of the source."""
    if isinstance(holder, ast.Call):
        parts: list[ast.expr | ast.keyword] = [*holder.args, *holder.keywords]
        return sorted(parts, key=lambda part: (part.lineno, part.col_offset))
    return list(holder.elts) if isinstance(holder, ast.List | ast.Tuple) else []


def drop_elements(
    draft: Draft, parts: Sequence[ast.expr | ast.keyword], gone: Sequence[ast.expr | ast.keyword]
) -> None:
    """Take arguments or elements away with their commas, and their lines where they are alone on them."""
    file, raw = draft.file, draft.file.raw
    edge, kept = 0, False
    for part, previous, following in zip(parts, [None, *parts], [*parts[1:], None], strict=False):
        if all(part is not other for other in gone):
            kept = True
            continue
        start, end = file.span(part)
        line = file.line_start(part.lineno)
        comma = re.match(rb"\s*,", raw[end:])
        behind = end + comma.end() if comma else end
        rest = file.rest_of_line(behind)
        if not raw[line:start].strip() and (not rest.strip() or rest.lstrip().startswith(b"#")):
            start, end = line, file.line_start((part.end_lineno or part.lineno) + 1)
        elif kept and previous is not None and b"#" not in raw[file.span(previous)[1] : start]:
            start = max(edge, file.span(previous)[1])
        elif following is not None:
            end = file.span(following)[0]
        elif not kept:
            end = behind
        draft.replace(start, end, "")
        edge = end


def append_element(
    draft: Draft, holder: ast.Call | ast.List | ast.Tuple, text: str, follows: bool = True
) -> None:
    """Put an argument or element behind the others, on a line of its own where the last has one."""
    file, raw, parts = draft.file, draft.file.raw, elements(holder)
    close = file.span(holder)[1] - 1
    if not parts:
        draft.insert(close, text)
        return
    last = max(parts, key=file.span)
    start, end = file.span(last)
    end += raw[end:close].partition(b"#")[0].rfind(b")") + 1  # parentheses around the last argument
    line = file.line_start(last.lineno)
    own_line = not raw[line:start].strip() and len(parts) > 1
    gap = f",{file.newline}{raw[line:start].decode()}" if own_line else ", "
    draft.insert(end, f"{gap if follows else ''}{text}")

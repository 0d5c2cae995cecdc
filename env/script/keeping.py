"""Weights that a script means to keep, and keeps without a copy: training goes on changing them.

``state_dict()`` gives the network's own tensors, and another name of a network is no other network. What is
loaded or used behind the training, as the best that there was, are its last weights then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from netmend.env.script.follow import bindings, calls, resolve, scope_of
from netmend.env.script.origins import called
from netmend.env.script.record import Fact, Record
from netmend.env.script.site import Site
from netmend.env.script.source import Project, SourceFile

_MOST = 1_000
TAKEN, _LOADED = "weights_taken", "loaded"
"""The fact that a script takes its network's weights and trains on, and that it gives them back then."""
_SHALLOW = ("dict", "OrderedDict", "copy")
"""What copies a mapping, and none of the tensors in it."""


@dataclass
class _Held:
    """Weights that were taken at a place, which training may change in place."""

    tensors: Sequence[Tensor]
    site: Site
    _version: int = field(init=False)

    def __post_init__(self) -> None:
        self._version = self._now

    @property
    def has_changed(self) -> bool:
        """Whether they are others than when they were taken."""
        return self._now > self._version

    @property
    def _now(self) -> int:
        return sum(tensor._version for tensor in self.tensors)


@dataclass
class States:
    """The calls of ``state_dict`` of the network.

    Attributes:
        loaded: where weights were taken that the network was given back after they had changed.
    """

    loaded: set[Site] = field(default_factory=set)
    _swapped: set[Site] = field(default_factory=set)
    _held: list[_Held] = field(default_factory=list)

    def take(self, state: Mapping[str, object], site: Site | None) -> None:
        """Weights are taken."""
        tensors = [value for value in state.values() if isinstance(value, Tensor)]
        if site is not None and tensors and len(self._held) < _MOST:
            self._held.append(_Held(tensors, site))

    def load(self, state: object) -> None:
        """Weights are loaded; what was taken and has not changed since is put to some other use."""
        own = {id(value) for value in (state.values() if isinstance(state, Mapping) else ())}
        for held in self._held:
            if id(held.tensors[0]) in own:
                (self.loaded if held.has_changed else self._swapped).add(held.site)

    def facts(self) -> Iterator[Fact]:
        """What was taken, and changed by what came then."""
        for site in dict.fromkeys(held.site for held in self._held if held.has_changed):
            if site not in self._swapped:
                yield Fact(name=TAKEN, value=1, text=_LOADED if site in self.loaded else "", site=site)


def kept_facts(project: Project, record: Record) -> Iterator[Fact]:
    """What a recorded script's files show of weights that are kept without a copy.

    Args:
        project: the script's files.
        record: of its run.
    """
    for fact in record.facts:
        if fact.name != TAKEN or fact.site is None:
            continue
        file = project.file(fact.site.file)
        value = file.node(fact.site)
        target = _target(file, value)
        if fact.text == _LOADED or (target is not None and _is_loaded(project, file, target, value)):
            yield _fact(file, value, target)
    for file, statement in _renamed(project, record):
        yield _fact(file, statement.value, statement.targets[0])


def _fact(file: SourceFile, value: ast.expr, target: ast.expr | None) -> Fact:
    name = "what is kept" if target is None else file.text_of(target)
    return Fact(name="kept_uncopied", value=1, text=name, site=file.site(value))


def _target(file: SourceFile, value: ast.expr) -> ast.expr | None:
    """What an expression is assigned to, as it is or in a mapping that holds the same tensors."""
    parent = file.parents[value]
    while (isinstance(parent, ast.Call) and called(file, parent) in _SHALLOW) or (
        isinstance(parent, ast.Attribute) and parent.attr == "copy"
    ):
        parent = file.parents[parent]
    return parent.targets[0] if isinstance(parent, ast.Assign) and len(parent.targets) == 1 else None


def _is_loaded(project: Project, file: SourceFile, target: ast.expr, value: ast.expr) -> bool:
    """Whether ``load_state_dict`` of the same network is given what was assigned."""
    own = value.func if isinstance(value, ast.Call) else None
    network = own.value if isinstance(own, ast.Attribute) else None
    for other, call in calls(project, "load_state_dict"):
        given = call.args[0] if call.args and isinstance(call.func, ast.Attribute) else None
        if given is None or not _is_same(file, target, other, given):
            continue
        loads = call.func.value if isinstance(call.func, ast.Attribute) else None
        names = [part.id for part in (network, loads) if isinstance(part, ast.Name)]
        if other is not file or len(set(names)) < 2 or scope_of(file, call) is not scope_of(file, value):
            return True
    return False


def _is_same(file: SourceFile, target: ast.expr, other: SourceFile, use: ast.expr) -> bool:
    """Whether a use reads what has been assigned: a name of the same scope, or an attribute of the name."""
    if isinstance(target, ast.Attribute) and isinstance(use, ast.Attribute):
        return target.attr == use.attr
    if not isinstance(target, ast.Name) or not isinstance(use, ast.Name) or file is not other:
        return False
    return use.id == target.id and target in bindings(resolve(file, use, use.id)[0], target.id)


def _renamed(project: Project, record: Record) -> Iterator[tuple[SourceFile, ast.Assign]]:
    """Where the network gets another name in the training, under a condition, that is used behind it."""
    loop, forward = next(iter(record.loops), None), record.forward
    if loop is None or forward is None or loop.site.file not in project.files:
        return
    call = project.file(forward.file).node(forward)
    name = project.file(forward.file).text_of(call.func) if isinstance(call, ast.Call) else ""
    file = project.file(loop.site.file)
    around = file.around(file.node(loop.site))
    training = next((part for part in around if isinstance(part, ast.For)), None)
    if training is None:
        return
    inside = set(ast.walk(training))
    elsewhere = [own for _, own in calls(project, "load_state_dict") if own not in inside]
    if elsewhere or any(_stores(file, node, name) for node in inside) or _is_remade(file, name):
        return  # other weights are loaded behind it, or each round has a network of its own
    counted = {part.id for part in ast.walk(training.target) if isinstance(part, ast.Name)}
    for node in inside:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Name | ast.Attribute):
            continue
        if len(node.targets) != 1 or file.text_of(node.value) != name or not _goes_on(file, node, counted):
            continue
        uses = (use for use in ast.walk(file.tree) if isinstance(use, ast.Name | ast.Attribute))
        later = (use for use in uses if isinstance(use.ctx, ast.Load) and use not in inside)
        if any(_is_same(file, node.targets[0], file, use) for use in later):
            yield file, node


def _goes_on(file: SourceFile, node: ast.stmt, counted: set[str]) -> bool:
    """Whether training goes on behind a statement, which is under a condition that no count decides."""
    condition = file.parents[node]
    if not isinstance(condition, ast.If) or isinstance(file.block(node)[-1], ast.Break | ast.Return):
        return False
    return not any(isinstance(part, ast.Name) and part.id in counted for part in ast.walk(condition.test))


def _is_remade(file: SourceFile, name: str) -> bool:
    """Whether an attribute is given a value elsewhere than where its object is made."""
    places = (file.function(node) for node in ast.walk(file.tree) if _stores(file, node, name))
    return "." in name and any(place is None or place.name != "__init__" for place in places)


def _stores(file: SourceFile, node: ast.AST, name: str) -> bool:
    is_name = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store)
    return is_name and isinstance(node, ast.expr) and file.text_of(node) == name

"""From a tensor back to where it is made: through views, unpacking, loaders, datasets and parameters.

:mod:`follow` finds the one definition that may be changed. Here all expressions are found that a value may
come from, so that something can be said of the value, or be done at each of them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.follow import (
    Place,
    argument,
    assigned,
    definition,
    given_values,
    own_class,
    own_functions,
    resolve,
    scope_of,
)
from netmend.env.script.source import FUNCTIONS, Project, SourceFile

_MOST = 200
"""Expressions that are looked at on the way from one value; more are a circle."""
_VIEWS = frozenset(
    [
        *("to", "cuda", "cpu", "contiguous", "clone", "detach", "requires_grad_", "numpy", "type_as"),
        *("view", "reshape", "squeeze", "unsqueeze", "flatten", "permute", "transpose", "expand", "t"),
        *("split", "chunk", "narrow", "copy", "ravel", "data", "T", "values", "item", "tolist"),
    ]
)
"""Methods and attributes that keep the values of what they belong to."""
_JOINED = ("cat", "concat", "concatenate", "stack", "vstack", "hstack", "array", "asarray")
_SAME = frozenset(["Variable", "Subset", "random_split", "tqdm", "list", "iter", "next", *_JOINED])
"""Functions that keep the values of their first argument."""
TYPES = frozenset(
    [
        *("float", "float16", "float32", "float64", "half", "double", "bfloat16", "bool"),
        *("int", "int8", "int16", "int32", "int64", "long", "short", "uint8"),
    ]
)
"""Names of types, most of them methods too."""


def origins(project: Project, place: Place) -> list[Place]:
    """The expressions that a value comes from, without what only moves it.

    A name stands for what it was given last in front of its use, a parameter for what any call gives, and a
    part of a loader's batch for that part of its dataset.

    Args:
        project: the script's files.
        place: of the value.
    """
    return [here for here, is_end in way(project, place) if is_end] or [place]


def way(project: Project, place: Place) -> Iterator[tuple[Place, bool]]:
    """The expressions on the way back from a value, and whether the way ends at each."""
    todo, seen = [place], set[ast.expr]()
    while todo and len(seen) < _MOST:
        here = todo.pop()
        if here.node not in seen:
            seen.add(here.node)
            before = _before(project, here)
            todo += before
            yield here, not before


def _before(project: Project, place: Place) -> list[Place]:
    """One step back; nothing at the end of the way."""
    file, node = place.file, place.node
    if isinstance(node, ast.Name):
        return list(_of_name(project, file, node))
    if isinstance(node, ast.Subscript):
        parts = list(_part(project, place, ()))
        hop = definition(project, place)
        keyed = isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)
        return parts or ([] if keyed else [Place(file, node.value)]) if hop is None else [hop.value]
    if isinstance(node, ast.Call):
        name = called(file, node)
        if isinstance(node.func, ast.Attribute) and not is_module(file, node.func.value):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            moves = name in _VIEWS and not any(is_type(file, part) for part in given)
            return [Place(file, node.func.value)] if moves else []
        if name in _SAME | _VIEWS and node.args:
            return [Place(file, node.args[0])]
        return list(_returned(project, name))
    if isinstance(node, ast.List | ast.Tuple):
        return [Place(file, part) for part in node.elts]
    if isinstance(node, ast.ListComp | ast.GeneratorExp):
        return [Place(file, node.elt)]
    if isinstance(node, ast.Attribute):
        if node.attr in _VIEWS:
            return [Place(file, node.value)]
        hop = definition(project, place)
        return [] if hop is None else [hop.value]
    return []


def called(file: SourceFile, call: ast.Call) -> str:
    """The last part of the name of what is called, through imports."""
    return (file.dotted(call.func) or getattr(call.func, "attr", "")).rpartition(".")[2]


def worked_on(file: SourceFile, node: ast.AST) -> ast.expr | None:
    """What a call works on: what its method belongs to, or its first argument."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and not is_module(file, node.func.value):
        return node.func.value
    return node.args[0] if node.args else None


def is_type(file: SourceFile, node: ast.expr) -> bool:
    """Whether an expression is one of torch's types, such as ``torch.float32``."""
    home, _, name = file.dotted(node).rpartition(".")
    return home == "torch" and name in TYPES


def _returned(project: Project, name: str) -> Iterator[Place]:
    """What a function of the script returns."""
    for file, function in own_functions(project.files.values(), name):
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None and file.function(node) is function:
                yield Place(file, node.value)


def is_module(file: SourceFile, node: ast.expr) -> bool:
    """Whether an expression is an imported module, such as ``torch`` or ``F``."""
    return file.dotted(node).partition(".")[0] in {name.partition(".")[0] for name in file.imports.values()}


def bound(file: SourceFile, near: ast.AST, name: str) -> list[ast.AST]:
    """What gives a name the value that it has at a node: in its own scope the last in front of it."""
    scope, found = resolve(file, near, name)
    if scope is not scope_of(file, near):
        return found[-1:] if isinstance(scope, ast.Module) else found
    here = _line(file, near)
    before = [binding for binding in found if isinstance(binding, ast.arg) or _line(file, binding) < here]
    return sorted(before, key=lambda binding: _line(file, binding))[-1:]


def _line(file: SourceFile, node: ast.AST) -> int:
    return 0 if isinstance(node, ast.arg) else file.statement(node).lineno


def _of_name(project: Project, file: SourceFile, node: ast.Name) -> Iterator[Place]:
    for binding in bound(file, node, node.id):
        if isinstance(binding, ast.arg):
            yield from given_values(project, file, file.parents[file.parents[binding]], binding.arg)
            continue
        value = assigned(file, binding)
        if isinstance(value, ast.List) and not value.elts:
            yield from _collected(file, node)
        elif value is not None:
            yield Place(file, value)
        elif isinstance(binding, ast.Name):
            yield from _part(project, Place(file, node), ())


def _collected(file: SourceFile, name: ast.Name) -> Iterator[Place]:
    """What is put into a list."""
    for node in ast.walk(scope_of(file, name)):
        if isinstance(node, ast.Call) and node.args:
            text = file.text_of(node.func)
            if text in (f"{name.id}.append", f"{name.id}.extend"):
                yield Place(file, node.args[0])


def _part(project: Project, place: Place, path: tuple[int, ...]) -> Iterator[Place]:
    """Part ``path`` of a value: of a tuple, of a batch, of what a split gives."""
    file, node = place.file, place.node
    if isinstance(node, ast.Tuple | ast.List) and path and path[0] < len(node.elts):
        if path[1:]:
            yield from _part(project, Place(file, node.elts[path[0]]), path[1:])
        else:
            yield Place(file, node.elts[path[0]])
    elif isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            yield from _part(project, Place(file, node.value), (node.slice.value, *path))
    elif isinstance(node, ast.Name):
        for binding in bound(file, node, node.id):
            if isinstance(binding, ast.Name):
                yield from _unpacked(project, file, binding, path)
    elif isinstance(node, ast.Call) and path:
        name = called(file, node)
        if name == "train_test_split" and path[0] // 2 < len(node.args):
            yield Place(file, node.args[path[0] // 2])
        elif name == "random_split" and node.args:
            yield Place(file, node.args[0])
        elif name == "next" and node.args:
            yield from _item(project, Place(file, node.args[0]), path)
        else:
            for value in _returned(project, name):
                yield from _part(project, value, path)


def _unpacked(project: Project, file: SourceFile, target: ast.Name, path: tuple[int, ...]) -> Iterator[Place]:
    """What a name is given by a loop, or out of a tuple."""
    node: ast.AST = target
    while isinstance(parent := file.parents[node], ast.Tuple | ast.List):
        path = ([part is node for part in parent.elts].index(True), *path)
        node = parent
    if isinstance(parent, ast.For | ast.comprehension):
        yield from _item(project, Place(file, parent.iter), path)
    elif isinstance(parent, ast.Assign):
        yield from _part(project, Place(file, parent.value), path)


def _item(project: Project, place: Place, path: tuple[int, ...]) -> Iterator[Place]:
    """Part ``path`` of what a loop over a value is given in each round."""
    file, node = place.file, place.node
    name = called(file, node) if isinstance(node, ast.Call) else ""
    if isinstance(node, ast.Call) and name == "enumerate" and path[:1] == (1,):
        yield from _item(project, Place(file, node.args[0]), path[1:])
    elif isinstance(node, ast.Call) and name == "zip" and path and path[0] < len(node.args):
        yield from _item(project, Place(file, node.args[path[0]]), path[1:])
    else:
        for held in origins(project, place):
            rows = argument(held.node, "dataset", 0) if isinstance(held.node, ast.Call) else None
            if (
                rows is not None
                and isinstance(held.node, ast.Call)
                and "Loader" in called(held.file, held.node)
            ):
                for dataset in origins(project, Place(held.file, rows)):
                    yield from _row(project, dataset, path)
            elif not path:
                yield held


def row_targets(project: Project, dataset: Place) -> Iterator[Place]:
    """The last part of a row of a dataset, by custom its target; nothing where that does not show."""
    for made in origins(project, dataset):
        yield from _row(project, made, (-1,))


def _row(project: Project, place: Place, path: tuple[int, ...]) -> Iterator[Place]:
    """Part ``path`` of a row of a dataset."""
    file, node = place.file, place.node
    if not isinstance(node, ast.Call) or not path:
        return
    name = called(file, node)
    if name in ("TensorDataset", "zip"):
        if path[0] < len(node.args):
            yield Place(file, node.args[path[0]])
        return
    owner = own_class(project, name)
    for part in () if owner is None else owner[1].body:
        if owner is not None and isinstance(part, FUNCTIONS) and part.name == "__getitem__":
            for statement in ast.walk(part):
                if isinstance(statement, ast.Return) and statement.value is not None:
                    yield from _part(project, Place(owner[0], statement.value), path)

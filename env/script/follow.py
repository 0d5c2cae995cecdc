"""From where a value is used to where it is written: names, parameters, configurations.

A hop leads from a use to the expression that it stands for, one definition back, and knows all uses of that
definition: whoever changes the definition changes them all.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netmend.env.script.source import FUNCTIONS, Project, SourceFile

MOST_HOPS, MOST_NESTED = 12, 4
"""Definitions on the way to a value, and configurations in configurations, at most; more are a circle."""
_SCOPES = (*FUNCTIONS, ast.Lambda, ast.ClassDef, ast.Module)


@dataclass(frozen=True, eq=False)
class Place:
    """An expression of a file."""

    file: SourceFile
    node: ast.expr


@dataclass(frozen=True, eq=False)
class Hop:
    """A definition.

    Attributes:
        value: what it says.
        uses: every expression that reads it.
    """

    value: Place
    uses: tuple[ast.expr, ...]


def is_written_out(node: ast.expr) -> bool:
    """Whether an expression is made of constants alone, such as ``1e-3``, ``-1`` or ``32 * 7 * 7``."""
    if isinstance(node, ast.Tuple):
        return all(map(is_written_out, node.elts))
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Pow | ast.LShift):  # which may be endless
        return is_written_out(node.left) and is_written_out(node.right)
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)


def definition(project: Project, place: Place, nested: int = 0) -> Hop | None:
    """The one definition that an expression stands for; None where it is computed, or there are several."""
    node = place.node
    if isinstance(node, ast.Name):
        return _of_name(project, place.file, node)
    if nested > MOST_NESTED:
        return None
    if isinstance(node, ast.Attribute):
        return _of_attribute(project, place.file, node, nested)
    if isinstance(node, ast.Subscript):
        return _of_item(project, place.file, node, nested)
    return None


def origin(project: Project, place: Place, nested: int = 0) -> Place:
    """Follow an expression as far back as it goes."""
    for _ in range(MOST_HOPS):
        hop = None if is_written_out(place.node) else definition(project, place, nested)
        if hop is None:
            break
        place = hop.value
    return place


def scope_of(file: SourceFile, node: ast.AST) -> ast.AST:
    """The function, class or module in which a name that stands here would be bound."""
    return next(part for part in file.around(node) if isinstance(part, _SCOPES))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a scope itself: the heads of nested ones, not their bodies."""
    todo = list(ast.iter_child_nodes(scope))
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, FUNCTIONS):
            todo += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda | ast.ClassDef):
            todo += list(ast.iter_child_nodes(node))


def _arguments(scope: ast.AST) -> list[ast.arg]:
    if not isinstance(scope, (*FUNCTIONS, ast.Lambda)):
        return []
    args = scope.args
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]


def bindings(scope: ast.AST, name: str) -> list[ast.AST]:
    """Every node that binds a name in a scope: names that are stored, parameters, imports, definitions.

    A ``global`` in a function counts for the module, which it may bind again.
    """
    found: list[ast.AST] = [arg for arg in _arguments(scope) if arg.arg == name]
    if isinstance(scope, ast.Module):
        found += [node for node in ast.walk(scope) if isinstance(node, ast.Global) and name in node.names]
    for node in _own(scope):
        if isinstance(node, ast.Name):
            hit = node.id == name and not isinstance(node.ctx, ast.Load)
        elif isinstance(node, ast.alias):
            hit = (node.asname or node.name.partition(".")[0]) == name
        elif isinstance(node, ast.Global | ast.Nonlocal):
            hit = name in node.names
        else:
            hit = isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name == name
        if hit:
            found.append(node)
    return found


def resolve(file: SourceFile, near: ast.AST, name: str) -> tuple[ast.AST, list[ast.AST]]:
    """The scope that binds a name as seen from a node, and what binds it there; the module's where none."""
    scope = scope_of(file, near)
    for outer in (scope, *file.around(scope)):
        if outer is scope or (isinstance(outer, _SCOPES) and not isinstance(outer, ast.ClassDef)):
            found = bindings(outer, name)
            if found:
                return outer, found
    return file.tree, []


def _uses(project: Project, file: SourceFile, scope: ast.AST, name: str) -> tuple[ast.expr, ...]:
    """Every expression that reads a name of a scope; a module's is read by other files too."""
    here = [
        node
        for node in ast.walk(scope)
        if isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Load)
        and resolve(file, node, name)[0] is scope
    ]
    if scope is not file.tree:
        return tuple(here)
    for other in project.files.values():
        if other is file:
            continue
        for node in ast.walk(other.tree):
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                module, _, last = other.dotted(node).rpartition(".")
                if last == name and module and project.module(module) is file:
                    here.append(node)  # type: ignore[arg-type]
    return tuple(here)


def _of_name(project: Project, file: SourceFile, node: ast.Name) -> Hop | None:
    scope, found = resolve(file, node, node.id)
    if len(found) != 1:
        return None
    binding = found[0]
    if isinstance(binding, ast.arg):
        value = _argument(project, file, scope, binding.arg)
        return None if value is None else Hop(value, _uses(project, file, scope, node.id))
    if isinstance(binding, ast.alias):
        return _of_module(project, file.dotted(node))
    value_node = assigned(file, binding)
    return None if value_node is None else Hop(Place(file, value_node), _uses(project, file, scope, node.id))


def assigned(file: SourceFile, target: ast.AST) -> ast.expr | None:
    """What a name or attribute is assigned by the statement that it is the target of; None for loops."""
    parent = file.parents[target]
    if isinstance(parent, ast.Tuple) and isinstance(file.parents[parent], ast.Assign):
        statement = file.parents[parent]
        value = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(value, ast.Tuple) and len(value.elts) == len(parent.elts):
            return value.elts[[part is target for part in parent.elts].index(True)]
        return None
    if isinstance(parent, ast.Assign) and target in parent.targets:
        return parent.value
    if isinstance(parent, ast.AnnAssign | ast.NamedExpr) and parent.target is target:
        return parent.value
    return None


def _of_module(project: Project, dotted: str) -> Hop | None:
    """A name at the top level of another file."""
    module, _, name = dotted.rpartition(".")
    file = project.module(module) if module else None
    if file is None:
        return None
    found = bindings(file.tree, name)
    value = assigned(file, found[0]) if len(found) == 1 else None
    return None if value is None else Hop(Place(file, value), _uses(project, file, file.tree, name))


def calls(project: Project, name: str) -> list[tuple[SourceFile, ast.Call]]:
    """Calls of a function, method or class of the script, by its name."""
    return [
        (file, node)
        for file in project.files.values()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call)
        and (file.dotted(node.func) or getattr(node.func, "attr", "")).rpartition(".")[2] == name
    ]


def given_values(project: Project, file: SourceFile, scope: ast.AST, name: str) -> list[Place]:
    """What the calls of a function give for a parameter, or its default; nothing where that is not known."""
    if not isinstance(scope, FUNCTIONS):
        return []
    owner = file.parents[scope]
    in_class = isinstance(owner, ast.ClassDef)
    called = owner.name if isinstance(owner, ast.ClassDef) and scope.name == "__init__" else scope.name
    static = any(getattr(mark, "id", "") == "staticmethod" for mark in scope.decorator_list)
    positional = [arg.arg for arg in (*scope.args.posonlyargs, *scope.args.args)]
    names = positional[1:] if in_class and not static else positional
    sites = calls(project, called)
    if any(_is_spread(call) for _, call in sites):
        return []
    given = [
        Place(where, value)
        for where, call in sites
        if (value := argument(call, name, names.index(name) if name in names else None)) is not None
    ]
    defaults = dict(zip(reversed(positional), reversed(scope.args.defaults), strict=False))
    for arg, default in zip(scope.args.kwonlyargs, scope.args.kw_defaults, strict=True):
        if default is not None:
            defaults[arg.arg] = default
    own = [Place(file, defaults[name])] if name in defaults and len(given) < max(len(sites), 1) else []
    return [*given, *own]


def _argument(project: Project, file: SourceFile, scope: ast.AST, name: str) -> Place | None:
    """What a parameter is given, where that is one expression."""
    given = given_values(project, file, scope, name)
    return given[0] if len(given) == 1 else None


def _is_spread(call: ast.Call) -> bool:
    return any(isinstance(arg, ast.Starred) for arg in call.args) or any(not k.arg for k in call.keywords)


def argument(call: ast.Call, name: str, index: int | None = None) -> ast.expr | None:
    """What a call gives for a parameter, by its name or its position; None where it leaves it out."""
    by_name = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    if by_name is not None or index is None or index >= len(call.args):
        return by_name
    before = call.args[: index + 1]
    return None if any(isinstance(arg, ast.Starred) for arg in before) else before[-1]


def _of_attribute(project: Project, file: SourceFile, node: ast.Attribute, nested: int) -> Hop | None:
    if isinstance(node.value, ast.Name) and node.value.id == "self":
        owner = file.class_of(node)
        value = None if owner is None else _field(file, owner, node.attr)
        own = [] if owner is None else [use for use in _reads(owner, node.attr) if _base(use) == "self"]
        return None if value is None else Hop(value, tuple(own))
    imported = _of_module(project, file.dotted(node))
    if imported is not None:
        return imported
    holder = origin(project, Place(file, node.value), nested + 1)
    value = _held(project, holder, node.attr)
    if value is None:
        return None
    uses = [
        use
        for other in project.files.values()
        for use in _reads(other.tree, node.attr)
        if _base(use) != "self"
    ]
    return Hop(value, tuple(uses))


def _reads(scope: ast.AST, name: str) -> Iterator[ast.Attribute]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Load):
            yield node


def _base(node: ast.Attribute) -> str:
    return node.value.id if isinstance(node.value, ast.Name) else ""


def _field(file: SourceFile, owner: ast.ClassDef, name: str) -> Place | None:
    """The only value that a class gives to an attribute: of ``self``, else in the class's body."""
    stores = [
        node
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute)
        and node.attr == name
        and not isinstance(node.ctx, ast.Load)
        and _base(node) == "self"
    ]
    targets: list[ast.AST] = list(stores) or bindings(owner, name)
    value = assigned(file, targets[0]) if len(targets) == 1 else None
    return None if value is None else Place(file, value)


def _held(project: Project, holder: Place, name: str) -> Place | None:
    """What a configuration holds under a name: parsed arguments, a namespace, an object or a class."""
    if isinstance(holder.node, ast.Name):
        owner = own_class(project, holder.file.dotted(holder.node).rpartition(".")[2])
        return None if owner is None else _field(*owner, name)
    if not isinstance(holder.node, ast.Call):
        return None
    called = (holder.file.dotted(holder.node.func) or getattr(holder.node.func, "attr", "")).rpartition(".")[
        2
    ]
    if called in ("parse_args", "parse_known_args"):
        return _option(project, name)
    given = next((k.value for k in holder.node.keywords if k.arg == name), None)
    if given is not None:
        return Place(holder.file, given)
    owner = own_class(project, called)
    if owner is None or _is_spread(holder.node):
        return None
    file, node = owner
    value = _field(file, node, name)
    fields = [
        part.target.id
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    ]
    if name in fields and fields.index(name) < len(holder.node.args):
        return Place(holder.file, holder.node.args[fields.index(name)])
    return value


def own_functions(files: Iterable[SourceFile], name: str) -> Iterator[tuple[SourceFile, ast.stmt]]:
    """The functions of a name that the files define, methods left out."""
    for file in files:
        for node in ast.walk(file.tree):
            if isinstance(node, FUNCTIONS) and node.name == name and file.class_of(node) is None:
                yield file, node


def own_class(project: Project, name: str) -> tuple[SourceFile, ast.ClassDef] | None:
    """The only class of the script of a name, with its file."""
    found = [
        (file, node)
        for file in project.files.values()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    return found[0] if len(found) == 1 else None


def _option(project: Project, name: str) -> Place | None:
    """The default of a command line's option."""
    for file, call in calls(project, "add_argument"):
        flags = [
            arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
        target = argument(call, "dest")
        long = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
        stored = target.value if isinstance(target, ast.Constant) else long.lstrip("-").replace("-", "_")
        default = argument(call, "default")
        if stored == name:
            return None if default is None else Place(file, default)
    return None


def _of_item(project: Project, file: SourceFile, node: ast.Subscript, nested: int) -> Hop | None:
    """``config["lr"]`` of a dictionary that is written out."""
    if not isinstance(node.slice, ast.Constant):
        return None
    key, holder = node.slice.value, origin(project, Place(file, node.value), nested + 1)
    value: ast.expr | None = None
    if isinstance(holder.node, ast.Dict):
        found = [v for k, v in zip(holder.node.keys, holder.node.values, strict=True) if _is(k, key)]
        value = found[-1] if found and None not in holder.node.keys else None
    elif isinstance(holder.node, ast.Call) and holder.file.dotted(holder.node.func) == "dict":
        value = argument(holder.node, str(key))
    uses = [
        use
        for other in project.files.values()
        for use in ast.walk(other.tree)
        if isinstance(use, ast.Subscript) and _is(use.slice, key)
    ]
    stored = any(not isinstance(use.ctx, ast.Load) for use in uses)
    return None if value is None or stored else Hop(Place(holder.file, value), tuple(uses))


def _is(node: ast.expr | None, key: object) -> bool:
    return isinstance(node, ast.Constant) and node.value == key

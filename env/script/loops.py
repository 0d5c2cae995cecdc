"""The loops around a running frame, read from the source and evaluated where that changes nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from types import FrameType

from netmend.env.script.frames import Frames
from netmend.env.script.record import Loop
from netmend.env.script.site import Site

_WRAPPERS = ("enumerate", "tqdm", "list", "iter", "track", "progress_bar")
_HARMLESS = ("len", "int", "min", "max", "round", "abs")
_Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def read_loops(
    frames: Frames, running: Iterable[FrameType], is_loader: Callable[[object], bool]
) -> tuple[Loop, ...]:
    """Loops around the running frames, the outermost first.

    Args:
        frames: knows the script's files.
        running: the script's frames, the innermost first.
        is_loader: whether an object is one of the script's loaders.
    """
    found: list[Loop] = []
    for frame in running:
        tree = frames.tree(frame)
        name = frames.file(frame.f_code)
        if tree is None or name is None:
            continue
        here = [
            _loop(node, frame, name, is_loader)
            for node in _loops_of(tree, frame)
            if node.body[0].lineno <= frame.f_lineno <= (node.body[-1].end_lineno or 0)
        ]
        found = here + found
    return tuple(found)


def _loops_of(tree: ast.Module, frame: FrameType) -> list[ast.For | ast.While]:
    """Loops of the function that the frame runs, by line, without those of functions inside."""
    scope: ast.AST = tree
    if frame.f_code.co_name != "<module>":
        first = frame.f_code.co_firstlineno
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
                if min(lines) == first and node.name == frame.f_code.co_name:
                    scope = node
    loops: list[ast.For | ast.While] = []
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if isinstance(node, _Function):
            continue
        if isinstance(node, (ast.For, ast.While)):
            loops.append(node)
        waiting += ast.iter_child_nodes(node)
    return sorted(loops, key=lambda node: node.lineno)


def _loop(
    node: ast.For | ast.While, frame: FrameType, file: str, is_loader: Callable[[object], bool]
) -> Loop:
    if isinstance(node, ast.While):
        return Loop(kind="while", rounds=None, step=1, site=_site(node.test, file, frame))
    over = node.iter
    while isinstance(over, ast.Call) and _called(over) in _WRAPPERS and over.args:
        over = over.args[0]
    site = _site(over, file, frame)
    if isinstance(over, ast.Call) and _called(over) in ("range", "trange"):
        try:
            values = range(*(int(_value(argument, frame)) for argument in over.args))
        except Exception:  # a stranger's expression may raise anything
            return Loop(kind="range", rounds=None, step=1, site=site)
        return Loop(kind="range", rounds=len(values), step=values.step, site=site)
    try:
        value = _value(over, frame)
        rounds = len(value)
    except Exception:
        return Loop(kind="other", rounds=None, step=1, site=site)
    return Loop(kind="loader" if is_loader(value) else "other", rounds=rounds, step=1, site=site)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _value(node: ast.expr, frame: FrameType):  # type: ignore[no-untyped-def]  # whatever the script holds
    """The expression's value; nothing is called that might change something."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and not (
            isinstance(inner.func, ast.Name) and inner.func.id in _HARMLESS
        ):
            raise ValueError("it calls something")
        if isinstance(inner, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            raise ValueError("it changes something")
    code = compile(ast.Expression(node), "<loop>", "eval")
    return eval(code, frame.f_globals, frame.f_locals)


def _site(node: ast.expr, file: str, frame: FrameType) -> Site:
    return Site(
        file,
        node.lineno,
        node.col_offset,
        node.end_lineno or node.lineno,
        node.end_col_offset or 0,
        frame.f_code.co_name,
    )

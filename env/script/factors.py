"""A ``LambdaLR`` whose function gives rates: the optimizer's own is multiplied by what it gives."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from math import isclose

from torch.optim.lr_scheduler import LambdaLR

from netmend.env.findings.choices import FAR_RATE
from netmend.env.program.kinds import DEFAULT_LR
from netmend.env.script.follow import argument, resolve
from netmend.env.script.record import Fact
from netmend.env.script.site import Site
from netmend.env.script.source import FUNCTIONS, Draft, SourceFile

_LOOKED_AT = 20_000
"""Steps of a schedule that are looked at, as far as its function gives numbers."""
_LARGE, _SMALL = 0.5, 0.05
"""A rate from which one and its square are alike, and a factor that no schedule stays below on purpose."""


def factor_fact(schedule: object, made: Site | None, steps: int | None) -> Fact | None:
    """That a schedule's factors are rates; None where that is not likely.

    A function that gives rates has the optimizer's own as its largest, or leaves a rate far below what is
    usual. It may be meant where the optimizer's rate is about 1.

    Args:
        schedule: behind the end of the script: its function is called.
        made: where it was made.
        steps: of the whole training at most, None where that is not known.
    """
    if not isinstance(schedule, LambdaLR):
        return None
    usual = DEFAULT_LR.get(type(schedule.optimizer).__name__.lower(), 0.0)  # type: ignore[call-overload]
    count = min(steps or _LOOKED_AT, _LOOKED_AT)
    rates = [float(rate) for rate in schedule.base_lrs]
    largest = [max(_factors(function, count), default=1.0) for function in schedule.lr_lambdas]
    if not all(_are_rates(*pair, usual) for pair in zip(rates, largest, strict=True)):
        return None
    rate, most = rates[0], largest[0]
    text = f"LambdaLR multiplies the rate {rate:g} by what its function gives, which is at most {most:.3g}"
    return Fact(name="rate_as_factor", value=rate * most, text=text, site=made)


def _are_rates(rate: float, most: float, usual: float) -> bool:
    far = most <= _SMALL and rate * most * FAR_RATE <= usual
    return 0 < rate < _LARGE and 0 < most < _LARGE and (far or isclose(most, rate, rel_tol=1e-6))


def _factors(function: Callable[[int], float], steps: int) -> Iterator[float]:
    with suppress(Exception), redirect_stdout(StringIO()):  # a stranger's function
        for step in range(steps):
            yield float(function(step))


def without_rate(draft: Draft, call: ast.Call, rate: ast.expr) -> list[tuple[ast.expr, ast.expr | None]]:
    """Where the optimizer's rate is a factor of what a schedule's function gives.

    Args:
        draft: of the file; call: that makes the schedule.
        rate: that the optimizer is given.

    Returns:
        Each product and what is left of it, or the rate alone and None for 1; nothing unless the rate is a
        factor of all that the function gives.
    """
    given = argument(call, "lr_lambda", 1)
    ends = [] if given is None else _ends(draft.file, given)
    parts = [
        part for end in ends for part in ((end.body, end.orelse) if isinstance(end, ast.IfExp) else (end,))
    ]
    found = [_factor(draft.file, part, draft.file.text_of(rate)) for part in parts]
    return [] if None in found else [one for one in found if one is not None]


def _ends(file: SourceFile, given: ast.expr) -> list[ast.expr]:
    """What a function gives: of a lambda, or of a function that is defined once."""
    if isinstance(given, ast.Name):
        found = resolve(file, given, given.id)[1]
        function = found[0] if len(found) == 1 else None
        if isinstance(function, FUNCTIONS):
            inside = (node for node in ast.walk(function) if isinstance(node, ast.Return))
            return [node.value for node in inside if node.value is not None]
        parent = file.parents[function] if function is not None else None
        given = parent.value if isinstance(parent, ast.Assign) else given
    return [given.body] if isinstance(given, ast.Lambda) else []


def _factor(file: SourceFile, node: ast.expr, rate: str) -> tuple[ast.expr, ast.expr | None] | None:
    if file.text_of(node) == rate:
        return node, None
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult | ast.Div):
        return None
    sides = (node.left, node.right)
    for own, other in (sides, sides[::-1]) if isinstance(node.op, ast.Mult) else ():
        if file.text_of(own) == rate:
            return node, other
    right = _factor(file, node.right, rate) if isinstance(node.op, ast.Mult) else None
    return _factor(file, node.left, rate) or right

"""Rows and targets that are shuffled apart: by a draw for each, so that rows get the targets of others."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.follow import Place, argument, scope_of
from netmend.env.script.origins import TYPES, called, origins, way
from netmend.env.script.record import Fact, Record
from netmend.env.script.site import Site
from netmend.env.script.source import Project, SourceFile

_INDICES = ("randperm", "permutation")
"""What draws an order, to be used as an index."""
_SHUFFLERS = ("shuffle", "permutation")
"""What gives its argument in another order, or puts it into one."""
_CONVERTERS = frozenset(
    ["tensor", "as_tensor", "from_numpy", "Tensor", "FloatTensor", "LongTensor", "fit_transform", "transform"]
)
_SEEDS = ("seed", "manual_seed", "set_state", "setstate", "set_rng_state")
_SEEDED = frozenset({"random_state", "generator", "seed"})


def shuffled_apart(project: Project, record: Record) -> tuple[list[Place], list[Place]] | None:
    """Where the inputs are shuffled and where the targets are; None unless each is by draws of its own.

    Args:
        project: the script's files.
        record: of a run that shows the training forward pass and the loss.

    Raises:
        EditRefused: one of these stands in no file of the script.
    """
    inputs = argument_at(project, record.forward, "input", 0)
    targets = argument_at(project, None if record.loss is None else record.loss.called, "target", 1)
    if inputs is None or targets is None:
        return None
    of_inputs, of_targets = (dict(_shuffles(project, place)) for place in (inputs, targets))
    draws, places = [*of_inputs, *of_targets], [*of_inputs.values(), *of_targets.values()]
    apart = of_inputs and of_targets and of_inputs.keys().isdisjoint(of_targets)
    if not apart or any(map(_is_seeded, draws)) or not _go_on(places):
        return None
    return list(of_inputs.values()), list(of_targets.values())


def shuffle_facts(project: Project, record: Record) -> Iterator[Fact]:
    """What a recorded script's files show of the order of its rows.

    Args:
        project: the script's files.
        record: of its run.
    """
    found = shuffled_apart(project, record)
    if found is not None:
        (first, *_), (last, *_) = found
        text = " and ".join(own.file.text_of(shuffled(own)) for own in (first, last))
        yield Fact(name="shuffled_apart", value=1, text=text, site=last.file.site(last.node))


def shuffled(place: Place) -> ast.expr:
    """What is shuffled at a place."""
    node = place.node
    if isinstance(node, ast.Call):
        return node.args[0]
    return node.value if isinstance(node, ast.Subscript) else node


def argument_at(project: Project, site: Site | None, name: str, index: int) -> Place | None:
    """An argument of the call at a site."""
    if site is None:
        return None
    file = project.file(site.file)
    node = file.node(site)
    given = argument(node, name, index) if isinstance(node, ast.Call) else None
    return None if given is None else Place(file, given)


def _shuffles(project: Project, place: Place) -> Iterator[tuple[ast.Call, Place]]:
    """The draws on the way back from a value, each with the expression that uses it."""
    for here, is_end in way(project, place):
        file, node = here.file, here.node
        if isinstance(node, ast.Subscript):
            for end in origins(project, Place(file, node.slice)):
                if isinstance(end.node, ast.Call) and called(end.file, end.node) in _INDICES:
                    yield end.node, here
        elif isinstance(node, ast.Call) and called(file, node) in _SHUFFLERS and len(node.args) == 1:
            yield node, here
        elif isinstance(node, ast.Name | ast.Attribute):
            yield from _in_place(file, node)
        elif is_end and isinstance(node, ast.Call) and called(file, node) in _CONVERTERS:
            yield from _shuffles(project, Place(file, node.args[0])) if node.args else ()
        elif is_end and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            moved = Place(file, node.func.value)
            yield from _shuffles(project, moved) if node.func.attr in ("astype", *TYPES) else ()


def _in_place(file: SourceFile, name: ast.expr) -> Iterator[tuple[ast.Call, Place]]:
    """Statements that put what has a name into another order."""
    for node in ast.walk(scope_of(file, name)):
        call = node.value if isinstance(node, ast.Expr) else None
        if not isinstance(call, ast.Call) or called(file, call) != "shuffle" or len(call.args) != 1:
            continue
        if file.text_of(call.args[0]) == file.text_of(name):
            yield call, Place(file, call)


def _is_seeded(draw: ast.Call) -> bool:
    """Whether a draw says by itself what it begins with, so that another may be the same."""
    makes = any(isinstance(node, ast.Call) for node in ast.walk(draw.func))
    return makes or any(keyword.arg in _SEEDED for keyword in draw.keywords)


def _go_on(places: list[Place]) -> bool:
    """Whether no seed is set between draws, which may make them the same, and all stand in one file."""
    file, lines = places[0].file, [place.node.lineno for place in places]
    return all(place.file is file for place in places) and not any(
        isinstance(node, ast.Call)
        and called(file, node) in _SEEDS
        and min(lines) <= node.lineno <= max(lines)
        for node in ast.walk(file.tree)
    )

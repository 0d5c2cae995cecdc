"""Which rows a loader gives, and when: the order of those that are judged, and the weights of a sampler."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from math import prod

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.casts import as_operand, is_operand
from netmend.env.script.edit.editor import Editor
from netmend.env.script.follow import MOST_HOPS, Place, argument, definition, origin
from netmend.env.script.origins import TYPES, bound, called, row_targets, worked_on
from netmend.env.script.record import LoaderMade, Record
from netmend.env.script.row_order import OTHER_ORDER
from netmend.env.script.rules.reading import facts, undrawn, units
from netmend.env.script.source import Draft, EditRefused, SourceFile

_TENSORS = ("tensor", "as_tensor", "from_numpy", "LongTensor", "IntTensor")
"""Functions that make a tensor of class ids, in their order."""
_COUNTS = ("bincount", "unique", "Counter")
_MOST = 50
"""Names that are looked at on the way from weights to what they are counted of."""
_CASTS = (*TYPES, "astype", "to", "cuda")
_BARE = ("from_numpy", "to", "cuda")
"""What is left out: an array of ids serves as well as a tensor, and one on another device does not."""
_PARTS = ("Subset", "ConcatDataset")
"""Datasets whose rows are others than those of the dataset that they are made of."""


def write_file_order(editor: Editor, _change: SourceChange) -> None:
    """The rows that are judged in the order in which they lie."""
    fact = next(facts(editor.record, OTHER_ORDER), None)
    made = [loader for loader in editor.record.loaders if fact is not None and loader.made == fact.site]
    draft, call = editor.call(made[0].made if made else None, "the loader")
    if any(loader.trains for loader in made):
        raise EditRefused("the same call makes the loader of the training, which has to shuffle")
    if argument(call, "sampler") is not None or argument(call, "batch_sampler") is not None:
        raise EditRefused("a sampler orders the rows")
    editor.arguments(draft, call, {"shuffle": False}, {"shuffle": 2}, {"shuffle": True})


def write_row_weights(editor: Editor, _change: SourceChange) -> None:
    """The weight of its class for each row; as many draws as rows, where there are as many as weights."""
    found = undrawn(editor.record)
    if found is None:
        raise EditRefused("no sampler has weights for fewer rows than there are")
    loader, sampler = found
    if sampler.weights != _classes(editor.record):
        raise EditRefused(f"the sampler has {sampler.weights} weights, which are not one for each class")
    draft, call = editor.call(sampler.made, "the sampler")
    weights, draws = argument(call, "weights", 0), argument(call, "num_samples", 1)
    if weights is None:
        raise EditRefused(f"{sampler.made}: the weights of the sampler are not in sight")
    ids = _ids(editor, loader, Place(draft.file, call), Place(draft.file, weights))
    if draws is not None and _is_length(editor, Place(draft.file, draws), weights):
        draft.put(draws, f"len({ids})")
    whole = _whole(editor, draft, ids)
    if sampler.listed:
        label = draft.free_name("label")
        draft.put(weights, f"[{as_operand(draft.file, weights)}[{label}] for {label} in {whole}]")
    elif is_operand(weights):
        draft.wrap(weights, "", f"[{whole}]")
    else:
        draft.wrap(weights, "(", f")[{whole}]")


def _classes(record: Record) -> int:
    """How many classes the loss tells apart; 0 where the target of a row is no class id."""
    loss = record.loss
    if loss is None or not loss.target.whole or loss.target.low < 0 or prod(loss.target.shape[1:]) != 1:
        return 0
    return max(units(record), 2)


def _whole(editor: Editor, draft: Draft, ids: str) -> str:
    """Class ids as whole numbers on one axis, which the loss need not be given."""
    loss = editor.record.loss
    target = None if loss is None else loss.target
    if target is None or ("int" in target.dtype and len(target.shape) == 1):
        return ids
    return f"{editor.spell(draft, 'torch')}.as_tensor({ids}).long().flatten()"


def _is_length(editor: Editor, draws: Place, weights: ast.expr) -> bool:
    """Whether as many rows are drawn in an epoch as there are weights."""
    made = origin(editor.project, draws)
    if not isinstance(made.node, ast.Call) or called(made.file, made.node) != "len" or not made.node.args:
        return False
    measured = ast.unparse(made.node.args[0])
    return any(ast.unparse(part) == measured for part in ast.walk(weights) if isinstance(part, ast.expr))


def _ids(editor: Editor, loader: LoaderMade, at: Place, weights: Place) -> str:
    """What the class ids of the loader's rows are called where its sampler is made."""
    if loader.dataset in _PARTS:
        raise EditRefused(f"the rows of a {loader.dataset} are not those of one array of targets")
    draft, call = editor.call(loader.made, "the loader")
    dataset = argument(call, "dataset", 0)
    targets = [] if dataset is None else list(row_targets(editor.project, Place(draft.file, dataset)))
    targets = targets or list(_counted(weights))
    names = {next(_known(editor, target, at), None) for target in targets}
    name = names.pop() if len(names) == 1 else None
    if name is None:
        raise EditRefused(f"the targets of the rows have no name at {at.file.site(at.node)}")
    return name


def _counted(weights: Place) -> Iterator[Place]:
    """The ids of which the weights of the classes are counted."""
    file, todo, seen = weights.file, [weights.node], set[ast.AST]()
    while todo and len(seen) < _MOST:
        for part in ast.walk(todo.pop()):
            if isinstance(part, ast.Call) and called(file, part) in _COUNTS:
                ids = worked_on(file, part)
                if ids is not None:
                    yield Place(file, ids)
            elif isinstance(part, ast.Name) and part not in seen:
                seen.add(part)
                made = (
                    file.statement(one) for one in bound(file, part, part.id) if isinstance(one, ast.Name)
                )
                todo += [one.value for one in made if isinstance(one, ast.Assign)]


def _known(editor: Editor, target: Place, at: Place) -> Iterator[str]:
    """Expressions of the same ids that have the same value at another place, the nearest first."""
    here: Place | None = target
    for _ in range(MOST_HOPS):
        if here is None:
            return
        inner = _made_of(here)
        bare = isinstance(here.node, ast.Call) and called(here.file, here.node) in _BARE
        if not (bare and inner is not None) and _holds(here, at):
            yield here.file.text_of(here.node)
        hop = definition(editor.project, here) if inner is None else None
        here = inner if hop is None else hop.value


def _made_of(place: Place) -> Place | None:
    """The ids that a tensor or a cast is made of, or of which a dataset takes one."""
    file, node = place.file, place.node
    if isinstance(node, ast.Call):
        if called(file, node) in _TENSORS and node.args:
            return Place(file, node.args[0])
        cast = isinstance(node.func, ast.Attribute) and called(file, node) in _CASTS
        return Place(file, node.func.value) if cast and isinstance(node.func, ast.Attribute) else None
    function = file.function(node)
    of_row = isinstance(node, ast.Subscript) and function is not None and function.name == "__getitem__"
    if of_row and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name):
        return Place(file, node.value)
    return None


def _holds(place: Place, at: Place) -> bool:
    """Whether an expression means at another place what it means where it stands, and draws nothing."""
    file, node = place.file, place.node
    if file is not at.file or any(_is_work(file, part) for part in ast.walk(node)):
        return False
    names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
    return bool(names) and all(_is_same(file, name, at.node) for name in names)


def _is_work(file: SourceFile, part: ast.AST) -> bool:
    """Whether it computes something else than a tensor or a cast of ids."""
    if isinstance(part, ast.Call):
        return _made_of(Place(file, part)) is None
    return isinstance(part, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.Starred | ast.Await)


def _is_same(file: SourceFile, name: ast.Name, at: ast.AST) -> bool:
    here = bound(file, name, name.id)
    return bool(here) and here == bound(file, at, name.id)

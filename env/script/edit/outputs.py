"""What a script does with the outputs of its network: it may cut them at one half, as probabilities."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netmend.env.script.edit.editor import Editor
from netmend.env.script.edit.statements import network_calls
from netmend.env.script.follow import Place, origin
from netmend.env.script.origins import called, is_module, origins
from netmend.env.script.rules.reading import last_layer, loss_name
from netmend.env.script.source import Draft, EditRefused

_ORDER = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
_METHODS = ("gt", "ge", "lt", "le")


def keep_probabilities(editor: Editor) -> None:
    """See to it that what the script cuts at one half are probabilities behind the changes of a patch too.

    Where the output loses its sigmoid, or the loss becomes one on logits, outputs are logits. They are then
    cut at 0, unless another change keeps what they mean.

    Raises:
        EditRefused: another change does.
    """
    record = editor.record
    before = loss_name(record)
    kinds = [change.value for change in editor.changes if change.what == "loss.kind"]
    own = list(sigmoids(editor))
    dropped = [
        change.at
        for change in editor.changes
        if change.at in own
        and (change.what == "layer.remove" or (change.what, change.value) == ("layer.activation", "linear"))
    ]
    added = any((one.what, one.value) == ("layer.activation", "sigmoid") for one in editor.changes)
    of_logits = (kinds[-1] if kinds else before) == "bce_with_logits"
    if not of_logits or added or not (dropped or (kinds and not own)):
        return
    calls = [record.operations[at].called for at in dropped if at is not None]
    ends: set[ast.expr] = {editor.at(site, "the sigmoid")[1] for site in calls if site is not None}
    ends |= {call for _, call in network_calls(editor)}
    found = [
        (draft, node, value)
        for draft, node, value in _cuts(editor)
        if any(place.node in ends for place in origins(editor.project, Place(draft.file, value)))
    ]
    if not found:
        return
    settings = {} if record.loss is None else record.loss.settings
    if dropped and "pos_weight" not in settings:
        raise EditRefused("the script cuts its outputs at one half, as probabilities: the loss has to change")
    if not dropped and before == "binary_crossentropy":
        raise EditRefused("the script cuts its outputs at one half, as probabilities: a sigmoid is missing")
    for draft, node, value in found:
        _cut_at_zero(draft, node, value)


def cut_at_zero(editor: Editor) -> None:
    """Logits that are cut at one half, or rounded, cut at 0."""
    ends = {call for _, call in network_calls(editor)}
    found = [
        (draft, node, value)
        for draft, node, value in _cuts(editor)
        if any(place.node in ends for place in origins(editor.project, Place(draft.file, value)))
    ]
    if not found:
        raise EditRefused("the run does not show where the outputs are cut")
    for draft, node, value in found:
        _cut_at_zero(draft, node, value)


def sigmoids(editor: Editor) -> Iterator[int]:
    """The operations that make probabilities of what the last layer gives."""
    operations, last = editor.record.operations, last_layer(editor.record)
    for at in range(0 if last is None else operations.index(last), len(operations)):
        if "sigmoid" in (operations[at].kind.lower(), operations[at].settings.get("activation")):
            yield at


def _cuts(editor: Editor) -> Iterator[tuple[Draft, ast.expr, ast.expr]]:
    """What is compared with one half, or rounded: the comparison and the value."""
    for file in editor.project.files.values():
        draft = editor.draft(file.path)
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], _ORDER):
                sides = (node.left, node.comparators[0])
                for side, other in (sides, sides[::-1]):
                    if _is_half(editor, draft, other):
                        yield draft, node, side
            elif isinstance(node, ast.Call):
                bound = isinstance(node.func, ast.Attribute) and not is_module(file, node.func.value)
                value = node.func.value if bound and isinstance(node.func, ast.Attribute) else None
                name, given = called(file, node), [*([value] if value else []), *node.args]
                rounds = name == "round" and len(given) == 1
                if rounds or (name in _METHODS and len(given) == 2 and _is_half(editor, draft, given[1])):
                    yield draft, node, given[0]


def _is_half(editor: Editor, draft: Draft, node: ast.expr) -> bool:
    found = origin(editor.project, Place(draft.file, node)).node
    return isinstance(found, ast.Constant) and found.value == 0.5


def _cut_at_zero(draft: Draft, node: ast.expr, value: ast.expr) -> None:
    """One half as a probability is 0 as a logit."""
    if isinstance(node, ast.Compare):
        draft.put(node.comparators[0] if value is node.left else node.left, "0")
    elif isinstance(node, ast.Call) and called(draft.file, node) == "round":
        draft.put(node, f"({draft.file.text_of(value)} > 0).float()")
    elif isinstance(node, ast.Call):
        draft.put(node.args[-1], "0")

"""Changes of a training loop's settings: epochs, batches, shuffling, clipping, the schedule, early stopping.

Written in: loops over ``range`` (also in ``tqdm``), ``DataLoader``, slices, Keras' ``fit``, Lightning's
``Trainer`` and Hugging Face's ``TrainingArguments``.
"""

from __future__ import annotations

import ast
from itertools import chain

from netmend.env.script.changes import SourceChange
from netmend.env.script.edit.editor import Editor, Value, append_element
from netmend.env.script.edit.optimizer import keras_call, the_optimizer, training_arguments
from netmend.env.script.edit.statements import (
    backward_statement,
    epoch_loop,
    loops_around,
    method_calls,
    network_name,
    own_loop,
    returns_gradients,
    step_call,
)
from netmend.env.script.factors import without_rate
from netmend.env.script.follow import (
    Place,
    argument,
    assigned,
    bindings,
    calls,
    is_written_out,
    origin,
    resolve,
    scope_of,
)
from netmend.env.script.origins import called
from netmend.env.script.record import LoaderMade, Loop
from netmend.env.script.shuffles import shuffled, shuffled_apart
from netmend.env.script.source import Draft, EditRefused


def write_epochs(editor: Editor, change: SourceChange) -> None:
    """So many rounds of the loop over the epochs."""
    epochs = _whole(change.value)
    framework = editor.record.framework
    if framework != "torch":
        name = {"keras": "epochs", "lightning": "max_epochs", "transformers": "num_train_epochs"}[framework]
        draft, call = _framework_call(editor)
        editor.arguments(draft, call, {name: epochs}, {"epochs": 3})
        return
    draft, _ = epoch_loop(editor)
    counted = editor.record.loops[0]
    node = draft.file.node(counted.site)
    if counted.kind != "range" or not isinstance(node, ast.Call) or not node.args:
        raise EditRefused("the loop over the epochs counts no range")
    if len(node.args) == 1:
        _want_sum(editor, draft, node.args[0], epochs, counted.rounds)
        return
    start = node.args[0]
    if len(node.args) > 2 or not isinstance(start, ast.Constant) or not isinstance(start.value, int):
        raise EditRefused("the range of the epochs has a start or a step that is computed")
    old = None if counted.rounds is None else counted.rounds + start.value
    _want_sum(editor, draft, node.args[1], epochs + start.value, old)


def _want_sum(editor: Editor, draft: Draft, node: ast.expr, value: int, old: int | None) -> None:
    """A value of ``epochs``, ``epochs + 1`` or ``int(epochs)``."""
    if isinstance(node, ast.Call) and draft.file.dotted(node.func) == "int" and len(node.args) == 1:
        node = node.args[0]
    shift = 0
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and not is_written_out(node.left):
        added = node.right.value if isinstance(node.right, ast.Constant) else 0
        shift = added if isinstance(added, int) else 0
        node = node.left if shift else node
    editor.want(draft, node, value - shift, None if old is None else old - shift)


def _framework_call(editor: Editor) -> tuple[Draft, ast.Call]:
    """The call that takes the settings of the loop: ``fit``, ``Trainer``, ``TrainingArguments``."""
    if editor.record.framework == "keras":
        return keras_call(editor, "fit")
    if editor.record.framework == "transformers":
        return training_arguments(editor)
    found = calls(editor.project, "Trainer")
    if len(found) != 1:
        raise EditRefused(f"the script makes {len(found)} Trainers, and one is needed")
    return editor.draft(found[0][0].path), found[0][1]


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EditRefused(f"{value!r} is no number of rows or epochs")
    return value


def training_loader(editor: Editor) -> LoaderMade | None:
    """The loader whose batches are trained; None where batches are cut by hand.

    A script that crashes in front of its first update trains the one that it goes over.
    """
    loaders = editor.record.loaders
    found = [loader for loader in loaders if loader.trains]
    if not found and any(loop.kind == "loader" for loop in editor.record.loops):
        found = [loader for loader in loaders if loader.shuffle or len(loaders) == 1]
    return found[0] if found else None


def write_batch_size(editor: Editor, change: SourceChange) -> None:
    """So many rows in a batch."""
    rows, loader = _whole(change.value), training_loader(editor)
    if editor.record.framework == "keras":
        draft, call = keras_call(editor, "fit")
        editor.arguments(draft, call, {"batch_size": rows}, {"batch_size": 2})
    elif editor.record.framework == "transformers":
        draft, call = training_arguments(editor)
        editor.arguments(draft, call, {"per_device_train_batch_size": rows})
    elif loader is not None:
        draft, call = editor.call(loader.made, "the loader")
        if argument(call, "batch_sampler") is not None:
            raise EditRefused("a batch sampler cuts the batches")
        editor.arguments(
            draft, call, {"batch_size": rows}, {"batch_size": 1}, {"batch_size": loader.batch_size}
        )
    else:
        _write_slices(editor, rows)


def _slicing_loop(editor: Editor) -> tuple[Draft, ast.For, Loop]:
    """The innermost loop over parts of the rows."""
    loops = [loop for loop in editor.record.loops[1:] if loop.kind in ("range", "other")]
    if not loops:
        raise EditRefused("every update takes all rows: there are no batches")
    draft, node = editor.at(loops[-1].site, "the loop over batches")
    found = next((part for part in draft.file.around(node) if isinstance(part, ast.For)), None)
    if found is None:
        raise EditRefused("the loop over batches is no for loop")
    return draft, found, loops[-1]


def _write_slices(editor: Editor, rows: int) -> None:
    draft, loop, counted = _slicing_loop(editor)
    size = _batch_expression(loop, counted)
    if size is None:
        raise EditRefused("the run does not show what cuts the rows into batches")
    same = ast.dump(size)
    for node in ast.walk(loop):
        if isinstance(node, ast.expr) and ast.dump(node) == same and _cuts(draft, node, loop):
            editor.want(draft, node, rows, counted.step if counted.step > 1 else None)


def _batch_expression(loop: ast.For, counted: Loop) -> ast.expr | None:
    """The step of the range, the part of a split, or the divisor of the number of rows."""
    for node in ast.walk(loop.iter):
        if isinstance(node, ast.Call) and counted.step > 1 and len(node.args) == 3:
            return node.args[2]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
            return node.args[-1]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            return node.right
    return None


def _cuts(draft: Draft, node: ast.expr, loop: ast.For) -> bool:
    """Whether an expression like the batch size stands where rows are cut: in the loop's head or a slice."""
    for part in (node, *draft.file.around(node)):
        if part is loop.iter or isinstance(part, ast.Slice):
            return True
        if isinstance(part, ast.Assign):  # start, end = i * size, (i + 1) * size
            names = {name.id for name in ast.walk(loop.target) if isinstance(name, ast.Name)}
            return any(isinstance(name, ast.Name) and name.id in names for name in ast.walk(part.value))
    return False


def write_shuffle(editor: Editor, change: SourceChange) -> None:
    """The rows in another order in every epoch, without shuffles of inputs alone, or always in the same."""
    if change.value and any(fact.name == "shuffled_apart" for fact in editor.record.facts):
        _undo_shuffles(editor)
    loader = training_loader(editor)
    if editor.record.framework == "keras":
        draft, call = keras_call(editor, "fit")
        editor.arguments(draft, call, {"shuffle": bool(change.value)})
    elif loader is not None:
        draft, call = editor.call(loader.made, "the loader")
        if argument(call, "sampler") is not None or argument(call, "batch_sampler") is not None:
            raise EditRefused("a sampler orders the rows")
        editor.arguments(
            draft, call, {"shuffle": bool(change.value)}, {"shuffle": 2}, {"shuffle": loader.shuffle}
        )
    elif change.value:
        _shuffle_slices(editor)
    else:
        raise EditRefused("the script orders its rows by hand")


def _undo_shuffles(editor: Editor) -> None:
    for place in chain.from_iterable(shuffled_apart(editor.project, editor.record) or ()):
        draft, node = editor.draft(place.file.path), place.node
        statement = draft.file.statement(node)
        kept = shuffled(place)
        names = [draft.file.text_of(part) for part in getattr(statement, "targets", ())]
        if isinstance(statement, ast.Expr) or names == [draft.file.text_of(kept)]:
            draft.remove(statement)
        else:
            draft.unwrap(node, kept)


def _shuffle_slices(editor: Editor) -> None:
    draft, loop, _ = _slicing_loop(editor)
    counter = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    names: list[str] = []
    for node in ast.walk(loop):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Slice)
            and isinstance(node.value, ast.Name)
        ):
            cut = {part.id for part in ast.walk(node.slice) if isinstance(part, ast.Name)}
            if cut & counter and node.value.id not in names:
                if resolve(draft.file, loop, node.value.id)[0] is not scope_of(draft.file, loop):
                    raise EditRefused(f"{node.value.id} belongs to another function than the loop")
                names.append(node.value.id)
    if len(names) < 2:
        raise EditRefused("the run does not show which arrays are cut into batches")
    order = draft.free_name("order")
    joined = ", ".join(names)
    shuffled = ", ".join(f"{name}[{order}]" for name in names)
    draw = f"{editor.spell(draft, 'torch.randperm')}(len({names[0]}))"
    draft.before(loop, f"{order} = {draw}\n{joined} = {shuffled}")


def write_clip(editor: Editor, change: SourceChange) -> None:
    """The gradient cut to a norm, or no longer cut."""
    framework = editor.record.framework
    if framework != "torch":
        name = {
            "keras": "global_clipnorm",
            "lightning": "gradient_clip_val",
            "transformers": "max_grad_norm",
        }[framework]
        if framework == "keras":
            draft, call = editor.call(the_optimizer(editor).made, "the optimizer")
            if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
                raise EditRefused("compile names the optimizer by a string, which takes no clipping")
        else:
            draft, call = _framework_call(editor)
        wanted: dict[str, Value] = {} if change.value is None else {name: change.value}
        others = ["clipnorm", "clipvalue"] if framework == "keras" else []
        leave = others if wanted else [name, *others, "gradient_clip_algorithm"]
        editor.arguments(draft, call, wanted, leave=leave)
        return
    draft, backward = backward_statement(editor)
    found = list(method_calls(draft.file, "clip_grad_norm_", "clip_grad_value_", "clip_grad_norm"))
    if change.value is None:
        for call in found:
            draft.remove(draft.file.statement(call))
        return
    if found:
        if len(found) > 1 or "value" in draft.file.text_of(found[0].func):
            raise EditRefused("the script clips its gradient in another way")
        editor.arguments(draft, found[0], {"max_norm": change.value}, {"max_norm": 1})
        return
    step_draft, step, optimizer = step_call(editor)
    if "scaler" in draft.file.text_of(backward):
        raise EditRefused("a scaled gradient is not clipped")
    network = network_name(editor, draft, backward)
    parameters = f"{network}.parameters()"
    if network is None:
        parameters = f'[p for group in {optimizer}.param_groups for p in group["params"]]'
    text = f"{editor.spell(draft, 'torch.nn.utils.clip_grad_norm_')}({parameters}, {change.value!r})"
    if returns_gradients(draft.file, backward):
        step_draft.before(step_draft.file.statement(step), text)
    else:
        draft.after(backward, text)


def write_schedule(editor: Editor, change: SourceChange) -> None:
    """A rate that falls by a factor after every epoch, or the schedules taken out."""
    own_loop(editor, "a schedule")
    if change.value is None:
        _remove_schedules(editor)
        return
    if editor.record.schedules:
        raise EditRefused("the script has a schedule")
    draft, loop = epoch_loop(editor)
    step_draft, _, optimizer = step_call(editor)
    scope = scope_of(draft.file, loop)
    made = [part for part in bindings(scope, optimizer) if assigned(draft.file, part) is not None]
    if step_draft is not draft or len(made) != 1:
        raise EditRefused("the optimizer is made in another function than the loop over the epochs")
    statement = draft.file.statement(made[0])
    name = draft.free_name("scheduler")
    function = editor.spell(draft, "torch.optim.lr_scheduler.ExponentialLR")
    draft.after(statement, f"{name} = {function}({optimizer}, gamma={change.value!r})")
    draft.after(loop.body[-1], f"{name}.step()")


def _remove_schedules(editor: Editor) -> None:
    for _, site in editor.record.schedules:
        draft, made = editor.at(site, "the schedule")
        statement = draft.file.statement(made)
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise EditRefused("the schedule has no name of its own")
        name = statement.targets[0].id
        uses = [n for n in ast.walk(draft.file.tree) if isinstance(n, ast.Name) and n.id == name]
        draft.remove(statement)
        for use in uses:
            user = draft.file.statement(use)
            if user is statement:
                continue
            if not isinstance(user, ast.Expr) or not draft.file.text_of(user).startswith(f"{name}.step("):
                raise EditRefused(f"{name} is used for more than its steps")
            draft.remove(user)


def write_schedule_per_epoch(editor: Editor, _change: SourceChange) -> None:
    """The schedule's step moved from the loop over batches to the end of an epoch.

    In a function that goes over the batches of one epoch that is behind its loop.
    """
    own_loop(editor, "a schedule's step")
    draft, call = editor.call(editor.record.scheduled, "the schedule's step")
    file, statement = draft.file, draft.file.statement(call)
    loops = loops_around(file, call)
    if not loops or not isinstance(statement, ast.Expr) or not isinstance(call.func, ast.Attribute):
        raise EditRefused("the schedule's step stands in no loop over batches")
    text, name, guard = file.text_of(statement), file.text_of(call.func.value), file.parents[statement]
    if isinstance(guard, ast.If) and len(guard.body) == 1 and not guard.orelse:
        asked = [file.text_of(part) for part in ast.walk(guard.test) if isinstance(part, ast.expr)]
        if name in asked:  # if scheduler is not None: scheduler.step()
            statement, text = guard, f"if {file.text_of(guard.test)}:\n    {text}"
    draft.remove(statement)
    draft.after(loops[1].body[-1] if len(loops) > 1 else loops[0], text)


def write_schedule_mode(editor: Editor, _change: SourceChange) -> None:
    """The other mode of schedules that wait for a plateau of what gets better the other way."""
    for fact in editor.record.facts:
        modes = {"minimized_score": ("min", "max"), "maximized_loss": ("max", "min")}.get(fact.name)
        if modes is not None:
            draft, call = editor.call(fact.site, "the schedule")
            if called(draft.file, call) != "ReduceLROnPlateau":
                raise EditRefused(f"{fact.site}: ReduceLROnPlateau is not called here by its name")
            editor.arguments(draft, call, {"mode": modes[1]}, {"mode": 1}, {"mode": modes[0]})


def write_schedule_factor(editor: Editor, _change: SourceChange) -> None:
    """Factors of the optimizer's rate in the place of rates, or else an optimizer's rate of 1."""
    fact = next((one for one in editor.record.facts if one.name == "rate_as_factor"), None)
    draft, call = editor.call(None if fact is None else fact.site, "the schedule")
    optimizer_draft, made = editor.call(the_optimizer(editor).made, "the optimizer")
    rate = argument(made, "lr", 1)
    products = [] if rate is None or optimizer_draft is not draft else without_rate(draft, call, rate)
    for product, rest in products:
        if rest is None:
            draft.put(product, "1.0")
        else:
            draft.unwrap(product, rest)
    if not products:
        editor.arguments(optimizer_draft, made, {"lr": 1.0}, {"lr": 1})


def write_patience(editor: Editor, change: SourceChange) -> None:
    """Keras' early stopping."""
    if editor.record.framework != "keras":
        raise EditRefused("your own loop has no early stopping to set")
    draft, call = keras_call(editor, "fit")
    given = argument(call, "callbacks")
    held = None if given is None else origin(editor.project, Place(draft.file, given))
    stops = [
        node
        for node in ast.walk(held.node if held is not None else ast.Tuple([], ast.Load()))
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) == "EarlyStopping"
    ]
    if held is not None:
        draft = editor.draft(held.file.path)
    if change.value is None:
        for node in stops:
            holder = draft.file.parents[node]
            if not isinstance(holder, ast.List):
                raise EditRefused("the early stopping stands in no list")
            editor.drop(holder, node)
        return
    if stops:
        editor.arguments(draft, stops[0], {"patience": change.value}, {"patience": 2})
        return
    if argument(call, "validation_data", 7) is None and argument(call, "validation_split", 6) is None:
        raise EditRefused("fit is given no validation part for an early stopping to look at")
    stop = f"{editor.spell(draft, 'keras.callbacks.EarlyStopping')}(patience={change.value!r})"
    if held is None:
        append_element(draft, call, f"callbacks=[{stop}]")
    elif isinstance(held.node, ast.List):
        append_element(draft, held.node, stop, bool(held.node.elts))
    else:
        raise EditRefused("the callbacks are computed")

"""The part of a script that trains and measures."""

from __future__ import annotations

from netmend.env.program import Optimizer, Program, Task
from netmend.env.script.generate.network import Written
from netmend.env.script.generate.style import Batches, Words
from netmend.env.script.generate.values import Values
from netmend.env.script.torch_names import LOSS_CALLS, OPTIMIZER_CLASSES


def write_optimizer(program: Program, network: Written, words: Words, values: Values) -> str:
    """The statement that makes the optimizer."""
    spec, reached = program.optimizer, f"{words.model}.parameters()"
    if program.loop.optimized == "output":
        reached = f"{words.model}{network.output}.parameters()"
    elif program.loop.optimized == "hidden":
        reached = (
            f'[p for name, p in {words.model}.named_parameters() if not name.startswith("{network.prefix}.")]'
        )
    module = "optim" if words.imports_optim else "torch.optim"
    options = "".join(f", {option}" for option in _options(spec))
    return f"{words.optimizer} = {module}.{OPTIMIZER_CLASSES[spec.kind]}({reached}, lr={values.lr}{options})"


def _options(spec: Optimizer) -> list[str]:
    options: list[str] = []
    if spec.kind in ("sgd", "rmsprop") and spec.momentum:
        options.append(f"momentum={spec.momentum:g}")
    if spec.kind == "sgd" and spec.nesterov:
        options.append("nesterov=True")
    if spec.kind in ("adam", "adamw", "adamax", "nadam") and (spec.beta1, spec.beta2) != (0.9, 0.999):
        options.append(f"betas=({spec.beta1:g}, {spec.beta2:g})")
    if spec.weight_decay or spec.kind == "adamw":
        options.append(f"weight_decay={spec.weight_decay:g}")
    return options


def write_loss(program: Program, words: Words) -> tuple[list[str], str, str]:
    """The statement that makes the loss, if any, what is called, and what is given behind the targets."""
    module, function = LOSS_CALLS[program.loss]
    how = 'reduction="sum"' if program.reduction == "sum" else ""
    if words.functional_loss:
        return [], f"F.{function}", f", {how}" if how else ""
    return [f"{words.loss} = nn.{module}({how})"], words.loss, ""


def write_epoch(
    program: Program, batches: Batches, words: Words, values: Values, called: str, more: str
) -> list[str]:
    """One pass over the training rows.

    Args:
        program: the program.
        batches: where a batch comes from.
        words: the script's names.
        values: its settings.
        called: what computes the loss, and ``more`` what it is given behind the targets.
    """
    moved = [f"{w}.to(device)" for w in (words.x, words.y)]
    before: list[str] = []
    x, y = words.x, words.y
    if batches in ("loader", "dataset"):
        head = [f"for {x}, {y} in train_loader:"]
        before = [f"{x}, {y} = {', '.join(moved)}"] if words.device else []
    elif batches == "slices":
        size = values.batch_size
        head = [f"for i in range(0, len(x_train), {size}):"]
        before = [f"{x}, {y} = x_train[i : i + {size}], y_train[i : i + {size}]"]
        if program.data.shuffle:
            head.insert(0, "order = torch.randperm(len(x_train))")
            before = [f"index = order[i : i + {size}]", f"{x}, {y} = x_train[index], y_train[index]"]
    else:
        head, x, y = [], "x_train", "y_train"
    update = _update(program, words, x, y, called, more)
    mode = "train" if program.loop.training_mode else "eval"
    inside = [f"    {line}" for line in (*before, *update)] if head else update
    return [f"{words.model}.{mode}()", *head, *inside]


def _update(program: Program, words: Words, x: str, y: str, called: str, more: str) -> list[str]:
    zero = [f"{words.optimizer}.zero_grad()"] if program.loop.zero_grad else []
    detached = "" if program.loop.loss_graph else ".detach()"
    steps = ["loss.backward()", f"{words.optimizer}.step()"]
    if program.loop.order == "step_backward":
        steps.reverse()
    forward = [f"{words.out} = {words.model}({x})", f"loss = {called}({words.out}{detached}, {y}{more})"]
    return [*zero, *forward, *steps] if words.zeroes_first else [*forward, *zero, *steps]


def metric_name(task: Task) -> str:
    """What the script calls its figure."""
    return "test_r2" if task.kind == "regression" else "test_accuracy"


def write_evaluation(program: Program, task: Task, words: Words, *, loader: bool) -> list[str]:
    """Statements that leave the figure in ``score``.

    Args:
        program: the program.
        task: its task.
        words: the script's names.
        loader: whether the rows come from ``test_loader``, else they are ``x_test`` and ``y_test``.
    """
    mode = [f"{words.model}.eval()"] if program.loop.evaluation_mode else []
    to = ".to(device)" if words.device and loader else ""
    if not loader:
        gathered = ["with torch.no_grad():", f"    {words.out} = {words.model}(x_test)"]
        truth = "y_test"
    else:
        gathered = [
            "all_out, all_y = [], []",
            "with torch.no_grad():",
            f"    for {words.x}, {words.y} in test_loader:",
            f"        all_out.append({words.model}({words.x}{to}){'.cpu()' if to else ''})",
            f"        all_y.append({words.y})",
            f"{words.out}, truth = torch.cat(all_out), torch.cat(all_y)",
        ]
        truth = "truth"
    return [*mode, *gathered, *_score(program, task, words.out, truth)]


def _score(program: Program, task: Task, out: str, truth: str) -> list[str]:
    if task.kind == "regression":
        return [
            f"error = ((out - {truth}) ** 2).sum()".replace("out", out, 1),
            f"score = 1 - (error / (({truth} - {truth}.mean(0)) ** 2).sum()).item()",
        ]
    logits = program.loss in ("bce_with_logits", "cross_entropy")
    predicted = f"({out} > {0 if logits else 0.5})"
    if task.kind == "classification":
        units = _units(program)
        predicted = f"{out}.argmax(dim=1)" if units > 1 else f"{predicted}.long().squeeze(1)"
    return [f"score = ({predicted} == {truth}).float().mean().item()"]


def _units(program: Program) -> int:
    sized = [layer for layer in program.layers if layer.sized_by]
    units: int = getattr(sized[-1], sized[-1].sized_by)
    return units

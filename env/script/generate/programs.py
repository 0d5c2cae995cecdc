"""Programs to write as scripts: the good ones of the mutants, as PyTorch's users would have them, and faults.

What a script can't say is taken out of a base: its initialisers become PyTorch's own, losses on probabilities
the losses on logits that people use there, and the penalties of single layers go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from numpy.random import Generator

from netmend.env.bugs.bases import BASES, Base, read_bases
from netmend.env.bugs.bug import Split
from netmend.env.bugs.operators import OPERATORS
from netmend.env.data import load_dataset
from netmend.env.program import (
    LOSS_KINDS,
    Activation,
    Convolution,
    Data,
    Embedding,
    Layer,
    LossName,
    Optimizer,
    Position,
    Program,
    Skip,
    Task,
    Weighted,
    check,
    find_crash,
)
from netmend.env.program.kinds import OPTIMIZER_KINDS
from netmend.env.program.misfit import Shape
from netmend.env.program.part import changed
from netmend.env.program.shapes import walk_layers
from netmend.env.program.sites import function_of, has_modes
from netmend.env.script.generate.pieces import ACTIVATIONS, can_write

OWN_BASES = Path(__file__).with_name("bases.yaml")
LOSSES: frozenset[LossName] = frozenset(
    ("cross_entropy", "bce_with_logits", "binary_crossentropy", "mse", "mae", "huber")
)
PREPS = frozenset(
    ("standardize", "min_max", "scale", "standardize_target", "scale_target", "drop_axis_target")
)
FAULTS = (
    *(
        "hbs",
        "hdb",
        "hlr",
        "hlx",
        "hne",
        "lch",
        "och",
        "omo",
        "owd",
        "dis",
        "diw",
        "dns",
        "tzg",
        "tem",
        "tpo",
    ),
    *(
        "tsb",
        "tsu",
        "tde",
        "xgr",
        "ach",
        "arm",
        "aal",
        "rcd",
        "rad",
        "lbn",
        "lrn",
        "lrh",
        "wab",
        "wrb",
        "dbt",
    ),
    *("xin", "xou", "xem", "xtl"),
)
"""Mutation operators whose faults a script can hold."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A faulty program to write as a script.

    Attributes:
        base: name of the good program.
        operator: mutation operator of its fault, empty where there is none.
        description: of the fault.
        good, faulty: the programs; the same without a fault.
        task: of both.
    """

    base: str
    operator: str
    description: str
    good: Program
    faulty: Program
    task: Task


@cache
def torch_bases() -> dict[str, Base]:
    """The good programs that can be written, in the form that PyTorch's users give them."""
    return written(as_torch, problems)


def written(
    form: Callable[[Program], Program], wrong: Callable[[Program, Task], list[str]]
) -> dict[str, Base]:
    """The good programs in a form, those left out in which something cannot be written."""
    found: dict[str, Base] = {}
    for name, base in (dict(BASES) | read_bases(OWN_BASES)).items():
        program = form(base.program)
        if not wrong(program, load_dataset(program.data.dataset).task):
            found[name] = Base(program=program, split=base.split)
    return found


def draw_case(
    rng: Generator,
    *,
    held_out: bool = False,
    good: bool = False,
    bases: Mapping[str, Base] | None = None,
    wrong: Callable[[Program, Task], list[str]] | None = None,
) -> Case:
    """A base of the training or the held-out split with one fault that shows.

    Args:
        rng: of the draw.
        held_out: which split.
        good: whether it has no fault.
        bases: good programs to draw from, those of PyTorch if None; wrong: why one cannot be written.
    """
    bases, wrong = bases or torch_bases(), wrong or problems
    wanted: tuple[Split, ...] = ("held-out",) if held_out else ("train", "validation")
    names = [name for name, base in bases.items() if base.split in wanted]
    while True:
        name = str(rng.choice(names))
        program = bases[name].program
        task = load_dataset(program.data.dataset).task
        if good:
            return Case(base=name, operator="", description="", good=program, faulty=program, task=task)
        operator = str(rng.choice(FAULTS))
        mutation = OPERATORS[operator].draw(program, task, rng)
        faulty = None if mutation is None else mutation.apply(program)
        if mutation is not None and faulty is not None and not wrong(faulty, task):
            return Case(
                base=name,
                operator=operator,
                description=mutation.description,
                good=program,
                faulty=faulty,
                task=task,
            )


def as_torch(program: Program) -> Program:
    """The program that PyTorch's users write where Keras' users write this one."""
    layers = [_as_torch(layer) for layer in folded(program.layers)]
    loss, labels = program.loss, program.data.labels
    if loss in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        loss, labels = "cross_entropy", "index"
        layers[-1] = changed(layers[-1], **{layers[-1].activated_by: "linear"})
    return changed(
        program,
        layers=tuple(layers),
        loss="huber" if loss == "logcosh" else loss,
        data=changed(program.data, labels=labels),
        patience=None,
        schedule=None,
        class_weights=None,
        stop_on="loss",
        api="current",
    )


def _as_torch(layer: Layer) -> Layer:
    if isinstance(layer, Weighted):
        layer = changed(
            layer, kernel_init="torch_default", bias_init="torch_default", l1=0.0, l2=0.0, inputs=None
        )
    if isinstance(layer, Embedding):
        layer = changed(layer, kernel_init="torch_default")
    if isinstance(layer, Convolution) and layer.padding == "same" and layer.stride > 1:
        layer = changed(layer, padding=layer.kernel // 2)
    return layer


def folded(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Layers with the activation that follows a kernel at once inside of it, where no skip begins between."""
    starts = {i - layer.back for i, layer in enumerate(layers) if isinstance(layer, Skip)}
    found: list[Layer] = []
    places: list[int] = []
    for index, layer in enumerate(layers):
        places.append(len(found))
        last = found[-1] if found else None
        folds = last is not None and function_of(last) == "linear" and index not in starts
        if isinstance(layer, Activation) and last is not None and folds:
            found[-1] = changed(last, **{last.activated_by: layer.function})
        elif isinstance(layer, Skip):
            found.append(Skip(back=len(found) - places[index - layer.back]))
        else:
            found.append(layer)
    return tuple(found)


def problems(program: Program, task: Task) -> list[str]:
    """Why a program cannot be written as a script; none where it can."""
    found = [f"{step.kind}" for step in program.data.prep if step.kind not in PREPS or step.rows != "all"]
    found += [layer.name for layer in program.layers if not can_write(layer)]
    found += [str(name) for layer in program.layers if (name := function_of(layer)) not in _FUNCTIONS]
    starts = {(x.kernel_init, x.bias_init) for x in program.layers if isinstance(x, Weighted)}
    penalties = any(x.l1 or x.l2 or not x.trainable for x in program.layers if isinstance(x, Weighted))
    layers = walk_layers(program.layers, task.input_shape, task.vocabulary)
    crash = find_crash(program, task)
    wrong = {
        "shapes that PyTorch spreads": crash is not None
        and crash.phase == "loss"
        and LOSS_KINDS[program.loss].broadcasts,
        "penalties of a layer": penalties,
        "initialisers": not starts <= {("torch_default", "torch_default")},
        "loss": program.loss not in LOSSES,
        "targets at each step": task.steps > 0,
        "class weights": program.class_weights is not None,
        "clipping or a schedule": program.clip is not None or program.schedule is not None,
        "optimizer": program.optimizer.nesterov and program.optimizer.momentum == 0,
        "data": bool(program.data.damage) or program.data.split != "random",
        "input type": program.data.input_type != "auto" or program.input is not None,
        "labels": program.data.label_type not in ("auto", "float32", "int64"),
        "layers that do not fit": layers.misfit is not None,
        "no parameters": program.loop.optimized == "none",
        "predictions": program.loop.predict != "batch",
    }
    return found + [reason for reason, is_so in wrong.items() if is_so] + check(program, task)


_FUNCTIONS = {None, "linear", *ACTIVATIONS}


def shown(program: Program, task: Task, rows: int) -> Program:
    """What a run of its script shows of a program: all but its data, and each thing in one of its forms.

    Modes, the order of the rows and some of an optimizer's numbers make no difference to some programs.

    Args:
        program: a program that can be written, or one that was lifted.
        task: its task.
        rows: that it trains on.
    """
    loop, full = program.loop, program.batch_size >= rows
    if not any(map(has_modes, program.layers)):
        loop = changed(loop, evaluation_mode=True, training_mode=True)
    reads = OPTIMIZER_KINDS[program.optimizer.kind].reads
    others = {name: getattr(program.optimizer, name) for name in reads}
    optimizer = Optimizer(
        kind=program.optimizer.kind,
        lr=program.optimizer.lr,
        weight_decay=program.optimizer.weight_decay,
        **others,
    )
    steps = tuple(step for step in program.data.prep if step.kind == "drop_axis_target")
    data = Data(
        dataset="",
        prep=steps,
        labels="value" if task.kind != "classification" else program.data.labels,
        shuffle=program.data.shuffle or full,
        label_type=program.data.label_type,
    )
    shapes = walk_layers(program.layers, task.input_shape, task.vocabulary).shapes
    layers = [
        _shown(layer, shape, task)
        for layer, shape in zip(program.layers, shapes, strict=False)
        if not (layer.name == "flatten" and len(shape) == 1)
    ]
    return Program(
        data=data,
        layers=folded(tuple(layers)),
        loss=program.loss,
        optimizer=optimizer,
        batch_size=min(program.batch_size, rows),
        epochs=program.epochs,
        reduction=program.reduction,
        loop=loop,
    )


def _shown(layer: Layer, shape: Shape, task: Task) -> Layer:
    """A layer with what it declares, and with a padding in one of its forms."""
    if isinstance(layer, Convolution):
        layer = changed(layer, padding="same" if layer.keeps_size else layer.padding or "valid")
    if isinstance(layer, Weighted):
        return changed(layer, inputs=layer.inputs or shape[0])
    if isinstance(layer, Embedding):
        return changed(layer, inputs=layer.inputs or task.vocabulary)
    if isinstance(layer, Position):
        return changed(layer, steps=layer.steps or shape[1])
    return layer.read(task.vocabulary)

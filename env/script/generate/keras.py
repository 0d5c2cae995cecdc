"""A program as a training script in Keras 3: a Sequential or a functional network, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from numpy.random import Generator

from netmend.env.bugs.bases import Base
from netmend.env.data import Dataset
from netmend.env.program import (
    LOGIT_LOSSES,
    LOSS_KINDS,
    Loop,
    Program,
    Skip,
    Task,
    Weighted,
    check,
    find_crash,
)
from netmend.env.program.layers import BatchNorm, Convolution, Embedding, Layer, LayerNorm, Recurrent
from netmend.env.program.part import changed
from netmend.env.program.shapes import walk_layers
from netmend.env.script.edit.keras_text import keras_loss, keras_texts
from netmend.env.script.generate.data import read_rows
from netmend.env.script.generate.programs import PREPS, folded, shown, written
from netmend.env.script.generate.style import Style, Words
from netmend.env.script.generate.training import metric_name
from netmend.env.script.generate.values import Values
from netmend.env.script.keras_names import OPTIMIZER_NAMES
from netmend.env.script.source import EditRefused

BACKEND = ("import os", "", 'os.environ["KERAS_BACKEND"] = "torch"', "")
"""Top of a script: Keras reads it when it is imported."""
Lines = list[str]


@cache
def keras_bases() -> dict[str, Base]:
    """The good programs that can be written, in the form that Keras' users give them."""
    return written(as_keras, keras_problems)


def as_keras(program: Program) -> Program:
    """The program with what only PyTorch has said as Keras' users say it."""
    steps = tuple(step for step in program.data.prep if step.kind != "drop_axis_target")
    layers = tuple(_as_keras(layer) for layer in folded(program.layers))
    return changed(program, layers=layers, data=changed(program.data, prep=steps), api="current")


def _as_keras(layer: Layer) -> Layer:
    if isinstance(layer, Convolution) and layer.keeps_size:
        layer = changed(layer, padding="same")
    if isinstance(layer, Weighted):
        start = "glorot_uniform" if layer.kernel_init == "torch_default" else layer.kernel_init
        bias = "zeros" if layer.bias_init == "torch_default" else layer.bias_init
        return changed(layer, kernel_init=start, bias_init=bias, inputs=None)
    if isinstance(layer, Embedding):
        return changed(layer, kernel_init="random_uniform")
    return changed(layer, epsilon=1e-3) if isinstance(layer, BatchNorm | LayerNorm) else layer


def keras_problems(program: Program, task: Task) -> list[str]:
    """Why a program cannot be written as a script; none where it can."""
    steps = program.data.prep
    found: list[str] = [step.kind for step in steps if step.kind not in PREPS or step.rows != "all"]
    wrong = {
        "loop": program.loop != Loop(),
        "schedule": program.schedule is not None,
        "clipping": program.clip is not None and program.clip.kind == "value",
        "class weights": program.class_weights == "balanced",
        "what is watched": program.patience is not None and program.stop_on != "loss",
        "targets at each step": task.steps > 0,
        "optimizer": program.optimizer.nesterov and program.optimizer.momentum == 0,
        "weight decay": program.optimizer.weight_decay > 0 and program.optimizer.kind != "adamw",
        "data": bool(program.data.damage) or program.data.split != "random",
        "types": {program.data.label_type, program.data.input_type} != {"auto"},
        "declared": program.input is not None or any(getattr(x, "inputs", None) for x in program.layers),
        "frozen": not all(getattr(layer, "trainable", True) for layer in program.layers),
        "recurrent bias": any(isinstance(x, Recurrent) and x.bias_init != "zeros" for x in program.layers),
        "one sum": program.reduction == "sum",
        "a crash": find_crash(program, task) is not None,
    }
    found += [reason for reason, is_so in wrong.items() if is_so] + check(program, task)
    if found:
        return found
    try:
        _network(program, task)
        _loss(program, task)
    except EditRefused as refused:
        return [str(refused)]
    return []


def keras_shown(program: Program, task: Task, rows: int) -> Program:
    """What a run of its script shows of a program, see ``shown``, with what ``fit`` is given besides."""
    return changed(
        shown(program, task, rows),
        clip=program.clip,
        patience=program.patience,
        class_weights=program.class_weights,
    )


def _spell(dotted: str) -> str:
    return dotted.removeprefix("keras.") if dotted.startswith("keras.layers.") else dotted


def _network(program: Program, task: Task) -> list[tuple[int, str]]:
    """Constructors of the layers with their places in the program; a skip is empty."""
    shapes = walk_layers(program.layers, task.input_shape, task.vocabulary).shapes
    texts: list[tuple[int, str]] = []
    for index, (layer, shape) in enumerate(zip(program.layers, shapes, strict=False)):
        if isinstance(layer, Skip):
            texts.append((index, ""))
            continue
        [(_, text)] = keras_texts([layer], shape, _spell, task.vocabulary)
        texts.append((index, text))
    return texts


def _loss(program: Program, task: Task) -> str:
    ids = program.data.labels != "one_hot" and task.kind == "classification"
    units = task.outputs if LOSS_KINDS[program.loss].form == "categorical" else 1
    return keras_loss(program.loss, _spell, ids=ids, units=units)


def write_keras(
    program: Program, dataset: Dataset, style: Style, words: Words, values: Values, rng: Generator
) -> tuple[list[Lines], bool]:
    """The parts of a script, and whether it reads ``data.npz``.

    Args:
        program: one that ``keras_problems`` finds nothing wrong with.
        dataset: its rows.
        style: ``network`` is ``sequential``, or the network is functional; ``layout`` flat or with functions.
        words: the script's names; values: its settings; rng: of the small things.
    """
    task, model = dataset.task, words.model
    data, from_file = read_rows(program, dataset, rng, last=True)
    data += [f"x_{part} = x_{part}.astype({_kind(task)})" for part in ("train", "test")]
    if program.data.labels == "one_hot":
        data.append(f"y_train = keras.utils.to_categorical(y_train, {task.outputs})")
    skips = any(isinstance(layer, Skip) for layer in program.layers)
    sequential = style.network == "sequential" and not skips
    made = _sequential(program, task, rng) if sequential else _functional(program, task)
    made = [line.replace("MODEL", model) for line in [*made, *_compiled(program, task, words, values)]]
    fit = f"{model}.fit({', '.join(_fitted(program, values))})"
    end = [*_score(program, task, model), f'print("{metric_name(task)}", round(float(score), 4))']
    start = [*values.start, "keras.utils.set_random_seed(0)"]
    top = list(values.top)
    if style.layout == "flat" or values.start:
        return [top, [*start, "", *data, "", *made, "", fit, "", *end]], from_file
    build = ["def build_model():", *_indented([*made, f"return {model}"])]
    main = [*start, *data, f"{model} = build_model()", fit, *end]
    body = ["def main():", *_indented(main)]
    return [top, build, body, ['if __name__ == "__main__":', "    main()"]], from_file


def _indented(lines: Sequence[str]) -> Lines:
    return [f"    {line}" if line else "" for line in lines]


def _kind(task: Task) -> str:
    return '"int64"' if task.vocabulary else '"float32"'


def _row(task: Task) -> tuple[int, ...]:
    """Shape of a row, features last."""
    shape = task.input_shape
    return (*shape[1:], shape[0]) if len(shape) > 1 else shape


def _sequential(program: Program, task: Task, rng: Generator) -> Lines:
    texts = [text for _, text in _network(program, task)]
    first = [f"keras.Input(shape={_row(task)})"]
    if rng.random() < 0.3 and not texts[0].startswith("layers.Bidirectional"):
        first, texts[0] = [], f"{texts[0][:-1]}{', ' * (texts[0][-2] != '(')}input_shape={_row(task)})"
    if rng.random() < 0.4:
        return ["MODEL = keras.Sequential()", *(f"MODEL.add({text})" for text in [*first, *texts])]
    return ["MODEL = keras.Sequential([", *(f"    {text}," for text in [*first, *texts]), "])"]


def _functional(program: Program, task: Task) -> Lines:
    starts = {i - layer.back for i, layer in enumerate(program.layers) if isinstance(layer, Skip)}
    lines, value = [f"inputs = keras.Input(shape={_row(task)})"], "inputs"
    kept: dict[int, str] = {}
    for index, text in _network(program, task):
        if index in starts:
            kept[index] = f"block{len(kept) + 1}_in"
            lines.append(f"{kept[index]} = {value}")
        layer = program.layers[index]
        if isinstance(layer, Skip):
            lines.append(f"x = layers.Add()([{kept[index - layer.back]}, {value}])")
        else:
            lines.append(f"x = {text}({value})")
        value = "x"
    return [*lines, "MODEL = keras.Model(inputs, x)"]


def _compiled(program: Program, task: Task, words: Words, values: Values) -> Lines:
    spec = program.optimizer
    options = [f"learning_rate={values.lr}"]
    options += [f"momentum={spec.momentum:g}"] * (spec.kind in ("sgd", "rmsprop") and spec.momentum > 0)
    options += ["nesterov=True"] * (spec.kind == "sgd" and spec.nesterov)
    if spec.kind in ("adam", "adamw", "adamax", "nadam"):
        options += [f"beta_1={spec.beta1:g}"] * (spec.beta1 != 0.9)
        options += [f"beta_2={spec.beta2:g}"] * (spec.beta2 != 0.999)
    options += [f"weight_decay={spec.weight_decay:g}"] * (spec.kind == "adamw")
    options += [f"global_clipnorm={program.clip.limit:g}"] if program.clip is not None else []
    made = f"keras.optimizers.{OPTIMIZER_NAMES[spec.kind]}({', '.join(options)})"
    metrics = "" if task.kind == "regression" else ', metrics=["accuracy"]'
    named = [f"{words.optimizer} = {made}"] if words.imports_optim else []
    optimizer = words.optimizer if named else made
    return [*named, f"MODEL.compile(optimizer={optimizer}, loss={_loss(program, task)}{metrics})"]


def _fitted(program: Program, values: Values) -> Lines:
    found = ["x_train", "y_train", f"batch_size={values.batch_size}", f"epochs={values.epochs}", "verbose=0"]
    found += ["shuffle=False"] * (not program.data.shuffle)
    if isinstance(program.class_weights, tuple):
        weights = ", ".join(f"{number}: {weight:g}" for number, weight in enumerate(program.class_weights))
        found.append(f"class_weight={{{weights}}}")
    if program.patience is not None:
        stop = f"keras.callbacks.EarlyStopping(patience={program.patience})"
        found += ["validation_split=0.2", f"callbacks=[{stop}]"]
    return found


def _score(program: Program, task: Task, model: str) -> Lines:
    out = f"out = {model}.predict(x_test, verbose=0)"
    if task.kind == "regression":
        error = "((out.reshape(y_test.shape) - y_test) ** 2).sum()"
        return [out, f"score = 1 - {error} / ((y_test - y_test.mean(0)) ** 2).sum()"]
    limit = 0 if program.loss in LOGIT_LOSSES else 0.5
    if task.kind == "multilabel":
        return [out, f"score = ((out > {limit}) == y_test).mean()"]
    single = LOSS_KINDS[program.loss].form != "categorical" and program.data.labels != "one_hot"
    predicted = f"(out[:, 0] > {limit})" if single else "out.argmax(axis=1)"
    return [out, f"score = ({predicted} == y_test).mean()"]

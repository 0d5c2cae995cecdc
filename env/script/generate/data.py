"""The part of a script that reads its data and makes tensors of them."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from netmend.env.data import Dataset
from netmend.env.program import LOSS_KINDS, Prep, Program
from netmend.env.script.generate.pieces import starts_last

LOADERS = {
    "breast_cancer": "load_breast_cancer",
    "diabetes": "load_diabetes",
    "digits": "load_digits",
    "iris": "load_iris",
    "wine": "load_wine",
}
"""scikit-learn's function by the name of the dataset."""
OWN_DATASET = (
    "class ArrayDataset(Dataset):",
    "    def __init__(self, x, y):",
    "        self.x = x",
    "        self.y = y",
    "",
    "    def __len__(self):",
    "        return len(self.x)",
    "",
    "    def __getitem__(self, index):",
    "        return self.x[index], self.y[index]",
)
Arrays = dict[str, NDArray[np.generic]]


def arrays_of(program: Program, dataset: Dataset, *, last: bool | None = None) -> Arrays:
    """What stands in a script's ``data.npz``: rows as PyTorch wants them, one target as a vector.

    Args:
        program: that is written.
        dataset: its rows.
        last: whether the features of sequences and images stand last; None as the program's first layer asks.
    """
    last = starts_last(program, dataset.task) if last is None else last
    arrays: Arrays = {}
    for name, part in (("train", dataset.train), ("test", dataset.holdout)):
        x, y = part.x, part.y
        arrays[f"x_{name}"] = np.moveaxis(x, 1, -1) if last and x.ndim > 2 else x
        arrays[f"y_{name}"] = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return arrays


def write_data(program: Program, dataset: Dataset, rng: Generator) -> tuple[list[str], bool]:
    """Statements that leave the tensors ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    Returns:
        the statements, and whether they read ``data.npz``.
    """
    lines, from_file = read_rows(program, dataset, rng)
    kind = "torch.long" if dataset.task.vocabulary else "torch.float32"
    lines += [f"x_{part} = torch.tensor(x_{part}, dtype={kind})" for part in ("train", "test")]
    return lines + _targets(program, dataset, rng), from_file


def read_rows(
    program: Program, dataset: Dataset, rng: Generator, *, last: bool | None = None
) -> tuple[list[str], bool]:
    """Statements that leave prepared arrays of the same names, and whether they read ``data.npz``.

    Args:
        program: that is written.
        dataset: its rows; rng: of the small things.
        last: see ``arrays_of``.
    """
    task = dataset.task
    from_file = task.dataset not in LOADERS or rng.random() < 0.5
    if from_file:
        lines = [
            'data = np.load("data.npz")',
            'x_train, y_train = data["x_train"], data["y_train"]',
            'x_test, y_test = data["x_test"], data["y_test"]',
        ]
    else:
        lines = [
            f"X, y = {LOADERS[task.dataset]}(return_X_y=True)",
            "x_train, x_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)",
        ]
    if not program.data.shuffle and program.data.row_order == "by_target":
        first = "y_train" if task.kind == "classification" or task.outputs == 1 else "y_train[:, 0]"
        lines += [
            f'order = np.argsort({first}, kind="stable")',
            "x_train, y_train = x_train[order], y_train[order]",
        ]
    scaler = len(task.input_shape) == 1 and rng.random() < 0.4
    for step in program.data.prep:
        lines += _prepared(step, dataset, scaler, last=starts_last(program, task) if last is None else last)
    return lines, from_file


def _prepared(step: Prep, dataset: Dataset, scaler: bool, *, last: bool) -> list[str]:
    inputs = dataset.task.input_shape
    axes = "0"
    if len(inputs) > 1:
        others = range(1, len(inputs)) if last else range(2, len(inputs) + 1)
        axes = f"axis=({', '.join(map(str, (0, *others)))}), keepdims=True"
    if step.kind == "standardize" and scaler:
        return [
            "scaler = StandardScaler()",
            "x_train = scaler.fit_transform(x_train)",
            "x_test = scaler.transform(x_test)",
        ]
    change = {
        "standardize": ("mean, std = {v}.mean({a}), {v}.std({a}) + 1e-7", "({w} - mean) / std"),
        "min_max": ("low, high = {v}.min({a}), {v}.max({a})", "({w} - low) / (high - low + 1e-7)"),
        "standardize_target": ("mean, std = {v}.mean(0), {v}.std(0)", "({w} - mean) / std"),
        "scale": ("", f"{{w}} {_times(step.factor)}"),
        "scale_target": ("", f"{{w}} {_times(step.factor)}"),
    }.get(step.kind)
    if change is None:
        return []
    side = "y" if step.kind.endswith("target") else "x"
    fit, apply = change
    lines = [fit.format(v=f"{side}_train", a=axes)] if fit else []
    return lines + [f"{side}_{part} = {apply.format(w=f'{side}_{part}')}" for part in ("train", "test")]


def _times(factor: float) -> str:
    whole = round(1 / factor) if factor else 0
    return f"/ {whole:.1f}" if whole > 1 and abs(factor * whole - 1) < 1e-9 else f"* {factor:g}"


def _targets(program: Program, dataset: Dataset, rng: Generator) -> list[str]:
    task, loss = dataset.task, program.loss
    column = str(rng.choice([".unsqueeze(1)", ".view(-1, 1)", ".reshape(-1, 1)"]))
    flat = any(step.kind == "drop_axis_target" for step in program.data.prep)
    single = task.kind == "classification" or task.outputs == 1
    shape = "" if flat or not single else column
    test = f"torch.tensor(y_test, dtype=torch.float32){shape}"
    if task.kind == "classification":
        test = "torch.tensor(y_test, dtype=torch.long)"
    if program.data.labels == "one_hot":
        train = f"F.one_hot(torch.tensor(y_train), {task.outputs}).float()"
    elif LOSS_KINDS[loss].ids:
        dtype = "float32" if program.data.label_type == "float32" else "long"
        train = f"torch.tensor(y_train, dtype=torch.{dtype})"
    else:
        dtype = "long" if program.data.label_type == "int64" else "float32"
        train = f"torch.tensor(y_train, dtype=torch.{dtype}){shape}"
    return [f"y_train = {train}", f"y_test = {test}"]

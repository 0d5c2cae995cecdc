"""A program as a training script in PyTorch, in one of many styles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from netmend.env.data import Dataset, load_dataset
from netmend.env.program import Program, Task
from netmend.env.script.generate.data import LOADERS, OWN_DATASET, Arrays, arrays_of, write_data
from netmend.env.script.generate.keras import BACKEND, write_keras
from netmend.env.script.generate.network import Written, fits, write_network
from netmend.env.script.generate.style import Style, Words, draw_words
from netmend.env.script.generate.training import (
    metric_name,
    write_epoch,
    write_evaluation,
    write_loss,
    write_optimizer,
)
from netmend.env.script.generate.values import Values, write_values
from netmend.env.script.suite import MAIN

Lines = list[str]


@dataclass(frozen=True)
class Script:
    """A script with what stands beside it.

    Attributes:
        files: source by file name; ``train.py`` is the one to run.
        arrays: of ``data.npz`` beside it, none where it loads its data in another way.
        metric: what it prints its figure as: a line of this name and a number.
    """

    files: dict[str, str]
    arrays: Arrays = field(default_factory=dict)
    metric: str = ""

    def write(self, folder: Path) -> Path:
        """Write all files into a folder, and give the path of the script."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        if self.arrays:
            np.savez(folder / "data.npz", **self.arrays)  # type: ignore[arg-type]
        return folder / MAIN


IMPORTS = (
    ("argparse.", "import argparse"),
    ("@dataclass", "from dataclasses import dataclass"),
    ("", ""),
    ("keras.", "import keras"),
    ("L.", "import lightning as L"),
    ("np.", "import numpy as np"),
    ("torch.", "import torch"),
    ("F.", "import torch.nn.functional as F"),
    ("nn.", "import torch.nn as nn"),
    ("optim.", "import torch.optim as optim"),
    ("layers.", "from keras import layers"),
    ("StandardScaler(", "from sklearn.preprocessing import StandardScaler"),
    ("train_test_split(", "from sklearn.model_selection import train_test_split"),
)
"""What a file imports where it holds a word."""


def write_script(program: Program, style: Style, rng: Generator) -> Script:
    """Write a program that ``problems`` finds nothing wrong with.

    Args:
        program: the program; a style of full batches wants one whose batch holds all rows.
        style: how; a form of network that cannot hold the program becomes a subclass.
        rng: of the small things.
    """
    dataset = load_dataset(program.data.dataset)
    words = draw_words(rng)
    if style.keras:
        return _keras_script(program, dataset, style, words, rng)
    if style.lightning:
        style, words = replace(style, batches="loader", layout="flat"), replace(words, device=False)
    form = style.network if fits(style.network, program, dataset.task) else "functional"
    network = write_network(program, dataset.task, form, words)
    data, from_file = write_data(program, dataset, rng)
    values = write_values(style.settings, program.optimizer.lr, program.epochs, program.batch_size)
    parts = _Parts(program, dataset, style, words, network, values, data, bool(rng.random() < 0.5))
    files = parts.several() if style.layout == "files" else {MAIN: parts.single()}
    if style.lightning:
        files = {MAIN: parts.lightning()}
    files |= values.files
    return Script(files, arrays_of(program, dataset) if from_file else {}, metric_name(dataset.task))


def _keras_script(program: Program, dataset: Dataset, style: Style, words: Words, rng: Generator) -> Script:
    values = write_values(style.settings, program.optimizer.lr, program.epochs, program.batch_size)
    parts, from_file = write_keras(program, dataset, style, words, values, rng)
    comment = f'"""{_what(dataset.task)}."""' if words.comments else ""
    files = {MAIN: _file(parts, comment, above=BACKEND), **values.files}
    arrays = arrays_of(program, dataset, last=True) if from_file else {}
    return Script(files, arrays, metric_name(dataset.task))


@dataclass(frozen=True)
class _Parts:
    """Everything that a script is put together from."""

    program: Program
    dataset: Dataset
    style: Style
    words: Words
    network: Written
    values: Values
    data: Lines
    talks: bool

    @property
    def task(self) -> Task:
        return self.dataset.task

    @property
    def loads(self) -> bool:
        """Whether batches come from a ``DataLoader``."""
        return self.style.batches in ("loader", "dataset")

    def classes(self) -> list[Sequence[str]]:
        own = [OWN_DATASET] if self.style.batches == "dataset" else []
        return [*own, *self.network.classes]

    def loaders(self) -> Lines:
        if not self.loads:
            return []
        kind = "ArrayDataset" if self.style.batches == "dataset" else "TensorDataset"
        shuffle = ", shuffle=True" if self.program.data.shuffle else ""
        size = self.values.batch_size
        return [
            f"train_loader = DataLoader({kind}(x_train, y_train), batch_size={size}{shuffle})",
            f"test_loader = DataLoader({kind}(x_test, y_test), batch_size=256)",
        ]

    def setup(self) -> Lines:
        """Statements in front of the loop: model, loss, optimizer."""
        words, made = self.words, list(self.network.made)
        made[0] = f"{words.model} = {made[0]}"
        if words.device:
            made[-1] += ".to(device)"
        device = ['device = torch.device("cuda" if torch.cuda.is_available() else "cpu")']
        loss = write_loss(self.program, words)[0]
        optimizer = write_optimizer(self.program, self.network, words, self.values)
        moved = (
            []
            if self.loads
            else [f"{v} = {v}.to(device)" for v in ("x_train", "y_train", "x_test", "y_test")]
        )
        return [*(device * words.device), *made, *(moved * words.device), *loss, optimizer]

    def epoch(self) -> Lines:
        _, called, more = write_loss(self.program, self.words)
        return write_epoch(self.program, self.style.batches, self.words, self.values, called, more)

    def evaluation(self) -> Lines:
        return write_evaluation(self.program, self.task, self.words, loader=self.loads)

    def report(self, score: str) -> str:
        return f'print("{metric_name(self.task)}", round({score}, 4))'

    def said(self) -> Lines:
        shown = 'print(f"epoch {epoch}: loss {loss.item():.4f}")'
        every = max(self.program.epochs // 5, 1)
        return [f"if epoch % {every} == 0:", f"    {shown}"] if self.talks else []

    def single(self) -> str:
        if self.style.layout == "flat":
            return self.flat()
        model = self.model_function()
        parts = [*self.classes(), *([model] if model else []), self.load_function()]
        body = [*parts, *self.functions(), self.main_function(), ['if __name__ == "__main__":', "    main()"]]
        return _file([list(self.values.top), *body], self.comment())

    def flat(self) -> str:
        comment = self.words.comments
        load = [*(["# data"] * comment), *self.data, *self.loaders()]
        setup = [*(["# model"] * comment), *self.setup()]
        loop = [f"for epoch in range({self.values.epochs}):", *_indented([*self.epoch(), *self.said()])]
        end = [*(["# evaluation"] * comment), *self.evaluation(), self.report("score")]
        start = [*self.values.start, "torch.manual_seed(0)"]
        main = [*start, "", *load, "", *setup, "", *loop, "", *end]
        return _file([list(self.values.top), *self.classes(), main], self.comment())

    def several(self) -> dict[str, str]:
        own = [OWN_DATASET] if self.style.batches == "dataset" else []
        data = _file([*own, self.load_function()], "")
        model = self.model_function()
        networks = _file([*self.network.classes, *([model] if model else [])], "")
        body = [list(self.values.top), *self.functions(), self.main_function()]
        train = [*body, ['if __name__ == "__main__":', "    main()"]]
        names = ", ".join((*(["ArrayDataset"] * bool(own)), "load_data"))
        made = "build_model" if model else self.words.network
        imports = [f"from data import {names}", f"from model import {made}"]
        return {
            "data.py": data,
            "model.py": networks,
            MAIN: _file(train, self.comment(), imports),
        }

    def lightning(self) -> str:
        """A file in which Lightning holds the loop: it makes no fault there, whatever the program says."""
        own = replace(self.words, model="self.model", loss="self.criterion")
        made = list(self.network.made)
        made[0] = f"self.model = {made[0]}"
        loss, called, more = write_loss(self.program, own)
        optimizer = write_optimizer(self.program, self.network, own, replace(self.values, lr="self.lr"))
        inside: Lines = [
            "def __init__(self, lr):",
            *_indented(["super().__init__()", "self.lr = lr", *made, *loss]),
            "",
            "def forward(self, x):",
            "    return self.model(x)",
            "",
            "def training_step(self, batch, batch_idx):",
            f"    {own.x}, {own.y} = batch",
            f"    loss = {called}(self({own.x}), {own.y}{more})",
            '    self.log("train_loss", loss)',
            "    return loss",
            "",
            "def configure_optimizers(self):",
            f"    return {optimizer.partition(' = ')[2]}",
        ]
        words, options = self.words, 'logger=False, enable_checkpointing=False, accelerator="cpu"'
        main = [
            *self.values.start,
            "L.seed_everything(0)",
            *self.data,
            *self.loaders(),
            f"{words.model} = LitModel(lr={self.values.lr})",
            f"trainer = L.Trainer(max_epochs={self.values.epochs}, {options})",
            f"trainer.fit({words.model}, train_loader)",
            *self.evaluation(),
            self.report("score"),
        ]
        parts = [
            list(self.values.top),
            *self.classes(),
            ["class LitModel(L.LightningModule):", *_indented(inside)],
        ]
        return _file([*parts, main], self.comment())

    def model_function(self) -> Lines:
        """A function that makes a network that has no class of its own."""
        if self.style.network != "sequential" or self.network.made[-1].endswith("()"):
            return []
        made = self.network.made
        return ["def build_model():", *_indented([f"return {made[0]}", *made[1:]])]

    def load_function(self) -> Lines:
        return ["def load_data():", *_indented([*self.data, "return x_train, y_train, x_test, y_test"])]

    def functions(self) -> list[Lines]:
        words = self.words
        loss = [] if words.functional_loss else [words.loss]
        to = ["device"] * (words.device and self.loads)
        rows = ["train_loader"] if self.loads else ["x_train", "y_train"]
        size = [] if self.style.batches != "slices" else ["batch_size"]
        given = ", ".join((words.model, *rows, *loss, words.optimizer, *size, *to))
        inside = self.epoch()
        if size:
            inside = [line.replace(self.values.batch_size, "batch_size") for line in inside]
        end = [*inside, "return loss.item()"]
        rows = ["test_loader"] if self.loads else ["x_test", "y_test"]
        asked = ", ".join((words.model, *rows, *to))
        return [
            [f"def train_epoch({given}):", *_indented(end)],
            [f"def evaluate({asked}):", *_indented([*self.evaluation(), "return score"])],
        ]

    def main_function(self) -> Lines:
        words = self.words
        setup = self.setup()
        if model := self.model_function():
            at = next(i for i, line in enumerate(setup) if line.startswith(f"{words.model} = "))
            made = f"{words.model} = build_model()" + ".to(device)" * words.device
            setup = [*setup[:at], made, *setup[at + len(model) - 1 :]]
        train, evaluate = (lines[0].removeprefix("def ").removesuffix(":") for lines in self.functions())
        train = train.replace("batch_size", self.values.batch_size)
        loop = [f"loss = {train}"] if self.talks else [train]
        if self.talks:
            loop.append('print(f"epoch {epoch}: loss {loss:.4f}")')
        return [
            "def main():",
            *_indented(
                [
                    *self.values.start,
                    "torch.manual_seed(0)",
                    "x_train, y_train, x_test, y_test = load_data()",
                    *self.loaders(),
                    *setup,
                    f"for epoch in range({self.values.epochs}):",
                    *_indented(loop),
                    self.report(evaluate),
                ]
            ),
        ]

    def comment(self) -> str:
        return f'"""{_what(self.task)}."""' if self.words.comments else ""


def _what(task: Task) -> str:
    verb = {"classification": "Classify", "multilabel": "Tag", "regression": "Predict"}[task.kind]
    return f"{verb} {task.dataset.replace('_', ' ')}"


def _indented(lines: Sequence[str]) -> Lines:
    return [f"    {line}" if line else "" for line in lines]


def _file(
    parts: Sequence[Sequence[str]], comment: str, own: Sequence[str] = (), above: Sequence[str] = ()
) -> str:
    """A file of parts, two empty lines between them, with the imports that they need on top."""
    text = "\n\n\n".join("\n".join(part) for part in parts if part)
    imports = [line for word, line in IMPORTS if not word or _holds(text, word)]
    loaders = [f"from sklearn.datasets import {name}" for name in LOADERS.values() if f"{name}(" in text]
    torch_data = ["DataLoader", "Dataset", "TensorDataset"]
    used = [name for name in torch_data if re.search(rf"\b{name}\b", text)]
    if used:
        loaders.append(f"from torch.utils.data import {', '.join(used)}")
    module = ["import settings"] if "settings." in text else []
    local = [*own, *module]
    blank = [""] * bool(local)
    head = "\n".join([*([comment] if comment else []), *above, *imports, *loaders, *blank, *local]).strip(
        "\n"
    )
    apart = "\n\n\n" if text.startswith(("def ", "class ", "@")) else "\n\n"
    return f"{head}{apart}{text}\n"


def _holds(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(word)}", text) is not None

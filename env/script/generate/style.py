"""How a script is written: its form, and the small things in which people differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from numpy.random import Generator

from netmend.env.program import Program
from netmend.env.program.part import changed

Network = Literal["sequential", "modules", "functional", "nested", "list"]
Batches = Literal["loader", "dataset", "slices", "full"]
Settings = Literal["literals", "constants", "argparse", "dict", "dataclass", "module"]
Layout = Literal["flat", "functions", "files"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """A way of writing a training script in PyTorch.

    Attributes:
        network: ``nn.Sequential``; a subclass with a module for everything, with functional activations, with
            parts that are sequences of their own, or with an ``nn.ModuleList``.
        batches: a ``DataLoader`` of a ``TensorDataset`` or of the script's own ``Dataset``, slices in a
            ``range``, or all rows at once.
        settings: where rate, epochs and batch size stand: where they are used, in constants, arguments, a
            dictionary, a dataclass, or a module of their own.
        layout: code at the top level, functions with a ``main``, or several files.
        lightning: whether Lightning holds the loop; layout and batches are then those that go with it.
        keras: whether it is a script of Keras 3, with a Sequential or a functional network.
    """

    network: Network
    batches: Batches
    settings: Settings
    layout: Layout
    lightning: bool = False
    keras: bool = False


def draw_style(rng: Generator) -> Style:
    """A style, each part by itself."""
    network, batches, settings, layout = (
        str(rng.choice(get_args(names))) for names in (Network, Batches, Settings, Layout)
    )
    return Style(network=network, batches=batches, settings=settings, layout=layout)  # type: ignore[arg-type]


FULL_BATCH, LONGER = 65_536, 10
"""Rows of a batch that holds all of them, and how many times the epochs that it needs."""


def in_style(program: Program, style: Style) -> Program:
    """The program with a batch that the style can have."""
    if style.batches != "full":
        return program
    return changed(program, batch_size=FULL_BATCH, epochs=program.epochs * LONGER)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a person calls things."""

    model: str
    optimizer: str
    loss: str
    x: str
    y: str
    out: str
    network: str
    comments: bool
    device: bool
    functional_loss: bool
    imports_optim: bool
    zeroes_first: bool


def draw_words(rng: Generator) -> Words:
    """Names as they stand in people's scripts."""

    def one_of(*names: str) -> str:
        return str(rng.choice(names))

    x, y = [("xb", "yb"), ("inputs", "targets"), ("x", "y"), ("batch", "labels")][rng.integers(4)]
    return Words(
        model=one_of("model", "net"),
        optimizer=one_of("optimizer", "opt"),
        loss=one_of("criterion", "loss_fn"),
        x=x,
        y=y,
        out=one_of("out", "pred", "outputs"),
        network=one_of("Net", "Model", "Classifier", "MyNetwork"),
        comments=bool(rng.random() < 0.6),
        device=bool(rng.random() < 0.3),
        functional_loss=bool(rng.random() < 0.3),
        imports_optim=bool(rng.random() < 0.4),
        zeroes_first=bool(rng.random() < 0.6),
    )

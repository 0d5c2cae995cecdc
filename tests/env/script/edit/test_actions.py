"""A repair action in a script: a run of the patched script is lifted to the program that the action made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netmend.env.data import load_dataset
from netmend.env.program import BatchNorm, Flatten, Layer, Program, Rescale, Weighted
from netmend.env.program.part import changed
from netmend.env.script.changes import source_changes
from netmend.env.script.edit import Patch, edit
from netmend.env.script.generate import draw_case, draw_style, write_script
from netmend.env.script.lift import Lifted, lift
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.source import EditRefused, Project
from netmend.repair_actions.catalogue import CATALOGUE
from netmend.repair_actions.legality import successors

PLAN = Plan(updates=12, wall=90)
ACTIONS = tuple(CATALOGUE.values())


def _as_written(program: Program) -> Program:
    """The program in the words of a script.

    It has no starts, which a run shows by their spread alone. What is done to the rows stands in the network.
    PyTorch's cross-entropy takes one-hot rows too.
    """
    written: dict[str, Layer] = {"standardize": BatchNorm(), "flatten": Flatten()}
    front = [
        Rescale(factor=step.factor) if step.kind == "scale" else written[step.kind]
        for step in program.data.prep
        if step.kind in (*written, "scale")
    ]
    rest = tuple(step for step in program.data.prep if step.kind not in (*written, "scale"))
    same = {"kernel_init": "zeros", "bias_init": "zeros", "inputs": None}
    layers = [changed(layer, **same) if isinstance(layer, Weighted) else layer for layer in program.layers]
    return changed(
        program,
        layers=(*front, *(layer.read(0) for layer in layers)),
        data=changed(program.data, dataset="", prep=rest, labels="index"),
        class_weights=None,
        clip=None,
        schedule=None,
    )


def _possible(path: Path, record: Record, lifted: Lifted) -> dict[str, tuple[Program, Patch]]:
    task = load_dataset(str(lifted.dataset)).task
    project = Project.read(path.parent, record.files)
    found = {}
    for action, after in zip(ACTIONS, successors(ACTIONS, lifted.program, task), strict=True):
        if after is None:
            continue
        try:
            patch = edit(project, record, source_changes(lifted.program, after, lifted.layers, task))
        except EditRefused:
            continue
        found[action.name] = after, patch
    return found


def _hold(runner: Runner, folder: Path, seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    case, style = draw_case(rng, good=True), draw_style(rng)
    path = write_script(case.faulty, style, rng).write(folder)
    record = runner.run(path, plan=PLAN)
    lifted = lift(record)
    assert isinstance(lifted, Lifted), lifted
    possible = _possible(path, record, lifted)
    assert len(possible) > 20
    # A loss on probabilities crashes without the output that an action of its own gives.
    names = [name for name in possible if "crossentropy" not in name]
    for name in rng.choice(names, min(most, len(names)), replace=False):
        after, patch = possible[str(name)]
        again = lift(runner.run(path, sources=patch.texts, plan=PLAN))
        assert isinstance(again, Lifted), (name, patch.diff)
        assert _as_written(again.program) == _as_written(after), (name, patch.diff)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_action_is_what_its_edit_does(runner: Runner, tmp_path: Path, seed: int) -> None:
    _hold(runner, tmp_path, seed, 3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 115))
def test_actions_in_many_styles(runner: Runner, tmp_path: Path, seed: int) -> None:
    _hold(runner, tmp_path, seed, 12)

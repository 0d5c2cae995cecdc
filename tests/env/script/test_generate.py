"""Scripts from programs: they are Python, look like a person's, and say what the program says."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from netmend.env.bugs.operators import OPERATORS
from netmend.env.data import load_dataset
from netmend.env.program.part import changed
from netmend.env.script.generate import (
    FAULTS,
    Style,
    draw_case,
    draw_style,
    in_style,
    problems,
    torch_bases,
    write_script,
)
from netmend.env.script.generate.style import Batches, Layout, Network, Settings
from netmend.env.script.suite import MAIN

PLAIN = Style(network="functional", batches="loader", settings="constants", layout="flat")
STYLES = [
    Style(network=network, batches=batches, settings=settings, layout=layout)
    for network in get_args(Network)
    for batches in get_args(Batches)
    for settings in get_args(Settings)
    for layout in get_args(Layout)
]


def source(base: str, style: Style = PLAIN, seed: int = 0, **values: object) -> str:
    """All files of a base's script, with some of its program's values changed."""
    program = changed(in_style(torch_bases()[base].program, style), **values)  # type: ignore[arg-type]
    script = write_script(program, style, np.random.default_rng(seed))
    return "\n".join(script.files.values())


@pytest.mark.parametrize("base", torch_bases())
def test_every_base_is_written_in_every_form_of_network(base: str) -> None:
    for network in get_args(Network):
        ast.parse(source(base, changed(PLAIN, network=network)))


def test_every_style_is_python_that_defines_what_it_uses() -> None:
    for style in STYLES:
        for base in ("wine_class", "gestures_both_ways"):
            script = write_script(
                in_style(torch_bases()[base].program, style), style, np.random.default_rng(1)
            )
            for text in script.files.values():
                assert undefined(text) == set()


def test_lightning_holds_the_loop() -> None:
    style = Style(network="modules", batches="slices", settings="argparse", layout="files", lightning=True)
    for base in torch_bases():
        text = source(base, style)
        assert undefined(text) == set()
        assert "class LitModel(L.LightningModule):" in text
        assert ".backward()" not in text


def undefined(text: str) -> set[str]:
    """Names that a file reads and never binds."""
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    known = {"__name__", "print", "super", "range", "len", "round", "zip", "int", "float"}
    return {node.id for node in names} - bound - known


def test_equal_seeds_write_equal_scripts() -> None:
    for seed in range(5):
        texts = []
        for _ in range(2):
            rng = np.random.default_rng(seed)
            style, case = draw_style(rng), draw_case(rng)
            texts.append(write_script(in_style(case.faulty, style), style, rng).files)
        assert texts[0] == texts[1]
    assert source("wine_class", seed=1) != source("wine_class", seed=2)


def test_faults_of_the_loop_are_written_as_people_make_them() -> None:
    loop = torch_bases()["wine_class"].program.loop
    assert "zero_grad" in source("wine_class")
    assert "zero_grad" not in source("wine_class", loop=changed(loop, zero_grad=False))
    wrong = source("wine_class", loop=changed(loop, order="step_backward"))
    assert wrong.index(".step()") < wrong.index(".backward()")
    assert ".eval()" not in source("digits_cnn", loop=changed(loop, evaluation_mode=False))
    assert ".train()" not in source("digits_cnn", loop=changed(loop, training_mode=False))
    assert ".fc3.parameters()" in source("wine_class", loop=changed(loop, optimized="output"))
    assert ".detach()" in source("wine_class", loop=changed(loop, loss_graph=False))


def test_rows_that_are_not_shuffled_come_sorted_by_their_first_target() -> None:
    def unshuffled(base: str) -> str:
        return source(base, data=changed(torch_bases()[base].program.data, shuffle=False))

    assert "np.argsort(y_train, " in unshuffled("wine_class")
    assert "np.argsort(y_train[:, 0], " in unshuffled("spot_dense")
    assert "shuffle=True" not in unshuffled("wine_class")


def test_settings_stand_where_the_style_says() -> None:
    def settings(form: Settings) -> str:
        return source("wine_class", changed(PLAIN, settings=form))

    assert "LR = 0.05" in settings("constants")
    assert 'default=0.05, help="learning rate"' in settings("argparse")
    assert '"lr": 0.05' in settings("dict")
    assert "lr: float = 0.05" in settings("dataclass")
    assert "settings.LR" in settings("module")
    assert "lr=0.05" in settings("literals")


def test_several_files_and_their_data(tmp_path: Path) -> None:
    style = Style(network="nested", batches="dataset", settings="module", layout="files")
    program = torch_bases()["digits_cnn"].program
    script = write_script(program, style, np.random.default_rng(0))
    assert script.write(tmp_path).name == MAIN
    assert {path.name for path in tmp_path.iterdir()} == {*script.files, "data.npz"}
    assert {"data.py", "model.py", "settings.py", MAIN} == set(script.files)
    with np.load(tmp_path / "data.npz") as data:
        assert data["x_train"].shape[1:] == load_dataset("digits_images").task.input_shape


def test_what_no_script_can_hold_is_named() -> None:
    program = torch_bases()["wine_class"].program
    task = load_dataset("wine").task
    assert problems(program, task) == []
    assert problems(changed(program, loss="hinge"), task) == ["loss"]
    narrow = changed(program, loop=changed(program.loop, optimized="none"))
    assert problems(narrow, task) == ["no parameters"]


def test_drawn_cases_have_one_fault_and_splits_share_no_base() -> None:
    assert set(FAULTS) <= OPERATORS.keys()
    drawn = {held: [draw_case(np.random.default_rng(i), held_out=held) for i in range(30)] for held in (0, 1)}
    assert all(case.good != case.faulty for cases in drawn.values() for case in cases)
    assert not {case.base for case in drawn[0]} & {case.base for case in drawn[1]}
    assert len({case.operator for case in drawn[0]}) > 10

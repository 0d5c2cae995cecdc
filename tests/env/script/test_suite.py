"""Suites of scripts: the packaged list, its folder, and folders of others."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from netmend.env.errors import FileError
from netmend.env.script.generate.cases import shows
from netmend.env.script.parent import Runner
from netmend.env.script.suite import ScriptCase, read_suite, write_generated, write_suite


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    write_suite(folder)
    return folder


def test_the_packaged_suite_has_its_cases_with_a_held_out_part(folder: Path) -> None:
    cases = read_suite(folder)
    assert len(cases) >= 40
    assert len({case.name for case in cases}) == len(cases)
    splits = Counter(case.split for case in cases)
    assert set(splits) == {"train", "held-out"}
    assert splits["held-out"] >= 10
    assert len({case.fault for case in cases}) >= 20


def test_every_case_is_two_different_scripts(folder: Path) -> None:
    for case in read_suite(folder):
        assert case.fixed is not None
        parts = [
            {path.name: path.read_text() for path in script.parent.glob("*.py") if part in str(path)}
            for part, script in (("faulty", case.faulty), ("fixed", case.fixed))
        ]
        for text in (*parts[0].values(), *parts[1].values()):
            ast.parse(text)
        assert list(parts[0].values()) != list(parts[1].values()), case.name
        assert case.metric in case.faulty.read_text()


def test_a_folder_of_someone_else(tmp_path: Path) -> None:
    case = tmp_path / "mine"
    case.mkdir()
    (case / "faulty.py").write_text("print('accuracy', 0.1)\n")
    (case / "case.yaml").write_text("metric: accuracy\nfault_kind: none\n")
    (found,) = read_suite(tmp_path)
    assert (found.name, found.fixed, found.metric, found.fault) == ("mine", None, "accuracy", "none")
    assert found.pattern.startswith("accuracy=")


def test_every_wrong_case_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"case\.yaml"):
        read_suite(tmp_path)
    for name, text in (("one", "id: 1\n"), ("two", "metric: accuracy\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "case.yaml").write_text(text)
    with pytest.raises(FileError) as error:
        read_suite(tmp_path)
    assert "one/case.yaml" in str(error.value)
    assert "two: there is no faulty.py" in str(error.value)


def test_a_seed_that_draws_something_else_is_refused(tmp_path: Path) -> None:
    name = write_generated(tmp_path, seed=1045, split="train")
    assert name == "spot_dense_lbn_1045"
    with pytest.raises(FileError, match="seed 1045 draws spot_dense with lbn, not digits_conv"):
        write_generated(tmp_path, seed=1045, split="train", base="digits_conv")


@pytest.mark.parametrize(
    ("good", "faulty", "shown"),
    [
        ("print('accuracy', 0.9)", "print('accuracy', 0.5)", True),
        ("print('accuracy', 0.9)", "print('accuracy', 0.85)", False),
        ("print('accuracy', 0.9)", "1 / 0", True),
        ("1 / 0", "print('accuracy', 0.5)", False),
    ],
)
def test_a_fault_shows_by_its_figure_or_a_crash(
    runner: Runner, tmp_path: Path, good: str, faulty: str, shown: bool
) -> None:
    for name, text in (("fixed", good), ("faulty", faulty)):
        (tmp_path / f"{name}.py").write_text(text + "\n")
    case = ScriptCase(name="a", faulty=tmp_path / "faulty.py", fixed=tmp_path / "fixed.py", metric="accuracy")
    assert shows(runner, case) is shown

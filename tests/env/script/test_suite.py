"""Suites of scripts: the packaged list, its folder, and folders of others."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from netmend.env.errors import FileError
from netmend.env.script.suite import read_suite, write_suite


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

"""Bugs whose data pack is not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import without_missing_packs
from netmend.env.errors import DataError
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.setting import make_setting


def bug(dataset: str) -> Bug:
    program = Program(data=Data(dataset=dataset), layers=(Dense(units=3),), loss="mse", optimizer=Optimizer())
    return Bug(id=dataset, program=program)


@pytest.fixture
def no_packs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETMEND_DATA", str(tmp_path))


@pytest.mark.usefixtures("no_packs")
def test_bugs_without_their_pack_are_left_out_with_a_word() -> None:
    kept, note = without_missing_packs([bug("iris"), bug("mnist"), bug("cifar10"), bug("wine")])
    assert [entry.id for entry in kept] == ["iris", "wine"]
    assert note.startswith("2 of 4 bugs are left out; they need the data packs cifar10 (1), mnist (1)")
    assert without_missing_packs([bug("iris")]) == ((bug("iris"),), "")


@pytest.mark.usefixtures("no_packs")
def test_where_no_bug_has_data_the_error_names_the_pack() -> None:
    with pytest.raises(DataError, match="mnist"):
        without_missing_packs([bug("mnist")])


@pytest.mark.usefixtures("no_packs")
def test_the_environment_says_which_bugs_it_leaves_out() -> None:
    with pytest.warns(UserWarning, match=r"bugs are left out; they need the data packs .*mnist"):
        setting = make_setting("real-v1", split="held-out")
    assert setting.bugs
    assert all(entry.program.data.dataset != "mnist" for entry in setting.bugs)

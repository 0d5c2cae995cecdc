"""What was measured of bugs, on file."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.env.bugs.bug import Bug, Score, Spread
from netmend.env.bugs.measured import MEASURED, Measured, read_measured, with_measured, write_measured
from netmend.env.errors import ProgramError
from netmend.env.program import Data, Dense, Optimizer, Program

PROGRAM = Program(data=Data(dataset="iris"), layers=(Dense(units=3),), loss="mse", optimizer=Optimizer())
SCORE = Score(validation=Spread(mean=0.9, sd=0.01, seeds=8), holdout=Spread(mean=0.8312, sd=0.0, seeds=8))
LOW = Score(validation=Spread(mean=0.1, sd=0.0, seeds=8), holdout=Spread(mean=0.1, sd=0.0, seeds=8))
ENTRY = Measured(verdict="reproduced", faulty=LOW, fixed=SCORE, patch=("a/b@c",), patch_skill=0.91)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    entries = {"one": ENTRY, "two": Measured(verdict="not reproduced", reason="why: because", faulty=SCORE)}
    write_measured(tmp_path, entries, {"seeds": 8})
    assert read_measured(tmp_path) == entries
    assert [path.name for path in tmp_path.iterdir()] == [MEASURED]


def test_no_file_is_nothing_measured(tmp_path: Path) -> None:
    assert read_measured(tmp_path) == {}


@pytest.mark.parametrize("text", ["bugs: 3", "bugs: {a: {faulty: {validation: [1, 2, 3]}}}", "[1]", "a: [b"])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / MEASURED).write_text(text)
    with pytest.raises(ProgramError, match=MEASURED):
        read_measured(tmp_path)


def test_a_folder_that_takes_no_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "no_folder").touch()
    with pytest.raises(OSError, match="no_folder"):
        write_measured(tmp_path / "no_folder", {"one": ENTRY}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["no_folder"]


def test_only_a_fix_that_repairs_becomes_the_measure_of_a_repair() -> None:
    bugs = [Bug(id=name, program=PROGRAM) for name in ("one", "two", "three")]
    entries = {"one": ENTRY, "two": Measured(verdict="no gain, as recorded", faulty=SCORE, fixed=SCORE)}
    one, two, three = with_measured(bugs, entries)
    assert (one.faulty_score, one.fixed_score) == (LOW, SCORE)
    assert one.is_fixed(0.83) is True
    assert two.fixed_score is None
    assert two.is_fixed(0.99) is None
    assert two.faulty_score == SCORE
    assert three == bugs[2]

"""``netmend report`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.agents.evaluate import evaluate
from netmend.agents.lockstep import Evaluation
from netmend.agents.verbs import report
from netmend.env.bugs.bug import Bug
from netmend.env.program import Task
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer, Trial


class Gives:
    """A method that tries nothing."""

    name = "nothing"

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Gives:
        return self

    def ask(self) -> None:
        return None

    def tell(self, trial: Trial) -> None:
        raise AssertionError(trial)


@pytest.fixture
def run(two_fault_bug: Bug, scripted_trainer: Trainer, tmp_path: Path) -> Path:
    evaluate(Evaluation(bugs=(two_fault_bug,), methods=(Gives(),), rules=Rules()), scripted_trainer, tmp_path)
    return tmp_path


def test_the_page_and_the_pictures_lie_in_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("altair", reason="netmend[report] is not installed")
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out == f"1 repairs  {run / 'report.html'}\n"
    assert "two-faults" in (run / "report.html").read_text()
    for form, first in (("svg", b"<svg"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        assert main(["report", str(run), "--format", form]) == 0
        drawn = sorted((run / f"report-{form}").iterdir())
        assert [path.stem for path in drawn] == [
            "fixed-by-trials-1", "fixed-by-work-1", "ir-by-trials-1", "ir-by-work-1"
        ]  # fmt: skip
        assert all(path.read_bytes().startswith(first) for path in drawn)


def test_what_cannot_be_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, said in (
        (["nowhere"], "nowhere: no repairs.jsonl.gz; a finished run of train, evaluate or repair writes it"),
        ([str(run), "--format", "gif"], "report: argument --format: invalid choice: 'gif'"),
        ([], "report: the following arguments are required: RUN"),
    ):
        assert main(["report", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"netmend: {said}")
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    assert main(["report", str(run)]) == 2
    assert capsys.readouterr().err.endswith("pip install 'netmend[report]'\n")

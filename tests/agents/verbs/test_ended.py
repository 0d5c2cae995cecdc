"""What verbs say to programs, what they say last, and that it fits on a screen."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netmend.agents.cli import VERBS, main
from netmend.agents.progress import Totals
from netmend.agents.verbs.ended import Ended, all_to_stderr, as_json, joined
from netmend.env.training.trial import Status

COLUMNS = 80


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs write under the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[dict[str, Any], str]:
    """The only line of the output as an object, and what went to the error stream."""
    assert main([*words, "--json"]) == status
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    return json.loads(said.out), said.err


def test_what_json_knows_not_is_brought_into_its_form() -> None:
    plain = {"a": Totals(steps=3), "b": float("nan"), "c": (Path("x/y"), Status.OK), "d": np.float64(0.5)}
    assert json.loads(as_json(plain)) == {
        "a": {"updates": 0, "steps": 3, "episodes": 0, "trials": 0, "stored": 0, "seconds": 0.0},
        "b": None,
        "c": ["x/y", "ok"],
        "d": 0.5,
    }


def test_several_runs_are_one_answer() -> None:
    both = joined([Ended(answer={"a": 1}, then="x"), Ended(status=3, answer={"a": 2}, then="y")])
    assert both == Ended(status=3, answer={"runs": [{"a": 1}, {"a": 2}]}, then="y")
    assert joined([]) == Ended()


def test_what_children_print_is_no_part_of_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with all_to_stderr() as out:
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        print("from here")
    print("answer", file=out)
    said = capfd.readouterr()
    assert said.out == "answer\n"
    assert {"from a child", "from here"} <= set(said.err.splitlines())


def test_an_error_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["train", "bugs=nowhere"], ["check", "no.py"], ["repair", "no.py"], ["nothing"]):
        found, said = answer(capsys, *words, status=2)
        assert list(found) == ["error"]
        assert f"netmend: {found['error']}\n" in said


def test_bugs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    suites, said = answer(capsys, "bugs")
    assert {"name", "description", "splits"} == set(suites["suites"][0])
    assert "tiny: 12 bugs" in said
    assert said.endswith("next: netmend bugs show SUITE\n")
    suite, _ = answer(capsys, "bugs", "show", "tiny")
    assert len(suite["bugs"]) == 12
    first = suite["bugs"][0]["id"]
    bug, said = answer(capsys, "bugs", "show", "tiny", first)
    assert bug["program"]["data"]["dataset"]
    assert said.endswith(f"next: netmend repair bugs=tiny bug={first}\n")
    monkeypatch.setattr("netmend.agents.verbs.bugs.suites.suite_names", lambda: ["real-v1", "tiny"])
    covered, _ = answer(capsys, "bugs", "coverage")
    assert len(covered["patterns"]) == 15


def test_from_training_to_a_report(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["agent.n_envs=2", "agent.network=[8]", "agent.params.n_steps=4", "agent.params.batch_size=8"]
    fast = ["bugs=tiny", "budget.updates=5", "budget.epochs=1"]
    steps = ["training.steps=8", "training.validation_bugs=1", "imitation.lessons=0", "hydra.run.dir=runs/a"]
    steps.append("training.choosing_bugs=0")
    trained, said = answer(capsys, "train", *fast, *small, *steps)
    assert Path(trained["policy"]).is_dir()
    assert trained["totals"]["steps"] == 8
    assert 0 <= trained["fixed"] <= 1
    assert said.endswith("next: netmend evaluate policy=runs/a\n")
    few = ["methods=[policy,random]", "limit=1", "budget.trials=1", "hydra.run.dir=runs/b"]
    compared, said = answer(capsys, "evaluate", *fast, "policy=runs/a", *few)
    assert list(compared["methods"]) == ["policy", "random"]
    assert Path("runs/b/results.csv").is_file()
    assert said.endswith("next: netmend report runs/b\n")
    bug = answer(capsys, "bugs", "show", "tiny")[0]["bugs"][0]["id"]
    one = [*fast, f"bug={bug}", "policy=runs/a", "budget.trials=1", "hydra.run.dir=runs/c"]
    status = main(["repair", *one, "--json"])
    assert status in (0, 3)
    repaired = json.loads(capsys.readouterr().out)
    assert repaired["bug"] == bug
    assert (repaired["claim"] == "none") == (repaired["program"] is None)
    offered = [path for path in Path("runs/c").glob("*.yaml") if path.stem != "config"]
    assert len(offered) == (status == 0)
    pytest.importorskip("altair", reason="netmend[report] is not installed")
    shown, _ = answer(capsys, "report", "runs/b")
    assert [Path(path).name for path in shown["files"]] == ["report.html"]


@pytest.mark.parametrize(
    "words",
    [
        *([], *([verb] for verb in VERBS), ["repair", "train.py"]),
        *(["bugs", own] for own in ("make", "verify", "claims", "deepcrime")),
        *(["bench", own] for own in ("engine", "environment", "store", "scale")),
    ],
)
def test_help_fits_on_a_screen(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    with suppress(SystemExit):  # of argparse
        assert main([*words, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > COLUMNS] == []

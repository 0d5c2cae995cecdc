"""``netmend check`` on scripts that run: what it finds, how it says so, and its exit status."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from netmend.agents.cli import main
from netmend.env.script.parent import Runner

HEAD = """\
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(400, 4)
y = (x[:, 0] + x[:, 1] > 0).long() + (x[:, 2] > 1).long()
loader = DataLoader(TensorDataset(x[:320], y[:320]), batch_size=32, shuffle=True)
"""
LOOP = """\
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    net.train()
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(net(xb), yb)
        loss.backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    print("accuracy", (net(x[320:]).argmax(1) == y[320:]).float().mean().item())
"""
LINE = "net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3)"
GOOD = f"{HEAD}{LINE})\n{LOOP}"
SOFTMAX = f"{HEAD}{LINE}, nn.Softmax(dim=1))\n{LOOP}"
FAULTY = {
    "logits_squashed": SOFTMAX,
    "crash": GOOD.replace("nn.Linear(32, 3)", "nn.Linear(16, 3)"),
    "gradients_add_up": GOOD.replace("        optimizer.zero_grad()\n", ""),
    "step_before_backward": GOOD.replace(
        "        loss.backward()\n        optimizer.step()\n",
        "        optimizer.step()\n        loss.backward()\n",
    ),
    "no_evaluation_mode": GOOD.replace("net.eval()\n", ""),
    "far_rate": GOOD.replace("lr=0.01", "lr=3.0"),
    "broadcast_targets": GOOD.replace("nn.Linear(32, 3)", "nn.Linear(32, 1)")
    .replace("nn.CrossEntropyLoss()", "nn.MSELoss()")
    .replace("yb)", "yb.float())")
    .replace("net(x[320:]).argmax(1)", "net(x[320:]).round()[:, 0]"),
    "not_all_optimized": GOOD.replace("net.parameters()", "net[3].parameters()"),
    "missing_values": GOOD.replace("y = (x", "x[5, 2] = float('nan')\ny = (x"),
}
RIGHT = {
    "plain": GOOD,
    "accumulates": GOOD.replace("        optimizer.zero_grad()\n", "").replace(
        "        optimizer.step()\n",
        "        seen = seen + 1 if 'seen' in dir() else 1\n"
        "        if seen % 2 == 0:\n            optimizer.step()\n            optimizer.zero_grad()\n",
    ),
    "log_softmax": GOOD.replace("nn.Linear(32, 3)", "nn.Linear(32, 3), nn.LogSoftmax(dim=1)").replace(
        "nn.CrossEntropyLoss", "nn.NLLLoss"
    ),
    "two passes": GOOD.replace(
        "loss = criterion(net(xb), yb)", "loss = criterion(net(xb), yb) + criterion(net(-xb), yb)"
    ),
}


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as started:
        yield started


@pytest.fixture(autouse=True)
def here(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scripts lie in the working folder; all checks share one process that has imported torch."""
    monkeypatch.setattr("netmend.env.script.check.Runner", lambda: nullcontext(runner))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(text: str, *words: str, name: str = "train.py") -> int:
    Path(name).write_text(text)
    return main(["check", name, *words])


@pytest.mark.parametrize("name", FAULTY)
def test_the_first_finding_of_a_faulty_script(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(FAULTY[name], "--json") == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert found[0]["name"] == name
    assert found[0]["file"] == "train.py"
    assert 0 < found[0]["line"] <= FAULTY[name].count("\n")


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_script_has_no_finding(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(RIGHT[name]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].startswith("nothing found in ")
    assert "which is your own code" in told.err


def test_the_text_fits_a_screen_and_marks_the_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SOFTMAX) == 1
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    assert lines[0].startswith("ran train.py: 30 updates")
    marked = next(place for place, line in enumerate(lines) if "^" in line)
    start, end = lines[marked].index("^"), lines[marked].rindex("^") + 1
    assert lines[marked - 1][start:end] == "nn.Softmax(dim=1)"
    assert lines[-1] == "1 fault; next: netmend repair train.py"


def test_columns_are_counted_in_characters(capsys: pytest.CaptureFixture[str]) -> None:
    odd = SOFTMAX.replace("net = nn", "größe = '日本'; net = nn")
    check(odd, "--json")
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    line = odd.splitlines()[finding["line"] - 1]
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "nn.Softmax(dim=1)"


def test_annotations_of_github(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SOFTMAX, "--format", "github") == 1
    (line,) = capsys.readouterr().out.splitlines()
    place = r"file=train\.py,line=9,endLine=9,col=\d+,endColumn=\d+"
    assert re.match(rf"::error title=netmend logits_squashed,{place}::cross_entropy has", line)
    assert check(FAULTY["far_rate"], "--format", "github") == 1
    assert capsys.readouterr().out.startswith("::warning ")


def test_sarif_has_what_the_schema_requires(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(SOFTMAX, "--format", "sarif", name="my net.py") == 1
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "netmend"
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "logits_squashed"
    assert result["level"] == "error"
    assert result["message"]["text"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20net.py"
    assert 1 <= place["region"]["startColumn"] < place["region"]["endColumn"]


def test_warnings_fail_where_they_are_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(FAULTY["far_rate"], "--fail-on", "fault") == 0
    assert check(SOFTMAX, "--fail-on", "fault") == 1
    assert "far_rate" in capsys.readouterr().out


def test_words_behind_two_dashes_are_the_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    asks = "import argparse\nparser = argparse.ArgumentParser()\n"
    asks += "parser.add_argument('--lr', type=float, required=True)\n"
    text = asks + GOOD.replace("lr=0.01", "lr=parser.parse_args().lr")
    assert check(text, "--", "--lr", "0.01") == 0
    assert check(text, "--", "--lr", "3") == 1
    capsys.readouterr()
    assert check(text) == 2
    assert "--lr" in capsys.readouterr().err


def test_a_printed_score_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(GOOD, "--json", "--metric", r"acc=accuracy (\S+)") == 0
    score = json.loads(capsys.readouterr().out)["score"]
    assert score["kind"] == "acc"
    assert score["source"] == "printed"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import no_such_module_here\n", "no_such_module_here"),
        ("print('no network')\n", "no training was seen"),
        ("raise SystemExit('give me data')\n", "give me data"),
        ("def broken(:\n", "SyntaxError"),
    ],
)
def test_what_cannot_be_run(text: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(text) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert expected in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "script"),
        (["nowhere.py"], "nowhere.py"),
        (["train.py", "--seconds", "0"], "--seconds"),
        (["train.py", "--metric", "("], "NAME=REGEX"),
        (["train.py", "--metric", "a=("], "regular expression"),
        (["train.py", "--format", "xml"], "xml"),
    ],
)
def test_words_that_make_no_sense(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 2
    assert expected in capsys.readouterr().err


def test_help_needs_no_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    assert "--fail-on" in capsys.readouterr().out

"""``netmend check`` on scripts that run: what it finds, how it says so, and its exit status."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.check_page import as_github, as_json, as_sarif, as_text
from netmend.agents.cli import main
from netmend.env.findings import Finding
from netmend.env.script.check import Checked
from netmend.env.script.parent import Runner
from netmend.env.script.record import Record
from netmend.env.script.site import Site

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
for epoch in range(7):
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
    "accumulates": GOOD.replace("        optimizer.zero_grad()\n", "")
    .replace("range(7)", "range(14)")
    .replace(
        "        optimizer.step()\n",
        "        seen = seen + 1 if 'seen' in dir() else 1\n"
        "        if seen % 2 == 0:\n            optimizer.step()\n            optimizer.zero_grad()\n",
    ),
    "log_softmax": GOOD.replace("nn.Linear(32, 3)", "nn.Linear(32, 3), nn.LogSoftmax(dim=1)").replace(
        "nn.CrossEntropyLoss", "nn.NLLLoss"
    ),
    "looks at its training rows": GOOD.replace(
        "        optimizer.step()\n",
        "        optimizer.step()\n        with torch.no_grad():\n"
        "            hits = (net(xb).argmax(1) == yb).float().mean()\n",
    ),
    "two passes": GOOD.replace(
        "loss = criterion(net(xb), yb)", "loss = criterion(net(xb), yb) + criterion(net(-xb), yb)"
    ),
}


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


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A script with odd characters in its source and its name, and a fault; it is read and not run."""
    script = tmp_path_factory.mktemp("odd") / "my net.py"
    script.write_text(SOFTMAX.replace("net = nn", "größe = '日本'; net = nn"), encoding="utf-8")
    line = script.read_text("utf-8").splitlines()[8]
    start = len(line[: line.index("nn.Softmax")].encode())
    site = Site("my net.py", 9, start, 9, start + len("nn.Softmax(dim=1)"))
    answers = ("activation/linear@output",)
    text = "100 % wrong: softmax, twice"
    fault = Finding(
        name="logits_squashed", severity="fault", text=text, value=1, place="", edits=answers, site=site
    )
    doubt = replace(fault, name="far_rate", severity="warning", site=None, edits=())
    return Checked(script, Record(modules={}, updates=70), (fault, doubt))


def test_the_text_fits_a_screen_and_marks_the_place(
    checked: Checked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checked.script.parent)
    text = as_text(replace(checked, script=Path("my net.py")))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("ran my net.py: 70 updates")
    assert "my net.py:9: fault: 100 % wrong: softmax, twice [logits_squashed]" in lines
    marked = next(place for place, line in enumerate(lines) if "^" in line)
    start, end = lines[marked].index("^"), lines[marked].rindex("^") + 1
    assert lines[marked - 1][start:end] == "nn.Softmax(dim=1)"
    assert lines[-1] == "1 fault, 1 warning; next: netmend repair 'my net.py'"


def test_columns_are_counted_in_characters_from_1(checked: Checked) -> None:
    finding, doubt = json.loads(as_json(checked))["findings"]
    line = checked.script.read_text("utf-8").splitlines()[finding["line"] - 1]
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "nn.Softmax(dim=1)"
    assert "line" not in doubt


def test_annotations_of_github(checked: Checked) -> None:
    first, second = as_github(replace(checked, script=Path("a,b/my net.py"))).splitlines()
    assert re.match(
        r"::error title=netmend logits_squashed,file=a%2Cb/my net\.py,line=9,endLine=9,col=\d+", first
    )
    assert first.endswith("::100 %25 wrong: softmax, twice")
    assert second == "::warning title=netmend far_rate::100 %25 wrong: softmax, twice"


def test_sarif_has_what_the_schema_requires(checked: Checked) -> None:
    log = json.loads(as_sarif(replace(checked, script=Path("code/my net.py"))))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "netmend"
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == ["logits_squashed", "far_rate"]
    assert [result["level"] for result in run["results"]] == ["error", "warning"]
    assert all(result["message"]["text"] for result in run["results"])
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "code/my%20net.py"
    assert 1 <= place["region"]["startColumn"] < place["region"]["endColumn"]
    assert "locations" not in run["results"][1]


def test_warnings_fail_where_they_are_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(FAULTY["far_rate"], "--fail-on", "fault") == 0
    told = capsys.readouterr()
    assert "far_rate" in told.out
    assert "\x1b" not in told.out


def test_words_behind_two_dashes_are_the_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    asks = "import argparse\nparser = argparse.ArgumentParser()\n"
    asks += "parser.add_argument('--lr', type=float, required=True)\n"
    text = asks + GOOD.replace("lr=0.01", "lr=parser.parse_args().lr")
    assert check(text, "--json", "--metric", r"acc=accuracy (\S+)", "--", "--lr", "0.01") == 0
    score = json.loads(capsys.readouterr().out)["score"]
    assert (score["kind"], score["source"]) == ("acc", "printed")
    assert check(text) == 2
    assert "--lr" in capsys.readouterr().err


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

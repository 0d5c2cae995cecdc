"""Scripts as people write them, repaired by real runs."""

from __future__ import annotations

import re
import subprocess
import textwrap
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from netmend.agents.cli import main
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.cost import Length, planned_updates
from netmend.agents.script_repair.hunks import Step, explained
from netmend.agents.script_repair.page import verdict
from netmend.agents.script_repair.runs import RealRuns
from netmend.env.findings import Finding
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Loop, Record
from netmend.env.script.site import Site

BODY = '''"""Two clouds."""
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 2)
y = (x[:, 0] > 0).long()
x[:, 0] += 4 * y - 2
net = nn.Sequential(nn.Linear({inputs}, 16), nn.ReLU(), nn.Linear(16, 2))  # small
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
loss_function = nn.CrossEntropyLoss()
for epoch in range(12):
    for i in range(0, 300, 50):
        {zero}loss = loss_function({output}(x[i : i + 50]), y[i : i + 50])
        loss.backward()
        optimizer.step()
net.eval()
with torch.no_grad():
    right = (net(x[300:]).argmax(1) == y[300:]).float().mean()
print("accuracy", right.item())
'''
GOOD = {"inputs": 2, "zero": "optimizer.zero_grad()\n        ", "output": "net"}


@pytest.fixture(autouse=True)
def shared(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """All repairs share one process that has imported torch."""
    monkeypatch.setattr("netmend.agents.verbs.repair_script.Runner", lambda: nullcontext(runner))


@pytest.fixture
def write(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Write the script into a folder of its own, with other parts; its path."""

    def written(**parts: object) -> Path:
        script = tmp_path / "own" / "train.py"
        script.parent.mkdir()
        script.write_text(BODY.format(**{**GOOD, **parts}))
        return script

    return written


def test_a_layer_of_the_wrong_size_is_mended_by_a_diff_that_git_takes(  # type: ignore[no-untyped-def]
    write, tmp_path, capsys, monkeypatch
) -> None:
    script = write(inputs=3)
    before = script.read_text()
    monkeypatch.chdir(tmp_path)
    assert main(["repair", "own/train.py"]) == 0
    shown = capsys.readouterr()
    assert script.read_text() == before
    assert "did not run to its end, and does now" in shown.err
    assert "-net = nn.Sequential(nn.Linear(3, 16)" in shown.out
    assert "+net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))  # small" in shown.out
    (tmp_path / "fix.patch").write_text(shown.out)
    subprocess.run(["git", "apply", "--check", "fix.patch"], check=True)


def test_apply_writes_what_a_fault_in_the_loop_needs(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write(zero="")
    script.chmod(0o755)
    script.rename(script.with_name("linked.py"))
    script.symlink_to("linked.py")
    assert main(["repair", str(script), "--apply"]) == 0
    assert "optimizer.zero_grad()\n" in script.read_text()
    assert script.is_symlink()
    assert script.stat().st_mode & 0o777 == 0o755
    assert "gradients are never set to zero" in capsys.readouterr().err


def test_an_error_that_the_script_prints_becomes_less(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    text = script.read_text().replace("lr=0.05", "lr=1e-7").replace("range(12)", "range(60)")
    text = text.replace("(x[:, 0] > 0)", "((x[:, 0] > 0) ^ (x[:, 1] > 0))")
    text = text.replace("x[:, 0] += 4 * y - 2\n", "")
    script.write_text(text + 'print("error", 1000 * (1 - right.item()))\n')
    assert main(["repair", str(script), "--metric", r"error=error (\S+)"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    before, after = map(float, re.findall(r"is repaired: error (\S+) becomes (\S+)", told)[0])
    assert after < 200 < 350 < before


def test_an_error_in_other_units_is_not_less(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "train.py"
    script.write_text(IN_UNITS)
    main(["repair", str(script), "--metric", r"rmse=rmse (\S+)"])
    out, err = capsys.readouterr()
    assert "target_mean" not in out
    before, after = map(float, re.findall(r"^  (?:before|after)   ?(\S+)", err, re.MULTILINE))
    assert before > 300
    assert after > 10
    assert "what may change what the error means is left out" in " ".join(err.split())


IN_UNITS = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(400, 4)
y = (x[:, :1] * 3 + x[:, 1:2] ** 2) * 100
net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-9)
for epoch in range(20):
    for i in range(0, 320, 32):
        loss = nn.functional.mse_loss(net(x[i : i + 32]), y[i : i + 32])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("rmse", nn.functional.mse_loss(net(x[320:]), y[320:]).sqrt().item())
"""


def test_a_fault_that_only_the_second_epoch_shows_is_mended(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    text = script.read_text().replace("nn.ReLU()", "nn.ReLU(), nn.Dropout(0.2)")
    training, mark, evaluation = text.partition("net.eval()")
    script.write_text(training + textwrap.indent(mark + evaluation, "    "))
    assert main(["repair", str(script), "--apply"]) == 0
    assert "for epoch in range(12):\n    net.train()\n" in script.read_text()
    assert "trained in evaluation mode" in capsys.readouterr().err


LATE = """
{}
for i in range(0, 300, 50):
    loss = loss_function({}(x[i : i + 50]), y[i : i + 50])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_a_crash_behind_the_first_loop_is_mended(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    text = script.read_text().replace("range(12)", "range(60)")
    late = LATE.format("other = nn.Sequential(net[0], nn.Linear(8, 2))", "other")
    script.write_text(text.replace("\nnet.eval()", late + "net.eval()"))
    assert main(["repair", str(script), "--apply"]) == 0
    assert "nn.Sequential(net[0], nn.Linear(16, 2))" in script.read_text()
    assert "360 updates" in " ".join(capsys.readouterr().err.split())


def test_a_crash_behind_the_first_loop_is_told_where_nothing_mends_it(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    text = script.read_text().replace("range(12)", "range(60)")
    late = LATE.format("net.requires_grad_(False)", "net")
    script.write_text(text.replace("\nnet.eval()", late + "net.eval()"))
    assert main(["repair", str(script)]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "crashes after 360 updates" in told
    assert "is frozen by now" in told
    assert "is not repaired" in told


def test_a_good_script_is_left_alone(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    assert main(["repair", str(script)]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "is not repaired" in " ".join(shown.err.split())  # whatever the length of the path


def test_a_gain_beside_a_fault_is_called_no_repair() -> None:
    wrong = Finding(
        name="no_zero_grad", severity="fault", text="gradients stay", value=0.0, place="", edits=()
    )
    result = SimpleNamespace(
        claim="gain", before=(0.1,), after=(0.9,), left=(wrong,), length=Length(None, 1.0, 10, 1.0)
    )
    said = verdict(Path("train.py"), cast("ScriptRepair", result))
    assert said == "train.py gains, and is not repaired yet: gradients stay"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("print('hello')\n", "no training was seen"),
        ("x = = 1\n", "it stops before it makes a network: SyntaxError: invalid syntax"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, capsys, text: str, told: str) -> None:  # type: ignore[no-untyped-def]
    script = tmp_path / "train.py"
    script.write_text(text)
    assert main(["repair", "--whole", str(script)]) == 2
    assert told in capsys.readouterr().err
    assert main(["repair", str(tmp_path)]) == 2
    assert "a script is a .py or an .ipynb file" in capsys.readouterr().err
    assert main(["repair", "--trials", "0", str(script)]) == 2
    assert "--trials 0: it has to be above 0" in capsys.readouterr().err
    assert main(["repair", "--metric", r"val_loss=loss (\S+)", str(script)]) == 2
    assert "--metric val_loss: an edit may change what a loss means" in capsys.readouterr().err
    assert main(["repair", str(tmp_path / "none.py")]) == 2


def test_names_that_are_not_there_are_answered_with_those_that_are(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write()
    for words in (["repair", str(script.with_suffix(""))], ["check", str(script.with_name("trian.py"))]):
        assert main(words) == 2
        assert f"there is no such file; did you mean {script}?" in capsys.readouterr().err
    assert main(["repair", str(script), "--keep", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in ("architecture", "data", "frozen", "labels", "optimizer/*"))


def test_what_is_kept_is_said(write, capsys) -> None:  # type: ignore[no-untyped-def]
    script = write(inputs=3)
    assert main(["repair", str(script), "--keep", "layer_dimension/*"]) == 3
    told = capsys.readouterr()
    assert "crashes in layer 0 (Linear)" in told.err
    assert "layer_dimension/fit_inputs@all: it touches what is to be kept" in told.err


def test_hunks_say_why() -> None:
    original = {"train.py": "".join(f"line_{n} = {n}\n" for n in range(30))}
    first = {"train.py": original["train.py"].replace("line_2 = 2", "line_2 = 3")}
    both = {"train.py": first["train.py"].replace("line_25 = 25", "line_25 = 26")}
    steps = [
        Step("mend", "two is too few", ("a",), {}, first),
        Step("answer", "so is 25", ("b",), first, both),
    ]
    heads = [line for line in explained(original, both, steps).splitlines() if line.startswith("@@")]
    assert [head.split("@@ ")[-1] for head in heads] == ["two is too few", "so is 25"]


def test_planned_updates_are_those_of_all_loops() -> None:
    site = Site("train.py", 1, 0, 1, 1)
    loops = (
        Loop(kind="range", rounds=40, step=1, site=site),
        Loop(kind="loader", rounds=6, step=1, site=site),
    )
    assert planned_updates(Record(loops=loops)) == 240
    unknown = Loop(kind="while", rounds=None, step=1, site=site)
    assert planned_updates(Record(loops=(unknown,))) is None
    assert planned_updates(Record()) is None
    held = Loop(kind="epochs", rounds=6, step=1, site=site)
    assert planned_updates(Record(loops=(held,))) is None


def test_what_a_run_depends_on_tells_it_from_others() -> None:
    plans: list[Plan] = []

    class Fake(Runner):
        def run(self, script, arguments=(), *, sources=None, plan=None):  # type: ignore[no-untyped-def]
            plans.append(plan)
            return Record()

    runs = RealRuns(Fake(), Path("train.py"), (), Plan())
    runs.run({})
    runs.run({})
    assert runs.count == len(plans) == 1
    runs.length = Length(5, 1.0, 10)
    runs.run({})
    runs.withhold = Site("train.py", 1, 0, 1, 1)
    runs.run({})
    assert [(plan.updates, plan.withhold) for plan in plans] == [(None, None), (5, None), (5, runs.withhold)]
    before, after = runs.pairs({}, {"train.py": "x"}, (7, 8))
    assert (len(before), len(after), runs.count) == (2, 2, 7)
    assert sorted((plan.seed, plan.shift) for plan in plans[3:]) == [(7, 7), (7, 7), (8, 8), (8, 8)]


@pytest.mark.parametrize(
    ("before", "gain", "score"),
    [
        ((0.5, 0.5, 0.5), 0.003, "the score is as it was"),
        ((0.5, 0.3, 0.8), 0.367, "the score is better, by too little to be sure"),
        ((None, None, None), None, "no score says whether it trains better"),
    ],
)
def test_what_is_mended_says_what_became_of_the_score(before, gain, score) -> None:  # type: ignore[no-untyped-def]
    result = SimpleNamespace(
        claim="mended",
        before=before,
        after=before,
        gain=gain,
        first=Record(),
        length=Length(None, 1.0, 10, 1.0),
    )
    said = verdict(Path("train.py"), cast("ScriptRepair", result))
    assert said == f"train.py: what is wrong for sure is mended, and {score}"

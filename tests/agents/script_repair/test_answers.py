"""What findings name is tried by real runs in front of the search, and only what helps is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from netmend.agents.methods import PolicyMethod
from netmend.agents.script_repair import repair
from netmend.agents.script_repair.answer import ScriptRepair
from netmend.agents.script_repair.page import as_lines
from netmend.agents.script_repair.repair import ScriptRepairer
from netmend.agents.script_repair.runs import RealRuns
from netmend.agents.script_repair.search import Candidate
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.record import Fact, Record, Score
from tests.agents.script_repair.conftest import CLASSES, MakeStage

SCRIPT = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(120, 4) * 900
y = (x[:, 0] > 0).long()
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, 5)
for epoch in range(5):
    for i in range(0, 96, 16):
        loss = nn.functional.cross_entropy(net(x[i : i + 16]), y[i : i + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
"""
SCHEDULE, SCALE = "api_contract/schedule_per_epoch@program", "data_wrangling/remove_prep@inputs"
ADAM = "optimizer/adam@program"


class Scored(Runner):
    """Answers with a record, whose score follows from the text of the script."""

    def __init__(self, record: Record, score: Callable[[str], float]) -> None:
        self.record, self.score = record, score

    def run(self, script, arguments=(), *, sources=None, plan=None) -> Record:  # type: ignore[no-untyped-def]
        value = self.score((sources or {}).get("train.py", SCRIPT)) + plan.seed % 7 / 1e3
        score = Score(kind="accuracy", value=value, rows=99, source="own")
        return replace(self.record, ending="finished", seconds=1.0, score=score, losses=(float(plan.seed),))


def is_scheduled(text: str) -> bool:
    return "\n    schedule.step()" in text


def is_scaled(text: str) -> bool:
    return "* 900" not in text


Repaired = Callable[..., ScriptRepair]


@pytest.fixture
def repaired(stage: MakeStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repaired:
    """The repair of the script where its score follows from its text, and a search finds some patches."""
    record = stage(SCRIPT).record

    def repairing(
        score: Callable[[str], float], *found: Candidate, more: bool = False, **changed: object
    ) -> ScriptRepair:
        monkeypatch.setattr(repair, "found_by_policy", lambda *_: list(found))
        runner = Scored(replace(record, **changed), score)  # type: ignore[arg-type]
        runs = RealRuns(runner, tmp_path / "train.py", (), Plan())
        return ScriptRepairer(runs, cast("PolicyMethod", None), more=more).repair()

    return repairing


def steps(result: ScriptRepair) -> list[tuple[str, tuple[str, ...]]]:
    return [(step.kind, step.actions) for step in result.steps]


def test_what_a_warning_names_is_tried_and_does_without_the_search(repaired: Repaired) -> None:
    result = repaired(lambda text: 0.99 if is_scheduled(text) else 0.5)
    assert (result.claim, steps(result)) == ("repair", [("answer", (SCHEDULE,))])
    assert "the schedule is for epochs" in result.steps[0].why
    assert result.diff.count("@@") == 2  # nothing else is changed


def test_a_search_that_adds_to_a_good_answer_is_an_offer(repaired: Repaired) -> None:
    def score(text: str) -> float:
        return 0.2 + 0.6 * is_scheduled(text) + 0.1 * ("optim.Adam(" in text)

    result = repaired(score)
    assert steps(result) == [("answer", (SCHEDULE,))]
    assert result.further == "further edits of a search reach 0.902"
    assert f"the same command with --more: {result.further}" in "\n".join(as_lines(Path("train.py"), result))
    result = repaired(score, more=True)
    assert (steps(result), result.further) == ([("answer", (SCHEDULE,)), ("search", (ADAM,))], "")


def test_what_helps_only_together_is_kept_together(repaired: Repaired) -> None:
    result = repaired(lambda text: 0.99 if is_scheduled(text) and is_scaled(text) else 0.5)
    assert (result.claim, sorted(steps(result))) == (
        "repair",
        [("answer", (SCHEDULE,)), ("answer", (SCALE,))],
    )


def test_what_helps_little_is_left_to_the_search(repaired: Repaired) -> None:
    result = repaired(lambda text: 0.5 + 0.01 * is_scheduled(text) + 0.4 * ("optim.Adam(" in text))
    assert (result.claim, steps(result)) == ("repair", [("search", (ADAM,))])


def test_the_commonest_edits_are_tried_where_the_policy_finds_nothing_that_helps(repaired: Repaired) -> None:
    useless = Candidate(("optimizer/lr_div10@program",), {"train.py": SCRIPT.replace("lr=0.1", "lr=0.01")})
    result = repaired(lambda text: 0.9 if "optim.Adam(" in text else 0.5, useless)
    assert (result.claim, steps(result)) == ("repair", [("search", (ADAM,))])


def test_a_fault_that_the_last_run_shows_is_left(repaired: Repaired) -> None:
    fact = Fact(name="evaluated_in_training_mode", value=9.0, text="", site=None)
    wrong = {"facts": (fact,), "modules": {"": "Sequential", "1": "Dropout"}}
    result = repaired(lambda text: 0.99 if is_scheduled(text) else 0.5)
    assert (result.claim, result.left) == ("repair", ())
    result = repaired(lambda text: 0.9 if "optim.Adam(" in text else 0.5, **wrong)
    assert (result.claim, [finding.name for finding in result.left]) == ("gain", ["no_evaluation_mode"])


def test_a_crash_is_the_same_wherever_lines_in_front_of_it_move_it(stage: MakeStage) -> None:
    text = CLASSES.format(classes=7)
    start = stage(text)
    assert start.record.crash is not None
    assert "loss = nn.functional.cross_entropy(" in start.crashed_at[1]
    assert stage("import math\n\n" + text).crashed_at == start.crashed_at
    other = text.replace("nn.Linear(8, 2)", "nn.Linear(9, 2)")
    assert stage(other).crashed_at != start.crashed_at

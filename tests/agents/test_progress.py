from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from rich.console import Console
from rich.text import Text

from netmend.agents.progress import LEAST_PART, Bar, Lines, StageProgress, ToldTrainer, Totals
from netmend.env.training.trial import Trial, TrialRequest


def test_a_part_of_a_stage_says_how_long_it_still_takes() -> None:
    clock = iter([0.0, 0.0, 10.0, 20.0, 50.0, 110.0])
    console = Console(file=io.StringIO(), width=200)
    progress = StageProgress(console, clock=lambda: next(clock))
    progress.show("lessons", 1, 4, "states 3")
    progress.show("lessons", 4, 4, "states 9")
    progress.show("epochs", 1, 3, "loss 1.0")
    progress.show("epochs", 2, 3, "loss 0.5")
    progress.close()
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "lessons 1/4  states 3  0:30 left",
        "lessons 4/4  states 9  0:00 left",
        "epochs 1/3  loss 1.0  1:00 left",
        "epochs 2/3  loss 0.5  0:45 left",
    ]


class Echo:
    """A trainer whose trials are the requests."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.calls.append(len(requests))
        return list(requests)  # type: ignore[arg-type]

    def close(self) -> None:
        self.calls.clear()


def test_a_long_call_of_a_trainer_is_told_in_parts() -> None:
    clock = iter([0.0, 5.0, 25.0, 45.0, 50.0, 60.0, 61.0])
    console, trainer = Console(file=io.StringIO(), width=200), Echo()
    told = ToldTrainer(trainer, StageProgress(console, clock=lambda: next(clock)))
    asked = list(range(LEAST_PART + 16))
    assert told.run(asked) == asked  # type: ignore[arg-type, comparison-overlap]
    assert told.run([]) == []
    assert told.run([1, 2]) == [1, 2]  # type: ignore[list-item, comparison-overlap]
    assert trainer.calls == [64, 16, 2]
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "trainings 0/80",
        "trainings 64/80  0:05 left",
        "trainings 80/80  0:00 left",
        "trainings 0/2",
        "trainings 2/2  0:00 left",
    ]


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    progress = StageProgress(console)
    progress.show("lessons", 1, 4, "states 3")
    progress.close()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "lessons" in text
    assert "1/4" in text


def test_a_line_of_an_update_says_how_long_the_others_take() -> None:
    clock = iter([0.0, 10.0, 30.0])
    console = Console(file=io.StringIO(), width=200)
    lines = Lines(console, 100, 20, clock=lambda: next(clock))
    lines.show(Totals(updates=3, steps=60), {"at_a_glance/return": 0.5})  # of a run that goes on
    lines.show(Totals(updates=4, steps=80), {})
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "update 3/5  step 60/100  return +0.500  0:20 left",
        "update 4/5  step 80/100  0:15 left",
    ]


@pytest.mark.parametrize("stage", [True, False])
def test_what_matters_most_has_room_on_a_screen_of_80_columns(stage: bool) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, legacy_windows=False)
    if stage:
        progress = StageProgress(console)
        progress.show("imitation 1/3: lessons", 1000, 3333, "states 99999  trials 99999")
    else:
        progress = Bar(console, 20480)
        figures = {"at_a_glance/return": 0.5, "repair/training/fixed": 0.5, "repair/validation/fixed": 0.5}
        progress.show(Totals(steps=10240), {**figures, "at_a_glance/trials_per_second": 9.0})
    progress.close()
    lines = [Text.from_ansi(line).plain for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= 80
    wanted = ("1000/3333", "left", "states 99999") if stage else ("10240/20480", "-:--:--", "fixed 50%")
    assert any(all(word in line for word in wanted) for line in lines)

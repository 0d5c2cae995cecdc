from __future__ import annotations

import io

from rich.console import Console

from netmend.agents.progress import StageProgress


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


def test_a_terminal_has_a_bar() -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    progress = StageProgress(console)
    progress.show("lessons", 1, 4, "states 3")
    progress.close()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "lessons" in text
    assert "1/4" in text

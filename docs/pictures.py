"""Draws the pictures of README and docs.

python docs/pictures.py repair               runs netmend repair examples/digits.py
python docs/pictures.py architecture
python docs/pictures.py report RUN...        of runs that keep their repairs; needs chromium
python docs/pictures.py tensorboard FOLDER   of a folder of runs of netmend train; needs chromium
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

DOCS = Path(__file__).parent
SCRIPT = DOCS.parent / "examples" / "digits.py"
COLUMNS, BAR = 84, 50
SHOWN = range(12, 26)
"""Lines of the script that the picture of a repair has."""
WEB_FONT = re.compile(r"@font-face \{\{.*?\}\}", re.DOTALL)
"""The fonts that rich's picture would fetch; the one of the machine does."""
WIDTH, HEIGHT = 1280, 860
"""Of a screenshot, in pixels."""


def repair(_: Sequence[str]) -> None:
    """A repair: the script, what is wrong with it, the diff, the score before and after."""
    command = [sys.executable, "-m", "netmend", "repair", SCRIPT.name, "--json"]
    done = subprocess.run(command, cwd=SCRIPT.parent, check=True, stdout=subprocess.PIPE, text=True)
    draw_repair(json.loads(done.stdout), DOCS / "repair.svg")


def draw_repair(told: dict[str, Any], path: Path) -> None:
    """Draw what ``netmend repair --json`` tells of the script."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), legacy_windows=False)
    faults = [finding for finding in told["findings"] if finding["severity"] == "fault"]
    lines = {int(finding["site"].rpartition(":")[2]) for finding in faults if ":" in finding["site"]}
    console.print(_script(lines))
    said = Text("\n").join(
        Text.assemble((f"{finding['site']}  ", "bold red"), finding["text"]) for finding in faults
    )
    console.print(Panel(said, title="what is wrong", title_align="left", border_style="red"))
    console.print(Panel(_diff(told["diff"]), title="the diff", title_align="left", border_style="green"))
    scores = Text("\n").join(
        Text.assemble((f"{word:8}", "bold"), ("█" * round(BAR * score), colour), f"  {score:.1%} right")
        for word, score, colour in (
            ("before", fmean(told["before"]), "red"),
            ("after", fmean(told["after"]), "green"),
        )
    )
    title = "confirmed by three runs with fresh seeds"
    console.print(Panel(scores, title=title, title_align="left", border_style="blue"))
    console.save_svg(
        str(path),
        title=f"netmend repair {SCRIPT.name}",
        theme=DEFAULT_TERMINAL_THEME,
        code_format=WEB_FONT.sub("", CONSOLE_SVG_FORMAT),
        unique_id="repair",
    )


def _script(faulty: set[int]) -> Panel:
    code = Syntax(
        SCRIPT.read_text(encoding="utf-8"),
        "python",
        theme="friendly",
        background_color="default",
        line_numbers=True,
        line_range=(SHOWN.start, SHOWN.stop - 1),
    )
    for line in faulty & set(SHOWN):
        code.stylize_range("on #ffd7d7", (line, 0), (line, COLUMNS))
    return Panel(code, title=SCRIPT.name, title_align="left")


def _diff(diff: str) -> Text:
    """The lines that change, each with its neighbours."""
    colours = {"+": "#006400 on #d7ffd7", "-": "#870000 on #ffd7d7"}
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++", "@@"))]
    near = [any(line[:1] in colours for line in lines[max(0, n - 1) : n + 2]) for n in range(len(lines))]
    shown = [
        Text(line if here else "  ...", colours.get(line[:1], ""))
        for line, here, before in zip(lines, near, [True, *near[:-1]], strict=True)
        if here or before
    ]
    return Text("\n").join(shown)


BOXES = {
    "agent": (1, 0, "An agent", "policy, baseline or search\nagents/"),
    "program": (0, 1, "A program", "with its bug, in YAML or lifted\nenv/program, env/bugs"),
    "script": (0, 2, "A script", "recorded, read and edited\nenv/script"),
    "episode": (1, 1, "An episode", "what stands, what is pending\nenv/episode.py"),
    "actions": (2, 1, "Repair actions", "from program to program\nrepair_actions/"),
    "front": (1, 2, "The front of the trials", "seeds, equal requests, counts\nenv/training/front.py"),
    "store": (2, 2, "The store", "every finished trial\nenv/training/store.py"),
    "training": (1, 3, "A training", "compiled code or the plain loop\nenv/training"),
    "data": (2, 3, "Datasets", "training, validation, hold-out\nenv/data"),
}
"""Column, row, name and text of each box."""
ARROWS = (
    ("agent", "episode", "action", "observation, mask,\nreward"),
    ("program", "episode", "faulty", "repaired"),
    ("program", "script", "edit", "lift"),
    ("episode", "actions", "program", "edited\nprogram"),
    ("episode", "front", "program", "trial: skill,\nsymptoms"),
    ("front", "store", "key", "known\ntrial"),
    ("front", "training", "new ones", "trial"),
    ("data", "training", "rows", ""),
)
"""From box to box, with what goes there and what comes back."""
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 3.2, 1.15, 4.7, 2.0


def architecture(_: Sequence[str]) -> None:
    """The parts of netmend and what goes from one to another."""
    figure = Figure(figsize=(10.4, 6.2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.2, 2 * COLUMN + BOX_WIDTH + 0.2), ylim=(-3 * ROW - 0.2, BOX_HEIGHT + 0.2))
    axes.axis("off")
    for column, row, name, text in BOXES.values():
        _box(axes, column * COLUMN, -row * ROW, name, text, column)
    for start, end, there, back in ARROWS:
        _arrows(axes, start, end, there, back)
    with rc_context({"svg.hashsalt": "netmend"}):  # the same file each time
        figure.savefig(DOCS / "architecture.svg", metadata={"Date": None})


def _box(axes: Axes, x: float, y: float, name: str, text: str, column: int) -> None:
    colour = ("#fff3d6", "#dcebff", "#e0f5e1")[column]
    axes.add_patch(
        FancyBboxPatch(
            (x, y), BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0.06", facecolor=colour, edgecolor="#555555"
        )
    )
    axes.text(x + BOX_WIDTH / 2, y + 0.88, name, ha="center", va="center", weight="bold", size=12)
    axes.text(x + BOX_WIDTH / 2, y + 0.36, text, ha="center", va="center", size=9.5)


def _arrows(axes: Axes, start: str, end: str, there: str, back: str) -> None:
    """One arrow, or one there and one back beside it."""
    (c1, r1), (c2, r2) = (BOXES[name][:2] for name in (start, end))
    shift = 0.22 if back else 0.0
    across = c1 != c2
    for text, sign, forth in ((there, 1, True), (back, -1, False)):
        if not (text or forth):
            continue
        gap = BOX_WIDTH + 0.1 if c1 < c2 else -0.1
        if across:
            x1, x2 = c1 * COLUMN + gap, c2 * COLUMN + (BOX_WIDTH - gap)
            y1, y2 = (-r * ROW + BOX_HEIGHT / 2 + sign * shift for r in (r1, r2))
        else:
            x1 = x2 = c1 * COLUMN + BOX_WIDTH / 2 - sign * shift
            y1, y2 = -r1 * ROW - 0.08, -r2 * ROW + BOX_HEIGHT + 0.08
        ends = ((x1, y1), (x2, y2)) if forth else ((x2, y2), (x1, y1))
        axes.annotate("", ends[1], ends[0], arrowprops={"arrowstyle": "-|>", "color": "#333333", "lw": 1.4})
        side = (
            ("center", "bottom" if sign > 0 else "top")
            if across
            else ("right" if sign > 0 else "left", "center")
        )
        away = (0, 0.06 * sign) if across else (-0.08 * sign, 0)
        axes.text(
            (x1 + x2) / 2 + away[0],
            (y1 + y2) / 2 + away[1],
            text,
            size=9,
            color="#333333",
            ha=side[0],
            va=side[1],
        )


def report(runs: Sequence[str]) -> None:
    """The page of a run."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        subprocess.run([sys.executable, "-m", "netmend", "report", *runs, "--out", str(page)], check=True)
        _photograph(page.as_uri(), ".chart svg", DOCS / "report.png")


def tensorboard(folders: Sequence[str]) -> None:
    """TensorBoard over a folder of runs."""
    with _serving(folders[0]) as address:
        _photograph(address, "line-chart", DOCS / "tensorboard.png")


@contextmanager
def _serving(folder: str) -> Iterator[str]:
    """TensorBoard over a folder; the address at which it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--logdir", folder, "--port", str(port), "--host", "127.0.0.1"]
    server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *words])
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(address).close()
                break
            except urllib.error.URLError:
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait()


def _photograph(address: str, awaited: str, path: Path) -> None:
    """A screenshot, once what is awaited is there, in few colours."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address)
        page.wait_for_selector(awaited)
        page.wait_for_timeout(2_000)  # what is drawn grows into its place
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    picture.quantize(64).save(path, optimize=True)


PICTURES: dict[str, Callable[[Sequence[str]], None]] = {
    one.__name__: one for one in (repair, architecture, report, tensorboard)
}

if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in PICTURES:
        sys.exit(__doc__)
    PICTURES[sys.argv[1]](sys.argv[2:])

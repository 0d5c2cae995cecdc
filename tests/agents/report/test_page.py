"""The page in a browser: opened from disk, filtered, sorted, a trace opened, files saved."""

from __future__ import annotations

import csv
import os
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("altair", reason="netmend[report] is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright is not installed")

from netmend.agents.report import page as page_module  # noqa: E402
from netmend.agents.report.page import write_page  # noqa: E402
from netmend.agents.report.runs import Run  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
MOST_BYTES, MOST_SECONDS = 8_000_000, 3.0
BUGS = 12
MakeRun = Callable[..., Run]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as started:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


class Watched:
    """A page of which everything is noted that it should not do."""

    def __init__(self, browser: Browser, path: Path, **context: object) -> None:
        self.page: Page = browser.new_page(accept_downloads=True, **context)
        self.said: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".chart svg")

    def saved(self, button: str, tmp_path: Path) -> Path:
        with self.page.expect_download() as waiting:
            self.page.click(button)
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def names(self) -> list[str]:
        """The bugs that are shown, in their order."""
        return self.page.locator("#bugs-1 tbody > tr:visible > th [data-open]").all_inner_texts()


@pytest.fixture
def opened(browser: Browser, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """A page with room for the curves of 10 of its 24 repairs."""
    monkeypatch.setattr(page_module, "MOST_SHOWN", 10)
    path = tmp_path / "a #1 report.html"
    assert write_page([make_run(BUGS, 2)], path) == 2 * BUGS
    return Watched(browser, path)


def test_a_person_finds_a_repair(opened: Watched, tmp_path: Path) -> None:
    page = opened.page
    assert len(opened.names()) == BUGS
    page.fill("[name=search]", "bug-0003")
    assert opened.names() == ["bug-0003"]
    page.fill("[name=search]", "")
    page.select_option("[name=missed]", "method 0")
    missed = opened.names()
    assert "repairs by method" in str(page.locator("#patterns-1 .chart svg").text_content())
    assert page.locator("output").inner_text() == f"{len(missed)} of {BUGS} bugs"
    assert 0 < len(missed) < BUGS
    page.click("#bugs-1 thead th:last-child button")
    gains = [
        float(text) for text in page.locator("#bugs-1 tbody > tr:visible > td:last-child").all_inner_texts()
    ]
    assert gains == sorted(gains)
    page.click("#bugs-1 thead th:last-child button")
    assert page.locator("#bugs-1 thead th:last-child").get_attribute("aria-sort") == "descending"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the keyboard opens what the mouse does
    page.locator("[data-trace]").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("article .curves svg >> nth=1")
    text = page.locator("article").inner_text()
    assert "+    activation: relu" in text
    assert "layer 1 (dense): activation sigmoid -> relu" in text
    assert "<b>" in page.locator(".bug ul").first.inner_text()  # a finding is text, whatever stands in it
    assert opened.said == []
    with opened.saved('[data-csv^="trials-"]', tmp_path).open(newline="") as file:
        trials = list(csv.DictReader(file))
    assert [row["trial"] for row in trials] == [str(number) for number in range(len(trials))]
    assert {row["ended"] for row in trials} == {"ok"}
    assert (
        opened.saved('[data-csv^="score-"]', tmp_path).read_text().startswith("trial,part,kind,epoch,value")
    )
    assert opened.saved('[data-svg^="score-"]', tmp_path).read_text().startswith("<svg")
    with opened.saved('[data-csv="bugs-1"]', tmp_path).open(newline="") as file:
        rows = list(csv.reader(file))
    assert {row[0] for row in rows[1:]} == set(missed)
    for button in ("fixed-by-trials-1", "patterns-1", "learning"):
        svg = opened.saved(f'[data-svg="{button}"]', tmp_path)
        assert ET.parse(svg).getroot().tag.endswith("svg")
    with opened.saved('[data-csv="fixed-by-trials-1"]', tmp_path).open(newline="") as file:
        points = list(csv.DictReader(file))
    assert len(points) == 2 * 6
    assert all(float(p["low"]) <= float(p["value"]) <= float(p["high"]) for p in points)


def test_curves_that_have_no_room_come_from_beside_the_page(opened: Watched) -> None:
    page = opened.page
    for number in range(BUGS):
        page.locator("#bugs-1 > tbody > tr > th [data-open]").nth(number).click()
        page.wait_for_selector(f"#bugs-1 tr.open >> nth={number}")
    for button in page.locator("[data-trace]").all():
        button.click()
    page.wait_for_function(f"document.querySelectorAll('.curves svg').length === {4 * BUGS}")
    assert opened.said == []
    files = [url for url in opened.requests if "-curves/" in url]
    assert len(files) == 1  # one for all these bugs, asked for once
    assert all(url.startswith(("file:", "blob:", "data:")) for url in opened.requests)
    for url in files:
        assert url.startswith(Path(page.url).parent.as_posix().replace("file:/", "file:///"))


def test_without_the_files_beside_it_the_page_says_so(opened: Watched, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "a #1 report-curves")
    for button in opened.page.locator("#bugs-1 > tbody > tr > th [data-open]").all():
        button.click()
    opened.page.wait_for_selector(f"#bugs-1 tr.open >> nth={BUGS - 1}")
    for button in opened.page.locator("[data-trace]").all():
        button.click()
    opened.page.wait_for_function(f"document.querySelectorAll('.curves svg').length === {2 * 10}")
    missing = opened.page.get_by_text("Their file is not beside this page.")
    missing.nth(2 * BUGS - 10 - 1).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everyone_can_read_it(
    browser: Browser, make_run: MakeRun, tmp_path: Path, width: int, scheme: str
) -> None:
    path = tmp_path / "report.html"
    write_page([make_run(BUGS, 3)], path)
    watched = Watched(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched.page
    page.locator("[data-open]").first.click()
    page.locator("[data-trace]").first.click()
    page.wait_for_selector("article .curves svg >> nth=1")
    found = axe.Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for cell in page.locator(".repairs td, .trials td").all():  # a long cell too is read without scrolling
        box = cell.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
    strokes = page.locator("article .curves svg .role-legend-symbol path").evaluate_all(
        "symbols => symbols.map(one => [getComputedStyle(one).fill, getComputedStyle(one).stroke])"
    )
    assert len(strokes) >= 2 * 3
    assert ["none", "none"] not in strokes
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert ink != paper
    watched.page.close()


@pytest.mark.slow
def test_a_thousand_bugs_and_eight_methods(browser: Browser, make_run: MakeRun, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert write_page([make_run(1000, 8)], path) == 8000
    assert path.stat().st_size <= MOST_BYTES
    watched = Watched(browser, path)
    watched.page.wait_for_selector("#patterns-1 .chart svg")
    tell = watched.page.context.new_cdp_session(watched.page)
    tell.send("Performance.enable", {"timeDomain": "threadTicks"})
    metrics = {one["name"]: one["value"] for one in tell.send("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["ThreadTime"] <= MOST_SECONDS  # of the processor: a busy machine makes no page slower
    assert watched.said == []
    assert len(list(tmp_path.glob("report-curves/*.js"))) == 40
    watched.page.close()

"""Suggestions are kept; a search that fails is one readable error and harms no other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netmend.agents.methods import MethodError
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.searches import Search, random_search
from netmend.agents.peers.space import Parameter, Question

MODULE = """
import os, time

def lacks(question):
    import no_such_module

def raises(question):
    raise ValueError(f"no idea after\\n{len(question.seen)} results")

def hangs(question):
    time.sleep(600)

def dies(question):
    os._exit(7)

def counts(question):
    with open(question.parameters[0].name, "a") as file:
        file.write("x")
    return {question.parameters[0].name: 0.5}, True
"""
QUESTION = Question(parameters=(Parameter(name="lr", faulty=0.1, low=0.0, high=1.0),), seen=(), seed=0)


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Search]]:
    """Searches that misbehave, in a module that worker processes can import, and one that does not."""
    (tmp_path / "strange_searches.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("strange_searches")
    names = ("lacks", "raises", "hangs", "dies", "counts")
    yield {
        **{name: Search(suggest=getattr(module, name)) for name in names},
        "missing": Search(suggest=random_search, packages=("no-such-package",)),
        "sound": Search(suggest=random_search),
    }
    del sys.modules["strange_searches"]


def test_each_failure_is_one_line_and_the_others_go_on(searches: dict[str, Search]) -> None:
    with SuggestionPool(2, timeout=5.0, searches=searches) as pool:
        answers = {name: pool.ask(name, QUESTION) for name in ("lacks", "raises", "hangs", "dies", "sound")}
        with pytest.raises(
            MethodError, match=r"^lacks is not installed \(no_such_module is missing\): pip install"
        ):
            answers["lacks"].wait()
        with pytest.raises(MethodError, match=r"^raises raised ValueError: no idea after 0 results$"):
            answers["raises"].wait()
        with pytest.raises(MethodError, match=r"^hangs gave no suggestion in time and was stopped$"):
            answers["hangs"].wait()
        with pytest.raises(MethodError, match=r"^dies ended its process: "):
            answers["dies"].wait()
        assert answers["sound"].wait().values == random_search(QUESTION)[0]
        again = replace(QUESTION, seed=1)
        assert pool.ask("sound", again).wait().values == random_search(again)[0]


def test_what_is_not_installed_says_how_to_get_it(searches: dict[str, Search]) -> None:
    pool = SuggestionPool(1, searches=searches)
    with pytest.raises(
        MethodError, match=r"missing is not installed \(no-such-package is missing\): pip inst"
    ):
        pool.ask("missing", QUESTION)


def test_a_suggestion_is_made_once_and_keeps_its_seconds(searches: dict[str, Search], tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    question = replace(QUESTION, parameters=(replace(QUESTION.parameters[0], name=str(counted)),))
    found = []
    for _ in range(2):
        with SuggestionPool(1, tmp_path / "deep" / "cache.sqlite", searches=searches) as pool:
            found += [pool.ask("counts", question).wait() for _ in range(2)]
    assert counted.read_text() == "x"
    assert len({suggestion.seconds for suggestion in found}) == 1
    assert all(suggestion.from_model for suggestion in found)
    with SuggestionPool(1, tmp_path / "deep" / "cache.sqlite", searches=searches) as pool:
        pool.ask("counts", replace(question, seed=1)).wait()
    assert counted.read_text() == "xx"

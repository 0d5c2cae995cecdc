"""Every key of every configuration, and every word that a training prints, is explained."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path

import pytest

from netmend.agents.progress import describe
from netmend.agents.verbs.config import VerbConfig, explained
from netmend.env.training.trial import Status

DOCS = Path(__file__).parents[3] / "docs"
CONFIGS: dict[str, tuple[str, type[VerbConfig]]] = run_path(str(DOCS / "reference.py"))["CONFIGS"]
PROGRESS = (
    *("at_a_glance/return", "repair/training/fixed", "repair/validation/fixed"),
    *("at_a_glance/trials_per_second", "at_a_glance/from_store"),
)


@pytest.mark.parametrize("kind", [kind for _, kind in CONFIGS.values()])
def test_every_key_has_a_line_of_explanation(kind: type[VerbConfig]) -> None:
    texts = explained(kind)
    assert len(texts) > 3
    assert [key for key, text in texts.items() if len(text) < 10] == []


def glossary() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", (DOCS / "glossary.md").read_text(), re.MULTILINE))


def test_the_words_of_the_progress_are_in_the_glossary() -> None:
    said = describe(dict.fromkeys(PROGRESS, 0.5))
    words = {word for word in re.findall(r"[a-z/]+", said) if word != "s"}
    assert len(words) == len(PROGRESS)
    assert words <= glossary()


def test_how_trials_end_and_what_traces_say_is_in_the_glossary() -> None:
    assert {str(status) for status in Status} | {"taken back", "update", "step", "repairs"} <= glossary()

"""Every key of every configuration, and every word that a training prints, is explained."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netmend.agents.progress import describe
from netmend.agents.verbs.bench import EngineConfig, EnvironmentConfig, ScaleConfig
from netmend.agents.verbs.bugs.claims import ClaimsConfig
from netmend.agents.verbs.bugs.deepcrime import DeepCrimeConfig
from netmend.agents.verbs.bugs.measure import MeasureConfig
from netmend.agents.verbs.bugs.suites import MakeConfig
from netmend.agents.verbs.config import VerbConfig, explained
from netmend.agents.verbs.evaluate import EvaluateConfig
from netmend.agents.verbs.repair import RepairConfig
from netmend.agents.verbs.train import TrainConfig
from netmend.env.training.trial import Status

DOCS = Path(__file__).parents[3] / "docs"
CONFIGS: dict[str, type[VerbConfig]] = {
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "repair": RepairConfig,
    "bugs make": MakeConfig,
    "bugs verify, bugs reachable": MeasureConfig,
    "bugs claims": ClaimsConfig,
    "bugs deepcrime": DeepCrimeConfig,
    "bench": EngineConfig,
    "bench environment": EnvironmentConfig,
    "bench scale": ScaleConfig,
}
PROGRESS = (
    *("rollout/ep_rew_mean", "repair/training/fixed", "repair/validation/fixed"),
    *("trials/per_second", "trials/from_store"),
)


def tables() -> str:
    """The tables of docs/configuration.md. A key stands in the first one that has it with the same text."""
    sections, seen = [], set()
    for name, kind in CONFIGS.items():
        rows = [(key, text.replace("``", "`")) for key, text in explained(kind).items()]
        fresh = [row for row in rows if row not in seen]
        seen |= set(rows)
        lines = [f"| `{key}` | {text} |" for key, text in fresh]
        sections.append("\n".join([f"## netmend {name}\n", "| key | |", "| --- | --- |", *lines]))
    return "\n\n".join(sections)


@pytest.mark.parametrize("kind", CONFIGS.values())
def test_every_key_has_a_line_of_explanation(kind: type[VerbConfig]) -> None:
    texts = explained(kind)
    assert len(texts) > 3
    assert [key for key, text in texts.items() if len(text) < 10] == []


def test_the_page_of_the_configuration_says_what_the_help_says() -> None:
    page = (DOCS / "configuration.md").read_text()
    assert page[page.index("## netmend train") :] == tables() + "\n"


def glossary() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", (DOCS / "glossary.md").read_text(), re.MULTILINE))


def test_the_words_of_the_progress_are_in_the_glossary() -> None:
    said = describe(dict.fromkeys(PROGRESS, 0.5))
    words = {word for word in re.findall(r"[a-z/]+", said) if word != "s"}
    assert len(words) == len(PROGRESS)
    assert words <= glossary()


def test_how_trials_end_and_what_traces_say_is_in_the_glossary() -> None:
    assert {str(status) for status in Status} | {"taken back", "update", "step", "repairs"} <= glossary()

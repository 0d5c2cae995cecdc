from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from netmend.agents.verbs.words import prepare, unfit, value_of


@pytest.mark.parametrize(
    "word", ["bugs=mutants-v1", "agent=ppo", "-m", "seed=0,1", "--config-dir", "training.steps=5"]
)
def test_other_words_pass_unchanged(word: str) -> None:
    assert prepare([word]) == [word]


def test_a_sweep_over_paths_and_names_stays_a_sweep() -> None:
    assert prepare(["bugs=a/b,mutants-v1"]) == ["bugs=a/b,mutants-v1"]
    assert prepare(["bugs=a b,mutants-v1+real-v1"]) == ["bugs='a b',mutants-v1+real-v1"]


@pytest.mark.parametrize(
    "path", ["runs/seed=0/x", "with blank/x", "it's/x", "a(b)/x", "a[1]/x", "back\\slash/x", "{a}/x"]
)
@pytest.mark.parametrize("key", ["policy", "bugs", "without"])
def test_hydra_reads_any_path_as_it_was_written(path: str, key: str) -> None:
    (word,) = prepare([f"{key}={path}"])
    assert OverridesParser.create().parse_override(word).value() == path


def test_an_existing_path_with_a_comma_is_one_value(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    (word,) = prepare([f"policy={folder}"])
    assert OverridesParser.create().parse_override(word).value() == str(folder)


def test_the_home_folder() -> None:
    assert prepare(["bugs=~/mine"]) == [f"bugs={Path.home() / 'mine'}"]


def test_the_last_value_counts() -> None:
    assert value_of(["resume=a", "seed=1", "resume='b c'"], "resume") == "b c"
    assert value_of(["seed=1"], "resume") is None


def test_flags_come_first_with_their_values() -> None:
    words = ["bugs=a/b", "-m", "seed=0,1", "--config-dir", "c=d", "agent=ppo"]
    assert prepare(words) == [
        "-m",
        "--config-dir",
        "c=d",
        "bugs=a/b",
        "seed=0,1",
        "agent=ppo",
    ]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("keep=architecture", ["architecture"]),
        ("keep=architecture,optimizer/*", ["architecture", "optimizer/*"]),
        ("keep=[data,labels]", ["data", "labels"]),
        ("methods=random,defaults", ["random", "defaults"]),
        ("actions.names=optimizer/*", ["optimizer/*"]),
        ("operators=null", None),
    ],
)
def test_names_are_a_list_with_or_without_brackets(word: str, kept: list[str] | None) -> None:
    (prepared,) = prepare([word])
    (override,) = OverridesParser.create().parse_overrides([prepared])
    assert override.value() == kept


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bug=a\0b"], "cannot be printed"),
        (["seed=1\n2"], "cannot be printed"),
        (["bug=\udcff"], "cannot be printed"),
        (["agent.params.x=" + "1" * 30_000], "longer than 5000 characters"),
        (["agent.params.x=" + "[" * 3000], "brackets in brackets"),
        (["seed=1", "ppo"], "'ppo': neither KEY=VALUE nor a flag"),
        (["--config-dir", "nowhere"], "--config-dir: there is no folder 'nowhere'"),
        (["-m", "--cfg", "job"], "--multirun: starts several runs; leave it out, or --cfg"),
        (["--multirun", "--info=plugins"], "leave it out, or --info"),
    ],
)
def test_words_that_no_parser_sees(words: list[str], said: str) -> None:
    (problem,) = unfit(words)
    assert said in problem
    assert len(problem) < 200


def test_usual_words_are_fit() -> None:
    assert not unfit(["-m", "seed=0,1", "--config-dir", ".", "bugs=ä b/ö", "agent.params={a: [1, [2]]}"])

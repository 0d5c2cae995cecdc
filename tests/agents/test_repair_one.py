"""``netmend.repair``: one program, in Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import netmend
from netmend.agents.verbs.config import ConfigError
from netmend.env.errors import NetmendError
from netmend.env.program import Program, dump
from netmend.env.training.trial import Trainer
from tests.agents.conftest import FAULTY


@pytest.fixture(autouse=True)
def trainer(scripted_trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr("netmend.agents.repair_one.build_trainer", lambda **_: scripted_trainer)
    return scripted_trainer


def test_a_program_comes_back_with_what_was_wrong_and_what_was_done() -> None:
    result = netmend.repair(FAULTY)
    assert result.findings
    assert result.patch
    assert result.gain == pytest.approx(0.8)
    assert result.program is not None
    assert result.program.optimizer.lr < 0.1
    assert result.program == result.answer.proposal.program


def test_what_is_kept_is_kept_and_no_more_is_tried_than_was_said() -> None:
    result = netmend.repair(FAULTY, keep=["optimizer/*", "recipe/*"], trials=2)
    assert result.outcome.searched <= 2
    assert isinstance(result.program, Program)
    assert result.program.optimizer == FAULTY.optimizer


def test_only_long_trials_are_worth_compiling(
    scripted_trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def built(*, compiled: bool) -> Trainer:
        asked.append(compiled)
        return scripted_trainer

    monkeypatch.setattr("netmend.agents.repair_one.build_trainer", built)
    for epochs in (10, 1000):
        netmend.repair(replace(FAULTY, epochs=epochs), trials=1)
    assert asked == [False, True]


def test_where_nothing_helps_nothing_is_offered() -> None:
    result = netmend.repair(FAULTY, keep=["architecture", "optimizer/*", "activation/*"])
    assert (result.claim, result.gain, result.program) == ("none", None, None)


def test_a_path_or_an_id_names_a_program(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(dump(FAULTY))
    for name in (tmp_path / "mine.yaml", str(tmp_path / "mine.yaml")):
        assert netmend.repair(name).outcome.bug.id == "mine"
    with pytest.raises(NetmendError, match=r"no file .*min\.yaml.*did you mean"):
        netmend.repair(tmp_path / "min.yaml")


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"budget\.trials: 0 is below 1"):
        netmend.repair(FAULTY, trials=0)
    with pytest.raises(NetmendError, match="no policy in nowhere"):
        netmend.repair(FAULTY, policy="nowhere")
    with pytest.raises(AttributeError, match="has no attribute 'repear'"):
        netmend.repear  # type: ignore[attr-defined]  # noqa: B018

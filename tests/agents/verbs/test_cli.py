from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from netmend.agents import cli
from netmend.agents.cli import main
from netmend.agents.verbs.ended import Ended
from netmend.env.errors import StoreError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs write under the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a refused command line says; one message, no traceback, exit status 2."""
    assert main(words) == 2
    message = capsys.readouterr().err
    assert message.startswith("netmend: ")
    assert message.count("netmend: ") == 1
    assert "Traceback" not in message
    return message


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main([]) == 2
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("netmend 0.")


def test_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'train'" in complaint(capsys, "trian")


@pytest.mark.parametrize("verb", ["train", "evaluate", "repair"])
def test_help_lists_the_groups(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"netmend {verb}: ")
    for line in (
        "agent: a2c, dqn, maskable_ppo, maskable_ppo_scratch, ppo",
        "budget: ",
        "bugs: ",
        "training:",
        "actions: ",
    ):
        assert line in text


def test_help_copies_no_schema(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra copied all of them for each group that it lists, which took a second."""

    def copied(*_: object) -> ConfigStore:
        raise AssertionError("all schemas are copied")

    monkeypatch.setattr(ConfigStore, "__deepcopy__", copied, raising=False)
    assert main(["train", "--help"]) == 0
    capsys.readouterr()
    for seed in (7, 0):  # what one run says stays with it
        assert main(["train", *([f"seed={seed}"] if seed else []), "--cfg", "job"]) == 0
        assert f"\nseed: {seed}\n" in capsys.readouterr().out


def test_help_needs_no_torch() -> None:
    code = "import sys; from netmend.agents.cli import main"
    code += "; main(['train', '--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["training.stepz=3"], "training.stepz: there is no such key; did you mean 'steps'"),
        (["agent=pqo"], "Could not find 'agent/pqo'"),
        (["seed=a"], "seed: Value 'a' of type 'str' could not be converted to Integer"),
        (["training.steps=1.5"], "training.steps: Value '1.5'"),
        (["trainings=fast"], "trainings"),
        (["bugs=mutants-v0"], "did you mean 'mutants-v1'"),
        (["bugs=no/such/folder"], "no/such/folder"),
        (["agent.params.x=["], "agent.params.x=["),
        (["--config-dir", "nowhere"], "nowhere"),
        (["resume=nowhere"], "there is no folder nowhere"),
        (["resume="], "resume: name the folder of a run"),
        (["+training.stepz=3"], "training.stepz: there is no such key"),
        (["budget.trials=0", "training.workers=-1"], "2 problems"),
        (["actions.names=[optimizer/adamm@program]"], "optimizer/adamm@program"),
        (["agent.params.gama=1"], "did you mean 'gamma'"),
    ],
)
def test_bad_configurations(words: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in complaint(capsys, "train", "bugs=tiny", "training.store=null", *words)


@pytest.mark.parametrize(
    "words", [("shwo",), ("show", "tinny"), ("show", "tiny", "no-such-bug"), ("show",), ("coverage", "tiny")]
)
def test_bad_words_after_bugs(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    complaint(capsys, "bugs", *words)


def test_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bugs"]) == 0
    assert "tiny: " in capsys.readouterr().out
    assert main(["bugs", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: netmend bugs")
    assert main(["bugs", "show", "tiny"]) == 0
    bug = capsys.readouterr().out.splitlines()[1].split()[0]
    assert main(["bugs", "show", "tiny", bug]) == 0
    assert "layers:" in capsys.readouterr().out


def test_missing_values_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "bug=" in complaint(capsys, "repair")


def test_a_missing_policy(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no policy in nowhere" in complaint(capsys, "evaluate", "policy=nowhere", "bugs=tiny")


def test_a_repair_never_trains_in_the_process_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repair", "bug=a", "policy=b", "--cfg", "job"]) == 0
    assert "workers: 1\n" in capsys.readouterr().out


def test_an_unknown_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'random'" in complaint(capsys, "evaluate", "methods=[randon]", "bugs=tiny")


def test_users_own_groups(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "mine" / "agent").mkdir(parents=True)
    (elsewhere / "mine" / "agent" / "small.yaml").write_text("algorithm: ppo\nnetwork: [4]\n")
    assert main(["train", "--config-dir", "mine", "agent=small", "--cfg", "job"]) == 0
    assert "algorithm: ppo\n" in capsys.readouterr().out


def test_users_own_groups_name_no_code(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "mine" / "agent").mkdir(parents=True)
    (elsewhere / "mine" / "agent" / "small.yaml").write_text("_target_: os.system\ncommand: 'true'\n")
    said = complaint(capsys, "train", "--config-dir", "mine", "agent=small")
    assert "it names code to run" in said
    assert not (elsewhere / "runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("resume=",), "name the folder of a run"),
        (("resume=nowhere",), "no folder nowhere"),
        (("resume=.", "-m"), "leave out --multirun"),
    ],
)
def test_resuming_without_a_run(
    words: tuple[str, ...], expected: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert expected in complaint(capsys, "train", *words)
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (KeyboardInterrupt("interrupted; saved here"), 130, "interrupted; saved here"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "the disk is full: runs/x"),
        (StoreError("runs/trials.sqlite: the disk is full"), 2, "runs/trials.sqlite: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "Permission denied: runs"),
        (ZeroDivisionError("oops"), 1, "ZeroDivisionError"),
    ],
)
def test_failures_of_a_job(
    error: BaseException,
    status: int,
    expected: str,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("netmend.agents.train.train", fail)
    assert main(["train", "bugs=tiny"]) == status
    assert expected in capsys.readouterr().err
    traces = list(elsewhere.glob("runs/train/*/error.txt"))
    assert len(traces) == (0 if isinstance(error, KeyboardInterrupt) else 1)


def test_a_failing_job_of_a_multirun_leaves_its_traceback_and_the_others_run(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = []

    def fail_once(config, *_: object) -> None:
        seeds.append(config.seed)
        if config.seed == 1:
            raise StoreError("the store is locked")

    monkeypatch.setattr("netmend.agents.train.train", fail_once)
    assert main(["train", "bugs=tiny", "-m", "seed=0,1,2"]) == 2
    assert seeds == [0, 1, 2]
    assert "the store is locked" in capsys.readouterr().err
    (trace,) = elsewhere.glob("runs/train/*/1/error.txt")
    assert "StoreError: the store is locked" in trace.read_text()


def test_a_finished_training_goes_on_where_it_is_asked_for_more(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["agent.n_envs=2", "agent.network=[8]", "agent.params.n_steps=4", "agent.params.batch_size=8"]
    fast = ["bugs=tiny", "budget.updates=5", "budget.epochs=1"]
    steps = ["training.steps=16", "training.validation_bugs=1", "imitation.lessons=0", "hydra.run.dir=runs/a"]
    steps.append("training.choosing_bugs=0")
    assert main(["train", *fast, *small, *steps]) == 0
    assert main(["train", "resume=runs/a"]) == 0
    assert "is finished" in capsys.readouterr().out
    assert main(["train", "resume=runs/a", "training.steps=24"]) == 0
    capsys.readouterr()
    assert main(["repair", "bug=train.py", "policy=runs/a"]) == 2
    assert capsys.readouterr().err == "netmend: no file train.py\n"


def test_the_exit_status_is_the_highest_that_a_job_gives(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "netmend.agents.verbs.repair.repair_job",
        lambda config, *_: Ended(status={0: 0, 1: 3, 2: 0}[config.seed]),
    )
    monkeypatch.setattr("netmend.agents.verbs.repair.RepairConfig.require", lambda _: None)
    asked = ["repair", "bug=a", "policy=b"]
    assert main([*asked, "seed=0"]) == 0
    assert main([*asked, "seed=1"]) == 3
    assert main([*asked, "-m", "seed=0,1,2"]) == 3

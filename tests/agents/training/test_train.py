from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from netmend.agents.checkpoint import checkpoints
from netmend.agents.policy import load_policy
from netmend.agents.statistics import Statistics, validate
from netmend.agents.traces import read_traces
from netmend.agents.train import Interrupted, train
from netmend.agents.verbs.config import ConfigError
from netmend.agents.verbs.train import AgentConfig, TrainConfig, resumed_config
from netmend.env.errors import NetmendError, StoreError, UnknownNameError
from netmend.env.program import Optimizer
from netmend.env.training.front import TrialFront
from netmend.env.training.trial import Budget, TrialRequest
from tests.agents.training.conftest import open_world

PARAMS = {
    "maskable_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "learning_rate": 0.003},
    "ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
    "a2c": {"n_steps": 8},
    "dqn": {"train_freq": 8, "gradient_steps": 2, "learning_starts": 16, "buffer_size": 100, "batch_size": 8},
}


def quiet() -> Console:
    return Console(file=io.StringIO())


def start(world, folder: Path, config: TrainConfig | None = None, **trainer):
    return train(config or world.config, folder, quiet(), lambda _: TrialFront(world.trainer(**trainer)))


def with_agent(config: TrainConfig, algorithm: str) -> TrainConfig:
    return replace(config, agent=replace(config.agent, algorithm=algorithm, params=PARAMS[algorithm]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        start(open_world(patch), folder)
    return folder


@pytest.fixture
def finished(world, trained: Path, run_folder: Path) -> Path:
    """The folder of a finished run, which a test may change."""
    return shutil.copytree(trained, run_folder)


def test_repairs_are_shorter_where_rewards_are_learned(world, run_folder: Path, monkeypatch) -> None:
    learned, looked_at = [], []
    monkeypatch.setattr(Statistics, "add", lambda _, step, repair: learned.append(repair))

    def watched(*arguments, **named):
        found = validate(*arguments, **named)
        looked_at.extend(found.episodes)
        return found

    monkeypatch.setattr("netmend.agents.train.validate", watched)
    training = replace(world.config.training, trials=1)
    start(world, run_folder, replace(world.config, training=training))
    assert {repair.rules.trials for repair in learned if repair} == {1}
    assert {repair.rules.trials for repair in looked_at} == {5}


def test_a_training_leaves_alone_what_must_be_kept(world, tmp_path: Path, monkeypatch) -> None:
    def optimizers(folder: str, keep: list[str]) -> set[Optimizer]:
        asked: list[TrialRequest] = []
        run = world.trainer.run
        with monkeypatch.context() as patch:
            patch.setattr(world.trainer, "run", lambda own, some: asked.extend(some) or run(own, some))
            start(world, tmp_path / folder, replace(world.config, keep=keep))
        return {request.program.optimizer for request in asked}

    faulty = {bug.program.optimizer for bug in world.suite.bugs}
    assert optimizers("kept", ["optimizer/*"]) == faulty
    assert optimizers("free", []) > faulty


@pytest.mark.parametrize("algorithm", PARAMS)
def test_every_algorithm_trains_and_leaves_a_policy(world, run_folder: Path, algorithm: str) -> None:
    totals = start(world, run_folder, with_agent(world.config, algorithm))
    assert totals.steps == 128
    assert totals.updates == 4
    assert load_policy(run_folder).algorithm == algorithm
    assert yaml.safe_load((run_folder / "finished.yaml").read_text())["totals"]["steps"] == 128
    traces = read_traces(run_folder)
    assert {(trace.method, trace.part) for trace in traces} == {("policy", "validation")}
    assert all(trace.fixed[0] is not True for trace in traces)  # a bug is none that is fixed untouched


def test_nothing_in_a_run_is_pickled(world, run_folder: Path) -> None:
    start(world, run_folder, with_agent(world.config, "dqn"))
    kinds = {path.suffix for path in run_folder.rglob("*") if path.is_file() and "tfevents" not in path.name}
    assert kinds == {".yaml", ".safetensors", ".gz"}
    assert read_traces(run_folder)  # JSON under its packing


def test_thread_count_is_left_as_found(world, run_folder: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        start(world, run_folder)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_same_seed_same_policy(world, tmp_path: Path) -> None:
    policies = []
    for name in ("a", "b"):
        start(world, tmp_path / name)
        policies.append((tmp_path / name / "policy" / "policy.safetensors").read_bytes())
    assert policies[0] == policies[1]


def test_one_line_per_update_where_there_is_no_terminal(world, run_folder: Path) -> None:
    console = quiet()
    train(world.config, run_folder, console, lambda _: TrialFront(world.trainer()))
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("update ")]  # type: ignore[attr-defined]
    assert [line.split("  ")[:2] for line in lines] == [
        [f"update {number}/4", f"step {32 * number}/128"] for number in range(1, 5)
    ]


def test_a_bar_with_the_whole_number_of_steps_on_a_terminal(world, run_folder: Path) -> None:
    world.config.training.steps = 100
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    train(world.config, run_folder, console, lambda _: TrialFront(world.trainer()))
    assert "128/128 steps" in screen.getvalue()


def test_a_killed_run_goes_on(world, run_folder: Path, tmp_path: Path) -> None:
    world.config.training.checkpoint_every = 1
    before = _run_until_killed(world, run_folder, tmp_path)
    resumed = start(world, run_folder, resumed_config(run_folder, []))
    assert 0 < before["steps"] < 128
    assert resumed.steps == 128
    assert resumed.updates == 4
    assert resumed.trials > before["trials"]
    assert resumed.episodes > before["episodes"]
    assert load_policy(run_folder).facts["steps"] == 128


def _end(folder: Path) -> tuple[bytes, dict[str, object]]:
    """All that a training is at its end, but for the time that it took and what it did twice."""
    last = checkpoints(folder)[-1]
    facts = yaml.safe_load((last / "state.yaml").read_text())
    del facts["totals"]
    return (last / "state.safetensors").read_bytes(), facts


@pytest.mark.parametrize(
    ("algorithm", "shuffled", "staleness"),
    [
        *((name, False, 0) for name in PARAMS),
        *((name, shuffled, 1) for name in ("ppo", "maskable_ppo") for shuffled in (False, True)),
        *(("ppo", True, 0), ("maskable_ppo", True, 0)),
    ],
)
def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(
    world, tmp_path: Path, algorithm: str, shuffled: bool, staleness: int
) -> None:
    config = with_agent(world.config, algorithm)
    config.agent.anneal = "learning_rate" in config.agent.params
    config.training = replace(config.training, checkpoint_every=3, shuffle_rewards=shuffled, steps=256)
    config.training.staleness = staleness
    start(world, tmp_path / "whole", config)
    folder, lives, cuts = tmp_path / "cut", 0, 0
    while not (folder / "finished.yaml").exists():
        limit = 50 + 17 * lives  # trials until the next cut: within a rollout, a validation or the repeating

        def interrupt(trials: int, limit: int = limit) -> None:
            if trials > limit:
                raise KeyboardInterrupt

        now = resumed_config(folder, []) if lives else config
        lives += 1
        try:
            start(world, folder, now, on_run=interrupt)
        except KeyboardInterrupt:
            cuts += 1
        assert lives < 40
    assert cuts >= 2
    tensors, facts = _end(folder)
    assert (tensors, facts) == _end(tmp_path / "whole")
    policies = [(run / "policy" / "policy.safetensors").read_bytes() for run in (folder, tmp_path / "whole")]
    assert policies[0] == policies[1]


def _run_until_killed(world, folder: Path, tmp_path: Path) -> dict[str, int]:
    """Train in a process that kills itself in the third update; totals of its last checkpoint."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(conftest=str(Path(__file__).parent / "conftest.py"), folder=str(folder)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return yaml.safe_load((checkpoints(folder)[-1] / "state.yaml").read_text())["totals"]


KILLED = """
import importlib.util, io, os, signal, sys
from pathlib import Path
import netmend.agents.verbs.config as config_of_verbs
import netmend.agents.verbs.opening as opening
import netmend.agents.train as module
from netmend.env.training.front import TrialFront
from rich.console import Console
spec = importlib.util.spec_from_file_location("world", {conftest!r})
world = importlib.util.module_from_spec(spec)
sys.modules["world"] = world
spec.loader.exec_module(world)
suite = world.make_suite()
opening.load_suite = config_of_verbs.load_suite = lambda _: suite
config = world.make_config()
config.training.checkpoint_every = 1
def kill(trials):
    if Path({folder!r}, "checkpoints", "step_000000064").exists():
        os.kill(os.getpid(), signal.SIGKILL)
front = TrialFront(world.InstantTrainer(kill))
module.train(config, Path({folder!r}), Console(file=io.StringIO()), lambda _: front)
"""


def test_ctrl_c_saves_and_says_where(world, run_folder: Path) -> None:
    def interrupt(trials: int) -> None:
        if trials > 60:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="resume=") as stop:
        start(world, run_folder, on_run=interrupt)
    saved = checkpoints(run_folder)[-1]
    assert str(saved) in str(stop.value)
    assert not (run_folder / "finished.yaml").exists()
    assert start(world, run_folder, resumed_config(run_folder, [])).steps >= 128


def test_ctrl_c_before_the_first_step_says_that_nothing_is_lost(world, run_folder: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    for go_on in (lambda: world.config, lambda: resumed_config(run_folder, [])):
        with pytest.raises(Interrupted, match=r"nothing is lost; go on with: netmend train resume="):
            start(world, run_folder, go_on(), on_run=interrupt)
    assert checkpoints(run_folder) == []
    assert start(world, run_folder, resumed_config(run_folder, [])).steps == 128


@pytest.mark.parametrize("error", [StoreError("the store is locked"), OSError(errno.ENOSPC, "disk full")])
def test_what_fails_outside_loses_no_update(world, run_folder: Path, error: Exception) -> None:
    def fail(trials: int) -> None:
        if trials > 60:
            raise error

    world.config.training.checkpoint_every = 100
    console = quiet()
    with pytest.raises(type(error)) as raised:
        train(world.config, run_folder, console, lambda _: TrialFront(world.trainer(on_run=fail)))
    assert raised.value is error
    (saved,) = checkpoints(run_folder)
    assert f"saved {saved}; go on with" in console.file.getvalue()  # type: ignore[attr-defined]
    assert start(world, run_folder, resumed_config(run_folder, [])).steps >= 128


def test_an_error_stays_what_it_was_where_nothing_can_be_saved(
    world, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(trials: int) -> None:
        if trials > 60:
            raise StoreError("the disk is full")

    def full(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("netmend.agents.callbacks.save_checkpoint", full)
    world.config.training.checkpoint_every = 100
    with pytest.raises(StoreError, match="the disk is full"):
        start(world, run_folder, on_run=fail)


def test_a_disk_that_is_full_for_tensorboard_gives_its_message_alone(
    world, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    written = 0
    write = RecordWriter.write

    def full_later(writer: RecordWriter, data: bytes) -> None:
        nonlocal written
        written += len(data)
        if written > 20_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(writer, data)

    monkeypatch.setattr(RecordWriter, "write", full_later)
    usual = threading.excepthook
    with pytest.raises(OSError, match="No space left on device"):
        start(world, run_folder)
    assert threading.excepthook is usual
    assert "Traceback" not in "".join(capfd.readouterr())


def test_the_trials_of_a_validation_are_in_no_updates_figures(
    world, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(policy, setting, bugs, trainer, seed):
        bad = replace(bugs[0].program, optimizer=Optimizer(lr=10.0))
        trainer.run([TrialRequest(program=bad, budget=Budget(), seed=0)] * 1000)
        return validate(policy, setting, bugs, trainer, seed)

    monkeypatch.setattr("netmend.agents.train.validate", look)
    world.config.training.validate_every = 1
    assert start(world, run_folder).trials > 4000
    events = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    assert max(point.value for point in events.Scalars("trials/failed")) < 0.5


def test_a_run_killed_before_its_first_checkpoint_begins_anew(world, run_folder: Path) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        start(world, run_folder, on_run=fail)
    assert start(world, run_folder, resumed_config(run_folder, [])).steps == 128


def test_a_finished_run_says_so_and_can_be_prolonged(world, finished: Path) -> None:
    console = quiet()
    train(resumed_config(finished, []), finished, console, lambda _: TrialFront(world.trainer()))
    assert "is finished" in console.file.getvalue()  # type: ignore[attr-defined]
    longer = start(world, finished, resumed_config(finished, ["training.steps=192"]))
    assert (longer.steps, longer.updates) == (192, 6)


@pytest.mark.parametrize(("anneal", "staleness"), [(False, 0), (False, 1), (True, 0)])
def test_a_prolonged_run_is_one_planned_longer_unless_something_falls_over_it(
    world, tmp_path: Path, anneal: bool, staleness: int
) -> None:
    config = replace(world.config, agent=replace(world.config.agent, anneal=anneal))
    config.agent.params = {**config.agent.params, "learning_rate": 0.003}
    config.training.staleness = staleness
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    start(world, whole, replace(config, training=replace(config.training, steps=192)))
    start(world, longer, config)
    console = quiet()
    train(
        resumed_config(longer, ["training.steps=192"]), longer, console, lambda _: TrialFront(world.trainer())
    )
    assert ("follows the new length" in console.file.getvalue()) == anneal  # type: ignore[attr-defined]
    ends = [(run / "policy" / "policy.safetensors").read_bytes() for run in (whole, longer)]
    assert (ends[0] != ends[1]) == anneal


def test_a_resumed_run_keeps_its_configuration(finished: Path) -> None:
    with pytest.raises(ConfigError, match="agent=ppo"):
        resumed_config(finished, ["agent=ppo", f"resume={finished}"])
    with pytest.raises(ConfigError, match="holds no run"):
        resumed_config(finished.parent, [])


@pytest.mark.parametrize("text", ["", "[1, 2]", "agent: 3", "agnet: {}", "seed: one", "{{", "training: [x]"])
def test_a_damaged_configuration_gives_one_line(finished: Path, text: str) -> None:
    (finished / "config.yaml").write_text(text)
    with pytest.raises(NetmendError, match=r"config\.yaml") as raised:
        resumed_config(finished, [])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "totals: 3", "totals: {steps: 3}", "totals: {steps: x}", "{{"]
)
def test_a_damaged_end_gives_one_line(world, finished: Path, text: str) -> None:
    (finished / "finished.yaml").write_text(text)
    with pytest.raises(NetmendError, match=r"finished\.yaml") as raised:
        start(world, finished, resumed_config(finished, []))
    assert "\n" not in str(raised.value)


def test_a_run_is_never_written_over(world, finished: Path) -> None:
    with pytest.raises(ConfigError, match="holds a run already"):
        start(world, finished)


def test_a_refused_configuration_leaves_the_folder_free(world, run_folder: Path) -> None:
    wrong = replace(world.config, agent=AgentConfig(algorithm="maskable_pp0"))
    with pytest.raises(UnknownNameError):
        start(world, run_folder, wrong)
    assert start(world, run_folder).steps == 128


def test_unknown_algorithm_and_parameters(world, tmp_path: Path) -> None:
    agent = AgentConfig(algorithm="maskable_pp0")
    with pytest.raises(UnknownNameError, match="did you mean 'maskable_ppo'"):
        start(world, tmp_path / "a", replace(world.config, agent=agent))
    agent = AgentConfig(algorithm="ppo", params={"gama": 0.9, "seed": 3})
    with pytest.raises(
        ConfigError, match=r"agent\.params\.gama: PPO has no such parameter; did you mean 'gamma'"
    ):
        start(world, tmp_path / "b", replace(world.config, agent=agent))


def test_shuffled_rewards_need_a_rollout(world, run_folder: Path) -> None:
    config = with_agent(world.config, "dqn")
    config.training.shuffle_rewards = True
    with pytest.raises(ConfigError, match="shuffle_rewards"):
        start(world, run_folder, config)


def test_the_trainer_is_closed_whatever_happens(world, run_folder: Path) -> None:
    trainer = world.trainer(on_run=lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(world.config, run_folder, quiet(), lambda _: TrialFront(trainer))
    assert trainer.closed

"""What Hydra, its plug-ins and hostile words do at the command line: one message, nothing made."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

import netmend
from netmend.agents.cli import main

SMALL = (
    *("agent.n_envs=2", "agent.network=[8]", "agent.params.n_steps=4", "agent.params.batch_size=8"),
    *("bugs=tiny", "budget.updates=2", "budget.epochs=1", "training.steps=8", "training.validation_bugs=2"),
    *("imitation.lessons=0", "training.choosing_bugs=0"),
)
SWEEPER = (
    *("hydra-optuna-sweeper==1.2.0", "optuna==2.10.1", "sqlalchemy<2", "alembic<1.13"),
    *("cmaes==0.10.0", "colorlog<7", "mako<2"),
)
"""Optuna's plug-in and what it was made for, without the packages that netmend brings."""
LAUNCHER = ("hydra-ray-launcher==1.2.2", "cloudpickle==2.2.1")
"""Ray's plug-in, which asks for a cloudpickle before 3."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["seed=-1"],
        ["training.steps=-1"],
        ["training.steps=1e30"],
        ["training.steps=" + "9" * 400],
        ["training.steps=" + "9" * 5000],
        ["agent.n_envs=1e9"],
        ["agent.n_envs=1000000000"],
        ["agent.network=[100000000]"],
        ["agent.params.batch_size=0"],
        ["agent.params.gamma=inf"],
        ["agent.params={a: {b: [c, {d: e}]}}"],
        ["agent.params.x=" + "[" * 5000],
        ["agent.params.x=" + "[" * 19 + "]" * 19],
        ["budget.price=nan"],
        ["budget.work=inf"],
        ["bugs=nowhere"],
        ["bugs=" + "a" * 5000],
        ["bugs=" + "+".join(["tiny"] * 3000)],
        ["bugs=/dev/zero"],
        ["bugs=null"],
        ["bugs=[a,b]"],
        ["bugs={a: b}"],
        ["without=nowhere"],
        ["keep=nothing"],
        ["nogroup=x"],
        ["agent=../../etc"],
        ["agent=sac"],
        ["+agent=ppo"],
        ["~agent"],
        ["~nothing"],
        ["+x.y.z=1"],
        ["hydra/launcher=nowhere"],
        ["hydra/sweeper=nowhere"],
        ["hydra.run.dir=/proc/nowhere"],
        ["hydra.nothing=1"],
        ["seed=${nothing}"],
        ["seed=${oc.env:NOTHING}"],
        ["seed=${seed}"],
        ["seed=0,1"],
        ["seed==1"],
        ["=1"],
        ["seed"],
        ["seed='"],
        ["s\u0000eed=1"],
        ["seed=\udcff"],
        ["seed=1\u202e"],
        ["--no-such-flag"],
        ["--config-name", "nowhere"],
        ["--config-path", "nowhere"],
        ["-m", "seed=range(0,1,0)"],
        ["-m", "seed=choice()"],
        ["-m", "seed=interval(0,1)"],
        ["-m", "--cfg", "job"],
        ["-m", "--info"],
        ["--info", "nothing"],
        ["--cfg", "nothing"],
        ["--resolve"],
        ["hydra.mode=SIDEWAYS"],
    ],
    ids=lambda words: " ".join(words)[:40].encode("unicode_escape").decode(),
)
def test_one_message_and_nothing_made(
    words: list[str], elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.process_time()
    assert main(["train", "training.store=null", *words]) == 2
    assert time.process_time() - begun < 5
    said = capsys.readouterr()
    assert said.err.startswith("netmend: ")
    assert "Traceback" not in said.err + said.out
    assert "bug of netmend" not in said.err
    assert len(said.err) < 2000
    assert not [path for path in elsewhere.rglob("*") if path.is_file() and "runs" not in path.parts]
    if "-m" not in words:
        assert not (elsewhere / "runs").exists()


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (["repair"], "bug=..."),
        (["repair", "bug=a.yaml"], "no file a.yaml"),
        (["repair", "bug=a.yaml", "policy=nowhere"], "no policy in nowhere"),
        (["evaluate", "policy=null"], "policy: name the folder"),
        (["evaluate", "methods=[randm]"], "unknown method 'randm'"),
        (["train", "agent=pppo"], "Could not find 'agent/pppo'"),
        (["train", "data_dir=nowhere"], "data_dir: there is no folder nowhere"),
        (["bugs", "claims", "tiny", "method=randm"], "unknown method 'randm'"),
        (["bugs", "make", "suite=tinny", "out=a.yaml"], "unknown suite to make 'tinny'"),
        (["train", "seed=-1"], "seed: -1 is below 0"),
    ],
)
def test_what_is_missing_is_said_before_heavy_imports(verb: list[str], said: str, elsewhere: Path) -> None:
    code = "import sys; from netmend.agents.cli import main; status = main(sys.argv[1:])"
    code += "; assert not {'torch', 'scipy.stats', 'matplotlib'} & set(sys.modules); sys.exit(status)"
    ended = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said in ended.stderr
    assert not list(elsewhere.iterdir())


def test_rounding_up_to_whole_updates_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "training.steps=5", "training.workers=0", "training.store=null"]) == 0
    said = capsys.readouterr().out
    assert "an agent learns from whole updates, here of 8 steps: 8 steps in place of 5" in said


def own_environment(folder: Path, packages: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A Python that has these packages, and for the rest those of this one; and what to start it with."""
    subprocess.run([sys.executable, "-m", "venv", "own"], check=True)
    python = folder / "own" / "bin" / "python"
    made = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-deps", *packages], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"{packages[0]} cannot be installed: {made.stderr.strip().splitlines()[-1]}")
    (site,) = (folder / "own").glob("lib/*/site-packages")
    (site / "zz_outer.pth").write_text(sysconfig.get_paths()["purelib"])
    (folder / "house").mkdir()
    (folder / "house" / "netmend").symlink_to(Path(netmend.__file__).parent)
    return str(python), {**os.environ, "PYTHONPATH": str(folder / "house")}


def side_by_side(
    launcher: str, folder: Path, python: str = sys.executable, environment: dict[str, str] | None = None
) -> list[str]:
    """Train twice with a launcher; the words for that."""
    words = ["train", "-m", f"hydra/launcher={launcher}", "seed=0,1", *SMALL, "training.workers=1"]
    ended = subprocess.run(
        [python, "-m", "netmend.agents.cli", *words], capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    found = folder.glob("runs/train/*/[01]/finished.yaml")
    shares = [yaml.safe_load(path.read_text())["fixed"] for path in found]
    assert len(shares) == 2
    assert all(0 <= share <= 1 for share in shares)
    return words


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("joblib") is None or not importlib.util.find_spec("hydra_plugins"),
    reason="hydra-joblib-launcher is not installed",
)
def test_runs_side_by_side_in_joblibs_processes(elsewhere: Path) -> None:
    # a failing job ends its process, so that this one does not see what it imported
    words = side_by_side("joblib", elsewhere)
    ended = subprocess.run(
        [sys.executable, "-m", "netmend.agents.cli", *words, "training.device=tpu"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "training.device: 'tpu' is not one of cpu, cuda" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("submitit"), reason="hydra-submitit-launcher is not installed"
)
def test_runs_side_by_side_in_submitits_processes(elsewhere: Path) -> None:
    side_by_side("submitit_local", elsewhere)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed")
def test_runs_side_by_side_on_a_ray_cluster(elsewhere: Path) -> None:
    """In an environment of its own: the other packages have a cloudpickle that the launcher does not take."""
    python, environment = own_environment(elsewhere, LAUNCHER)
    side_by_side("ray", elsewhere, python, environment | {"RAY_AUTH_MODE": "disabled"})


@pytest.mark.slow
def test_optunas_sweeper_searches_the_share_of_fixed_bugs(elsewhere: Path) -> None:
    """In an environment of its own, whose other packages are those of this one."""
    python, environment = own_environment(elsewhere, SWEEPER)
    words = ["train", "-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1"]
    words += ["hydra.sweeper.direction=maximize", "seed=choice(0,1)", *SMALL, "training.workers=0"]
    ended = subprocess.run(
        [python, "-m", "netmend.agents.cli", *words], capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"Best value: [01]\.\d", ended.stdout)
    words = [word if not word.startswith("seed=") else "seed=interval(a,b)" for word in words]
    ended = subprocess.run(
        [python, "-m", "netmend.agents.cli", *words], capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 2
    assert ended.stderr.strip().splitlines()[-1].startswith("netmend: configuration: ")
    assert "Traceback" not in ended.stderr

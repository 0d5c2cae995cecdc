"""What is built and installed: versions, systems, files, and the README of a package index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

import pytest

import netmend
from netmend.__main__ import main

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = {".gitignore"}
MOST_BYTES = 25_000_000


def test_where_it_does_not_run_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert netmend.refusal() is None
    monkeypatch.setattr(sys, "platform", "win32")
    assert main() == 2
    monkeypatch.setattr(sys, "version_info", (3, 10, 1, "final", 0))
    assert main() == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in errors] == [
        "netmend: does not run on Windows",
        "netmend: needs Python 3.11 or newer, and this is 3.10.1",
    ]


class Interrupting:
    def find_spec(self, name: str, *_: object) -> None:
        if name == "netmend.agents.cli":
            raise KeyboardInterrupt


def test_ctrl_c_during_the_imports_is_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "netmend.agents.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr().err == "netmend: interrupted\n"


def test_the_environment_refuses_to_be_imported_there() -> None:
    code = "import sys; sys.platform = 'win32'; import netmend.env"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: netmend does not run on Windows")


def test_python_m_netmend_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "netmend", "--version"], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"netmend {netmend.__version__}\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of the files that git knows."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    warned = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"\bwarn", line, re.I)]
    assert warned == []
    return out


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def test_what_the_type_checker_leaves_out_of_a_library_is_not_used() -> None:
    """Names of it would have no type, and nobody would see it."""
    checker = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    names = [name for override in checker["overrides"] for name in override["module"]]
    left_out = [name for name in names if name.startswith(("scipy.", "torch."))]
    parts = "|".join(name.removesuffix(".*").replace(".", r"(?:\.| import .*\b)") for name in left_out)
    used = re.compile(rf"^[^#\"'`]*\b(?:{parts})\b", re.M)
    assert used.search("    found = scipy.special.expit(x)")
    assert used.search("from torch import nn, fx")
    houses = ("env", "agents", "repair_actions", "docs", "examples")
    sources = [path for house in houses for path in (ROOT / house).rglob("*.py")]
    assert [str(path) for path in sources if used.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.slow
def test_twine_finds_nothing_wrong(built: Path) -> None:
    words = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_source_distribution_has_every_file_of_the_tree(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert set(tracked()) - NOT_SHIPPED <= names


@pytest.mark.slow
def test_the_wheel_has_the_four_houses_with_their_data_and_nothing_else(built: Path) -> None:
    with ZipFile(next(built.glob("*.whl"))) as archive:
        names = {name.partition("/")[2] for name in archive.namelist() if name.startswith("netmend/")}
    houses = ("env/", "agents/", "repair_actions/", "conf/")
    own = {name for name in tracked() if name.startswith(houses)}
    assert names == own | {"__init__.py", "__main__.py", "py.typed"}


@pytest.mark.slow
def test_no_link_of_the_readme_on_an_index_leads_into_a_folder_that_is_not_there(built: Path) -> None:
    with ZipFile(next(built.glob("*.whl"))) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    page = str(metadata.get_payload())
    assert page.startswith("# netmend")
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links
    assert all(link.startswith("https://") for link in links)
    files = set(re.findall(r"`(docs/[\w.]+)`", page))
    assert len(files) > 5
    assert files <= set(tracked())


@pytest.mark.slow
def test_an_installed_wheel_runs(built: Path, tmp_path: Path) -> None:
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    packages = place / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    wheel = next(built.glob("*.whl"))
    pip = [str(place / "bin" / "python"), "-m", "pip", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    here = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(here))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def told(*words: str) -> str:
        command = [str(place / "bin" / words[0]), *words[1:]]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert told("netmend", "--version") == f"netmend {netmend.__version__}\n"
    assert told("python", "-m", "netmend", "--version") == f"netmend {netmend.__version__}\n"
    assert told("python", "-c", "import netmend; print(netmend.__file__)").startswith(str(packages))
    assert "tiny" in told("netmend", "bugs", "list")
    assert "iris_tanh-06 is repaired" in told("netmend", "repair", "bug=iris_tanh-06")
    assert wheel.stat().st_size <= MOST_BYTES

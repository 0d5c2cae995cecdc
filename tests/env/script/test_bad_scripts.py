"""Scripts that do what no script should: a word for each, nothing left running, nothing changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netmend.env.errors import FileError, WorkerError
from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from tests.env.script.conftest import Run

_BAD = {
    "endless loop": ("while True:\n    pass\n", "timeout", "its time was used up"),
    "swallows everything": (
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass\n",
        "timeout",
        "",
    ),
    "ten gigabytes": ("import torch\ntorch.ones(10 * 2**30 // 4)\n", "memory", "can't allocate memory"),
    "ten gigabytes without torch": ("bytearray(10 * 2**30)\n", "memory", "MemoryError"),
    "exit": ("import sys\nprint('no data here')\nsys.exit(3)\n", "exited", "no data here"),
    "exit with a word": ("import sys\nsys.exit('no data')\n", "exited", "no data"),
    "hard exit": ("import os\nos._exit(5)\n", "exited", "status 5"),
    "exit of success": ("raise SystemExit\n", "finished", ""),
    "crash at import": ("import no_such_module\n", "crashed", "No module named 'no_such_module'"),
    "no Python": ("x = = 1\n", "crashed", "SyntaxError"),
    "arguments": (
        "import argparse\n"
        "p = argparse.ArgumentParser()\np.add_argument('--data', required=True)\np.parse_args()\n",
        "exited",
        "usage: train.py [-h] --data DATA",
    ),
    "network": (
        "import urllib.request\nurllib.request.urlopen('http://192.0.2.1', timeout=5)\n",
        "crashed",
        "no network",
    ),
    "crash of the interpreter": ("import ctypes\nctypes.string_at(0)\n", "killed", "SIGSEGV"),
    "file without an end": (
        "f = open('x', 'w')\nwhile True:\n    f.write('x' * 10**6)\n",
        "crashed",
        "File too large",
    ),
    "thread without an end": (
        "import threading, time\nthreading.Thread(target=lambda: time.sleep(999)).start()\n",
        "finished",
        "",
    ),
}


@pytest.mark.parametrize("name", _BAD)
def test_ending(run: Run, name: str) -> None:
    text, ending, words = _BAD[name]
    wall = 2.0 if ending == "timeout" else 60.0
    record = run(text, wall=wall, file=4 << 20)
    assert record.ending == ending
    assert words in record.message


@pytest.mark.parametrize(
    ("raw", "ending", "word"),
    [
        ("\ufeffprint('é')\r\n".encode(), "finished", "é"),
        ("# coding: latin-1\nprint('é')\n".encode("latin-1"), "finished", "é"),
        (b"print('\xff')\n", "crashed", ""),
        (bytes(range(256)), "crashed", ""),
    ],
)
def test_bytes_are_read_as_python_reads_them(
    runner: Runner, tmp_path: Path, raw: bytes, ending: str, word: str
) -> None:
    script = tmp_path / "train.py"
    script.write_bytes(raw)
    record = runner.run(script)
    assert (record.ending, word in record.printed) == (ending, True)


def test_types_of_fields_are_types(run: Run) -> None:
    text = "class Config:\n    rate: float = 0.1\nprint(Config.__annotations__['rate']('2'))\n"
    assert run(text).printed == "2.0\n"


def _sleepers() -> list[str]:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "sleep 98765" in line]


def test_a_hundred_processes_are_gone(run: Run) -> None:
    text = (
        "import subprocess, time\n"
        "for i in range(100):\n"
        "    subprocess.Popen(['sleep', '98765'], start_new_session=True)\n"
        "time.sleep(98765)\n"
    )
    record = run(text, processes=20)
    assert (record.ending, record.message) == ("killed", "it had more than 20 processes")
    assert _sleepers() == []


def test_what_a_script_starts_ends_with_it(run: Run) -> None:
    text = "import subprocess\nsubprocess.Popen(['sleep', '98765'], start_new_session=True)\n"
    assert run(text).ending == "finished"
    assert _sleepers() == []


def test_a_process_that_the_script_forks_says_nothing(run: Run) -> None:
    record = run("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('end', bool(pid))\n")
    assert (record.ending, record.printed.split()[-2:]) == ("finished", ["end", "True"])


def test_stdin_is_empty_and_input_is_answered(run: Run) -> None:
    record = run("import sys\nprint([input('name? '), sys.stdin.read()])\n", answer="no")
    assert record.printed.splitlines()[-1] == "['no', '']"


def test_the_folder_is_not_changed(run: Run, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(b"x" * (2 << 20))
    (tmp_path / "data.csv").write_text("1,2\n")
    text = (
        "open('new.txt', 'w').write('x')\n"
        "open('data.csv', 'a').write('3,4')\n"
        "print(open('data.csv').read(), len(open('big.bin').read()))\n"
        "open('big.bin', 'r+')\n"
    )
    record = run(text)
    assert "3,4 2097152" in record.printed
    assert (record.ending, record.message.split(":")[0]) == ("crashed", "PermissionError")
    assert run(f"open({str(tmp_path / 'data.csv')!r}, 'w')\n").ending == "crashed"
    assert run(f"import os\nos.remove({str(tmp_path / 'data.csv')!r})\n").ending == "crashed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big.bin", "data.csv", "train.py"]
    assert (tmp_path / "data.csv").read_text() == "1,2\n"


def test_cuda_means_the_cpu(run: Run) -> None:
    text = (
        "import torch\n"
        "net = torch.nn.Linear(3, 1).cuda()\n"
        "x = torch.randn(8, 3, device='cuda:0').to('cuda')\n"
        "net.to(torch.device('cuda'))\n"
        "print(net(x).cuda(0).device)\n"
    )
    record = run(text)
    assert (record.ending, record.printed.split()[-1]) == ("finished", "cpu")
    assert [fact.name for fact in record.facts] == ["no_gpu"]


def test_no_such_file(runner: Runner, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        runner.run(tmp_path / "none.py")


def test_runs_end_with_the_runner(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('x')\n")
    with Runner() as runner:
        home = runner.home
        runner.run(script, plan=Plan(wall=20))
        runner.kill()
        with pytest.raises(WorkerError, match="gone"):
            runner.run(script, plan=Plan(wall=20))
    assert not home.exists()

"""What is done as soon as a library has been imported."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from netmend.env.script.importing import after_import


def test_a_look_at_a_library_is_no_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_library_of_this_test.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[ModuleType] = []
    after_import("a_library_of_this_test", seen.append)
    assert find_spec("a_library_of_this_test") is not None
    assert not seen
    module = importlib.import_module("a_library_of_this_test")
    assert seen == [module]
    after_import("a_library_of_this_test", seen.append)
    assert seen == [module, module]
    monkeypatch.delitem(sys.modules, "a_library_of_this_test")
    importlib.import_module("a_library_of_this_test")
    assert len(seen) == 2


def test_scripts_are_run_without_gymnasium_which_knows_the_environment_when_it_comes() -> None:
    text = (
        "import sys, netmend.env.script.parent, netmend.env.script.server\n"
        "assert 'gymnasium' not in sys.modules\n"
        "import gymnasium\n"
        "assert netmend.env.ENVIRONMENT_ID in gymnasium.registry\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)

"""A hundred kills: no finished trial is lost, and every run ends as one that was not killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes under /proc")
@pytest.mark.parametrize("how", ["main", "workers"])
def test_fifty_kills(how: str, tmp_path: Path) -> None:
    script = Path(__file__).with_name("killing.py")
    words = [sys.executable, str(script), how, "50", "0", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)

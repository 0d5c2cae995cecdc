"""Seeds that a script sets itself can be moved, however it sets them."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
import torch

from tests.env.script.conftest import Run

DRAWS = {
    "random.seed": "random.seed(1) or random.random()",
    "random.Random": "random.Random(1).random()",
    "Random.seed": "[rng := random.Random(), rng.seed(a=1), rng.random()][-1]",
    "numpy.random.seed": "np.random.seed(1) or np.random.rand()",
    "default_rng": "default_rng(1).random()",
    "default_rng of several": "np.random.default_rng([1, 2]).random()",
    "RandomState": "RandomState(seed=1).rand()",
    "RandomState.seed": "[state := RandomState(), state.seed(1), state.rand()][-1]",
    "bit generator": "np.random.Generator(np.random.PCG64(1)).random()",
    "SeedSequence": "default_rng(np.random.SeedSequence(1)).random()",
    "torch.manual_seed": "torch.manual_seed(1) and torch.rand(1).item()",
    "torch.random.manual_seed": "torch.random.manual_seed(seed=np.int64(1)) and torch.rand(1).item()",
    "torch.Generator": "torch.rand(1, generator=torch.Generator().manual_seed(1)).item()",
    "random_split": "random_split(range(999), [9, 990], torch.Generator().manual_seed(1))[0].indices",
    "train_test_split": "train_test_split(range(999), random_state=1)[0][:9]",
    "make_moons": "make_moons(9, random_state=1)[0].ravel().tolist()",
}
HEAD = """\
import copy, json, pickle, random
import numpy as np
import torch
from numpy.random import RandomState, default_rng
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from torch.utils.data import random_split
"""
SAME = """
class Own(random.Random): pass
assert isinstance(np.random.mtrand._rand, np.random.RandomState)
assert isinstance(torch.default_generator, torch.Generator) and not isinstance(random.Random(), Own)
for rng in (random.Random(3), np.random.RandomState(3)):
    assert type(pickle.loads(pickle.dumps(rng))) and copy.deepcopy(rng)
"""


def test_every_seed_is_moved_and_the_run_repeats_itself(run: Run) -> None:
    draws = ", ".join(f"{name!r}: {draw}" for name, draw in DRAWS.items())
    text = f"{HEAD}print(json.dumps({{{draws}}}))\n{SAME}"
    as_it_is, moved, again = (run(text, shift=shift) for shift in (0, 7, 7))
    assert [own.message for own in (as_it_is, moved, again)] == [""] * 3
    first, second, third = (json.loads(own.printed) for own in (as_it_is, moved, again))
    assert second == third
    assert {name for name in DRAWS if first[name] == second[name]} == set()
    as_if_written = torch.rand(1, generator=torch.Generator().manual_seed(8)).item()
    assert second["torch.manual_seed"] == second["torch.Generator"] == as_if_written


@pytest.mark.parametrize(
    ("library", "seeding"),
    [
        (
            "keras",
            "import os; os.environ['KERAS_BACKEND'] = 'torch'; import keras; keras.utils.set_random_seed(1)",
        ),
        ("lightning", "import lightning; lightning.seed_everything(1)"),
        ("transformers", "import transformers; transformers.set_seed(1)"),
    ],
)
def test_seeds_of_libraries_are_moved(run: Run, library: str, seeding: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    draw = "print('drawn', random.random(), np.random.rand(), torch.rand(1).item())\n"
    if library == "keras":
        draw += "print('drawn', float(keras.random.uniform((1,))[0]))\n"
    text = f"import random, torch\nimport numpy as np\n{seeding}\n{draw}"
    drawn = [
        [line.split()[1:] for line in run(text, shift=shift).printed.splitlines() if "drawn" in line]
        for shift in (0, 7, 7)
    ]
    flat = [[value for line in lines for value in line] for lines in drawn]
    assert flat[1] == flat[2]
    assert flat[0]
    assert not set(flat[0]) & set(flat[1])

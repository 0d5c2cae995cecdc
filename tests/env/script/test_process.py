"""What a script finds in its process: libraries that are there already, and no compiler until it asks."""

from __future__ import annotations

from tests.env.script.conftest import Run

STEP = """
import sys, torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([weight], lr=0.1)
for _ in range(2):
    weight.sum().backward()
    optimizer.step()
    optimizer.zero_grad()
print(weight.tolist(), "torch._dynamo.eval_frame" in sys.modules)
"""


def test_an_optimizer_works_without_the_compiler(run: Run) -> None:
    record = run(STEP)
    assert record.printed.startswith("[0.8")
    assert record.printed.split()[-1] == "False"


def test_the_compiler_comes_when_a_script_asks_for_it(run: Run) -> None:
    text = (
        "import torch._dynamo\nimport torch._dynamo.config\ntorch._dynamo.config.suppress_errors = True\n"
        "print(torch._dynamo.is_compiling(), torch._dynamo.config.suppress_errors)\n" + STEP
    )
    record = run(text)
    assert (record.ending, record.message) == ("finished", "")
    assert record.printed.splitlines()[0] == "False True"
    assert record.printed.split()[-1] == "True"


def test_what_a_script_has_imported_is_there_for_the_next_run(run: Run) -> None:
    text = (
        "import sys\nprint('sklearn.isotonic' in sys.modules)\nimport sklearn.isotonic\n"
        "from sklearn.metrics import accuracy_score\n"
    )
    assert run(text).ending == "finished"
    assert run(text).printed == "True\n"

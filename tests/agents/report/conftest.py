"""Repairs made up for the report: as many bugs and methods as asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from netmend.agents.report.runs import Run
from netmend.agents.traces import Trace, Tried
from netmend.env.findings import Finding
from netmend.repair_actions import CATALOGUE

MakeRun = Callable[..., Run]
SYMPTOMS = ("vanishing_gradients", "dead_units", "loss_does_not_fall", "rate_too_large", "no_standardizing")
ACTIONS = tuple(CATALOGUE)
EPOCHS = 12
DIFF = """\
@@ -14,3 +14,3 @@
   - kind: dense
-    activation: sigmoid
+    activation: relu
     units: 64
@@ -31,3 +31,3 @@
   kind: adam
-  lr: 3.0
+  lr: 0.001
 batch_size: 32"""


@pytest.fixture
def make_run() -> MakeRun:
    """A run: every method repairs every bug; each method is a little better than the one before."""

    def make(bugs: int, methods: int, *, trials: int = 5, name: str = "made-up") -> Run:
        rng = np.random.default_rng(0)
        traces = [
            _trace(rng, bug, method, methods, trials) for method in range(methods) for bug in range(bugs)
        ]
        return Run(name=name, traces=traces, learnt=[(100, 0.25), (200, 0.5)])

    return make


def _trace(rng: np.random.Generator, bug: int, method: int, methods: int, trials: int) -> Trace:
    first = float(rng.uniform(0, 0.4))
    needed = int(rng.integers(1, trials + 2 + methods - method))
    skills = [first, *(0.95 if needed <= n else first + 0.1 for n in range(1, min(needed, trials) + 1))]
    patch = [ACTIONS[int(i)] for i in rng.integers(0, len(ACTIONS), 1 + method % 3)]
    return Trace(
        bug=f"bug-{bug:04}" if bug else "D1",
        base="" if bug % 2 else "digits_dense",
        operators=("HLR", "ACH")[: 1 + bug % 2],
        method=f"method {method}",
        seed=0,
        trials=trials,
        part="holdout",
        findings=[_finding(SYMPTOMS[bug % 5]), _finding(SYMPTOMS[bug // 5 % 5])],
        tried=[_tried(rng, number, skill, patch) for number, skill in enumerate(skills)],
        fixed=[skill > 0.9 for skill in skills],
        rates=[(skill - first) / (0.95 - first) for skill in skills],
        gain=skills[-1] - first,
        patch=patch,
        changes=["optimizer adam: learning rate 3 -> 0.001", "layer 1 (dense): activation sigmoid -> relu"],
        diff=DIFF,
        fix_work=20.0,
        failure="",
        notes=[],
    )


def _finding(name: str) -> Finding:
    text = f"what <b>{name}</b> says in a sentence, with the number 0.001 & more"
    return Finding(name=name, severity="warning", text=text, value=0.001, place="layer 2 (dense)", edits=())


def _tried(rng: np.random.Generator, number: int, skill: float, patch: list[str]) -> Tried:
    curve = [round(float(x), 5) for x in np.linspace(0.1, 0.1 + skill, EPOCHS) + rng.normal(0, 0.01, EPOCHS)]
    names = ("train_loss", "train_score", "validation_loss", "validation_score")
    return Tried(
        change=f"+ {' + '.join(patch)}" if number else "as it was",
        edits=len(patch) * bool(number),
        status="ok",
        message="",
        skill=skill,
        holdout=skill - 0.01,
        work=10.0,
        curves=dict.fromkeys(names, curve),
    )

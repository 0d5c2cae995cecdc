from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.agents.minimise import Minimisation, replay
from netmend.env.bugs.bug import Bug
from netmend.env.program import Program, Task
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE

NEEDED = ("optimizer/adam@program", "activation/relu@hidden")
USELESS = ("iterations/batch_64@program", "optimizer/clip_norm_1@program")


def run(trainer: Trainer, program: Program) -> Trial:
    return trainer.run([TrialRequest(program=program, budget=Budget(), seed=0)])[0]


def minimise(bug: Bug, task: Task, trainer: Trainer, patch: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The minimised patch, and how many trials that took."""
    full = replay(bug.program, task, patch, CATALOGUE, Budget())
    assert full is not None
    known = {program: run(trainer, program).skill for program in (bug.program, full.program)}
    minimisation = Minimisation(bug.program, task, full.patch, CATALOGUE, known, Budget())
    trials = 0
    while (proposal := minimisation.ask()) is not None:
        minimisation.tell(run(trainer, proposal.program))
        trials += 1
    return minimisation.patch, trials


@pytest.mark.parametrize("patch", [(*USELESS, *NEEDED), (*NEEDED, *USELESS), (USELESS[0], *NEEDED)])
def test_leaves_out_exactly_the_edits_that_are_not_needed(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer, patch: tuple[str, ...]
) -> None:
    left, trials = minimise(two_fault_bug, scripted_task, scripted_trainer, patch)
    assert left == NEEDED
    assert trials <= len(patch)


def test_a_patch_of_one_needed_edit_takes_no_trial(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    assert minimise(two_fault_bug, scripted_task, scripted_trainer, NEEDED[:1]) == (NEEDED[:1], 0)


def test_an_edit_that_changes_nothing_drops_out(two_fault_bug: Bug, scripted_task: Task) -> None:
    replayed = replay(
        two_fault_bug.program,
        scripted_task,
        ("optimizer/adam@program", "optimizer/lr_0.001@program", "iterations/epochs_x4@program"),
        CATALOGUE,
        Budget(epochs=two_fault_bug.program.epochs),  # more of them are cut off
    )
    assert replayed is not None
    assert replayed.patch == ("optimizer/adam@program",)


def test_a_patch_that_is_not_legal_without_an_edit_keeps_it(two_fault_bug: Bug, scripted_task: Task) -> None:
    broken = replace(CATALOGUE["optimizer/adam@program"], apply=lambda p, _: replace(p, batch_size=0))
    actions = {broken.name: broken}
    assert replay(two_fault_bug.program, scripted_task, [broken.name], actions, Budget()) is None


def test_telling_without_asking_is_refused(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    minimisation = Minimisation(two_fault_bug.program, scripted_task, (), CATALOGUE, {}, Budget())
    with pytest.raises(RuntimeError, match="ask"):
        minimisation.tell(run(scripted_trainer, two_fault_bug.program))

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.agents.methods import Proposal
from netmend.agents.minimise import Minimisation, replay
from netmend.env.bugs.bug import Bug
from netmend.env.program import Program, Task
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE

NEEDED = ("optimizer/adam@program", "activation/relu@hidden")
USELESS = ("iterations/batch_64@program", "optimizer/clip_norm_1@program")


def run(trainer: Trainer, program: Program) -> Trial:
    return trainer.run([TrialRequest(program=program, budget=Budget(), seed=0)])[0]


def minimise(
    bug: Bug, task: Task, trainer: Trainer, patch: tuple[str, ...]
) -> tuple[tuple[str, ...], list[Program]]:
    """The minimised patch, and the programs whose trials that took."""
    full = replay(bug.program, task, patch, Budget())
    assert full is not None
    known = {program: run(trainer, program) for program in (bug.program, full.program)}
    minimisation = Minimisation(bug.program, task, full, known, Budget())
    tried = []
    while (proposal := minimisation.ask()) is not None:
        minimisation.tell(run(trainer, proposal.program))
        tried.append(proposal.program)
    assert minimisation.trial == run(trainer, minimisation.answer.program)
    return minimisation.answer.patch, tried


@pytest.mark.parametrize("patch", [(*USELESS, *NEEDED), (*NEEDED, *USELESS), (USELESS[0], *NEEDED)])
def test_leaves_out_exactly_the_edits_that_are_not_needed(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer, patch: tuple[str, ...]
) -> None:
    left, tried = minimise(two_fault_bug, scripted_task, scripted_trainer, patch)
    assert left == NEEDED
    assert len(tried) <= len(patch)


def test_a_patch_of_one_needed_edit_takes_no_trial(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    assert minimise(two_fault_bug, scripted_task, scripted_trainer, NEEDED[:1]) == (NEEDED[:1], [])


def test_an_edit_that_changes_nothing_drops_out(two_fault_bug: Bug, scripted_task: Task) -> None:
    replayed = replay(
        two_fault_bug.program,
        scripted_task,
        ("optimizer/adam@program", "optimizer/lr_0.001@program", "iterations/epochs_x4@program"),
        Budget(epochs=two_fault_bug.program.epochs),  # more of them are cut off
    )
    assert replayed is not None
    assert replayed.patch == ("optimizer/adam@program",)


def test_a_patch_that_gives_no_sound_program_is_none(
    two_fault_bug: Bug, scripted_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(CATALOGUE["optimizer/adam@program"], apply=lambda p, _: replace(p, batch_size=0))
    monkeypatch.setitem(CATALOGUE, "test/broken@program", broken)
    assert replay(two_fault_bug.program, scripted_task, ["test/broken@program"], Budget()) is None


def test_an_edit_that_another_one_makes_idle_drops_out(two_fault_bug: Bug, scripted_task: Task) -> None:
    rates = ("optimizer/lr_0.1@program", "optimizer/lr_0.01@program")
    replayed = replay(two_fault_bug.program, scripted_task, rates, Budget())
    assert replayed is not None
    assert replayed.patch == rates[1:]


def test_what_replaces_most_is_left_out_first(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    patch = ("iterations/batch_64@program", "add_layer/batch_norm@hidden", *NEEDED)
    left, tried = minimise(two_fault_bug, scripted_task, scripted_trainer, patch)
    assert left == NEEDED
    assert len(tried[0].layers) == len(two_fault_bug.program.layers)
    assert tried[0].batch_size == 64


def test_a_smaller_patch_whose_program_is_known_is_free(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    task, faulty = scripted_task, two_fault_bug.program
    full = replay(faulty, task, (*NEEDED, USELESS[0]), Budget())
    smaller = replay(faulty, task, NEEDED, Budget())
    assert full is not None
    assert smaller is not None
    known = {own: run(scripted_trainer, own) for own in (faulty, full.program, smaller.program)}
    minimisation = Minimisation(faulty, task, full, known, Budget())
    while (proposal := minimisation.ask()) is not None:
        assert proposal.program != smaller.program
        minimisation.tell(run(scripted_trainer, proposal.program))
    assert minimisation.answer == smaller


def test_telling_without_asking_is_refused(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    start = Proposal(program=two_fault_bug.program, patch=())
    minimisation = Minimisation(two_fault_bug.program, scripted_task, start, {}, Budget())
    with pytest.raises(RuntimeError, match="ask"):
        minimisation.tell(run(scripted_trainer, two_fault_bug.program))

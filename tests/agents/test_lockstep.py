"""What a comparison does with methods that fail, think ahead, spend their work, or have no actions."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import NoReturn

import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.lockstep import Evaluation, run_repairs, run_with_fixes
from netmend.agents.methods import MethodError, Proposal, Repair
from netmend.agents.outcome import Outcome
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError
from netmend.env.program import Optimizer, Program, Task
from netmend.env.program.sites import layer_activation, width
from netmend.env.reward import Rules
from netmend.env.training.front import TrialFront
from netmend.env.training.trial import Status, Trainer, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE, select
from netmend.repair_actions.patch import applied

RANDOM = BASELINES["random"](Ingredients(actions=select(["optimizer/*", "activation/*"]), order=tuple))
GREEDY = BASELINES["greedy"](Ingredients(actions=select(["optimizer/*", "activation/*"]), order=tuple))
RATES = (1.0, 0.5, 0.25, 0.01, 0.02, 0.03)


class Rates:
    """Tries one learning rate after another; raises where it is told to, and notes what it was asked."""

    name = "rates"

    def __init__(self, fails_in: str = "", error: Exception | None = None, *, at: int = 2) -> None:
        self.fails_in, self.error, self.at = fails_in, error or MethodError("the search hangs"), at
        self.log: list[str] = []

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        self.log.append("start")
        if self.fails_in == "start":
            raise self.error
        return RatesRepair(self, bug.program)


class RatesRepair:
    def __init__(self, method: Rates, program: Program) -> None:
        self.method, self.program, self.count = method, program, 0

    def think(self) -> None:
        self._log("think")

    def ask(self) -> Proposal | None:
        self._log("ask")
        lr = RATES[self.count]
        program = replace(self.program, optimizer=Optimizer(kind="adam", lr=lr), batch_size=8)
        self.count += 1
        return Proposal(program=program, patch=(f"lr={lr}", "batch_size=8"), by_actions=False)

    def tell(self, trial: Trial) -> None:
        self._log("tell")

    def _log(self, step: str) -> None:
        self.method.log.append(step)
        if self.method.fails_in == step and self.count == self.method.at:
            raise self.method.error


class Batches(Rates):
    """Asks for a few at once, and may end with a trial."""

    def __init__(self, size: int, ends: int | None = None) -> None:
        super().__init__()
        self.size, self.ends = size, ends

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        return BatchesRepair(self, bug.program)


class BatchesRepair(RatesRepair):
    method: Batches
    told = 0

    def ready(self) -> bool:
        return self.count % self.method.size > 0 or self.told == self.count

    def done(self) -> bool:
        return self.told == self.method.ends

    def tell(self, trial: Trial) -> None:
        super().tell(trial)
        self.told += 1


def repairs(
    trainer: Trainer, bug: Bug, *methods: Rates, trials: int = 5, work: float | None = None
) -> list[Outcome]:
    evaluation = Evaluation(bugs=(bug,), methods=(*methods, RANDOM), rules=Rules(trials=trials), work=work)
    return run_repairs(replace(evaluation, keep_going=True), trainer)


@pytest.mark.parametrize(("fails_in", "searched"), [("start", 0), ("think", 2), ("ask", 2), ("tell", 2)])
def test_a_method_that_fails_ends_its_own_repair_alone(
    two_fault_bug: Bug, scripted_trainer: Trainer, fails_in: str, searched: int
) -> None:
    failed, other = repairs(scripted_trainer, two_fault_bug, Rates(fails_in))
    assert failed.failure == "the search hangs"
    assert (failed.searched, failed.trials) == (searched, searched)
    assert (other.failure, other.searched) == ("", 5)


def test_what_a_failed_method_had_found_stands(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    failed, _ = repairs(scripted_trainer, two_fault_bug, Rates("ask", at=4), trials=6)
    assert failed.searched == 4
    assert failed.found.proposal.patch == ("lr=0.01", "batch_size=8")
    assert failed.answer(6).trial.skill == pytest.approx(0.6)


def test_any_other_error_is_told_with_its_type(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    failed, _ = repairs(scripted_trainer, two_fault_bug, Rates("ask", ZeroDivisionError("by\nzero")))
    assert failed.failure == "ZeroDivisionError: by zero"


def test_an_interruption_is_no_failure_of_a_method(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    class Interrupting(Rates):
        def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repairs(scripted_trainer, two_fault_bug, Interrupting())


def test_outside_a_comparison_errors_are_raised(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    evaluation = Evaluation(bugs=(two_fault_bug,), methods=(Rates("ask"),), rules=Rules())
    with pytest.raises(MethodError, match="hangs"):
        run_repairs(evaluation, scripted_trainer)


def test_all_think_before_any_is_asked(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    bugs = tuple(replace(two_fault_bug, id=str(i)) for i in range(3))
    method = Rates()
    run_repairs(Evaluation(bugs=bugs, methods=(method,), rules=Rules(trials=2)), scripted_trainer)
    round_of_three = ["think"] * 3 + ["ask"] * 3 + ["tell"] * 3
    assert method.log == ["start"] * 3 + round_of_three * 2


def test_out_of_lockstep_each_repair_goes_its_own_way(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    """With the same outcomes: which trial comes first decides nothing."""

    class Backwards(TrialFront):
        """Gives the youngest trial first."""

        def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
            done: set[int] = set()
            while len(done) < len(requests):
                last = max(set(range(len(requests))) - done)
                done.add(last)
                yield last, self.run([requests[last]])[0]

    bugs = tuple(replace(two_fault_bug, id=str(i)) for i in range(3))
    methods = (Rates(), Rates("tell"), RANDOM, GREEDY, Batches(3))
    terms = Evaluation(bugs=bugs, methods=methods, rules=Rules(trials=4), seeds=(0, 1), keep_going=True)
    expected = run_repairs(terms, scripted_trainer)
    told: list[tuple[int, int, int]] = []
    found = run_repairs(
        replace(terms, lockstep=False), Backwards(scripted_trainer), progress=lambda *own: told.append(own)
    )
    assert found == expected
    assert methods[0].log[-9:] != ["think"] * 3 + ["ask"] * 3 + ["tell"] * 3
    assert {len(outcome.attempts) for outcome in found if outcome.method == "rates"} == {3, 5}
    assert told[-1][1] == len(expected)


def test_the_fixes_are_trained_beside_the_repairs(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    terms = Evaluation(bugs=(two_fault_bug,), methods=(Rates(), GREEDY), rules=Rules(), seeds=(0, 1))
    both = [
        run_with_fixes(replace(terms, lockstep=own), TrialFront(scripted_trainer)) for own in (True, False)
    ]
    assert both[0] == both[1]
    assert both[0][1].keys() == {("two-faults", 0), ("two-faults", 1)}
    assert {trial.skill for trial in both[0][1].values()} == {0.9}


@pytest.mark.parametrize("lockstep", [True, False])
@pytest.mark.parametrize(("ends", "searched"), [(None, 5), (2, 2)])
def test_programs_that_wait_for_no_trial_are_trained_at_once(
    two_fault_bug: Bug, scripted_trainer: Trainer, lockstep: bool, ends: int | None, searched: int
) -> None:
    """And nothing is left of those that nobody needs in the end."""
    terms = Evaluation(bugs=(two_fault_bug,), methods=(Batches(3, ends),), rules=Rules(), lockstep=lockstep)
    (found,) = run_repairs(terms, TrialFront(scripted_trainer))
    assert [attempt.known for attempt in found.attempts[1:]] == [0, 0, 0, 3, 3][:searched]
    assert found.searched == searched
    assert [attempt.proposal.patch[0] for attempt in found.attempts[1:]] == [
        f"lr={lr}" for lr in RATES[:searched]
    ]


def test_a_method_that_fails_ahead_is_told_what_it_asked_for(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    failing = Batches(3)
    failing.fails_in, failing.at = "ask", 2
    found, _ = repairs(scripted_trainer, two_fault_bug, failing)
    assert (found.failure, found.searched) == ("the search hangs", 2)
    assert failing.log[-2:] == ["tell", "tell"]


def test_a_hang_ends_what_was_asked_for_ahead(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    class Hanging(TrialFront):
        def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
            hung = Trial(status=Status.HUNG, message="stood still")
            return [
                hung if request.program.optimizer.lr == RATES[1] else trial
                for request, trial in zip(requests, super().run(requests), strict=True)
            ]

    found, _ = repairs(Hanging(scripted_trainer), two_fault_bug, Batches(3))
    assert (found.failure, found.searched) == ("a trial hung: stood still", 1)


def test_the_repair_that_takes_longest_is_the_most_urgent(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    asked: list[TrialRequest] = []

    class Noting(TrialFront):
        def stream(self, requests: Sequence[TrialRequest]) -> Generator[tuple[int, Trial], None, None]:
            yield from super().stream(requests)
            asked.extend(requests)

    terms = Evaluation(bugs=(two_fault_bug,), methods=(Rates(),), rules=Rules(trials=3), lockstep=False)
    run_with_fixes(terms, Noting(scripted_trainer))
    assert [request.urgency for request in asked] == pytest.approx([math.inf, 0.0, 0.3, 0.2, 0.1])


def test_a_patch_without_actions_is_not_minimised(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    found, _ = repairs(scripted_trainer, two_fault_bug, Rates())
    assert (found.trials, found.searched) == (5, 5)
    assert found.minimised == found.found
    assert not set(found.minimised.proposal.patch) & set(CATALOGUE)


def test_minimising_can_be_left_out(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    both = [
        run_repairs(
            Evaluation(
                bugs=(two_fault_bug,), methods=(RANDOM,), rules=Rules(trials=8), seeds=(3,), minimise=on
            ),
            scripted_trainer,
        )[0]
        for on in (True, False)
    ]
    assert [outcome.searched for outcome in both] == [8, 8]
    assert both[0].trials > 8
    assert both[1].trials == 8
    assert both[1].minimised == both[1].found


@pytest.mark.parametrize(("work", "trials"), [(None, 5), (0.5, 1), (1.0, 1), (2.5, 3), (3.0, 3), (99.0, 5)])
def test_a_repair_ends_by_its_work(
    two_fault_bug: Bug, scripted_trainer: Trainer, work: float | None, trials: int
) -> None:
    found, _ = repairs(scripted_trainer, two_fault_bug, Rates(), work=work)
    assert found.searched == trials


def test_a_faulty_program_that_does_no_work_sets_no_limit(two_fault_bug: Bug) -> None:
    class Idle:
        def run(self, requests: list[object]) -> list[Trial]:
            return [Trial(status="crashed", message="shapes") for _ in requests]  # type: ignore[arg-type]

    evaluation = Evaluation(bugs=(two_fault_bug,), methods=(Rates(),), rules=Rules(trials=3), work=1.0)
    (found,) = run_repairs(evaluation, Idle())  # type: ignore[arg-type]
    assert found.searched == 3


def test_the_answer_within_some_work(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    found, _ = repairs(scripted_trainer, two_fault_bug, Rates(), trials=6)
    free = found.attempts[0]
    found = replace(found, attempts=(replace(free, trial=replace(free.trial, work=1e6)), *found.attempts[1:]))
    patches = [found.answer_within(work).proposal.patch[:1] for work in (0, 39.9, 40.0, 1000.0)]
    assert patches == [(), (), ("lr=0.01",), ("lr=0.01",)]


class Scripted:
    """Proposes the programs of these patches, one after another."""

    name = "scripted"

    def __init__(self, *patches: tuple[str, ...]) -> None:
        self.patches = patches

    def start(self, bug: Bug, task: Task, first: Trial, rules: Rules, seed: int) -> Repair:
        programs = [applied(bug.program, task, patch) for patch in self.patches]
        return Proposing(
            [Proposal(program=p, patch=patch) for p, patch in zip(programs, self.patches, strict=True)]
        )


class Proposing:
    def __init__(self, proposals: list[Proposal]) -> None:
        self.left = proposals

    def ask(self) -> Proposal | None:
        return self.left.pop(0) if self.left else None

    def tell(self, trial: Trial) -> None:
        pass


BATCH_64, BATCH_16 = "iterations/batch_64@program", "iterations/batch_16@program"
RELU, ADAM = "activation/relu@hidden", "optimizer/adam@program"


def outcome_of(trainer: Trainer, bug: Bug, method: Scripted, rules: Rules | None = None) -> Outcome:
    evaluation = Evaluation(bugs=(bug,), methods=(method,), rules=rules or Rules())
    return run_repairs(replace(evaluation, keep_going=True), trainer)[0]


def test_no_attempt_and_no_answer_holds_an_edit_that_does_nothing(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    method = Scripted((BATCH_64,), (BATCH_64, RELU, BATCH_16), (BATCH_64, RELU, ADAM, BATCH_16))
    outcome = outcome_of(scripted_trainer, two_fault_bug, method)
    patches = [attempt.proposal.patch for attempt in outcome.attempts[:4]]
    assert patches == [(), (BATCH_64,), (RELU, BATCH_16), (RELU, ADAM, BATCH_16)]
    assert outcome.minimised.proposal.patch == (RELU, ADAM)
    for attempt in (*outcome.attempts, outcome.minimised):
        patch = attempt.proposal.patch
        for left_out in range(len(patch)):
            rest = (*patch[:left_out], *patch[left_out + 1 :])
            assert applied(two_fault_bug.program, scripted_task, rest) != attempt.proposal.program


def test_a_smaller_answer_that_is_known_for_free_is_the_answer(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    """The program without batch_16 was tried before, with a longer way to it."""
    method = Scripted((RELU, ADAM), (RELU, ADAM, BATCH_16))
    outcome = outcome_of(scripted_trainer, two_fault_bug, method)
    assert outcome.minimised.proposal.patch == (RELU, ADAM)
    assert outcome.minimised.trial.skill == pytest.approx(0.9)


def test_of_equal_answers_the_one_that_replaces_least_stands(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    network = "change_neural_architecture/mlp_64_64@hidden"
    outcome = outcome_of(scripted_trainer, two_fault_bug, Scripted((network, ADAM), (RELU, ADAM)))
    assert [attempt.trial.skill for attempt in outcome.attempts[1:3]] == pytest.approx([0.9, 0.9])
    assert outcome.found.proposal.patch == (RELU, ADAM)
    assert outcome.minimised.proposal.patch == (RELU, ADAM)


def test_a_repair_stops_where_nothing_is_left_to_gain(two_fault_bug: Bug) -> None:
    class Perfect:
        def run(self, requests: list[TrialRequest]) -> list[Trial]:
            good = [request.program.batch_size == 64 for request in requests]
            return [Trial(status=Status.OK, skill=1.0 if own else 0.3, holdout=0.5) for own in good]

    patches = ((RELU,), (BATCH_64,), (BATCH_64, RELU), (BATCH_64, ADAM))
    outcome = outcome_of(Perfect(), two_fault_bug, Scripted(*patches))  # type: ignore[arg-type]
    assert outcome.searched == 2
    assert outcome.found.proposal.patch == (BATCH_64,)


def test_a_method_that_touches_what_must_be_kept_fails_before_the_trial(
    two_fault_bug: Bug, scripted_trainer: Trainer
) -> None:
    for keep in (("architecture",), ("add_layer/*",)):
        method = Scripted((RELU,), (RELU, "add_layer/batch_norm@hidden"))
        outcome = outcome_of(scripted_trainer, two_fault_bug, method, Rules(keep=keep))
        assert outcome.searched == 1
        assert "to be kept" in outcome.failure


@pytest.mark.parametrize("name", ["random", "defaults", "rewrite", "greedy", "autotrainer"])
def test_every_baseline_leaves_alone_what_must_be_kept(
    two_fault_bug: Bug, scripted_trainer: Trainer, name: str
) -> None:
    method = BASELINES[name](Ingredients(actions=select(["*"]), order=tuple))
    rules = Rules(trials=20, keep=("architecture", "optimizer/*"))
    evaluation = Evaluation(bugs=(two_fault_bug,), methods=(method,), rules=rules)
    (outcome,) = run_repairs(replace(evaluation, keep_going=True), scripted_trainer)
    assert outcome.searched > 0 or name == "autotrainer"
    for attempt in outcome.attempts:
        layers = [(type(layer), width(layer)) for layer in attempt.proposal.program.layers]
        assert layers == [(type(layer), width(layer)) for layer in two_fault_bug.program.layers]
        if attempt.proposal.by_actions:
            assert attempt.proposal.program.optimizer == two_fault_bug.program.optimizer


class Hanging:
    """Skill 0.3, 0.6 with a ReLU; the trial with the number ``at`` hangs."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def run(self, requests: list[TrialRequest]) -> list[Trial]:
        return [self._trial(request) for request in requests]

    def _trial(self, request: TrialRequest) -> Trial:
        self.count += 1
        if self.count == self.at:
            return Trial(status=Status.HUNG, message="no answer")
        relu = layer_activation(request.program, 0) == "relu"
        return Trial(status=Status.OK, skill=0.6 if relu else 0.3, holdout=0.5)


@pytest.mark.parametrize(
    ("patches", "at", "searched"),
    [([(RELU,), (BATCH_64,)], 2, 0), ([(RELU,), (BATCH_64,)], 3, 1), ([(RELU, BATCH_64)], 3, 1)],
    ids=["first trial", "second trial", "minimising"],
)
def test_a_trial_that_hangs_ends_its_repair_and_is_no_attempt(
    two_fault_bug: Bug, patches: list[tuple[str, ...]], at: int, searched: int
) -> None:
    method = Scripted(*patches)
    outcome = outcome_of(Hanging(at), two_fault_bug, method)  # type: ignore[arg-type]
    assert "hung" in outcome.failure
    assert (outcome.searched, len(outcome.attempts)) == (searched, searched + 1)
    assert all(attempt.trial.status is Status.OK for attempt in outcome.attempts)


def test_a_faulty_program_that_hangs_stops_the_comparison(two_fault_bug: Bug) -> None:
    with pytest.raises(NetmendError, match="hung"):
        outcome_of(Hanging(1), two_fault_bug, Scripted((RELU,)))  # type: ignore[arg-type]

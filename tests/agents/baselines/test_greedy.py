from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.agents.baselines.greedy import Greedy
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.env.bugs.bug import Bug
from netmend.env.program import Data, Dense, Optimizer, Program
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Status, Trial
from netmend.repair_actions import select, successors

ACTIONS = select(
    [
        "optimizer/lr_0.001@*",
        "optimizer/lr_0.1@*",
        "activation/relu@*",
        "activation/tanh@*",
    ]
)


def skill_of(program):
    """0.1, 0.5 more with a small rate, 0.3 more with a ReLU, 0.2 more with tanh."""
    first = program.layers[0]
    assert isinstance(first, Dense)
    return 0.1 + 0.5 * (program.optimizer.lr < 0.01) + {"relu": 0.3, "tanh": 0.2}.get(first.activation, 0)


def trial(program, skill=None):
    return Trial(status=Status.OK, skill=skill_of(program) if skill is None else skill)


@pytest.fixture
def start(two_fault_bug, scripted_task):
    def begin(*, seed=0, trials=100, bug=two_fault_bug, rules=None):
        rules = rules or Rules(trials=trials)
        return Greedy(ACTIONS).start(bug, scripted_task, trial(bug.program), rules, seed)

    return begin


def run(repair, judge=trial):
    seen = []
    while (proposal := repair.ask()) is not None:
        seen.append(proposal)
        repair.tell(judge(proposal.program))
    return seen


def legal(program, task):
    return [after for after in successors(ACTIONS, program, task) if after is not None]


def test_a_round_looks_at_every_legal_action_and_the_best_of_it_stands(start, two_fault_bug, scripted_task):
    seen = run(start())
    first = legal(two_fault_bug.program, scripted_task)
    assert len(set(first)) > 3
    round_one = [proposal for proposal in seen if len(proposal.patch) == 1]
    assert {proposal.program for proposal in round_one} == set(first)
    assert seen[: len(round_one)] == round_one
    second = [proposal for proposal in seen if len(proposal.patch) == 2]
    assert {proposal.patch[0] for proposal in second} == {"optimizer/lr_0.001@program"}
    third = [proposal for proposal in seen if len(proposal.patch) == 3]
    assert {proposal.patch[1].split("@")[0] for proposal in third} == {"activation/relu"}
    assert max(map(len, (proposal.patch for proposal in seen))) == 3


def test_the_patch_leads_to_the_program(start, two_fault_bug, scripted_task):
    by_name = {action.name: action for action in ACTIONS}
    for proposal in run(start()):
        program = two_fault_bug.program
        for name in proposal.patch:
            program = by_name[name].apply(program, scripted_task)
        assert program == proposal.program
        assert proposal.by_actions


def test_it_ends_where_nothing_gains(start, two_fault_bug, scripted_task):
    seen = run(start(), lambda program: trial(program, skill_of(two_fault_bug.program)))
    assert len(seen) == len(set(legal(two_fault_bug.program, scripted_task)))


def test_no_program_is_looked_at_twice(start, two_fault_bug):
    programs = [proposal.program for proposal in run(start())]
    assert len(programs) == len(set(programs))
    assert two_fault_bug.program not in programs


def test_every_look_is_charged(start):
    assert len(run(start(trials=3))) == 3
    assert len(run(start(trials=100))) > 3


def test_a_short_budget_sees_another_sample_with_another_seed(start):
    def sample(seed):
        return [proposal.patch for proposal in run(start(seed=seed, trials=3))]

    assert sample(0) == sample(0)
    assert len({str(sample(seed)) for seed in range(8)}) > 3


def test_epochs_beyond_the_budget_are_no_other_program(scripted_task, two_fault_bug):
    longer = select(["iterations/epochs_x2@*"])
    bug = replace(two_fault_bug, program=replace(two_fault_bug.program, epochs=12))
    rules = Rules(budget=Budget(epochs=12))
    assert Greedy(longer).start(bug, scripted_task, trial(bug.program), rules, 0).ask() is None
    rules = Rules(budget=Budget(epochs=24))
    assert Greedy(longer).start(bug, scripted_task, trial(bug.program), rules, 0).ask() is not None


def test_the_only_remedy_of_a_crash_is_the_first_look(scripted_task):
    layers = (Dense(units=64), Dense(units=10, inputs=63))
    program = Program(data=Data(dataset="digits"), layers=layers, loss="cross_entropy", optimizer=Optimizer())
    for seed in range(5):
        method = Greedy(select(["*"]))
        first = method.start(
            Bug(id="bug", program=program), scripted_task, trial(program, 0.0), Rules(), seed
        )
        assert first.ask().patch == ("layer_dimension/fit_inputs@all",)


def test_what_must_be_kept_is_not_looked_at(start, two_fault_bug):
    rules = Rules(trials=50, keep=("optimizer/*",))
    patches = {name for proposal in run(start(rules=rules)) for name in proposal.patch}
    assert patches
    assert not any(name.startswith("optimizer/") for name in patches)


def test_tell_needs_an_ask(start, two_fault_bug):
    with pytest.raises(RuntimeError, match="ask"):
        start().tell(trial(two_fault_bug.program))


def test_an_evaluation_charges_each_look(two_fault_bug: Bug, scripted_trainer):
    evaluation = Evaluation(bugs=(two_fault_bug,), methods=(Greedy(ACTIONS),), rules=Rules(trials=4))
    (outcome,) = run_repairs(evaluation, scripted_trainer, holdout=False)
    assert outcome.searched == 4
    assert outcome.method == "greedy"

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.baselines.autotrainer import AutoTrainer
from netmend.agents.methods import Method
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import task_of
from netmend.env.data import load_dataset
from netmend.env.program import Data, Dense, Optimizer, Pool, Program, Task
from netmend.env.reward import Rules
from netmend.env.training.loop import train
from netmend.env.training.trial import Budget, Status

LOW = (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FLAT = (0.1,) * 10
SAW = (0.9, 0.7) * 5


@pytest.fixture
def start(network, pictures, trial):
    def begin(first, *, program=network, seed=0, task=pictures, later=True):
        bug = Bug(id="", program=program, split="train")
        return AutoTrainer(later_rules=later).start(bug, task, first, Rules(), seed)

    return begin


def asked(repair, trials):
    """Patches that a repair asks for when it is told these trials, and what it asks for after them."""
    patches = []
    for told in trials:
        proposal = repair.ask()
        if proposal is None:
            break
        patches.append(proposal.patch)
        repair.tell(told)
    return patches


def test_it_is_a_method_and_each_edition_has_a_name():
    assert isinstance(AutoTrainer(), AutoTrainer)
    method: Method = AutoTrainer()
    assert method.name == "autotrainer"
    assert BASELINES["autotrainer_2021"](Ingredients(actions=(), order=tuple)).name == "autotrainer_2021"


def test_it_stops_at_once_where_there_is_no_problem(start, trial):
    assert start(trial()).ask() is None


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_it_repairs_classifications_only(start, trial, kind):
    task = Task(dataset="digits_images", kind=kind, input_shape=(1, 8, 8), outputs=10)
    first = trial(FLAT, vanishing_gradient=1.0)
    assert start(first).ask() is not None
    assert start(first, task=task).ask() is None


def test_solutions_are_tried_on_the_original_until_one_leaves_no_problem(network, start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    repair = start(vanishing)
    selu = repair.ask()
    assert selu is not None
    assert (selu.patch, selu.by_actions) == (("selu",), False)
    repair.tell(vanishing)
    relu = repair.ask()
    assert relu is not None
    assert relu.patch == ("relu",)
    assert relu.program.layers[0].bias_init == "zeros"
    repair.tell(trial())
    assert repair.ask() is None


def test_it_stops_when_every_solution_has_failed(start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    assert asked(start(vanishing), [vanishing] * 9) == [("selu",), ("relu",), ("batch_norm",)]


def test_it_goes_on_from_the_best_model_that_has_another_problem(start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    slow = [trial(FLAT, skill=skill) for skill in (0.2, 0.4, 0.3)]
    repair = start(vanishing)
    patches = asked(repair, [*slow, trial()])
    assert patches[:3] == [("selu",), ("relu",), ("batch_norm",)]
    assert patches[3][0] == "relu"
    assert patches[3][1].startswith("optimizer=")
    assert repair.ask() is None


def test_a_problem_is_taken_on_once(start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    slow = trial(FLAT)
    patches = asked(start(vanishing), [slow] * 3 + [vanishing] * 20)
    assert patches[:3] == [("selu",), ("relu",), ("batch_norm",)]
    assert all(patch[0] == "selu" for patch in patches[3:])
    assert len(patches) <= 3 + 9


def test_a_trial_that_crashes_solves_nothing(start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    crash = trial((), status=Status.CRASHED)
    assert asked(start(vanishing), [crash] * 9) == [("selu",), ("relu",), ("batch_norm",)]


def test_no_program_is_tried_twice(network, start, trial):
    slow = trial(FLAT)
    for seed in range(5):
        repair, programs = start(slow, seed=seed), []
        while (proposal := repair.ask()) is not None:
            programs.append(proposal.program)
            repair.tell(slow)
        assert len(programs) == len(set(programs))
        assert network not in programs


def test_solutions_that_change_nothing_are_passed_over(network, start, trial):
    vanishing = trial(LOW, vanishing_gradient=0.25)
    selu = start(vanishing).ask()
    assert selu is not None
    assert asked(start(vanishing, program=selu.program), [vanishing] * 9) == [("relu",), ("batch_norm",)]


def test_patience_does_not_shorten_what_was_planned(network, start, trial):
    """Two epochs of ten are too few for a judgement; of a training of two they are enough."""
    stopped = trial(FLAT[:2])
    assert start(stopped).ask() is not None
    assert start(stopped, program=replace(network, patience=1)).ask() is None


def test_random_picks_depend_on_seed_and_program_alone(network, start, trial):
    slow = trial(FLAT)

    def patches(seed, program=network):
        return asked(start(slow, seed=seed, program=program), [slow] * 20)

    assert patches(0) == patches(0)
    assert patches(0) != patches(1)
    assert patches(0) != patches(0, replace(network, epochs=9))


def test_tell_needs_an_ask(start, trial):
    with pytest.raises(RuntimeError, match="ask"):
        start(trial()).tell(trial())


BUDGET = Budget(samples=200, epochs=12, updates=200)


def repaired(program: Program, later: bool) -> list[tuple[tuple[str, ...], float]]:
    """Patches that are tried and their skills, the faulty program first."""
    bug = Bug(id="", program=program, split="train")
    dataset = load_dataset(program.data.dataset)
    first = train(program, dataset, BUDGET, 0)
    repair = AutoTrainer(later_rules=later).start(bug, task_of(bug), first, Rules(budget=BUDGET), 0)
    seen: list[tuple[tuple[str, ...], float]] = [((), first.skill)]
    while len(seen) < 6 and (proposal := repair.ask()) is not None:
        trial = train(proposal.program, dataset, BUDGET, 0)
        repair.tell(trial)
        seen.append((proposal.patch, trial.skill))
    return seen


def with_conv(network: Program, **values: object) -> Program:
    first = replace(network.layers[0], activation="relu", filters=8, **values)
    hidden = replace(network.layers[2], activation="relu", units=32)
    return replace(
        network,
        layers=(first, Pool(), network.layers[1], hidden, network.layers[3]),
        optimizer=Optimizer(kind="adam", lr=0.003),
        epochs=12,
    )


@pytest.mark.parametrize("later", [False, True])
def test_zeros_in_the_first_convolution_are_repaired_in_one_trial(network, later):
    """M2 of ICST 2023, which the study's AutoTrainer solved in each of 50 runs at the first attempt."""
    (_, faulty), *tried = repaired(with_conv(network, kernel_init="zeros"), later)
    assert faulty < 0.1
    assert [patch for patch, _ in tried] == [("selu",)]
    assert tried[0][1] > 0.7


def test_an_output_without_activation_is_a_matter_of_the_later_rules(network):
    """R7 of ICST 2023: unsolved in the study; the rules that came later see what is wrong."""
    program = replace(
        with_conv(network),
        layers=(*with_conv(network).layers[:-1], Dense(units=10)),
        data=plain(network.data),
    )
    (_, faulty), *tried = repaired(program, later=True)
    assert faulty < 0.3
    assert tried[0][0] == ("output=softmax",)
    assert tried[0][1] > 0.7
    assert not any(patch[-1].startswith("output") for patch, _ in repaired(program, later=False) if patch)


def plain(data: Data) -> Data:
    """Unprepared inputs."""
    return replace(data, prep=())

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.agents.baselines import BASELINES, Ingredients
from netmend.agents.baselines.fixed_order import find_order, greedy_cover, load_order, save_order
from netmend.agents.methods import Method, MethodError, Repair, blinded
from netmend.agents.minimise import replay
from netmend.agents.peers.pool import SuggestionPool
from netmend.agents.peers.searches import SEARCHES
from netmend.env.bugs.bug import Bug
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.program import (
    BatchNorm,
    Clip,
    Data,
    Dense,
    Dropout,
    LossName,
    Optimizer,
    Prep,
    Program,
    Task,
    check,
    output_activation,
)
from netmend.env.reward import Rules
from netmend.env.training.trial import Budget, Trainer, Trial, TrialRequest
from netmend.repair_actions import select
from netmend.repair_actions.recipes import default_loss

ACTIONS = select(["optimizer/*", "activation/*"])
ORDER = ("activation/relu@hidden", "optimizer/adam@program", "optimizer/sgd@program")
SUGGESTIONS = SuggestionPool(1)
INGREDIENTS = Ingredients(actions=ACTIONS, order=lambda: ORDER, suggestions=SUGGESTIONS)

CLASSES = Task(dataset="digits", kind="classification", input_shape=(64,), outputs=10)
TWO = Task(dataset="moons", kind="classification", input_shape=(2,), outputs=2)
VALUES = Task(dataset="diabetes", kind="regression", input_shape=(10,), outputs=1)
TEXTS = Task(dataset="reviews", kind="classification", input_shape=(12,), outputs=2, vocabulary=50)


def mess(dataset: str, units: int, loss: LossName = "mse") -> Program:
    """Everything that ``defaults`` should set is wrong."""
    return Program(
        data=Data(dataset=dataset, prep=(Prep(kind="scale", factor=100.0),), labels="value", shuffle=False),
        layers=(
            Dense(units=8, activation="sigmoid", kernel_init="ones", bias=False, l2=1.0, trainable=False),
            Dropout(rate=0.9),
            Dense(units=units, activation="tanh", bias_init="ones", l1=0.5),
        ),
        loss=loss,
        optimizer=Optimizer(kind="sgd", lr=5.0, momentum=0.9, weight_decay=0.1),
        batch_size=1,
        epochs=3,
        clip=Clip(kind="norm", limit=1e-3),
        patience=1,
    )


def all_trials(repair: Repair, trainer: Trainer) -> list[tuple[str, ...]]:
    patches = []
    while (proposal := repair.ask()) is not None:
        patches.append(proposal.patch)
        (trial,) = trainer.run([TrialRequest(program=proposal.program, budget=Budget(), seed=0)])
        repair.tell(trial)
        assert len(patches) < 100
    return patches


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    yield
    SUGGESTIONS.close()


@pytest.fixture(params=BASELINES)
def method(request: pytest.FixtureRequest) -> Method:
    if request.param in SEARCHES:
        try:
            SUGGESTIONS.release(request.param)
        except MethodError as error:
            pytest.skip(str(error))
    return BASELINES[request.param](INGREDIENTS)


def start(method: Method, bug: Bug, task: Task, trainer: Trainer, seed: int = 0, trials: int = 5) -> Repair:
    (first,) = trainer.run([TrialRequest(program=bug.program, budget=Budget(), seed=seed)])
    return method.start(blinded(bug), task, first, Rules(trials=trials), seed)


def needs_curves(method: Method) -> bool:
    """Whether it sees no problem in a scripted trial, which has no curves."""
    return method.name.startswith("autotrainer")


def test_a_method_may_know_the_program_and_its_budget_and_nothing_else(two_fault_bug: Bug) -> None:
    told = replace(
        two_fault_bug,
        symptom="loss stuck",
        fix_patterns=("Optimizer",),
        verdict="reproduced",
        budget=Budget(),
    )
    assert blinded(told) == Bug(id="", program=told.program, split=told.split, budget=Budget())


class TestContract:
    """What holds for every baseline."""

    def test_name_is_its_key(self, method: Method) -> None:
        assert BASELINES[method.name](INGREDIENTS).name == method.name

    def test_keeps_to_the_trials(
        self, method: Method, two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
    ) -> None:
        repair = start(method, two_fault_bug, scripted_task, scripted_trainer, trials=3)
        least = 0 if needs_curves(method) else 1
        assert least <= len(all_trials(repair, scripted_trainer)) <= 3

    def test_same_seed_same_repair(
        self, method: Method, two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
    ) -> None:
        repairs = [start(method, two_fault_bug, scripted_task, scripted_trainer) for _ in range(2)]
        first, second = (all_trials(repair, scripted_trainer) for repair in repairs)
        assert first == second

    def test_proposes_what_its_patch_says(
        self, method: Method, two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
    ) -> None:
        proposal = start(method, two_fault_bug, scripted_task, scripted_trainer).ask()
        if proposal is None:
            assert needs_curves(method)
            return
        assert proposal.program != two_fault_bug.program
        assert proposal.patch
        if proposal.by_actions:
            patch = proposal.patch
            assert replay(two_fault_bug.program, scripted_task, patch, Budget()) == proposal
            assert check(proposal.program, scripted_task) == []


def proposed(name: str, program: Program, task: Task) -> Program:
    first = Trial(status="ok")  # type: ignore[arg-type]
    repair = BASELINES[name](INGREDIENTS).start(Bug(id="", program=program), task, first, Rules(), 0)
    proposal = repair.ask()
    assert proposal is not None
    assert repair.ask() is None
    return proposal.program


@pytest.mark.parametrize(
    ("task", "units", "loss", "output", "labels", "width"),
    [
        (CLASSES, 10, "categorical_crossentropy", "softmax", "one_hot", 10),
        (CLASSES, 1, "categorical_crossentropy", "softmax", "one_hot", 10),
        (TWO, 2, "categorical_crossentropy", "softmax", "one_hot", 2),
        (TWO, 1, "binary_crossentropy", "sigmoid", "index", 1),
        (VALUES, 1, "mse", "linear", "value", 1),
    ],
)
def test_defaults_set_everything_but_the_architecture(
    task: Task, units: int, loss: str, output: str, labels: str, width: int
) -> None:
    program = proposed("defaults", mess(task.dataset, units), task)
    targets = (Prep(kind="standardize_target"),) if task.kind == "regression" else ()
    assert program == Program(
        data=Data(
            dataset=task.dataset,
            prep=(Prep(kind="scale", factor=100.0), Prep(kind="standardize"), *targets),
            labels=labels,  # type: ignore[arg-type]
        ),
        layers=(Dense(units=8, activation="relu"), Dense(units=width, activation=output)),  # type: ignore[arg-type]
        loss=loss,  # type: ignore[arg-type]
        optimizer=Optimizer(kind="adam", lr=0.01),
        batch_size=32,
        epochs=3,
    )
    assert check(program, task) == []


def test_defaults_leave_token_ids_alone() -> None:
    program = proposed("defaults", mess("reviews", 2), TEXTS)
    assert program.data.prep == ()


@pytest.mark.parametrize(
    ("task", "units", "loss", "kept", "output"),
    [
        (CLASSES, 10, "cross_entropy", "cross_entropy", "linear"),
        (TWO, 2, "cross_entropy", "cross_entropy", "linear"),
        (TWO, 1, "bce_with_logits", "bce_with_logits", "linear"),
        (TWO, 1, "cross_entropy", "binary_crossentropy", "sigmoid"),
        (CLASSES, 10, "bce_with_logits", "categorical_crossentropy", "softmax"),
    ],
)
def test_a_program_on_logits_stays_on_logits_where_that_is_right(
    task: Task, units: int, loss: LossName, kept: LossName, output: str
) -> None:
    faulty = mess(task.dataset, units, loss)
    assert default_loss(faulty, task) == kept
    program = proposed("defaults", faulty, task)
    assert (program.loss, output_activation(program)) == (kept, output)


def test_defaults_need_no_trial_for_a_program_that_has_them() -> None:
    good = proposed("defaults", mess("digits", 10), CLASSES)
    first = Trial(status="ok")  # type: ignore[arg-type]
    repair = BASELINES["defaults"](INGREDIENTS).start(Bug(id="", program=good), CLASSES, first, Rules(), 0)
    assert repair.ask() is None


def test_rewrite_is_a_standard_network_with_twice_the_epochs() -> None:
    program = proposed("rewrite", mess("digits", 10), CLASSES)
    assert program.epochs == 6
    hidden = (Dense(units=64, activation="relu"), BatchNorm()) * 2
    assert program.layers == (*hidden, Dense(units=10, activation="softmax"))


def test_random_differs_between_seeds_and_never_stops_early(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    method = BASELINES["random"](INGREDIENTS)
    repairs = {
        tuple(
            all_trials(start(method, two_fault_bug, scripted_task, scripted_trainer, seed), scripted_trainer)
        )
        for seed in range(5)
    }
    assert len(repairs) == 5
    assert {len(trials) for trials in repairs} == {5}


def test_fixed_order_takes_each_action_once_in_order(
    two_fault_bug: Bug, scripted_task: Task, scripted_trainer: Trainer
) -> None:
    repair = start(BASELINES["fixed_order"](INGREDIENTS), two_fault_bug, scripted_task, scripted_trainer)
    patches = all_trials(repair, scripted_trainer)
    assert [patch[-1] for patch in patches] == list(ORDER)


def test_greedy_cover_takes_what_adds_most() -> None:
    gains = np.array([[0.9, 0.8, 0.0, 0.0], [0.9, 0.8, 0.0, 0.0], [0.0, 0.5, 0.7, 0.0]])
    assert greedy_cover(gains) == [1, 0, 2]


def test_the_order_is_found_on_training_bugs(
    two_fault_bug: Bug,
    scripted_trainer: Trainer,
) -> None:
    good = two_fault_bug.fixed
    assert good is not None
    slow = replace(two_fault_bug, program=replace(good, optimizer=Optimizer(kind="adam", lr=3.0)))
    order = find_order([slow, two_fault_bug], ACTIONS, Rules(), scripted_trainer)
    rates = [name for name in order if name.startswith("optimizer/")]
    assert order[0] == rates[0]
    assert "activation/relu@output" not in order


def test_the_search_for_the_order_keeps_to_its_trials(two_fault_bug: Bug, scripted_trainer: Trainer) -> None:
    bugs = [replace(two_fault_bug, id=str(i)) for i in range(50)]
    find_order(bugs, ACTIONS, Rules(), scripted_trainer, trials=60)
    assert 0 < len(scripted_trainer.requests) <= 60  # type: ignore[attr-defined]


def test_an_order_survives_its_file(tmp_path: Path) -> None:
    save_order(tmp_path / "order.yaml", ORDER)
    assert load_order(tmp_path / "order.yaml") == ORDER


@pytest.mark.parametrize("text", ["", "fixed_order: []", "fixed_order: [1]", "- a", "fixed_order: [", "\x00"])
def test_a_wrong_order_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "order.yaml").write_text(text)
    with pytest.raises(NetmendError, match=r"order\.yaml"):
        load_order(tmp_path / "order.yaml")


def test_an_order_with_an_unknown_action_is_refused(tmp_path: Path) -> None:
    save_order(tmp_path / "order.yaml", ["optimizer/adams@program"])
    with pytest.raises(UnknownNameError, match="did you mean"):
        load_order(tmp_path / "order.yaml")

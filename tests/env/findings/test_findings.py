"""What is told about a program, and in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import numpy as np
import pytest

from netmend.env.bugs.bases import BASES
from netmend.env.bugs.loading import load_suite, without_missing_packs
from netmend.env.data import Part, load_dataset, make_dataset
from netmend.env.findings import faults, findings
from netmend.env.findings.finding import Case
from netmend.env.program import (
    PREP_KINDS,
    Activation,
    BatchNorm,
    Crash,
    Data,
    Dense,
    Detach,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    Loop,
    Position,
    Prep,
    Program,
    Weighted,
    find_crash,
)
from netmend.env.training.loop import LocalTrainer
from netmend.env.training.symptoms import LayerSymptoms, Symptoms
from netmend.env.training.trial import Budget, Curves, Status, Trial, TrialRequest
from netmend.repair_actions import CATALOGUE, edited, select, successors


def names(case: Case) -> list[str]:
    assert case.trial is not None
    return [finding.name for finding in findings(case.program, case.dataset, case.trial)]


def test_nothing_is_wrong_with_a_good_program(good: dict[str, Case]) -> None:
    assert [names(case) for case in good.values()] == [[], [], []]


def test_the_start_of_torch_is_no_finding(good: dict[str, Case]) -> None:
    start = {"kernel_init": "torch_default", "bias_init": "torch_default"}
    for case in good.values():
        layers = tuple(
            replace(layer, **start) if isinstance(layer, Weighted) else layer for layer in case.program.layers
        )
        assert any(isinstance(layer, Weighted) for layer in layers)
        assert names(replace(case, program=replace(case.program, layers=layers))) == []


def test_a_crash_has_only_findings_of_the_crash(good: dict[str, Case]) -> None:
    case = good["cross_entropy"]
    crashing = replace(
        case.program, layers=(*case.program.layers, Dense(units=4)), loop=Loop(zero_grad=False)
    )
    trial = Trial(status=Status.CRASHED, symptoms=Symptoms(underfitting=1.0, unscaled_inputs=3.0))
    assert names(Case(crashing, case.dataset, trial)) == ["crash"]


def test_a_program_out_of_limits_has_no_other_findings(good: dict[str, Case]) -> None:
    case = good["cross_entropy"]
    wide = replace(case.program, layers=(Dense(units=4096),) * 3, loop=Loop(zero_grad=False), batch_size=0)
    trial = Trial(status=Status.INVALID, message="layers", symptoms=Symptoms(underfitting=1.0))
    (finding,) = findings(wide, case.dataset, trial)
    assert (finding.name, finding.severity, finding.place) == ("invalid", "fault", "batch_size")


def test_a_crash_that_only_a_training_shows(good: dict[str, Case]) -> None:
    case = good["cross_entropy"]
    crash = Crash(phase="forward", kind="other", message="a batch of one row", layer=0)
    trial = Trial(status=Status.CRASHED, message="x", symptoms=Symptoms(crash=crash, underfitting=1.0))
    (finding,) = findings(case.program, case.dataset, trial)
    assert (finding.name, finding.place) == ("crash", "layer 1 (dense)")
    assert finding.text == "the program crashes in the forward pass at layer 1 (dense): a batch of one row"
    (unnamed,) = findings(case.program, case.dataset, Trial(status=Status.CRASHED, message="worker died"))
    assert unnamed.text == "the program crashes: worker died"


def test_missing_values_of_a_table_come_first_and_name_the_column(tmp_path: Path) -> None:
    """Ten updates later everything else is wrong too, but only because of them."""
    rng = np.random.default_rng(0)
    rows = [
        f"{i % 3},{'' if i % 100 < 19 else rng.normal(30, 13)},{rng.normal():.3f},{i % 2}" for i in range(400)
    ]
    path = tmp_path / "survivors.csv"
    path.write_text("\n".join(["pclass,age,fare,class", *rows]))
    program = Program(
        data=replace(BASES["circles_logit"].program.data, dataset=str(path), prep=()),
        layers=BASES["circles_logit"].program.layers,
        loss="bce_with_logits",
        optimizer=BASES["circles_logit"].program.optimizer,
    )
    dataset = load_dataset(str(path))
    (trial,) = LocalTrainer().run([TrialRequest(program=program, budget=Budget(), seed=0)])
    first, *rest = findings(program, dataset, trial)
    assert first.text.startswith("column age: 1")
    assert "% missing" in first.text
    assert first.edits == ("data_wrangling/fill_missing@inputs",)
    assert first.value == pytest.approx(0.19, abs=0.03)
    assert [finding.name for finding in rest] == ["unscaled_inputs", "broke_down"]
    assert faults(program, dataset) == (first,)
    filled = replace(program, data=replace(program.data, prep=(Prep(kind="fill_missing"),)))
    assert faults(filled, dataset) == ()


def test_features_without_names_are_counted_from_1(examples: dict[str, Case]) -> None:
    (named,) = faults(examples["missing_values"].program, examples["missing_values"].dataset)
    assert named.place == "column age"
    nameless = replace(examples["missing_values"].dataset, features=())
    (counted,) = faults(examples["missing_values"].program, nameless)
    assert (counted.place, counted.text) == (
        "feature 2",
        "feature 2: 19 % missing, and the program fills no gaps",
    )


def test_layers_are_counted_from_1(examples: dict[str, Case]) -> None:
    case = examples["dead_units"]
    assert case.trial is not None
    (finding,) = findings(case.program, case.dataset, case.trial)
    assert finding.place == "layer 3 (dense)"
    assert finding.text == "70 % of the units of layer 3 (dense) are zero on every row"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("increasing_loss", "the training loss rose in 44 % of the epochs"),
        ("large_weights", "30 % of the weights' tensors hold a value above 5"),
        ("overfitting", "the score is 0.40 on the training rows and 0.20 on the validation rows"),
        ("accuracy_of_values", "the program watches accuracy, which is always 0 for real targets"),
    ],
)
def test_a_finding_says_the_number_that_was_seen(examples: dict[str, Case], kind: str, text: str) -> None:
    case = examples[kind]
    told = findings(case.program, case.dataset, case.trial or Trial(status=Status.OK))
    assert text in [finding.text for finding in told]


def test_what_follows_from_a_breakdown_is_not_told(good: dict[str, Case]) -> None:
    case = good["cross_entropy"]
    layers = (LayerSymptoms(index=0, dead=1.0, saturated=1.0, gradient_zero=1.0),)
    symptoms = Symptoms(
        non_finite=1.0, large_weights=1.0, exploding_gradient=1.0, dead_units=1.0, layers=layers
    )
    curves = Curves(train_loss=(1.0,), train_score=(0.2,), validation_loss=(1.0,), validation_score=(0.2,))
    trial = Trial(status=Status.DIVERGED, symptoms=symptoms, curves=curves)
    assert names(Case(case.program, case.dataset, trial)) == ["broke_down"]


def test_a_sigmoid_in_front_of_a_loss_on_logits_is_a_fault(good: dict[str, Case]) -> None:
    case = good["binary_crossentropy"]
    for layers in (
        case.program.layers,
        (case.program.layers[0], Dense(units=1), Activation(function="sigmoid")),
    ):
        twice = replace(case.program, loss="bce_with_logits", layers=layers)
        (finding,) = faults(twice, case.dataset)
        assert finding.name == "logits_squashed"


WRONG_LOOPS = [
    (name, value)
    for name, kind in get_type_hints(Loop).items()
    for value in get_args(kind) or (True, False)
    if value != getattr(Loop(), name)
]


@pytest.mark.parametrize(("name", "value"), WRONG_LOOPS)
def test_every_other_value_of_the_loop_is_a_fault_with_a_legal_answer(
    good: dict[str, Case], name: str, value: object
) -> None:
    case = good["cross_entropy"]
    wrong = replace(case.program, loop=replace(Loop(), **{name: value}))  # type: ignore[arg-type]
    (finding,) = faults(wrong, case.dataset)
    assert [edited(CATALOGUE[edit], wrong, case.task) for edit in finding.edits] == [case.program]


@pytest.mark.parametrize("kind", [kind for kind, facts in PREP_KINDS.items() if facts.side == "inputs"])
def test_a_step_of_the_training_rows_alone_is_a_fault(good: dict[str, Case], kind: str) -> None:
    case = good["cross_entropy"]
    step = Prep(kind=kind, factor=0.5, rows="train")  # type: ignore[arg-type]
    prepared = replace(case.program, data=replace(case.program.data, prep=(step,)))
    if find_crash(prepared, case.task) is None:
        found = [finding.name for finding in faults(prepared, case.dataset)]
        assert found == ([] if PREP_KINDS[step.kind].for_all_rows else ["prepared_apart"])


NOT_OPTIMIZED: list[tuple[str, str, tuple[Layer, ...], str]] = [
    ("blobs", "output", (BatchNorm(), Dense(units=6)), "layer 1 (batch_norm)"),
    ("blobs", "hidden", (LayerNorm(), Dense(units=6), BatchNorm()), "layer 2 (dense), layer 3 (batch_norm)"),
    ("reviews", "output", (Embedding(units=8), GlobalPool(), Dense(units=2)), "layer 1 (embedding)"),
    ("grammar", "output", (Embedding(units=8), Position(), Flatten(), Dense(units=2)), "layer 2 (position)"),
    ("blobs", "output", (Dense(units=8, trainable=False), Dense(units=6)), ""),
    ("blobs", "output", (Dense(units=6),), ""),
]


@pytest.mark.parametrize(("dataset", "optimized", "layers", "told"), NOT_OPTIMIZED)
def test_whatever_learns_is_named_where_the_optimizer_was_not_given_it_and_what_is_frozen_is_not(
    good: dict[str, Case],
    dataset: str,
    optimized: Literal["hidden", "output"],
    layers: tuple[Layer, ...],
    told: str,
) -> None:
    plain = replace(good["cross_entropy"].program, data=Data(dataset=dataset), layers=layers)
    found = faults(replace(plain, loop=Loop(optimized=optimized)), load_dataset(dataset))
    assert [finding.name for finding in found] == ["not_all_optimized"] * bool(told)
    assert all(told in finding.text for finding in found)
    cut = replace(plain, layers=(*layers[:-1], Detach(), layers[-1]))
    if optimized == "output":
        found = faults(cut, load_dataset(dataset))
        assert [finding.name for finding in found] == ["gradient_cut"] * bool(told)


def test_every_crash_has_an_edit_that_is_legal_where_there_is_any() -> None:
    actions = tuple(CATALOGUE.values())
    crashes = 0
    bugs, _ = without_missing_packs(load_suite("real-v1").bugs)
    for bug in load_suite("crashes-v1").split("held-out") + bugs:
        task = load_dataset(bug.program.data.dataset).task
        if find_crash(bug.program, task) is None:
            continue
        crashes += 1
        (finding, *_) = faults(bug.program, load_dataset(bug.program.data.dataset))
        assert finding.name == "crash"
        if any(successors(actions, bug.program, task).legal):
            assert any(successors(select(finding.edits), bug.program, task).legal), bug.id
    assert crashes > 60


def test_the_programs_that_mutants_are_made_from_have_no_fault() -> None:
    wrong = {
        name: faults(base.program, load_dataset(base.program.data.dataset)) for name, base in BASES.items()
    }
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.slow
def test_published_fixes_have_a_fault_in_one_of_twenty_at_most() -> None:
    """Those that remain are wrong: a linear output in front of a cross-entropy on probabilities, mostly."""
    fixes = {
        bug.fixed
        for suite in ("real-v1", "icst2023-v1", "crashes-v1", "mutants-v1")
        for bug in load_suite(suite).bugs
        if bug.fixed is not None and bug.recovered(1.0) is not None
    }
    wrong = [program for program in fixes if faults(program, load_dataset(program.data.dataset))]
    assert len(fixes) > 200
    assert len(wrong) <= 0.05 * len(fixes)


def test_many_columns_with_gaps_are_one_finding() -> None:
    whole = load_dataset("digits")
    x = whole.train.x.copy()
    x[:10, 3:20] = np.inf
    gaps = make_dataset(whole.task, Part(x, whole.train.y), whole.validation, whole.holdout)
    program = BASES["digits_keras"].program
    (finding,) = faults(program, gaps)
    assert finding.place == "17 of 64 columns, most of all feature 4"

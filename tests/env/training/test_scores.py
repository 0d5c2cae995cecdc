"""Metric, skill and collapse of every kind of task."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from netmend.env.program import (
    Activation,
    BatchNorm,
    Data,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LossName,
    Optimizer,
    Program,
    Rescale,
    Shared,
    Task,
)
from netmend.env.program.names import CLASS_METRICS
from netmend.env.training.scores import (
    class_metric,
    collapsed,
    cut,
    judge,
    judged_skill,
    metric,
    skill,
)
from netmend.env.training.trial import SKILL_FLOOR

IDS = torch.tensor([0, 0, 0, 1])
LABELS = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 1]])
VALUES = torch.tensor([[0.0], [1.0], [2.0]])


@pytest.mark.parametrize("truth", [IDS, LABELS, VALUES])
def test_the_truth_has_skill_1(truth):
    assert float(metric(truth, truth)) == 1
    assert skill(1.0, truth) == 1


@pytest.mark.parametrize(
    ("guess", "truth"),
    [
        (torch.zeros(4, dtype=torch.int64), IDS),
        (torch.tensor([[1, 0]] * 4), LABELS),
        (torch.tensor([[1, 1]] * 4), LABELS),
        (torch.ones(3, 1), VALUES),
    ],
)
def test_the_best_constant_guess_has_skill_0(guess, truth):
    assert skill(float(metric(guess, truth)), truth) == pytest.approx(0, abs=1e-6)
    assert collapsed(guess, truth) == 1


def test_labels_count_one_by_one():
    predicted = LABELS.clone()
    predicted[0, 0] = 0
    assert float(metric(predicted, LABELS)) == pytest.approx(7 / 8)
    assert skill(7 / 8, LABELS) == pytest.approx((7 / 8 - 5 / 8) / (3 / 8))
    assert collapsed(LABELS, LABELS) == 1 / 2
    assert collapsed(predicted, LABELS) == 1 / 4


def test_skill_has_a_floor_and_labels_that_never_change_no_scale():
    assert skill(0.0, IDS) == SKILL_FLOOR
    constant = torch.zeros(5, 2, dtype=torch.int64)
    assert skill(1.0, constant) == 0
    assert skill(0.9, constant) == SKILL_FLOOR


def test_a_prediction_that_is_no_number_has_the_least_skill():
    truth = torch.tensor([[1.0], [2.0], [3.0]])
    score = float(metric(torch.tensor([[1.0], [float("nan")], [3.0]]), truth))
    assert skill(score, truth) == SKILL_FLOOR


def unit(activation: str = "linear", *behind: Layer) -> tuple[Layer, ...]:
    return (Dense(units=4, activation="relu"), Dense(units=1, activation=activation), *behind)  # type: ignore[arg-type]


SIGMOID = Activation(function="sigmoid")


@pytest.mark.parametrize(
    ("loss", "layers", "place"),
    [
        ("binary_crossentropy", unit("sigmoid"), 0.5),
        ("bce_with_logits", unit("sigmoid"), 0.5),
        ("bce_with_logits", unit("linear", SIGMOID), 0.5),
        ("bce_with_logits", unit("linear", SIGMOID, Dropout(rate=0.1), Flatten()), 0.5),
        ("bce_with_logits", (Dense(units=1, activation="sigmoid"), Shared()), 0.5),
        ("hinge", unit("sigmoid"), 0.5),
        ("bce_with_logits", unit("hard_sigmoid"), 0.5),
        ("bce_with_logits", unit("softmax"), 0.5),
        ("mse", unit(), 0.5),
        ("mse", unit("tanh"), 0.5),
        ("binary_crossentropy", unit(), 0.5),
        ("bce_with_logits", unit(), 0.0),
        ("bce_with_logits", unit("relu"), 0.0),
        ("bce_with_logits", unit("tanh"), 0.0),
        ("bce_with_logits", unit("sigmoid", Rescale(factor=2, offset=-1)), 0.0),
        ("bce_with_logits", unit("sigmoid", BatchNorm()), 0.0),
        ("hinge", unit("tanh"), 0.0),
        ("squared_hinge", unit(), 0.0),
    ],
)
def test_one_unit_is_cut_where_its_own_output_says(
    loss: LossName, layers: tuple[Layer, ...], place: float
) -> None:
    program = Program(data=Data(dataset="two"), layers=layers, loss=loss, optimizer=Optimizer())
    assert cut(program) == place


RARE = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
SAID = torch.tensor([0, 0, 0, 0, 0, 1, 1, 0])
"""Five of six zeros and one of two ones are right."""
THREE = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
SAID_OF_THREE = torch.tensor([0, 0, 0, 1, 1, 1, 0, 1])
SAID_LABELS = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 1]])


def task_of(truth: torch.Tensor, judged_by: str) -> Task:
    kind, outputs = ("multilabel", 2) if truth.dim() == 2 else ("classification", int(truth.max()) + 1)
    return Task(dataset="x", kind=kind, input_shape=(1,), outputs=outputs, judged_by=judged_by)


@pytest.mark.parametrize(
    ("name", "said", "truth", "wanted"),
    [
        ("balanced_accuracy", SAID, RARE, (5 / 6 + 1 / 2) / 2),
        ("f1", SAID, RARE, 2 * 1 / (2 + 2)),
        ("balanced_accuracy", SAID_OF_THREE, THREE, (3 / 4 + 1 + 0) / 3),
        ("f1", SAID_OF_THREE, THREE, (6 / 8 + 4 / 6 + 0) / 3),
        ("f1", SAID_LABELS, LABELS, (4 / 5 + 4 / 5) / 2),
        ("balanced_accuracy", SAID_LABELS, LABELS, (2 / 3 + 1 + 1 + 1 / 2) / 4),
    ],
)
def test_metrics_of_rare_classes_by_hand(name, said, truth, wanted):
    assert float(judge(said, truth, task_of(truth, name))) == pytest.approx(wanted)


def test_a_class_that_is_not_there_has_no_recall_and_one_that_is_said_wrongly_no_f1():
    said, truth = torch.tensor([0, 0, 2, 1]), torch.tensor([0, 0, 0, 1])
    assert float(class_metric("balanced_accuracy", said, truth, 5)) == pytest.approx((2 / 3 + 1) / 2)
    assert float(class_metric("f1", said, truth, 5)) == pytest.approx((4 / 5 + 1 + 0) / 3)
    assert float(class_metric("f1", truth * 0, truth * 0, 2)) == 0


def test_a_predicted_id_that_is_no_class_is_one_with_no_f1():
    said, truth = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 2])
    assert float(class_metric("f1", said, truth, 3)) == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert float(class_metric("f1", said[2:], truth[2:], 2)) == 0  # of class 1, which is not there


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("outputs", [2, 3, 6])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_metrics_of_classes_are_those_of_scikit_learn(seed, outputs):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randint(outputs, (12,), generator=generator)
    said = torch.randint(outputs + 3, (12,), generator=generator)
    ours = [float(class_metric(name, said, truth, outputs)) for name in ("f1", "balanced_accuracy")]
    chosen = {"labels": [1]} if outputs == 2 else {}
    assert ours[0] == pytest.approx(f1_score(truth, said, average="macro", **chosen))
    assert ours[1] == pytest.approx(balanced_accuracy_score(truth, said))


@pytest.mark.parametrize("seed", range(3))
def test_the_f1_of_labels_is_that_of_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    truth, said = torch.randint(2, (2, 12, 4), generator=generator)
    assert float(class_metric("f1", said, truth, 4)) == pytest.approx(f1_score(truth, said, average="macro"))


@pytest.mark.parametrize("name", CLASS_METRICS)
@pytest.mark.parametrize("truth", [RARE, THREE, LABELS])
def test_no_constant_guess_has_skill_and_the_truth_has_all(name, truth):
    task = task_of(truth, name)
    guesses = [torch.full_like(truth, guess) for guess in range(int(truth.max()) + 1)]
    skills = [judged_skill(float(judge(guess, truth, task)), truth, task) for guess in guesses]
    assert max(skills) == pytest.approx(0)
    assert judged_skill(float(judge(truth, truth, task)), truth, task) == 1

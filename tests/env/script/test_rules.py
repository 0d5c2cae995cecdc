"""What holds for every rule: it finds something in its example, and nothing in a good script."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from netmend.env.script.record import (
    Array,
    Crashed,
    Fact,
    LoaderMade,
    Loop,
    LossCall,
    Operation,
    OptimizerMade,
    Record,
    SamplerMade,
    Setting,
)
from netmend.env.script.rules import RULES, findings
from netmend.env.script.site import Site
from netmend.repair_actions import CATALOGUE

ROWS = 32


def at(line: int, function: str = "<module>") -> Site:
    return Site("train.py", line, 4, line, 20, function)


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return Array(shape=shape, dtype="float32", low=low, high=high, mean=0.0, deviation=1.0, distinct=100)


def ids(*shape: int, high: int, low: int = 0) -> Array:
    return Array(
        shape=shape,
        dtype="int64",
        low=low,
        high=high,
        mean=1.0,
        deviation=1.0,
        whole=True,
        distinct=high - low + 1,
    )


def linear(inputs: int, outputs: int, name: str, *taken: int) -> Operation:
    return Operation(
        kind="Linear",
        module=name,
        owner="",
        settings={"in_features": inputs, "out_features": outputs, "bias": True},
        inputs=taken or (-1,),
        received=floats(ROWS, inputs),
        returned=floats(ROWS, outputs),
        made=at(5),
        called=None,
        trainable=inputs * outputs + outputs,
        weights=(0.0, inputs**-0.5 / 2),
    )


def function(kind: str, width: int, *taken: int, low: float = 0.0, **settings: Setting) -> Operation:
    return Operation(
        kind=kind,
        module=None,
        owner="",
        settings=settings,
        inputs=taken,
        received=floats(ROWS, width),
        returned=floats(ROWS, width, low=low),
        made=None,
        called=at(7, "forward"),
    )


LAYERS = (linear(4, 16, "hidden"), function("relu", 16, 0), linear(16, 3, "out", 1))
LOSS = LossCall(
    kind="cross_entropy",
    settings={},
    output=floats(ROWS, 3),
    target=ids(ROWS, high=2),
    made=at(12),
    called=at(16),
    behind=("NllLoss", "LogSoftmax", "Addmm", "Relu", "Addmm"),
)
VALUES = replace(
    LOSS,
    kind="mse_loss",
    output=floats(ROWS, 1),
    target=floats(ROWS, 1),
    behind=("MseLoss", "Addmm", "Relu", "Addmm"),
)
LOGITS = replace(
    VALUES,
    kind="binary_cross_entropy_with_logits",
    target=ids(ROWS, 1, high=1),
    behind=("BinaryCrossEntropyWithLogits", "Addmm"),
)
CELL = replace(LAYERS[0], kind="LSTM", settings={"batch_first": True}, returned=floats(ROWS, 7, 16))
TURNED = replace(function("view", 4, -1), received=floats(ROWS, 8, 8, 3), returned=floats(ROWS, 3, 8, 8))
FIRST = replace(
    LAYERS[1], kind="getitem", settings={"1": ":,0"}, received=floats(ROWS, 7, 16), returned=floats(ROWS, 16)
)
ADAM = OptimizerMade(
    kind="Adam",
    settings={"lr": 0.001},
    made=at(11),
    given=("hidden.weight", "hidden.bias", "out.weight", "out.bias"),
    stepped=at(18),
    steps=100,
)
GOOD = Record(
    operations=LAYERS,
    modules={"": "Net", "hidden": "Linear", "drop": "Dropout", "out": "Linear"},
    made=at(10),
    network="Net",
    inputs=floats(ROWS, 4),
    targets=ids(ROWS, high=2),
    loss=LOSS,
    optimizers=(ADAM,),
    loaders=(LoaderMade(batch_size=ROWS, shuffle=True, rows=320, made=at(9), trains=True),),
    loops=(
        Loop(kind="range", rounds=10, step=1, site=at(13)),
        Loop(kind="loader", rounds=10, step=1, site=at(14)),
    ),
    zeroed=at(15),
    backward=at(17),
    forward=at(16),
    losses=tuple(float(loss) for loss in np.linspace(1.1, 0.2, 100)),
    updates=100,
)


def weighted_loader(weights: int) -> LoaderMade:
    sampler = SamplerMade(weights=weights, listed=False, made=at(8))
    return replace(GOOD.loaders[0], sampler=sampler)


def with_fact(name: str, text: str = "what was seen", line: int | None = 17, **changes: object) -> Record:
    fact = Fact(name=name, value=2.0, text=text, site=at(line) if line else None)
    return replace(GOOD, facts=(fact,), **changes)  # type: ignore[arg-type]


def with_loss(loss: LossCall = LOSS, layers: tuple[Operation, ...] = LAYERS, **changes: object) -> Record:
    return replace(GOOD, loss=replace(loss, **changes), operations=layers)  # type: ignore[arg-type]


def with_rows(folder: Path, inputs: np.ndarray, targets: np.ndarray | None = None) -> Record:
    path = folder / "data.npz"
    labels = np.arange(len(inputs)) % 3 if targets is None else targets
    np.savez(path, inputs=inputs.astype(np.float32), targets=labels)
    return replace(GOOD, data=str(path))


def crashed(operation: str, message: str, *operands: Array, error: str = "RuntimeError") -> Record:
    crash = Crashed(
        error=error,
        message=message,
        site=at(7),
        operation=operation,
        module="out",
        made=at(5),
        operands=operands,
    )
    return replace(GOOD, crash=crash, updates=0, losses=(), ending="crashed")


POSITIONLESS = (
    replace(
        linear(1, 16, "tokens"), received=floats(ROWS, 8), returned=floats(ROWS, 8, 16), kind="Embedding"
    ),
    replace(
        function("TransformerEncoder", 16, 0), received=floats(ROWS, 8, 16), returned=floats(ROWS, 8, 16)
    ),
)


def examples(folder: Path) -> Mapping[str, Record]:
    """By rule, a record in which it finds something. Rows are written into the folder."""
    rows = np.random.default_rng(0).normal(size=(320, 4))
    gap, constant = rows.copy(), rows.copy()
    gap[3, 2], constant[:, 1] = np.nan, 7.0
    folders = [folder / str(number) for number in range(7)]
    for one in folders:
        one.mkdir()
    behind_sigmoid = ("MseLoss", "Sigmoid", "Addmm")
    scaled = with_rows(folders[6], rows)
    np.savez(str(scaled.data), inputs=rows, targets=np.zeros(320), holdout_inputs=rows * 40)
    weighed = with_rows(folders[4], rows, (np.arange(320) % 20 == 0).astype(int))
    heavy = replace(ADAM, kind="SGD", settings={"momentum": 0.999})
    dead = replace(LAYERS[1], returned=floats(ROWS, 16, low=0, high=0))
    return {
        "crash": crashed(
            "Linear", "mat1 and mat2 shapes cannot be multiplied", floats(32, 128), floats(64, 2048)
        ),
        "undrawn_rows": replace(GOOD, loaders=(weighted_loader(3),)),
        "missing_values": with_rows(folders[0], gap),
        "gradients_add_up": with_fact("no_zero_grad", zeroed=None),
        "step_before_backward": with_fact("step_before_backward", line=16),
        "zeroed_before_step": with_fact("zeroed_before_step"),
        "loss_cut": with_fact("detached_loss"),
        "never_stepped": replace(GOOD, updates=0, optimizers=(replace(ADAM, steps=0),)),
        "unregistered": with_fact("unregistered"),
        "not_all_optimized": with_fact("not_optimized"),
        "optimizer_in_front": with_fact("optimizer_in_front"),
        "no_training_mode": with_fact("trained_in_evaluation_mode"),
        "no_evaluation_mode": with_fact("evaluated_in_training_mode"),
        "broadcast_targets": with_loss(VALUES, target=floats(ROWS)),
        "logits_squashed": with_loss(behind=("NllLoss", "LogSoftmax", "Softmax", "Addmm")),
        "activation_twice": with_loss(kind="nll_loss", behind=("NllLoss", "LogSoftmax", "Relu", "Addmm")),
        "no_probabilities": with_loss(kind="nll_loss", behind=("NllLoss", "Addmm")),
        "lone_softmax": with_loss(
            kind="binary_cross_entropy",
            output=floats(ROWS, 1, low=1, high=1),
            target=ids(ROWS, 1, high=1),
            behind=("BinaryCrossEntropy", "Softmax", "Addmm"),
        ),
        "softmax_over_rows": with_loss(
            kind="nll_loss",
            output=floats(ROWS, 3, high=0),
            behind=("NllLoss", "LogSoftmax", "Addmm"),
            layers=(*LAYERS, function("log_softmax", 3, 2, dim=0)),
        ),
        "lone_category": with_loss(output=floats(ROWS, 1)),
        "refused_targets": with_loss(
            kind="binary_cross_entropy_with_logits", target=floats(ROWS, high=5, low=0)
        ),
        "out_of_reach": with_loss(VALUES, behind=behind_sigmoid, target=floats(ROWS, 1, high=90)),
        "weighted_by_share": replace(weighed, loss=replace(LOSS, settings={"weight": (0.949, 0.051)})),
        "weights_reversed": replace(weighed, loss=replace(LOSS, settings={"weight": (3.0, 1.0)})),
        "sorted_rows": with_rows(folders[1], rows, np.arange(320) // 107),
        "unscaled_inputs": with_rows(folders[2], 100 * rows),
        "rescaled_inputs": replace(
            with_rows(folders[2], 100 * rows), facts=with_fact("rescaled", "x * 255").facts
        ),
        "input_spread": with_rows(folders[3], rows * [0.001, 1, 1, 1]),
        "unscaled_targets": with_loss(VALUES, target=replace(floats(ROWS, 1), mean=2e5)),
        "imbalance": weighed,
        "constant_columns": with_rows(folders[5], constant),
        "no_gradient": with_fact("no_gradient", "no gradient reaches hidden.weight, hidden.bias"),
        "network_left_out": with_fact("network_not_optimized", "not given to the optimizer: weight"),
        "mirrored": with_fact("mirrored", "1"),
        "steps_over_rows": with_fact("steps_over_rows"),
        "rows_mixed": with_fact("rows_mixed"),
        "shuffled_steps": with_fact("shuffled_steps"),
        "axes_recut": replace(GOOD, operations=(TURNED, *LAYERS)),
        "first_step": replace(GOOD, operations=(CELL, FIRST, *LAYERS[2:])),
        "padded_step": replace(
            GOOD,
            operations=(CELL, replace(FIRST, settings={"1": ":,-1"}), *LAYERS[2:]),
            facts=(Fact(name="ends_in_padding", value=0.5, text="0 ends 1", site=CELL.called),),
        ),
        "no_positions": replace(
            GOOD, operations=(*POSITIONLESS, replace(function("mean", 16, 1), received=floats(ROWS, 8, 16)))
        ),
        "rounded_logits": with_fact("outputs_cut", "round", loss=LOGITS),
        "chosen_from_one": with_fact("chosen_from_one", "argmax", loss=LOGITS),
        "logits_cut_at_half": with_fact("outputs_cut", "gt", loss=LOGITS),
        "large_penalty": replace(
            GOOD, facts=(Fact(name="penalty", value=30.0, text="30 and 1", site=at(16)),)
        ),
        "summed_part": replace(
            GOOD, facts=(Fact(name="summed_part", value=32.0, text="6 and 1", site=at(16)),)
        ),
        "turned_loss": replace(
            with_loss(behind=("Neg", "NllLoss", "LogSoftmax", "Addmm")), losses=(-1.0, -2.0, -3.0)
        ),
        "heavy_dropout": replace(GOOD, operations=(LAYERS[0], function("dropout", 16, 0, p=0.9), LAYERS[2])),
        "large_decay": replace(GOOD, optimizers=(replace(ADAM, settings={"weight_decay": 5.0}),)),
        "other_scale": replace(scaled, evaluated=at(19)),
        "far_rate": replace(GOOD, optimizers=(replace(ADAM, settings={"lr": 1.0}),)),
        "wrong_mask": with_fact("mask_reversed", "attn_mask of MultiheadAttention is turned round"),
        "shuffled_apart": with_fact("shuffled_apart", "x and y"),
        "fitted_apart": with_fact("fitted_apart", "test"),
        "schedule_per_update": with_fact("schedule_per_update"),
        "plateau_mode": with_fact("minimized_score"),
        "no_backward": with_fact("no_backward"),
        "rate_as_factor": with_fact("rate_as_factor", "the rate"),
        "kept_uncopied": with_fact("kept_uncopied", "best"),
        "stop_mode": with_fact("wrong_mode", "EarlyStopping"),
        "broadcast_score": with_fact("broadcast_score"),
        "other_order": with_fact("other_order"),
        "exhausted": with_fact("exhausted", "zip(x, y)"),
        "heavy_momentum": replace(GOOD, optimizers=(heavy,)),
        "few_updates": replace(GOOD, updates=10),
        "summed_loss": replace(
            with_loss(settings={"reduction": "sum"}), optimizers=(replace(heavy, settings={"lr": 0.1}),)
        ),
        "values_for_classes": with_loss(VALUES, behind=behind_sigmoid, target=ids(ROWS, 1, high=1)),
        "dropped_outputs": replace(GOOD, operations=(*LAYERS, function("dropout", 3, 2, p=0.5))),
        "equal_start": replace(GOOD, operations=(replace(LAYERS[0], weights=(0.1, 0.0)), *LAYERS[1:])),
        "wide_start": replace(
            GOOD, operations=(LAYERS[0], LAYERS[1], replace(LAYERS[2], weights=(0.0, 5.0)))
        ),
        "broke_down": replace(GOOD, losses=(1.0, float("nan"))),
        "growing_loss": replace(GOOD, losses=tuple(float(loss) for loss in range(1, 60))),
        "constant_loss": replace(GOOD, losses=(0.7,) * 50),
        "dead_units": replace(GOOD, operations=(LAYERS[0], dead, LAYERS[2])),
        "vanishing": replace(GOOD, operations=(*(function("sigmoid", 16, 0),) * 3, LAYERS[2])),
        "no_activation": replace(GOOD, operations=(LAYERS[0], linear(16, 3, "out", 0))),
    }


UNANSWERED = {"never_stepped", "turned_loss"}
"""No repair action writes a call of the loop that is missing, or takes a minus away."""
NAMES = [rule.name for rule in RULES]


@pytest.fixture(scope="module")
def by_rule(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Record]:
    return examples(tmp_path_factory.mktemp("rows"))


def test_every_rule_has_one_name_and_one_example(by_rule: Mapping[str, Record]) -> None:
    assert [name for name, count in Counter(NAMES).items() if count > 1] == []
    assert by_rule.keys() == set(NAMES)


def test_a_good_script_has_no_finding(tmp_path: Path) -> None:
    assert findings(GOOD) == ()
    assert findings(with_rows(tmp_path, np.random.default_rng(0).normal(size=(320, 4)))) == ()
    assert findings(with_loss(VALUES)) == ()
    for weights in (320, 256):  # the first rows alone may be meant, where they are most of all
        assert findings(replace(GOOD, loaders=(weighted_loader(weights),))) == ()
    unused = replace(weighted_loader(3), trains=False)
    assert findings(replace(GOOD, loaders=(*GOOD.loaders, unused))) == ()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_in_its_example_with_a_site_and_a_sentence(
    name: str, by_rule: Mapping[str, Record]
) -> None:
    record = by_rule[name]
    (finding, *_) = (one for one in findings(record) if one.name == name)
    assert finding.site is not None
    assert finding.sure == "certain" or finding.severity == "warning"
    assert math.isfinite(finding.value)
    assert not re.search(r"[{}]", finding.text)
    assert not finding.text.endswith(".")
    assert len(finding.text) < 180
    assert bool(finding.edits) == (name not in UNANSWERED)
    for edit in finding.edits:
        assert any(fnmatchcase(action, edit) for action in CATALOGUE), edit


@pytest.mark.parametrize("name", [rule.name for rule in RULES if rule.severity == "fault"])
def test_a_fault_is_the_first_finding_of_its_example(name: str, by_rule: Mapping[str, Record]) -> None:
    assert findings(by_rule[name])[0].name == name


def test_a_fault_with_one_answer_comes_before_all_others(by_rule: Mapping[str, Record]) -> None:
    record = replace(by_rule["logits_squashed"], facts=by_rule["gradients_add_up"].facts, zeroed=None)
    record = replace(record, optimizers=by_rule["far_rate"].optimizers)
    assert [one.name for one in findings(record)] == ["gradients_add_up", "logits_squashed", "far_rate"]


@pytest.mark.parametrize("between", [0, 1])
@pytest.mark.parametrize("kind", ["add", "GRU", "Conv1d", "dropout"])
def test_positions_are_what_knows_the_order_of_the_steps(kind: str, between: int) -> None:
    tokens, attended = POSITIONLESS
    kind = {"dropout": "Dropout"}.get(kind, kind)
    other = replace(attended, kind=kind, inputs=(between,))
    mean = replace(function("mean", 16, 2), received=floats(ROWS, 8, 16))
    operations = (tokens, *([other, attended] if not between else [attended, other]), mean)
    operations = (*operations[:2], replace(operations[2], inputs=(1,)), mean)
    names = {one.name for one in findings(replace(GOOD, operations=operations))}
    assert ("no_positions" in names) == (kind == "Dropout")


@pytest.mark.parametrize(
    ("kind", "decay", "found"), [("Adam", 0.3, True), ("SGD", 0.05, False), ("AdamW", 0.3, False)]
)
def test_a_decay_is_large_as_a_part_of_the_gradient_or_as_a_share_of_the_rate(
    kind: str, decay: float, found: bool
) -> None:
    made = replace(ADAM, kind=kind, settings={"lr": 0.001, "weight_decay": decay})
    names = {one.name for one in findings(replace(GOOD, optimizers=(made,)))}
    assert ("large_decay" in names) == found


@pytest.mark.parametrize(
    ("kind", "rates"), [("Adam", ("lr_0.001", "lr_0.01")), ("SGD", ("lr_0.01", "lr_0.1")), ("Adadelta", ())]
)
def test_a_far_rate_is_answered_by_the_usual_one_and_ten_times_that(
    kind: str, rates: tuple[str, ...]
) -> None:
    made = replace(ADAM, kind=kind, settings={"lr": 1e-8})
    (finding,) = findings(replace(GOOD, optimizers=(made,)))
    assert finding.edits[: len(rates)] == tuple(f"optimizer/{rate}@program" for rate in rates)
    assert all(edit not in CATALOGUE for edit in finding.edits[len(rates) :])


@pytest.mark.parametrize("weights", [(0.051, 0.949), (1.0, 1.0), (1.0, 19.0)])
def test_weights_that_make_up_for_the_shares_are_right(
    by_rule: Mapping[str, Record], weights: tuple[float, ...]
) -> None:
    loss = replace(LOSS, settings={"weight": weights})
    assert findings(replace(by_rule["weighted_by_share"], loss=loss)) == ()


def test_a_script_that_crashes_before_its_first_update_has_the_crash_alone(
    by_rule: Mapping[str, Record],
) -> None:
    crash, wrong = by_rule["crash"], by_rule["far_rate"]
    both = replace(wrong, crash=crash.crash, updates=0)
    assert [one.name for one in findings(both)] == ["crash"]
    assert [one.name for one in findings(replace(both, updates=90))] == ["crash", "far_rate"]


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(with_fact("no_zero_grad", optimizers=(ADAM, ADAM)), id="of two optimizers one"),
        pytest.param(with_fact("step_before_backward", line=12), id="a step in front of the loop"),
        pytest.param(
            replace(GOOD, losses=tuple(map(float, range(1, 60))), optimizers=(ADAM, ADAM)), id="two trainings"
        ),
        pytest.param(with_fact("not_optimized", opaque=("pretrained part",)), id="loaded weights"),
        pytest.param(with_fact("not_optimized", optimizers=(replace(ADAM, given=()),)), id="a picture"),
        pytest.param(with_fact("evaluated_in_training_mode", modules={"": "Net"}), id="no dropout"),
        pytest.param(with_fact("no_gradient", "no gradient reaches unused.weight"), id="a layer without use"),
        pytest.param(with_loss(VALUES, target=floats(1)), id="one target for all rows"),
        pytest.param(with_loss(VALUES, output=floats(ROWS, 1, 8), target=floats(ROWS, 4, 8)), id="targets"),
        pytest.param(with_loss(behind=("NllLoss", "LogSoftmax", "LogSoftmax")), id="logarithms twice"),
        pytest.param(
            with_loss(behind=("Add", "NllLoss", "LogSoftmax", "Softmax")), id="a branch in front of the loss"
        ),
        pytest.param(
            with_loss(VALUES, behind=("MseLoss", "Sigmoid"), target=floats(ROWS, 1, low=0, high=1.01)),
            id="noise at the end of the range",
        ),
        pytest.param(with_loss(kind="nll_loss", output=floats(ROWS, 3, high=0)), id="logarithms"),
        pytest.param(
            with_loss(kind="cross_entropy", output=floats(ROWS, 1, 8, 8)), id="a picture with one class"
        ),
        pytest.param(
            replace(GOOD, operations=(LAYERS[0], linear(16, 8, "low", 0), linear(8, 30, "rank", 1))),
            id="a low rank",
        ),
    ],
)
def test_what_is_right_has_no_fault(record: Record) -> None:
    assert [one.name for one in findings(record) if one.severity == "fault"] == []


def test_the_page_lists_every_rule_with_how_sure_it_is() -> None:
    page = (Path(__file__).parents[3] / "docs" / "check.md").read_text("utf-8")
    faults, warnings = page.split("## Faults")[1].split("## Warnings")
    assert re.findall(r"^\| `(\w+)`", faults, re.MULTILINE) == [
        rule.name for rule in RULES if rule.severity == "fault"
    ]
    assert re.findall(r"^\| `(\w+)` \| (\w+)", warnings, re.MULTILINE) == [
        (rule.name, rule.sure) for rule in RULES if rule.severity == "warning"
    ]


def test_a_schedule_tells_what_it_has_made_of_the_rate() -> None:
    (found,) = findings(
        with_fact("schedule_per_update", optimizers=(replace(ADAM, rates=(1e-9, 0.001)),), updates=100)
    )
    assert found.text.endswith("steps after every update: in 100 updates the rate goes from 0.001 to 1e-09")

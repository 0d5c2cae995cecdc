"""What repair actions change in a script of which only a record is known."""

from __future__ import annotations

import pytest

from netmend.env.script.actions import ANSWERS, described, record_changes
from netmend.env.script.edit import WORDS
from netmend.env.script.record import Array, Crashed, Fact, Operation, OptimizerMade, Record
from netmend.env.script.site import Site
from netmend.env.script.source import EditRefused
from netmend.repair_actions import CATALOGUE

SITE = Site("train.py", 1, 0, 1, 9)


def array(*shape: int, high: float = 1.0, whole: bool = False) -> Array:
    return Array(shape=shape, dtype="float32", high=high, whole=whole)


def operation(kind: str, *, weights: tuple[float, float] | None = None, **settings: str) -> Operation:
    return Operation(
        kind=kind,
        module=kind,
        owner="",
        settings=dict(settings),
        inputs=(-1,),
        received=array(8, 4),
        returned=array(8, 2),
        made=SITE,
        called=None,
        weights=weights,
    )


def changes(action: str, record: Record) -> list[tuple[str, object, int | None]]:
    return [(change.what, change.value, change.at) for change in record_changes(action, record)]


def test_every_answer_is_an_action_and_the_fixed_ones_are_words_of_the_editor() -> None:
    assert set(ANSWERS) <= set(CATALOGUE)
    record = Record()
    assert described("optimizer/adam@program") == CATALOGUE["optimizer/adam@program"].description
    assert "axis where the network takes them" in described("data_dimension/batch_axis@program")
    for answer in ANSWERS.values():
        try:
            found = answer(record)
        except EditRefused:
            continue
        assert {change.what for change in found} <= set(WORDS)


def test_functions_behind_the_last_layer_go_or_become_a_sigmoid() -> None:
    layers = operation("Linear", weights=(0.0, 1.0)), operation("ReLU"), operation("Softmax")
    record = Record(operations=layers)
    away = "activation/linear@output"
    assert changes(away, record) == [("layer.activation", "linear", 2), ("layer.activation", "linear", 1)]
    assert changes("activation/sigmoid@output", record)[0] == ("layer.activation", "sigmoid", 2)
    keras = Record(operations=(operation("Dense", weights=(0.0, 1.0), activation="softmax"),))
    assert changes("activation/sigmoid@output", keras) == [("layer.activation", "sigmoid", 0)]
    with pytest.raises(EditRefused, match="no function behind"):
        record_changes(away, Record(operations=layers[:1]))


def test_a_crashed_layer_takes_what_it_was_given() -> None:
    crash = Crashed(error="RuntimeError", message="", site=SITE, operation="Linear", made=SITE)
    wide = Record(crash=Crashed(**{**vars(crash), "operands": (array(16, 128),)}))
    assert changes("layer_dimension/fit_inputs@all", wide) == [("layer.inputs", 128, None)]
    image = Crashed(**{**vars(crash), "operation": "Conv2d", "operands": (array(16, 3, 8, 8),)})
    assert changes("layer_dimension/fit_inputs@all", Record(crash=image)) == [("layer.inputs", 3, None)]
    ids = Crashed(**{**vars(crash), "operands": (array(16, 9, high=20, whole=True),)})
    assert changes("layer_dimension/vocabulary@inputs", Record(crash=ids)) == [("layer.inputs", 21, None)]
    with pytest.raises(EditRefused):
        record_changes("layer_dimension/fit_inputs@all", Record())


def test_rates_follow_the_recorded_one() -> None:
    made = OptimizerMade(kind="SGD", settings={"lr": 0.0003}, made=SITE, given=())
    assert changes("optimizer/lr_x10@program", Record(optimizers=(made,))) == [("optimizer.lr", 0.003, None)]
    with pytest.raises(EditRefused, match="learning rate"):
        record_changes("optimizer/lr_x10@program", Record())


def test_parameters_that_are_not_registered_are_registered() -> None:
    fact = Fact(name="unregistered", value=1, text="", site=None)
    name = "api_contract/optimize_all@program"
    assert changes(name, Record(facts=(fact,))) == [("network.registered", None, None)]
    assert changes(name, Record()) == [("loop.optimized", None, None)]


def test_what_needs_a_program_says_so() -> None:
    with pytest.raises(EditRefused, match="a program can say"):
        record_changes("layer_dimension/units_x2@hidden", Record())


def test_the_output_has_a_unit_for_each_class_or_target() -> None:
    name, layers = "layer_dimension/task_units@output", (operation("Linear", weights=(0.0, 1.0)),)
    crash = Crashed(error="IndexError", message="", site=SITE, operation="cross_entropy")
    ids = Crashed(**{**vars(crash), "operands": (array(8, 3), array(8, high=4, whole=True))})
    assert changes(name, Record(operations=layers, crash=ids)) == [("layer.units", 5, 0)]
    pairs = (array(8, 24), array(8, 1, whole=True))
    binary = Crashed(**{**vars(crash), "operation": "BCEWithLogitsLoss", "operands": pairs})
    assert changes(name, Record(operations=layers, crash=binary)) == [("layer.units", 1, 0)]
    assert (
        changes("neural_connection/replace_head@output", Record(operations=layers, crash=binary))[0][1] == 1
    )

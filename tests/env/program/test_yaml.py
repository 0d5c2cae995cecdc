from __future__ import annotations

import pickle
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from netmend.env.errors import FileError, ProgramError
from netmend.env.program import (
    ACTIVATIONS,
    API_LEVELS,
    CRASH_KINDS,
    DAMAGES,
    INITIALISERS,
    INPUT_TYPES,
    LABEL_TYPES,
    LAYER_KINDS,
    LOSSES,
    OPTIMIZERS,
    PHASES,
    PREPS,
    SCHEMA_VERSION,
    Clip,
    Conv3d,
    Conv3dTranspose,
    Damage,
    Data,
    Dense,
    Dropout,
    Loop,
    Monitor,
    Optimizer,
    Prep,
    Program,
    Schedule,
    Task,
    check,
    decode_program,
    digest,
    dump,
    find_crash,
    from_plain,
    load,
    to_plain,
)
from netmend.env.program.fields import Field, fields_of
from netmend.env.program.limits import AXIS, WEIGHT, Range
from netmend.env.reading import parse_yaml

PARTS = (Program, Data, Prep, Damage, Optimizer, Clip, Schedule, Loop, Monitor, *LAYER_KINDS.values())
DOCS = Path(__file__).parents[3] / "docs" / "program.md"


AXES: st.SearchStrategy[object] = st.integers(int(AXIS.low), int(AXIS.high))
MOST = 6
"""Entries of a list that a test draws."""


@cache
def values(field: Field) -> st.SearchStrategy[object]:
    """Every value that a field of the schema may have."""
    if field.many:
        assert field.range is not None, f"{field.name} has no range"
        entries = st.one_of([instances(part) for part in field.parts]) if field.parts else AXES
        low, high = int(field.range.low), min(MOST, int(field.range.high))
        found: st.SearchStrategy[object] = st.lists(entries, min_size=low, max_size=high).map(tuple)
    elif field.parts:
        found = instances(field.parts[0])
    elif field.choices:
        found = st.sampled_from(field.choices)
        found = found | plain_values(replace(field, types=(int,))) if int in field.types else found
        found = found | weights(field) if field.numbers else found
    else:
        found = plain_values(field)
    return st.none() | found if field.optional else found


def weights(field: Field) -> st.SearchStrategy[object]:
    assert field.range is not None, f"{field.name} has no range"
    numbers = st.floats(WEIGHT.low, WEIGHT.high, exclude_min=WEIGHT.above)
    return st.lists(numbers, min_size=int(field.range.low), max_size=MOST).map(tuple)


def plain_values(field: Field) -> st.SearchStrategy[object]:
    if bool in field.types:
        return st.booleans()
    if str in field.types:
        return st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)
    assert field.range is not None, f"{field.name} has no range"
    if float not in field.types:
        return st.integers(int(field.range.low), int(field.range.high))
    low, high, above, below = field.range.low, field.range.high, field.range.above, field.range.below
    numbers = st.floats(low, high, exclude_min=above, exclude_max=below)
    return numbers.filter(bool) if field.name == "factor" else numbers


@cache
def instances(cls: type) -> st.SearchStrategy[object]:
    return st.builds(cls, **{field.name: values(field) for field in fields_of(cls)})


programs = instances(Program).filter(lambda program: isinstance(program, Program))


@given(programs)
@settings(max_examples=80, deadline=None)
def test_every_program_survives_yaml(program: Program) -> None:
    again = load(dump(program), "text")
    assert again == program
    assert from_plain(to_plain(program), "plain") == program
    assert digest(again) == digest(program)
    assert check(program) == []


@given(programs, st.data())
@settings(max_examples=40, deadline=None)
def test_another_value_anywhere_is_another_program_with_another_digest(
    program: Program, data: st.DataObject
) -> None:
    field = data.draw(st.sampled_from(fields_of(Program)))
    parts = {one.name: getattr(program, one.name) for one in fields_of(Program)}
    other = Program(**{**parts, field.name: data.draw(values(field))})
    assert (digest(other) == digest(program)) == (other == program)


PADDED = """netmend: 1
data: {dataset: volumes}
layers:
- conv3d: {filters: 4, padding: PADDING}
- pool: {size: 3, stride: 2, padding: 1}
- conv3d_transpose: {filters: 2, stride: 2, padding: same, output_padding: 1}
- global_pool
- dense: {units: 3, kernel_init: torch_default, bias_init: torch_default}
loss: cross_entropy
optimizer: {kind: adam, lr: 0.01}
"""


@pytest.mark.parametrize("padding", ["valid", "same", 0, 64])
def test_a_padding_is_a_name_or_a_number(padding: str | int) -> None:
    program = load(PADDED.replace("PADDING", str(padding)), "text")
    assert program.layers[0] == Conv3d(filters=4, padding=padding)  # type: ignore[arg-type]
    again = load(dump(program), "text")
    assert again == program
    assert type(again.layers[0].__dict__["padding"]) is type(padding)


@pytest.mark.parametrize(
    ("padding", "problem"),
    [
        ("sme", "unknown padding 'sme'; did you mean 'same'?"),
        ("-1", "-1 is not in 0..64"),
        ("65", "65 is not in 0..64"),
        ("1.5", "1.5 is not one of valid, same or a whole number in 0..64"),
        ("true", "true is not one of valid, same or a whole number in 0..64"),
        ("null", "null is not one of valid, same or a whole number in 0..64"),
        ("[1, 1]", "[1, 1] is not one of valid, same or a whole number in 0..64"),
    ],
)
def test_a_wrong_padding_is_told(padding: str, problem: str) -> None:
    with pytest.raises(ProgramError) as caught:
        load(PADDED.replace("PADDING", padding), "text")
    assert list(caught.value.problems) == [f"layers[0].padding: {problem}"]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("convtranspose2d: {filters: 2}", "here it is called 'conv2d_transpose'"),
        ("ConvTranspose3d: {filters: 2}", "here it is called 'conv3d_transpose'"),
        ("embedding: {units: 2, embeddings_initializer: ones}", "here it is called 'kernel_init'"),
    ],
)
def test_names_of_other_libraries_are_known(wrong: str, hint: str) -> None:
    text = PADDED.replace("- global_pool", f"- {wrong}").replace("PADDING", "same")
    with pytest.raises(ProgramError, match=hint):
        load(text, "text")


def test_keys_of_a_kind_come_before_those_that_it_shares() -> None:
    """Or the text and the digest of a program would change with its classes."""
    names = [field.name for field in fields_of(Conv3dTranspose)]
    assert names[:6] == ["output_padding", "filters", "kernel", "stride", "padding", "activation"]
    assert [field.name for field in fields_of(Conv3d)] == names[1:]


def test_equal_programs_have_equal_digests_whatever_their_number_types(mlp_program: Program) -> None:
    one = replace(mlp_program, layers=(Dropout(rate=0),), optimizer=Optimizer(lr=1))
    other = replace(mlp_program, layers=(Dropout(rate=-0.0),), optimizer=Optimizer(lr=1.0))
    assert one == other
    assert digest(one) == digest(other)
    assert load(dump(one), "one") == other


def test_digest_is_kept_and_not_inherited_by_edited_programs(mlp_program: Program) -> None:
    first = digest(mlp_program)
    assert digest(mlp_program) is first
    assert digest(replace(mlp_program, epochs=11)) != first
    assert digest(pickle.loads(pickle.dumps(mlp_program))) == first


def test_digest_of_version_1_does_not_change() -> None:
    program = Program(
        data=Data(dataset="iris", prep=(Prep(kind="standardize"), Prep(kind="scale", factor=0.5))),
        layers=(Dense(units=3, activation="softmax"),),
        loss="categorical_crossentropy",
        optimizer=Optimizer(kind="sgd", lr=0.1),
        clip=Clip(kind="norm", limit=1),
    )
    assert digest(program) == "2aed3ba767b52183d6a38de5aded85c6c07139646c1f9c46b455d9690440a730"


def test_the_dumped_form_is_short_and_readable(mlp_program: Program) -> None:
    assert dump(mlp_program) == (
        "netmend: 1\n"
        "data:\n"
        "  dataset: iris\n"
        "  prep: [standardize]\n"
        "layers:\n"
        "- dense: {units: 16, activation: relu}\n"
        "- dense: {units: 8, activation: relu}\n"
        "- dense: {units: 3}\n"
        "loss: cross_entropy\n"
        "optimizer: {kind: adam, lr: 0.01}\n"
        "batch_size: 16\n"
        "epochs: 10\n"
    )


WRONG = """
netmend: 2
data: {dataset: '', prep: [standardise, {scale: 3}, {scale: {kind: shift}}], labels: onehot, shufle: yes}
layers:
- dense: {units: 0, activation: rleu}
- dens: {units: 3}
- dense: {kernel_initializer: he_normal, bias: 1, l2: -1}
- 5
- {dense: {units: 3}, flatten: {}}
- flatten: {axis: 1}
- dropout: 0.5
loss: mean_squared_error
optimizer: {lr: .nan, momentum: .inf, kind: 3}
learning_rate: 1e-3
batch_size: 1e3
epochs: '5'
clip: {kind: norm}
patience: 0
"""
PROBLEMS = """
netmend: version 2, but this netmend reads 1
learning_rate: unknown key 'learning_rate'; its place is optimizer.lr
data.shufle: unknown key 'shufle'; did you mean 'shuffle'?
data.dataset: must not be empty
data.prep[0]: unknown preparation step 'standardise'; \
did you mean 'standardize' or 'standardize_target' or 'add_axis'?
data.prep[1]: 3 is not a mapping with keys of factor, size, rows
data.prep[2].kind: unknown key 'kind'; the name of the step stands before the colon
data.labels: unknown labels 'onehot'; did you mean 'one_hot'?
layers[0].units: 0 is not in 1..4096
layers[0].activation: unknown activation 'rleu'; did you mean 'relu' or 'elu' or 'selu'?
layers[1]: unknown layer 'dens'; did you mean 'dense'?
layers[2].kernel_initializer: unknown key 'kernel_initializer'; here it is called 'kernel_init'
layers[2].units: missing, expected a whole number in 1..4096
layers[2].bias: 1 is not true or false
layers[2].l2: -1 is not in 0..1000
layers[3]: 5 is not a name or one name with its parameters, such as `dense: {units: 64}`
layers[4]: {'dense': {'units': 3}, 'flatten': {}} is not a name or one name with its parameters, \
such as `dense: {units: 64}`
layers[5].axis: unknown key 'axis'; there is none
layers[6]: 0.5 is not a mapping with keys of rate
loss: unknown loss 'mean_squared_error'; here it is called 'mse'
optimizer.kind: 3 is not one of sgd, rmsprop, adagrad, adadelta, adam, adamw, adamax, nadam
optimizer.lr: nan is not in 0..1000000 without 0
optimizer.momentum: inf is not in 0..1
batch_size: 1000.0 is not a whole number in 1..65536
epochs: '5' is not a whole number in 1..100000
clip.limit: missing, expected a number in 0..1000000 without 0
patience: 0 is not in 1..1000
"""


def test_one_error_lists_every_problem_with_its_path() -> None:
    with pytest.raises(ProgramError) as caught:
        load(WRONG, "bad.yaml")
    assert list(caught.value.problems) == PROBLEMS.strip().splitlines()
    assert str(caught.value).startswith("bad.yaml: 27 problems\n  - netmend: version 2")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file: null is not a mapping with keys of data, layers,"),
        ("- 1", "the file: [1] is not a mapping"),
        ("a: [1", "line 2, column 1: did not find expected"),
        ("netmend: true", "netmend: version true, but this netmend reads 1"),
        ("loss: mse", "netmend: missing, expected the version of the schema, 1"),
    ],
)
def test_a_broken_file_is_one_clear_error(text: str, problem: str) -> None:
    with pytest.raises(FileError) as caught:
        load(text, "bad.yaml")
    assert any(problem in found for found in caught.value.problems)


def test_a_wrong_value_is_cut_short_in_the_message() -> None:
    with pytest.raises(ProgramError) as caught:
        load(f"netmend: 1\nloss: {[['x' * 90] * 90] * 90}\nmetric: {'y' * 9000}", "long.yaml")
    assert max(len(problem) for problem in caught.value.problems) < 400


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("equal", "class_weights: unknown class_weights 'equal'"),
        ("[1]", "class_weights: (1,) is not one of balanced, or a list of 2..4096 numbers in"),
        ("[1, 0]", "class_weights: (1, 0) is not one of balanced"),
        ("[1.0e-50, 1.0e-50]", "class_weights: (1e-50, 1e-50) is not one of balanced"),
        ("[1, 9.9e-7]", "class_weights: (1, 9.9e-07) is not one of balanced"),
        ("[1, .nan]", "class_weights: (1, nan) is not one of balanced"),
        ("[1, true]", "class_weights: (1, True) is not one of balanced"),
        ("7", "class_weights: 7 is not one of balanced"),
    ],
)
def test_class_weights_that_are_none(written: str, problem: str, mlp_program: Program) -> None:
    with pytest.raises(ProgramError) as error:
        load(f"{dump(mlp_program)}class_weights: {written}\n", "text")
    assert problem in str(error.value)


def test_problems_inside_a_larger_file_have_its_path(mlp_program: Program) -> None:
    problems = ["id: missing"]
    plain = to_plain(mlp_program)
    assert decode_program(plain, "bugs[3].program", problems) == mlp_program
    assert decode_program({**plain, "epochs": 0}, "bugs[3].program", problems) is None
    scale = {**plain, "data": {"dataset": "iris", "prep": [{"scale": {"factor": 0}}]}}
    assert decode_program(scale, "fixed", problems) is None
    assert problems == [
        "id: missing",
        "bugs[3].program.epochs: 0 is not in 1..100000",
        "fixed.data.prep[0].factor: 0 would wipe out the data, expected another number",
    ]


def test_the_documented_example_loads_runs_and_shows_every_top_level_key(image_task: Task) -> None:
    text = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    program = load(text, "docs/program.md")
    assert check(program, image_task) == []
    assert find_crash(program, image_task) is None
    plain = parse_yaml(text, "docs/program.md")
    assert isinstance(plain, dict)
    assert list(plain) == ["netmend", *(field.name for field in fields(Program))]
    assert plain["netmend"] == SCHEMA_VERSION


@pytest.mark.parametrize("cls", PARTS)
def test_every_key_is_documented_with_type_default_and_range(cls: type) -> None:
    section = DOCS.read_text()
    rows = [row(field) for field in fields_of(cls) if cls not in (Prep, Damage) or field.name != "kind"]
    assert [expected for expected in rows if expected not in section] == []


NAMES = (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    OPTIMIZERS,
    PREPS,
    DAMAGES,
    INPUT_TYPES,
    LABEL_TYPES,
    API_LEVELS,
    PHASES,
    CRASH_KINDS,
    tuple(LAYER_KINDS),
)


@pytest.mark.parametrize("names", NAMES)
def test_every_name_is_documented(names: tuple[str, ...]) -> None:
    text = DOCS.read_text()
    assert [name for name in names if f"`{name}`" not in text] == []


def row(field: Field) -> str:
    """The field's row in the tables of the documentation."""
    words: dict[type, str] = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    if field.many:
        kind = "list" if field.parts else "list of whole numbers"
    elif field.parts:
        kind = "mapping"
    else:
        kind = "name" if field.choices else words[field.types[0]]
        kind += " or whole number" if field.choices and int in field.types else ""
        kind += " or list" if field.numbers else ""
    few = [f"`{choice}`" for choice in field.choices] if len(field.choices) < 5 else []
    if field.numbers:
        few += [f"or {field.range} numbers in {WEIGHT}"]
    elif field.range:
        few += [str(field.range)]
    return f"| `{field.name}` | {kind} | {default(field)} | {', '.join(few)} |"


def default(field: Field) -> str:
    if field.required:
        return "required"
    if field.default is None or field.default == ():
        return "none" if field.default is None else "empty"
    if field.parts:
        return "its defaults"
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


@pytest.mark.parametrize("cls", PARTS)
def test_every_number_and_list_has_a_range(cls: type) -> None:
    bounded = [field for field in fields_of(cls) if field.many or {int, float} & set(field.types)]
    assert all(isinstance(field.range, Range) for field in bounded)

"""What every kind of layer, preparation, loss, optimizer, activation and initialiser has to be: all members.

A kind that is added is looked at here by itself, and what was forgotten about it fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from netmend.env.observation.program_slots import GROUPS, program_slots, program_values
from netmend.env.program import (
    ACTIVATION_KINDS,
    ACTIVATIONS,
    INITIALISERS,
    LAYER_KINDS,
    LOSS_KINDS,
    LOSSES,
    OPTIMIZER_KINDS,
    OPTIMIZERS,
    PREP_KINDS,
    PREPS,
    Data,
    Dense,
    Flatten,
    Layer,
    Optimizer,
    Prep,
    Program,
    Reshape,
    check,
    dump,
    fields as field_table,
    find_crash,
    infer_shapes,
    load,
)
from netmend.env.program.api import SPARSE
from netmend.env.program.fields import fields_of
from netmend.env.program.kinds import FAMILIES, INITIALISER_FAMILY
from netmend.env.program.part import keeps_hash
from netmend.env.program.shapes import parameter_count, row_shape, walk_layers
from netmend.env.program.wording import in_words
from netmend.env.training.activations import ACTIVATION_FUNCTIONS
from netmend.env.training.building import BUILDERS, Builder, Noise, operations
from netmend.env.training.initialisers import initial_value
from netmend.env.training.losses import LOSS_FUNCTIONS
from netmend.env.training.model import Network
from netmend.env.training.optimizers import make_optimizer
from netmend.env.training.prep_steps import chain, fit
from netmend.env.training.trial import Budget, Status
from netmend.repair_actions import CATALOGUE, successors
from netmend.repair_actions.effective import effective

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "program.md").read_text(encoding="utf-8")
REQUIRED = {
    "units": 4,
    "filters": 4,
    "heads": 2,
    "cell": "gru",
    "rate": 0.25,
    "function": "relu",
    "shape": (2, 3),
}
"""A value for each field without a default; a kind with another one needs a line here."""
DATASETS = ("table", "series", "images", "tokens")
VOLUME = Reshape(shape=(1, 4, 4, 4))
"""Of the images, whose rows have 64 values."""


def example(kind: type[Layer], datasets) -> Program:
    """A program with a layer of a kind, on data and behind layers that it can take."""
    layer = kind(**{field.name: REQUIRED[field.name] for field in fields_of(kind) if field.required})
    fronts = [()] if not kind.reaches_back else [(Dense(units=6), Dense(units=6))]
    fronts += [(VOLUME,)] if kind.axes == 3 else []
    for front in fronts:
        for name in DATASETS:
            task = datasets[name].task
            if bool(task.vocabulary) != kind.takes_ids:
                continue
            walk = walk_layers((*front, layer), task.input_shape, task.vocabulary)
            if walk.misfit is None:
                flat = (Flatten(),) if len(walk.shapes[-1]) > 1 else ()
                return Program(
                    data=Data(dataset=name),
                    layers=(*front, layer, *flat, Dense(units=3)),
                    loss="cross_entropy",
                    optimizer=Optimizer(),
                    epochs=1,
                )
    raise AssertionError(f"{kind.name} takes none of the rows")


def look_at(kind: type[Layer], datasets, run) -> None:
    """All that a kind of layer owes to the rest of the project, but its line in the documentation."""
    program = example(kind, datasets)
    task = datasets[program.data.dataset].task
    (at,) = [index for index, layer in enumerate(program.layers) if type(layer) is kind][-1:]
    layer = program.layers[at]
    assert check(program, task) == []
    assert find_crash(program, task) is None
    assert load(dump(program), "a file") == program
    without = replace(program, layers=(*program.layers[:at], *program.layers[at + 1 :]))
    assert any(kind.name in line for line in in_words(without, program))
    assert np.isfinite(program_values(program, task)).all()
    assert kind.counted_as in ("", *GROUPS)
    read = layer.read(task.vocabulary)
    assert read.read(task.vocabulary) == read
    generator = torch.Generator().manual_seed(0)
    network = Network(program.layers, task, generator, Noise(generator), "cpu")
    x = torch.from_numpy(datasets[program.data.dataset].train.x[:8])
    inputs = x if kind.takes_ids else x.float()
    assert [tuple(y.shape[1:]) for y in network.outputs(inputs)] == list(infer_shapes(program.layers, task))
    assert network.parameters.values.numel() == parameter_count(program, task)
    assert kind.learns == any(spec.layer == at for spec in network.parameters.specs)
    same = torch.equal(network.train(inputs), network.evaluate(inputs))
    assert same or kind.has_modes or kind.dropped_by
    trial = run(program, Budget(samples=64, epochs=1, updates=2))
    assert trial.status is Status.OK
    actions = tuple(CATALOGUE.values())
    assert sum(successors(actions, program, task).legal) > 10


@pytest.mark.parametrize("kind", LAYER_KINDS.values(), ids=LAYER_KINDS)
def test_every_layer_builds_trains_and_is_known_everywhere(kind, datasets, run):
    look_at(kind, datasets, run)
    assert f"`{kind.name}`" in PAGE


def test_every_layer_has_a_builder_and_no_other_has():
    assert set(BUILDERS) == set(LAYER_KINDS.values())


@pytest.fixture
def doubling(monkeypatch) -> Iterator[type[Layer]]:
    """A kind of layer that is added for the time of a test: a class, and a row for how it is built."""

    @keeps_hash
    @dataclass(frozen=True, kw_only=True)
    class Doubling(Layer, name="doubling", learns=False):
        factor: float = 2.0

    monkeypatch.setitem(BUILDERS, Doubling, Builder(lambda layer, _: lambda x: x * layer.factor))
    caches = (field_table._fields_of, field_table._fields_by_name)
    for cached in caches:
        cached.cache_clear()
    yield Doubling
    del LAYER_KINDS["doubling"]
    for cached in caches:
        cached.cache_clear()


def test_a_layer_is_added_by_its_class_and_its_builder_alone(doubling, datasets, run):
    look_at(doubling, datasets, run)
    double = operations(doubling(), {}, Noise(torch.Generator()))
    assert double.training(torch.ones(2)).tolist() == [2.0, 2.0]


def test_a_fact_that_there_is_not_and_a_name_that_is_taken_are_refused():
    with pytest.raises(TypeError, match="no fact 'lerns'"):
        type("Wrong", (Layer,), {}, lerns=True)
    with pytest.raises(TypeError, match="two kinds of layer are called 'dense'"):
        type("Second", (Layer,), {}, name="dense")


@pytest.mark.parametrize("kind", PREPS)
def test_every_preparation_has_its_facts_and_does_as_they_say(kind, datasets, good, regression):
    facts = PREP_KINDS[kind]
    assert f"| `{kind}` |" in PAGE
    base, dataset = (regression, "values") if "classification" not in facts.tasks else (good, "table")
    task = datasets[dataset].task
    step = Prep(kind=kind, factor=0.5)
    program = replace(base, data=replace(base.data, prep=(step,)))
    assert check(program, task) == []
    assert load(dump(program), "a file") == program
    assert any(kind in line for line in in_words(base, program))
    assert dict(program_slots(program, task))[f"prep/{kind}"] == 1.0
    for field, other in {"factor": 3.0, "size": 7}.items():
        changed = replace(program, data=replace(base.data, prep=(replace(step, **{field: other}),)))
        same = effective("data", program, task) == effective("data", changed, task)
        assert same == (field not in facts.reads)
    if facts.side == "rows" or (facts.side == "targets" and facts.changes == "shape"):
        return  # there is nothing to fit
    if facts.new_id is not None and "regression" not in facts.tasks:
        return  # it changes class ids alone
    for shape in ((6,), (1, 5), (1, 6, 4)):
        row = (1, *shape[1:]) if kind == "drop_axis" and len(shape) > 1 else shape
        if kind == "drop_axis" and len(shape) == 1:
            continue
        rows = np.random.default_rng(0).normal(size=(20, *row))
        made = chain(fit([step], rows))(rows)
        told = row_shape(Data(dataset="x", prep=(step,)), replace(task, input_shape=row))
        assert made.shape[1:] == told
        if facts.changes == "scale" and not facts.fitted:
            assert (made.mean() != rows.mean()) == bool(facts.reads)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_has_its_facts_and_is_computed_row_by_row(loss):
    facts = LOSS_KINDS[loss]
    assert f"`{loss}`" in PAGE
    assert (loss in LOSS_FUNCTIONS) == (loss != SPARSE)
    if loss == SPARSE:
        return
    outputs = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)).clamp(0.05, 0.9).requires_grad_()
    targets = torch.eye(3)[[0, 1, 2, 0, 1]]
    rows = LOSS_FUNCTIONS[loss](outputs, targets)
    assert rows.shape == (5,)
    rows.sum().backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
    if facts.ids:
        by_id = LOSS_FUNCTIONS[loss](outputs, targets.argmax(1))
        assert torch.allclose(by_id, rows)
    if facts.broadcasts:
        assert LOSS_FUNCTIONS[loss](outputs[:, :1], targets[:, 0]).shape == (5,)
    assert facts.output in (None, *ACTIVATIONS)
    assert facts.own is None or facts.output == "linear"


def steps(spec: Optimizer) -> torch.Tensor:
    parameters, gradient = torch.linspace(-1, 1, 7), torch.zeros(7)
    step = make_optimizer(spec, parameters, gradient)
    for number in range(3):
        gradient.copy_(torch.linspace(1, -2, 7) * (3, 1, 2)[number])
        step()
    return parameters


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_has_its_facts_and_reads_what_they_say(kind):
    facts = OPTIMIZER_KINDS[kind]
    assert f"`{kind}`" in PAGE
    spec = Optimizer(kind=kind, lr=0.01, momentum=0.5 if "momentum" in facts.reads else 0.0)
    plain = steps(spec)
    assert not torch.equal(plain, torch.linspace(-1, 1, 7))
    for field, value in {"momentum": 0.8, "nesterov": True, "beta1": 0.3, "beta2": 0.5}.items():
        moved = steps(replace(spec, **{field: value}))
        assert torch.equal(moved, plain) == (field not in facts.reads), field
    assert not torch.equal(steps(replace(spec, weight_decay=0.5)), plain)
    if facts.as_without_decay is not None:
        assert torch.equal(steps(replace(spec, kind=facts.as_without_decay)), plain)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_keeps_to_what_it_reaches(name):
    low, high = ACTIVATION_KINDS[name].reach
    assert f"`{name}`" in PAGE
    outputs = ACTIVATION_FUNCTIONS[name](torch.linspace(-30, 30, 600).reshape(-1, 3))
    assert float(outputs.min()) >= low - 0.01
    assert float(outputs.max()) <= high
    if ACTIVATION_KINDS[name].rectifies:
        assert float(outputs.max()) > 29


@pytest.mark.parametrize("name", INITIALISERS)
def test_every_initialiser_is_of_the_family_that_is_told(name):
    assert f"`{name}`" in PAGE
    start = [initial_value(name, (n, n), (n, n), torch.Generator().manual_seed(0)) for n in (50, 200)]
    narrow, wide = (float(values.std()) for values in start)
    family = "constant" if wide < 1e-6 else "scaled" if wide < 0.7 * narrow else "unscaled"
    if family == "unscaled" and wide > 0.5:
        family = "wide"
    assert family == INITIALISER_FAMILY[name]
    assert family in FAMILIES


REASONS = {
    "Dense": "what a network is made of where nothing else is said",
    "Recurrent": "its cost grows with the steps, and its activation is fixed",
    "Attention": "its cost is that of many operations, and observations have slots of its own",
    "Position": "built beside the attention",
    "Activation": "a layer of its own for what other layers have as a field",
    "BatchNorm": "a left-over batch of one row is skipped, and an old release read its momentum otherwise",
    "Skip": "the network wires it",
    "Shared": "the network wires it",
}
"""Kinds of layer that more than four files of the core name, and why."""
CORE = [
    path
    for path in (ROOT / "env").rglob("*.py")
    if "compiled" not in path.parts
    and path.relative_to(ROOT / "env").parts[0] not in ("bugs", "findings", "script")
]
"""All but what may speak of a kind and needs not: actions, heuristics, operators, scripts, agents."""


@pytest.mark.parametrize("kind", LAYER_KINDS.values(), ids=LAYER_KINDS)
def test_at_most_four_files_name_a_kind_of_layer(kind):
    name = re.compile(rf"^(?!.*[\"']).*\b{kind.__name__}\b[(,:|.\])\s]", re.MULTILINE)
    naming = [path.name for path in CORE if name.search(path.read_text(encoding="utf-8"))]
    assert len(naming) <= 4 or kind.__name__ in REASONS, naming


def quoted(names) -> list[str]:
    """Names that mean nothing else anywhere."""
    words = {"scale", "shift", "flatten", "cross_entropy", "categorical_crossentropy", "mse"}
    return [name for name in names if name not in words]


@pytest.mark.parametrize("name", quoted((*PREPS, *LOSSES, *OPTIMIZERS)))
def test_at_most_four_files_name_a_preparation_a_loss_or_an_optimizer(name):
    naming = [path.name for path in CORE if f'"{name}"' in path.read_text(encoding="utf-8")]
    assert len(naming) <= 4, naming


def test_the_tables_have_the_names_of_the_schema():
    assert tuple(PREP_KINDS) == PREPS
    assert tuple(LOSS_KINDS) == LOSSES
    assert tuple(OPTIMIZER_KINDS) == OPTIMIZERS
    assert set(ACTIVATION_KINDS) == set(ACTIVATION_FUNCTIONS) == set(ACTIVATIONS)
    assert set(INITIALISER_FAMILY) == set(INITIALISERS)

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from math import inf

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from netmend.env.program import OPTIMIZERS, Clip, Data, Dense, Optimizer, Program
from netmend.env.training.batched.cuda_graph import captured
from netmend.env.training.batched.group import Group
from netmend.env.training.batched.levels import group_levels
from netmend.env.training.batched.member import Member
from netmend.env.training.batched.outline import outline
from netmend.env.training.batched.row_optimizers import clip_steps, optimizer_steps
from netmend.env.training.batched.updates import joined, row_steps, update_steps
from netmend.env.training.batched.weights import GroupWeights
from netmend.env.training.optimizers import make_clip, make_optimizer
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.trial import Budget, Status, TrialRequest

PLAIN = [
    *(Optimizer(kind=kind, lr=0.02, beta1=0.8, beta2=0.95) for kind in OPTIMIZERS),
    Optimizer(kind="sgd", lr=0.05, momentum=0.9),
    Optimizer(kind="sgd", lr=0.05, momentum=0.8, nesterov=True),
    Optimizer(kind="sgd", lr=0.05, nesterov=True),
    Optimizer(kind="rmsprop", lr=0.01, momentum=0.9),
    Optimizer(kind="adam", lr=0.05, beta1=0.0, beta2=0.0),
    Optimizer(kind="adam"),
    Optimizer(kind="adamw", lr=0.01),
    Optimizer(kind="nadam", lr=0.05, beta1=0.0),
    Optimizer(kind="adamax", lr=0.05, beta1=0.0),
]
SPECS = PLAIN + [replace(spec, weight_decay=0.1) for spec in PLAIN]
CLIPS = [None, Clip(kind="norm", limit=0.5), Clip(kind="value", limit=0.1), Clip(kind="norm", limit=100.0)]
HEAD = Dense(units=3)


def program(number: int) -> Program:
    """One of many: kinds of optimizers, clips and layers alternate, the deepest come first."""
    first = Dense(units=4 + number % 3, activation="relu", l1=0.01 * (number % 2), bias=number % 5 != 1)
    second = Dense(units=5, activation="relu", trainable=number % 4 != 2, l2=0.02 * (number % 3))
    return Program(
        data=Data(dataset="table"),
        layers=(first, second, HEAD) if number < len(SPECS) else (first, HEAD),
        loss="cross_entropy",
        optimizer=SPECS[number % len(SPECS)],
        clip=CLIPS[number % len(CLIPS)],
        batch_size=50,
        epochs=3 + number % 2,
    )


def own_places(weights: GroupWeights) -> Tensor:
    """True where a gradient can stand: not in the padding."""
    found = torch.zeros_like(weights.values, dtype=torch.bool)
    for member, entries in enumerate(weights.entries):
        sizes = {entry.name: entry.shape for entry in entries}
        for place in {entry.name[0] for entry in entries}:
            sizes[place, "bias"] = sizes[place, "kernel"][:1]
        for name, shape in sizes.items():
            corner = tuple(map(slice, shape))
            weights.view(found, name, slice(member, member + 1))[0][corner] = True
    return found


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_rows_take_the_steps_of_the_programs(datasets, scale):
    outlines = [outline(program(n), datasets["table"].task) for n in range(2 * len(SPECS))]
    levels = group_levels(outlines)
    alone, rows = (GroupWeights(levels, outlines, range(len(outlines)), "cpu") for _ in range(2))
    steps = [step for m, own in enumerate(outlines) for step in update_steps(alone, m, own)]
    row = row_steps(rows, outlines)
    places, generator = own_places(alone), torch.Generator().manual_seed(0)
    assert not places.all()
    for _ in range(20):
        gradient = scale * torch.randn(alone.values.shape, generator=generator) * places
        alone.gradient.copy_(gradient)
        rows.gradient.copy_(gradient)
        for step in (*steps, *row):
            step()
    torch.testing.assert_close(rows.values, alone.values, rtol=2e-5, atol=2e-6)
    assert not torch.equal(rows.values, rows.start)
    assert torch.equal(rows.values[~places], rows.start[~places])
    assert any(mask is not None for mask in rows.untrained)
    for own, start, mask in zip(rows.values, rows.start, rows.untrained, strict=True):
        assert mask is None or torch.equal(own[mask], start[mask])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_weights_without_a_gradient_stay_and_none_at_all_do_no_harm(kind):
    for columns in (5, 0):
        values, gradient = torch.randn(2, columns), torch.zeros(2, columns)
        before = values.clone()
        for _ in range(3):
            for step in optimizer_steps([Optimizer(kind=kind)] * 2, values, gradient):
                step()
        assert torch.equal(values, before)


def test_a_long_training_loses_no_precision():
    """The corrections of 2,000 steps come from a counter on the device."""
    generator = torch.Generator().manual_seed(0)
    rows, gradients = torch.randn(len(SPECS), 6, generator=generator), torch.zeros(len(SPECS), 6)
    alone, own = rows.clone(), gradients.clone()
    steps = [make_optimizer(spec, *pair) for spec, *pair in zip(SPECS, alone, own, strict=True)]
    steps += optimizer_steps(SPECS, rows, gradients)
    for _ in range(2000):
        own.normal_(generator=generator)
        gradients.copy_(own)
        for step in steps:
            step()
    torch.testing.assert_close(rows, alone, rtol=1e-4, atol=2e-5)


class Calls(TorchDispatchMode):
    """Notes the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_calls_do_not_grow_with_the_programs_and_read_nothing_back(datasets):
    calls = []
    for copies in (1, 3):
        outlines = [outline(program(n), datasets["table"].task) for n in range(len(SPECS))] * copies
        weights = GroupWeights(group_levels(outlines), outlines, range(len(outlines)), "cpu")
        steps = row_steps(weights, outlines)
        with Calls() as seen:
            for step in steps:
                step()
        calls.append(seen.names)
    assert calls[0] == calls[1]
    assert not any("_local_scalar_dense" in name or "nonzero" in name for name in calls[0])


def test_each_gradient_is_clipped_as_if_alone():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(len(CLIPS), 6, generator=generator)
    alone = rows.clone()
    for clip, row in zip(CLIPS, alone, strict=True):
        if clip is not None:
            make_clip(clip, row)()
    for step in clip_steps(CLIPS, rows):
        step()
    torch.testing.assert_close(rows, alone)
    assert clip_steps([None, None], rows) == []


def test_what_is_infinite_stays_so_without_a_clip_of_its_own():
    gradient = torch.tensor([[inf, 1.0], [3.0, 4.0]])
    for step in clip_steps([None, Clip(kind="norm", limit=1.0)], gradient):
        step()
    torch.testing.assert_close(gradient, torch.tensor([[inf, 1.0], [0.6, 0.8]]))


class FakeCuda:
    """Streams and graphs of ``torch.cuda``, and whether a capture is under way: then nothing runs."""

    def __init__(self, monkeypatch, fails: bool = False) -> None:
        self.capturing, self.fails, self.graphs, self.current = False, fails, 0, "default"
        for name in ("Stream", "stream", "current_stream", "graph_pool_handle", "CUDAGraph", "graph"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, f"fake_{name}"))

    def fake_Stream(self, device: str) -> FakeCuda:  # noqa: N802
        assert device == "cuda:0"
        return self

    def wait_stream(self, other: object) -> None:
        pass

    @contextmanager
    def fake_stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def fake_current_stream(self, device: str):
        return self if self.current == "default" else self.current

    def fake_graph_pool_handle(self) -> int:
        return 7

    def fake_CUDAGraph(self):  # noqa: N802
        self.graphs += 1
        return self.Graph()

    class Graph:
        step = None

        def replay(self) -> None:
            self.step()

    @contextmanager
    def fake_graph(self, graph, pool, stream, capture_error_mode):
        assert (pool, stream, capture_error_mode) == (7, self, "thread_local")
        self.capturing, self.target, self.current = True, graph, "capture"
        try:
            yield
            if self.fails:
                raise RuntimeError("operation not permitted when stream is capturing")
            self.current = "default"
        finally:
            self.capturing = False

    def counting(self, runs: list[int], number: int):
        """A step that notes its number, or becomes a graph."""

        def step() -> None:
            if self.capturing:
                self.target.step = lambda: runs.append(number)
            else:
                runs.append(number)

        return step


@pytest.mark.parametrize("fails", [False, True])
def test_each_call_of_a_captured_step_is_one_run(monkeypatch, fails):
    cuda, runs = FakeCuda(monkeypatch, fails), []
    steps = captured([cuda.counting(runs, number) for number in range(3)], "cuda:0")
    expected = [0, 1, 2, 0, 1, 0, 1, 0, 1, 2, 2]
    for number in expected:
        steps[number]()
        assert cuda.current in ("default", cuda)
    assert runs == expected
    assert cuda.graphs == (1 if fails else 3)


def test_an_error_of_a_step_itself_passes_through(monkeypatch):
    FakeCuda(monkeypatch)

    def step() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        captured([step], "cuda:0")[0]()


def trained(programs: list[Program], datasets, *, whole: bool):
    budget, cache, members = Budget(), PreparedCache(), []
    for number, own in enumerate(programs):
        dataset = datasets[own.data.dataset]
        request = TrialRequest(program=own, budget=budget, seed=number)
        data = cache.prepare(own, dataset, budget.samples, "cpu")
        members.append(Member(request, outline(own, dataset.task), dataset, data))
    with torch.no_grad():
        group = Group(members, "cpu")
        if whole:
            group._updates = [[] for _ in members]
            group._steps = joined(group._steps, row_steps(group.weights, [own.outline for own in members]))
        group.fit()
        return group.trials(1.0)


def test_a_group_trains_as_well_by_rows(datasets):
    """Programs that end early or diverge leave the others alone; what they showed is from their end."""
    programs = [program(n) for n in (0, 1, 2, 4, 5, 6, 7, 9)]
    programs[3] = replace(programs[3], epochs=1)
    programs[5] = replace(programs[5], optimizer=Optimizer(kind="sgd", lr=1e30), clip=None)
    expected = trained(programs, datasets, whole=False)
    found = trained(programs, datasets, whole=True)
    assert [trial.status for trial in expected].count(Status.DIVERGED) == 1
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.status, ours.message, ours.work) == (theirs.status, theirs.message, theirs.work)
        assert ours.curves.train_loss == pytest.approx(theirs.curves.train_loss, rel=1e-4)
        assert ours.curves.validation_loss == pytest.approx(theirs.curves.validation_loss, rel=1e-4)

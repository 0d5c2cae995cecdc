"""Updates against the same loop written with torch's own modules and optimizers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from netmend.env.program import Clip, Data, Dense, Loop, Optimizer, Program, Schedule, Task
from netmend.env.training.building import Noise
from netmend.env.training.model import Network
from netmend.env.training.optimizers import Rate
from netmend.env.training.update import Penalty, Plateau, Update

TASK = Task(dataset="x", kind="regression", input_shape=(4,), outputs=2)
PLAIN = Program(
    data=Data(dataset="x", labels="value"),
    layers=(Dense(units=3, activation="tanh"), Dense(units=2)),
    loss="mse",
    optimizer=Optimizer(kind="sgd", lr=0.1),
)
OPTIMIZERS = [
    Optimizer(kind="sgd", lr=0.1),
    Optimizer(kind="sgd", lr=0.1, momentum=0.9, weight_decay=0.1),
    Optimizer(kind="adadelta", lr=0.5, weight_decay=0.1),
]
BACKWARD_FIRST = [Loop(), Loop(zero_grad=False), Loop(optimized="hidden"), Loop(optimized="output")]
STEP_FIRST = [replace(loop, order="step_backward") for loop in BACKWARD_FIRST]


def batches(count: int = 5) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 4, generator=generator), torch.randn(6, 2, generator=generator))] * count


def ours(program: Program) -> tuple[Network, Update]:
    generator = torch.Generator().manual_seed(0)
    network = Network(program.layers, TASK, generator, Noise(generator), "cpu")
    return network, Update(program, network.parameters, Penalty(network.parameters))


def theirs(program: Program, network: Network) -> tuple[torch.nn.Sequential, torch.optim.Optimizer]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    for index, at in ((0, 0), (1, 2)):
        weights = network.parameters.weights[index]
        model[at].load_state_dict({"weight": weights["kernel"].detach(), "bias": weights["bias"].detach()})
    handed = {"all": model, "hidden": model[0], "output": model[2]}[program.loop.optimized].parameters()
    spec = program.optimizer
    if spec.kind == "adadelta":
        return model, torch.optim.Adadelta(
            handed, lr=spec.lr, rho=0.95, eps=1e-7, weight_decay=spec.weight_decay
        )
    return model, torch.optim.SGD(handed, lr=spec.lr, momentum=spec.momentum, weight_decay=spec.weight_decay)


def train_theirs(program: Program, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """The loop with its mistakes. Gradients are zeros from the start, as in a framework's second update."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for x, y in batches():
        if program.loop.zero_grad:
            model.zero_grad(set_to_none=False)
        loss = (model(x) - y).square().mean()
        if program.loop.order == "step_backward":
            parameters = list(model.parameters())
            found = torch.autograd.grad(loss, parameters)
            optimizer.step()
            for parameter, gradient in zip(parameters, found, strict=True):
                parameter.grad += gradient
        else:
            loss.backward()
            if program.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), program.clip.limit)
            optimizer.step()


@pytest.mark.parametrize("loop", [*BACKWARD_FIRST, *STEP_FIRST], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_updates_are_those_of_torch(loop, optimizer):
    program = replace(PLAIN, loop=loop, optimizer=optimizer)
    network, update = ours(program)
    model, step = theirs(program, network)
    for x, y in batches():
        update((network.train(x) - y).square().mean())
    train_theirs(program, model, step)
    for index, at in ((0, 0), (1, 2)):
        torch.testing.assert_close(
            network.parameters.weights[index]["kernel"].detach(), model[at].weight.detach()
        )
        torch.testing.assert_close(
            network.parameters.weights[index]["bias"].detach(), model[at].bias.detach()
        )


def test_what_adds_up_is_the_clipped_gradient():
    program = replace(PLAIN, loop=Loop(zero_grad=False), clip=Clip(kind="norm", limit=0.3))
    network, update = ours(program)
    model, step = theirs(program, network)
    for x, y in batches():
        update((network.train(x) - y).square().mean())
    train_theirs(program, model, step)
    torch.testing.assert_close(network.parameters.weights[0]["kernel"].detach(), model[0].weight.detach())


def test_penalties_leave_the_parameters_alone_that_are_not_optimized():
    layers = tuple(replace(layer, l1=0.1, l2=0.1) for layer in PLAIN.layers)
    network, update = ours(replace(PLAIN, layers=layers, loop=Loop(optimized="output")))
    before = network.parameters.values.clone()
    update(network.train(torch.zeros(2, 4)).sum())
    changes = network.parameters.split(network.parameters.values - before)
    changed = {
        spec.layer for spec, change in zip(network.parameters.specs, changes, strict=True) if change.any()
    }
    assert changed == {1}


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (None, [0.1, 0.1, 0.1]),
        (Schedule(gamma=0.5, every="update"), [0.05, 0.025, 0.025]),
        (Schedule(gamma=0.5, every="epoch"), [0.1, 0.1, 0.05]),
    ],
)
def test_a_schedule_changes_the_rate(schedule, rates):
    network, update = ours(replace(PLAIN, schedule=schedule))
    seen = []
    for x, _ in batches(2):
        update(network.train(x).square().mean())
        seen.append(update.rate.value)
    update.end_epoch()
    assert [*seen, update.rate.value] == pytest.approx(rates)


def test_a_step_takes_the_rate_as_it_is_now():
    network, update = ours(replace(PLAIN, schedule=Schedule(gamma=1e-6, every="update")))
    changes = []
    for x, y in batches(2):
        before = network.parameters.values.clone()
        update((network.train(x) - y).square().mean())
        changes.append(float((network.parameters.values - before).norm()))
    assert 0 < changes[1] < 1e-3 * changes[0]


def rates(losses: list[float], start: float = 1.0, **settings: float) -> list[float]:
    rate = Rate(start)
    plateau = Plateau(Schedule(every="plateau", **settings), rate)
    seen = []
    for loss in losses:
        plateau(loss)
        seen.append(rate.value)
    return seen


def test_a_loss_that_falls_leaves_the_rate_alone() -> None:
    assert rates([5.0, 4.0, 3.0, 2.0], gamma=0.5, patience=1) == [1.0] * 4


def test_the_rate_falls_after_as_many_epochs_as_it_waits() -> None:
    losses = [1.0, 1.0, 2.0, 3.0, 1.0, 1.0]
    assert rates(losses, gamma=0.5, patience=2) == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_better_epoch_starts_the_wait_anew() -> None:
    assert rates([1.0, 1.0, 0.5, 0.5, 0.5], gamma=0.5, patience=2) == [1.0, 1.0, 1.0, 1.0, 0.5]


def test_hardly_better_is_no_better() -> None:
    assert rates([1.0, 1.0 - 1e-5, 1.0 - 2e-5], gamma=0.5, patience=2)[-1] == 0.5


@pytest.mark.parametrize(("start", "end"), [(0.01, 0.002), (0.002, 0.001), (0.0005, 0.0005)])
def test_it_never_takes_the_rate_below_its_floor(start: float, end: float) -> None:
    falls = rates([1.0, 1.0], start, gamma=0.2, patience=1, floor=0.001)
    assert falls == pytest.approx([start, end])

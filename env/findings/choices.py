"""Doubtful choices: settings far from what works as a rule. They are warnings, since the data decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from netmend.env.findings.finding import Case, Finder, Heuristic, Look, Sight, layer_place, layer_places
from netmend.env.program import (
    Attention,
    Convolution,
    Dense,
    Position,
    Program,
    Recurrent,
    ThresholdedRelu,
    Weighted,
    hidden_layers,
    layer_activation,
)
from netmend.env.program.kinds import DEFAULT_LR, INITIALISER_FAMILY, OPTIMIZER_KINDS
from netmend.env.program.sites import (
    MAX_SITES,
    block_end,
    dropout_rate,
    output_layer,
    weighted_layers,
    width,
)

Kind = TypeVar("Kind")
FAR_RATE = 30.0
"""Times above or below an optimizer's usual learning rate."""
LEAST_RATE = 1e-3
"""Share of the learning rate that should be left in the middle of the training."""
LEAST_UPDATES, LEAST_EPOCHS = 60, 4
FAST_RATE = 5.0
"""Times an optimizer's usual rate that a transformer normalised behind its parts does not stand."""
HIGH_DROPOUT, STRONG_PENALTY, HEAVY_MOMENTUM = 0.6, 0.03, 0.98
SHORT_PATIENCE = 2
CLIP_LIMITS = {"norm": 0.1, "value": 0.01}
NARROW = 2
_PENALTY_EDITS = ("neural_connection/remove_regularisation@all", "optimizer/remove_weight_decay@program")
HEURISTICS: list[Heuristic[Case]] = []
warning = Finder("warning", HEURISTICS)


def start(odd: Callable[[Weighted], bool]) -> Look[Case]:
    """A look for layers with a kernel that start in an odd way."""

    def look(case: Case) -> Iterator[Sight]:
        found = [index for index, layer in _layers(case, Weighted) if odd(layer)]
        yield from _of_layers(case, found, edits=_start_edits(case, found))

    return look


@warning(
    "the learning rate {value:g} is {times} what {kind} usually has, {usual:g}",
    "optimizer/lr_*",
    "optimizer/*",
)
def far_rate(case: Case) -> Iterator[Sight]:
    """A learning rate far from the optimizer's usual one."""
    optimizer = case.program.optimizer
    usual = DEFAULT_LR[optimizer.kind]
    ratio = optimizer.lr / usual
    if max(ratio, 1 / ratio) >= FAR_RATE:
        times = f"{max(ratio, 1 / ratio):,.0f} times {'above' if ratio > 1 else 'below'}"
        words = {"kind": optimizer.kind, "usual": usual, "times": times}
        yield Sight(value=optimizer.lr, place="optimizer.lr", words=words)


warning("{place}: all weights start with the same number, so the units learn the same", name="equal_start")(
    start(lambda layer: INITIALISER_FAMILY[layer.kernel_init] == "constant")
)
warning("{place}: the weights start with a deviation of 1, whatever the width", name="wide_start")(
    start(lambda layer: INITIALISER_FAMILY[layer.kernel_init] == "wide")
)
warning("{place}: the biases do not start at 0", name="shifted_start")(
    start(lambda layer: layer.bias and layer.bias_init not in ("zeros", "torch_default"))
)


@warning("{place}: not trained, so the random start stays", "neural_connection/unfreeze@all")
def frozen(case: Case) -> Iterator[Sight]:
    """Layers that keep their random start."""
    layers = case.program.layers
    yield from _of_layers(case, [i for i in range(len(layers)) if not getattr(layers[i], "trainable", True)])


@warning("{place}: no activation, which adds nothing that the next layer could not do")
def no_activation(case: Case) -> Iterator[Sight]:
    """Hidden layers with nothing but a matrix: two of them in a row are one.

    One in front of positions or an attention gives these the features that they need.
    """
    program = case.program
    found = [index for index in hidden_layers(program) if _is_linear(program, index)]
    numbers = [hidden_layers(program).index(index) + 1 for index in found]
    own = [f"activation/relu@layer{number}" for number in numbers if number <= MAX_SITES]
    yield from _of_layers(case, found, edits=("activation/relu@hidden", *own, "activation/*@hidden"))


@warning(
    "{place}: the network narrows to {value:.0f} here",
    "layer_dimension/units_*",
    "change_neural_architecture/*",
)
def bottleneck(case: Case) -> Iterator[Sight]:
    """Hidden layers of one or two values in a network with wider ones."""
    layers, hidden = case.program.layers, hidden_layers(case.program)
    # What an attention takes goes past it, however few units are inside.
    widths = {i: width(layers[i]) for i in hidden if not isinstance(layers[i], Attention)}
    most = max(widths.values(), default=0)
    found = {index: units for index, units in widths.items() if units <= NARROW}
    if max(most, case.task.outputs + 1) > NARROW:
        yield from _of_layers(case, list(found), value=float(min(found.values(), default=0)))


@warning(
    "the training makes only {value:.0f} updates: {epochs} epochs in batches of {rows}",
    "iterations/epochs_*",
    "iterations/batch_*",
)
def few_updates(case: Case) -> Iterator[Sight]:
    """A training that ends before it has begun."""
    program, count = case.program, updates(case)
    if count < LEAST_UPDATES or program.epochs < LEAST_EPOCHS:
        words = {"epochs": program.epochs, "rows": program.batch_size}
        yield Sight(value=float(count), place="epochs", words=words)


@warning(
    "half-way through the training {value:.0e} of the learning rate is left:"
    " it is multiplied by {gamma:g} every {every}",
    "api_contract/schedule_per_epoch@program",
    "optimizer/remove_schedule@program",
)
def falling_rate(case: Case) -> Iterator[Sight]:
    """A schedule that leaves nothing of the rate long before the end."""
    program, schedule = case.program, case.program.schedule
    if schedule is None or schedule.every == "plateau":
        return
    steps = program.epochs if schedule.every == "epoch" else updates(case)
    left = schedule.gamma ** (steps / 2)
    if left < LEAST_RATE:
        yield Sight(value=left, place="schedule", words={"every": schedule.every, "gamma": schedule.gamma})


@warning(
    "a momentum of {value:g} hardly forgets a step; 0.9 is usual",
    "optimizer/momentum_0.9@program",
    "optimizer/remove_momentum@program",
    "optimizer/adam@program",
)
def heavy_momentum(case: Case) -> Iterator[Sight]:
    """Momentum that remembers hundreds of updates."""
    optimizer = case.program.optimizer
    if "momentum" in OPTIMIZER_KINDS[optimizer.kind].reads and optimizer.momentum >= HEAVY_MOMENTUM:
        yield Sight(value=optimizer.momentum, place="optimizer.momentum")


@warning(
    "the gradient is clipped at a {kind} of {value:g}, which leaves little of it",
    "optimizer/remove_clip@program",
    "optimizer/clip_norm_1@program",
)
def tight_clip(case: Case) -> Iterator[Sight]:
    """Clipping that leaves next to nothing of a gradient."""
    clip = case.program.clip
    if clip is not None and clip.limit <= CLIP_LIMITS[clip.kind]:
        yield Sight(value=clip.limit, place="clip", words={"kind": clip.kind})


@warning("a penalty of {value:g} on the weights ({place}) pulls them to 0 whatever the data", *_PENALTY_EDITS)
def strong_penalty(case: Case) -> Iterator[Sight]:
    """Regularisation or weight decay that outweighs the loss."""
    for index, layer in enumerate(case.program.layers):
        if isinstance(layer, Weighted) and max(layer.l1, layer.l2) >= STRONG_PENALTY:
            yield Sight(value=max(layer.l1, layer.l2), place=layer_place(case.program, index))
    decay = case.program.optimizer.weight_decay
    if decay >= STRONG_PENALTY:
        yield Sight(value=decay, place="optimizer.weight_decay")


@warning(
    "{place}: {value:.0f} % of the values are dropped",
    "neural_connection/dropout_rate_0.25@all",
    "neural_connection/remove_dropout@all",
)
def high_dropout(case: Case) -> Iterator[Sight]:
    """Dropout that leaves few of the values."""
    found = ((index, dropout_rate(layer) or 0.0) for index, layer in enumerate(case.program.layers))
    rates = {index: rate for index, rate in found if rate > HIGH_DROPOUT}
    yield from _of_layers(case, list(rates), value=100 * max(rates.values(), default=0.0))


@warning(
    "{place}: nothing says where a step stands, so the order of the steps is lost",
    "add_layer/position@program",
)
def no_positions(case: Case) -> Iterator[Sight]:
    """Attention that gets nothing that tells its steps apart: it sees a bag of steps."""
    for index, layer in enumerate(case.program.layers):
        if isinstance(layer, Position | Recurrent | Convolution):
            return
        if isinstance(layer, Attention):
            if not layer.causal:
                yield Sight(place=layer_place(case.program, index))
            return


@warning(
    "{place}: no normalisation, so the values grow from block to block",
    "neural_connection/norm_before@hidden",
)
def unnormalised(case: Case) -> Iterator[Sight]:
    """Blocks of a transformer whose sums nothing keeps in bounds."""
    found = [index for index, layer in _layers(case, Attention) if layer.norm == "none"]
    yield from _of_layers(case, found)


@warning(
    "{place}: normalised behind the sums, which a learning rate of {value:g} throws off",
    "neural_connection/norm_before@hidden",
    "optimizer/lr_div10@program",
    "optimizer/lr_*",
)
def fast_behind(case: Case) -> Iterator[Sight]:
    """Blocks normalised behind their parts, which a high rate throws off. Source: Xiong and others 2020."""
    optimizer = case.program.optimizer
    times = optimizer.lr / DEFAULT_LR[optimizer.kind]
    found = [index for index, layer in _layers(case, Attention) if layer.norm == "behind"]
    if times >= FAST_RATE:
        yield from _of_layers(case, found, value=optimizer.lr)


@warning(
    "the training stops after {value:.0f} epochs without a better value",
    "iterations/early_stopping_10@program",
    "iterations/remove_early_stopping@program",
)
def short_patience(case: Case) -> Iterator[Sight]:
    """Early stopping that waits for next to no epochs."""
    program = case.program
    if program.patience is not None and program.patience <= SHORT_PATIENCE < program.epochs - 1:
        yield Sight(value=float(program.patience), place="patience")


@warning("{place}: no bias, so the output is 0 where the input is", "neural_connection/add_bias@all")
def no_bias(case: Case) -> Iterator[Sight]:
    """Layers without a bias, where no normalisation behind them shifts the values."""
    program = case.program
    found = []
    for index, layer in _layers(case, Weighted):
        behind = program.layers[index + 1 : block_end(program, index)]
        if not layer.bias and not any(other.normalises for other in behind):
            found.append(index)
    yield from _of_layers(case, found)


def updates(case: Case) -> int:
    """Updates that the program asks for on all of its training rows."""
    return case.program.epochs * math.ceil(len(case.dataset.train) / case.program.batch_size)


def _is_linear(program: Program, index: int) -> bool:
    following = next(i for i in weighted_layers(program) if i > index)
    behind = program.layers[index + 1 : following + 1]
    kinds_of_own = any(isinstance(layer, ThresholdedRelu | Position | Attention) for layer in behind)
    layer = program.layers[index]
    return (
        isinstance(layer, Dense | Convolution)
        and layer_activation(program, index) == "linear"
        and not kinds_of_own
    )


def _layers(case: Case, kind: type[Kind]) -> list[tuple[int, Kind]]:
    """Layers of one kind, by their position."""
    return [(index, layer) for index, layer in enumerate(case.program.layers) if isinstance(layer, kind)]


def _of_layers(
    case: Case, found: list[int], *, value: float | None = None, edits: tuple[str, ...] | None = None
) -> Iterator[Sight]:
    """One sight of all layers that show it; the number is how many where it is no other."""
    if found:
        number = float(len(found)) if value is None else value
        yield Sight(value=number, place=layer_places(case.program, found), edits=edits)


def _start_edits(case: Case, found: list[int]) -> tuple[str, ...]:
    """Actions that give layers another start, those of a layer's own site first."""
    hidden, sites = hidden_layers(case.program), []
    for index in found:
        if index == output_layer(case.program):
            sites.append("output")
        elif index in hidden[:MAX_SITES]:
            sites.append(f"layer{hidden.index(index) + 1}")
    own = [f"neural_connection/glorot_uniform@{site}" for site in sites]
    return (*own, "neural_connection/*_uniform@all")

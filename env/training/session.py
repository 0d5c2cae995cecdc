"""The loop of one training: epochs, updates, curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Generator, Tensor

from netmend.env.data.dataset import Dataset
from netmend.env.program import Program, prepared_task
from netmend.env.program.shapes import multiply_accumulates, walk_layers
from netmend.env.training.building import Noise
from netmend.env.training.epochs import (
    Score,
    as_curves,
    out_of_patience,
    refuse_non_finite,
    repeats,
    watched_metric,
)
from netmend.env.training.measure import Measurements, check_epochs
from netmend.env.training.model import Network
from netmend.env.training.monitors import class_symptoms, data_symptoms, rate_symptoms
from netmend.env.training.objective import Objective
from netmend.env.training.prepare import PreparedCache
from netmend.env.training.rules import Evidence
from netmend.env.training.scores import collapsed, judge, judged_skill, predictions
from netmend.env.training.trial import Budget, TooMuchWorkError
from netmend.env.training.update import Penalty, Update
from netmend.env.training.work import PASSES, affordable, skips_last_row, training_work

STREAMS = ("weights", "order", "noise")
"""Random streams of a training: each consumer has its own, so that adding a dropout changes no weight."""
LARGEST_PASS = 8_000_000
"""Values that a scoring pass may hold at once; more rows are taken in pieces."""


def random_stream(seed: int, name: str, device: str = "cpu") -> Generator:
    """The generator of one consumer of randomness in a training with a seed."""
    return Generator(device).manual_seed(_stream_seed(seed, name))


@lru_cache(maxsize=1024)
def _stream_seed(seed: int, name: str) -> int:
    """The same few seeds come with every program."""
    child = np.random.SeedSequence([seed, STREAMS.index(name)])
    return int(child.generate_state(1, np.uint64)[0])


class Session:
    """One training, built and ready to run.

    Attributes:
        phase: what it is doing, for messages.
        planned: epochs that program and budget allow.
        curves: one list of (training loss, training score, validation loss, validation score) per epoch.
    """

    def __init__(
        self, program: Program, dataset: Dataset, budget: Budget, seed: int, device: str, cache: PreparedCache
    ) -> None:
        """Prepare data and build the network of a resolved program without a crash (see ``find_crash``).

        Raises:
            TooMuchWorkError: the budget's work is not enough for one update. Nothing is built then.
            CrashError: an initialiser cannot make a tensor.
        """
        self.phase = "build"
        self.program, self.dataset, self.task = program, dataset, dataset.task
        self.data = cache.prepare(program, dataset, budget.samples, device)
        rows = len(self.data.train.x)
        self.budget = affordable(program, self.task, rows, budget)
        if not self.budget.updates:
            one = training_work(program, self.task, rows, updates=1)
            raise TooMuchWorkError(
                f"one update takes {one:,.2f} million multiply-accumulates, the budget has {budget.work:,.2f}"
            )
        self.noise = Noise(random_stream(seed, "noise", device))
        shaped, weights = prepared_task(program, self.task), random_stream(seed, "weights")
        self.network = Network(program.layers, shaped, weights, self.noise, device, program.api)
        loop, network = program.loop, self.network
        self._forward = network.train if loop.training_mode else network.evaluate
        self._predict = network.evaluate if loop.evaluation_mode else network.rehearse
        train = self.data.train
        self.objective = Objective(program, self.data.preparation, len(train.x))
        self.measurements = Measurements(network, program, self.objective, train)
        self.penalty = Penalty(network.parameters)
        self.update = Update(program, network.parameters, self.penalty)
        self.order = random_stream(seed, "order")
        self.planned = self.budget.epochs_of(program, len(train.x))
        self.curves: list[list[float]] = []
        self.watched: list[float] = []
        self.updates = self.rows = 0
        walk = walk_layers(program.layers, shaped.input_shape, shaped.vocabulary)
        self.piece = max(1, LARGEST_PASS // walk.activations)
        self._batch = train.x[: program.batch_size]
        self._before = network.parameters.values
        self._repeats = repeats(program, len(train.x), self.budget, self.planned)
        self._rates: dict[str, float] = {}

    def fit(self) -> None:
        """Train until the epochs, the updates or the patience are used up.

        Raises:
            DivergedError: loss or weights are no longer finite.
        """
        self.phase = "training"
        if self.program.monitor.rates:
            self._rates = self._try_rates()
        self.measurements.check()
        check_after = check_epochs(self.planned)
        hopeless = False
        for epoch in range(1, self.planned + 1):
            self.phase = f"epoch {epoch} of {self.planned}"
            if not hopeless:
                self._record(*self._epoch())
                hopeless = self._hopeless()
            else:
                self.curves.append(self.curves[-1])
                self.watched.append(self.watched[-1])
            if epoch in check_after:
                self.measurements.check()
            if out_of_patience(self.program, self.watched):
                break

    def score(self, holdout: bool) -> Score:
        """Score of the network as it is now."""
        self.phase = "scoring"
        validation = self.curves[-1][3]
        held: float | None = None
        if holdout:
            rows = self.data.preparation.apply(self.dataset.holdout)
            predicted = predictions(self._outputs(rows.x), self.data.preparation)
            held = judged_skill(float(judge(predicted, rows.truth, self.task)), rows.truth, self.task)
        return Score(judged_skill(validation, self.data.validation.truth, self.task), validation, held)

    def evidence(self, finite: bool) -> Evidence:
        """What the rules need."""
        return Evidence(
            program=self.program,
            task=self.task,
            curves=as_curves(self.curves),
            layers=self.measurements.layers,
            checks=self.measurements.checks(),
            weights=self.measurements.weights(),
            finite=finite,
            collapsed=collapsed(self._predicted, self.data.validation.truth) if self.curves else 0.0,
            monitored=self._monitored(),
            target_range=self.data.target_range,
            unscaled_inputs=self.data.unscaled_inputs,
            input_spread=self.data.input_spread,
            unscaled_targets=self.data.unscaled_targets,
        )

    @property
    def work(self) -> float:
        """Millions of multiply-accumulates so far; a backward pass counts as two forward passes.

        Monitoring the classes is a forward pass of the validation rows, the rates are three updates with four
        forward passes beside them, and the data one operation per value.
        """
        monitor, train = self.program.monitor, self.data.train.x
        rows = PASSES * self.rows
        if monitor.classes and self.curves:
            rows += len(self.data.validation.x)
        if self._rates:
            rows += (3 * PASSES + 4) * min(self.program.batch_size, len(train))
        values = train.numel() if monitor.data else 0
        return (rows * multiply_accumulates(self.program, self.task) + values) / 1e6

    def failing_layer(self) -> int | None:
        """Position of the layer that cannot take what it gets while training, if that is what fails."""
        x = self._batch
        self.noise.begin_epoch(len(x))
        for index, operation in enumerate(self.network.training):
            try:
                x = operation(x)
            except (RuntimeError, ValueError, IndexError):
                return index
        return None

    def _epoch(self) -> tuple[Tensor, Tensor]:
        """One pass over the rows; mean loss and score are gathered while training, as in Keras."""
        train, order = self.data.train, self._row_order()
        if self._repeats:
            self._before = self.network.parameters.values.clone()
        losses: list[Tensor] = []
        outputs: list[Tensor] = []
        self.noise.begin_epoch(len(order))
        for x, targets, weights in self._batches(order):
            self._batch = x
            if self.updates == self.budget.updates or self._too_small():
                break
            output = self._forward(x)
            loss = self.objective.of_batch(output, targets, weights)
            self.update(loss)
            self.updates += 1
            self.noise.start += len(output)
            losses.append(loss.detach())
            outputs.append(output.detach())
        self.update.end_epoch()
        seen = torch.cat(outputs)
        self.rows += len(seen)
        predicted = predictions(seen, self.data.preparation)
        return torch.stack(losses).mean(), judge(predicted, train.truth[order[: len(seen)]], self.task)

    def _batches(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Inputs, targets and weights of the batches of an epoch."""
        train, size = self.data.train, self.program.batch_size
        x, targets = torch.split(train.x[order], size), torch.split(train.targets[order], size)
        weights: Sequence[Tensor | None] = [None] * len(x)
        if train.weights is not None:
            weights = torch.split(train.weights[order], size)
        return zip(x, targets, weights, strict=True)

    def _record(self, loss: Tensor, score: Tensor) -> None:
        held = self.data.validation
        outputs = self._outputs(held.x)
        held_loss = self.objective.of_held(outputs, held)
        self._predicted = predictions(outputs, self.data.preparation)
        penalty = self.penalty.value()
        weights = self.network.parameters.values.sum()
        numbers: list[float] = torch.stack(
            [
                loss + penalty,
                score,
                held_loss + penalty,
                judge(self._predicted, held.truth, self.task),
                weights,
            ]
        ).tolist()
        refuse_non_finite(numbers)
        self.curves.append(numbers[:4])
        if self.program.data.split != "none":  # a program without a validation part has nothing to look at
            self.update.look(numbers[2])
        self.watched.append(self._watch(numbers[2]))

    def _watch(self, held_loss: float) -> float:
        """What the patience looks at: the validation loss, or the program's metric, on its own rows."""
        own, by_metric = self.data.own_validation, self.program.stop_on == "metric"
        if self.program.patience is None or (own is None and not by_metric):
            return held_loss
        rows, predicted = self.data.validation, self._predicted
        if own is not None:
            outputs = self._outputs(own.x)
            rows, predicted = own, predictions(outputs, self.data.preparation)
            if not by_metric:
                return float(self.objective.of_held(outputs, own) + self.penalty.value())
        return watched_metric(self.program.metric, predicted, rows.truth, self.task.outputs)

    def _outputs(self, x: Tensor) -> Tensor:
        self.noise.begin_epoch(0)
        with torch.no_grad():
            if len(x) <= self.piece:
                return self._predict(x)
            return torch.cat([self._predict(piece) for piece in torch.split(x, self.piece)])

    def _try_rates(self) -> dict[str, float]:
        """The rates' symptom, on the batch with which the training will begin."""
        begins = self.order.get_state()
        rows = self._row_order()[: self.program.batch_size]
        self.order.set_state(begins)
        train = self.data.train
        x, targets = train.x[rows], train.targets[rows]
        weights = None if train.weights is None else train.weights[rows]
        forward = self.network.rehearse if self.program.loop.training_mode else self.network.evaluate
        return rate_symptoms(
            self.program,
            self.network.parameters,
            self.noise,
            lambda: self.objective.of_batch(forward(x), targets, weights),
        )

    def _monitored(self) -> dict[str, float]:
        """The symptoms that only a program that monitors them has."""
        found = dict(self._rates)
        if self.program.monitor.data:
            found |= data_symptoms(self.data, self.dataset)
        if self.program.monitor.classes and self.curves:
            found |= class_symptoms(self._predicted, self.data.validation.truth, self.task)
        return found

    def _row_order(self) -> Tensor:
        if not self.program.data.shuffle:
            return self.data.unshuffled
        return torch.randperm(len(self.data.train.x), generator=self.order).to(self.data.unshuffled.device)

    def _too_small(self) -> bool:
        """Whether this is a left-over batch that batch normalisation could not take."""
        return len(self._batch) == 1 and skips_last_row(self.program, len(self.data.train.x))

    def _hopeless(self) -> bool:
        """Whether no epoch will ever change anything: the loss repeats, no weight moved, no gradient is left.

        Its epochs are then recorded as they would be, without being trained.
        """
        if not self._repeats or len(self.curves) < 2 or self.curves[-1][2] != self.curves[-2][2]:
            return False
        parameters = self.network.parameters
        return torch.equal(parameters.values, self._before) and not bool(parameters.gradient.any())

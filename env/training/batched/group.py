"""The trainings of one group of programs, side by side: epochs, updates, records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from netmend.env.training.batched.bound import Step
from netmend.env.training.batched.cuda_graph import captured
from netmend.env.training.batched.levels import group_levels
from netmend.env.training.batched.measurements import GroupMeasurements, weight_checks
from netmend.env.training.batched.member import Member, channels_last
from netmend.env.training.batched.network import GroupNetwork, Pass
from netmend.env.training.batched.outputs import GroupOutputs
from netmend.env.training.batched.randomness import Noise, Orders
from netmend.env.training.batched.updates import joined, penalties, row_steps, update_steps
from netmend.env.training.batched.weights import GroupWeights
from netmend.env.training.epochs import Score
from netmend.env.training.measure import CHECK_ROWS
from netmend.env.training.prepare import Labelled
from netmend.env.training.scores import collapsed, metric, predictions, skill
from netmend.env.training.trial import Status, Trial
from netmend.env.training.work import skips_last_row

EVALUATED = 2**18
"""Values that the widest buffer of a scoring pass may hold."""


class Group:
    """Programs that share a computation (see ``plan.py``), the deepest first."""

    def __init__(self, members: Sequence[Member], device: str) -> None:
        """Build weights, network and buffers."""
        self.members, self._device = members, device
        for place, member in enumerate(members):
            member.place = place
        first = members[0]
        program, self._budget = first.outline.program, first.request.budget
        outlines = [member.outline for member in members]
        self._rows = len(first.data.train.x)
        self._batches = _batches(
            self._rows, program.batch_size, skip_last=skips_last_row(program, self._rows)
        )
        levels = group_levels(outlines)
        self.weights = GroupWeights(levels, outlines, [member.request.seed for member in members], device)
        self._final = self.weights.values.clone()
        self._before = torch.empty_like(self._final)
        depths = [len(outline.trunk) + len(outline.hidden) for outline in outlines]
        self.network = GroupNetwork(levels, depths, self.weights)
        units = [outline.levels[-1].width for outline in outlines]
        self._judge = GroupOutputs([member.data for member in members], units)
        self._bind()
        if device == "cpu":
            self._updates = [update_steps(self.weights, m, own.outline) for m, own in enumerate(members)]
        else:
            # The rows of programs that have ended run on; their results have been copied.
            self._updates = [[] for _ in members]
            after = row_steps(self.weights, outlines)
            self._steps: list[Step] = captured(joined(self._steps, after), device)
        self._penalties = penalties(self.weights)
        self._orders = Orders(members, device)
        self._known_shares: dict[int, Tensor] = {}
        self._holdout_parts: list[Labelled] = []

    def _bind(self) -> None:
        """Passes for an update, for scoring and for a check; buffers for the rows of an epoch."""
        data = [member.data for member in self.members]
        self._inputs = [
            channels_last(own.train.x, member) for own, member in zip(data, self.members, strict=True)
        ]
        self._epoch_inputs = self._buffer(self._rows)
        sizes = sorted({stop - start for start, stop in self._batches}, reverse=True)
        bind = self.network.bind
        self._passes = {size: bind(self._buffer(size), training=True, backward=True) for size in sizes}
        self._losses = {size: _loss(self._judge, bound) for size, bound in self._passes.items()}
        some = self._passes[sizes[0]]
        self._outputs = some.outputs.new_zeros(len(data), self._rows, some.outputs.shape[2])
        self._noise = Noise(self.members, self.network, some, self._rows)
        self._steps = [self._batch(slice(*bounds)) for bounds in self._batches]
        checked = self._buffer(min(CHECK_ROWS, self._rows))
        _fill(checked, self._inputs)
        self._check_pass = bind(checked, training=False, backward=True)
        self._check_loss = _loss(self._judge, self._check_pass)
        self._check_targets = [own.clone() for own in self._judge.targets(slice(checked.shape[1]))]
        self._measurements = GroupMeasurements(
            self.network, [member.outline for member in self.members], self._check_pass
        )
        self._score_validation = self._scoring([own.validation.x for own in data])

    def _buffer(self, rows: int) -> Tensor:
        """Place for inputs (programs, rows, *shape), all 0."""
        like = self.members[0].data.train.x
        shape = self.network.levels[0].shape
        return torch.zeros(len(self.members), rows, *shape, dtype=like.dtype, device=like.device)

    def _scoring(self, parts: Sequence[Tensor]) -> Callable[[], Tensor]:
        """A step that gives the outputs (programs, rows, units) for the rows of each program."""
        rows = max(map(len, parts))
        inputs = self._buffer(rows)
        _fill(inputs, [channels_last(x, member) for x, member in zip(parts, self.members, strict=True)])
        widest = max(
            max(prod(level.shape), *(own.scratch(1) for own in level.levels)) for level in self.network.levels
        )
        size = min(rows, max(32, EVALUATED // (len(parts) * widest)))
        bound = self.network.bind(
            inputs if size == rows else self._buffer(size), training=False, backward=False
        )
        outputs = self._outputs.new_empty(len(parts), rows, self._outputs.shape[2])

        def score() -> Tensor:
            for start in range(0, rows, size):
                part = inputs[:, start : start + size]
                if size < rows:
                    bound.x[:, : part.shape[1]].copy_(part)
                for step in bound.forward:
                    step()
                outputs[:, start : start + size].copy_(bound.outputs[:, : part.shape[1]])
            return outputs

        return score

    def fit(self) -> None:
        """Train until every program has used up its epochs or its patience, or has diverged."""
        self._check(self.members)
        epoch = 0
        while running := [member for member in self.members if member.status is None]:
            epoch += 1
            self._before.copy_(self.weights.values)
            self._epoch(epoch)
            self._record(epoch)
            running = [member for member in running if member.status is None]
            # Before a check, which overwrites the gradients.
            hopeless = [member for member in running if self._hopeless(member)]
            self._check([member for member in running if epoch in member.check_after])
            for member in hopeless:
                self._repeat(member, epoch)
            over = [member for member in running if member.is_over()]
            held = self._holdout(over)
            for member in over:
                member.status = Status.OK
                self._finish(member, held.get(member.place))

    def trials(self, seconds: float) -> list[Trial]:
        """What the trainings showed; ``seconds`` of the whole are shared out by their work."""
        checks = self._measurements.checks(
            [member.checks for member in self.members], [member.measured for member in self.members]
        )
        weights = weight_checks(self.weights, self._final)
        total = sum(member.work for member in self.members) or 1.0
        return [
            member.trial(
                own_checks, own_weights, seconds * (member.work / total if len(self.members) > 1 else 1)
            )
            for member, own_checks, own_weights in zip(self.members, checks, weights, strict=True)
        ]

    def _epoch(self, epoch: int) -> None:
        orders = self._orders.draw()
        _fill(self._epoch_inputs, self._inputs, orders)
        self._judge.shuffle(orders)
        self._noise.draw()
        steps = [
            step for m, own in enumerate(self._updates) if self.members[m].status is None for step in own
        ]
        done = (epoch - 1) * len(self._batches)
        self._seen = self._batches[: self._budget.updates - done]
        for update in self._steps[: len(self._seen)]:
            update()
            for step in steps:
                step()
        for member in self.members:
            if member.status is None:
                member.rows += self._seen[-1][1]

    def _batch(self, rows: slice) -> Step:
        """The step of one update but for what follows the backward pass, bound to the rows of the epoch."""
        bound = self._passes[rows.stop - rows.start]
        fills = [(bound.x, self._epoch_inputs[:, rows])]
        fills += [(mask, self._noise.masks[key][:, rows]) for key, mask in bound.masks.items()]
        judge, targets = self._losses[rows.stop - rows.start], self._judge.targets(rows)
        kept = self._outputs[:, rows]

        def step() -> None:
            for target, source in fills:
                target.copy_(source)
            for forward in bound.forward:
                forward()
            kept.copy_(bound.outputs)
            judge(targets)
            for backward in bound.backward:
                backward()

        return step

    def _record(self, epoch: int) -> None:
        """One read-back per epoch: curves, and whether the weights are still finite."""
        shares = self._shares(len(self._seen))
        numbers = self._judge.record(self._outputs, shares, self._score_validation())
        for add in self._penalties:
            penalty = add()
            numbers[0] += penalty
            numbers[2] += penalty
        table: list[list[float]] = torch.cat([numbers, self.weights.values.sum(1)[None]]).T.tolist()
        for member, row in zip(self.members, table, strict=True):
            if member.status is None:
                member.record(row, epoch)
                if member.status is not None:
                    self._finish(member)

    def _shares(self, updates: int) -> Tensor:
        """Share of each row in the mean over an epoch's batches of their mean losses."""
        if updates not in self._known_shares:
            sizes = [stop - start for start, stop in self._batches[:updates]]
            shares = torch.tensor([1 / (size * updates) for size in sizes]).repeat_interleave(
                torch.tensor(sizes)
            )
            self._known_shares[updates] = shares.to(self._device)
        return self._known_shares[updates]

    def _check(self, members: Sequence[Member]) -> None:
        """Measure now, for some of the programs; nothing where there are none."""
        if not members:
            return
        bound = self._check_pass
        for step in bound.forward:
            step()
        self._check_loss(self._check_targets)
        for step in bound.backward:
            step()
        number = self._measurements.check()
        for member in members:
            member.checks.append(number)

    def _repeat(self, member: Member, epoch: int) -> None:
        """Fill in the epochs that are left: each is like the last one, and so is each check."""
        if member.is_over():
            return
        self._check([member])
        last = member.checks.pop()
        while not member.is_over():
            epoch += 1
            member.curves.append(member.curves[-1])
            member.checks += [last] * (epoch in member.check_after)

    def _hopeless(self, member: Member) -> bool:
        """Whether nothing will ever change: the loss repeats, no weight moved, and every gradient is zero."""
        m, curves = member.place, member.curves
        if len(curves) < 2 or curves[-1][2] != curves[-2][2] or not member.constant:
            return False
        gradient, untrained = self.weights.gradient[m], self.weights.untrained[m]
        if untrained is not None:
            gradient = gradient.masked_fill(untrained, 0.0)
        return torch.equal(self.weights.values[m], self._before[m]) and not bool(gradient.any())

    def _finish(self, member: Member, held: float | None = None) -> None:
        """Keep what the program's trial needs; its row of the group runs on without an effect."""
        self._final[member.place] = self.weights.values[member.place]
        truth = member.data.validation.truth
        if member.curves:
            member.collapsed = collapsed(self._judge.predicted[member.place], truth)
        if member.status is Status.OK:
            score = member.curves[-1][3]
            member.score = Score(skill(score, truth), score, held)

    def _holdout(self, members: Sequence[Member]) -> dict[int, float]:
        """Hold-out skill, by place, of those that asked for it."""
        asked = [member for member in members if member.request.holdout]
        if not asked:
            return {}
        if not self._holdout_parts:
            self._holdout_parts = [
                own.data.preparation.apply(
                    own.dataset.holdout if own.request.holdout else own.dataset.validation
                )
                for own in self.members
            ]
            self._score_holdout = self._scoring([part.x for part in self._holdout_parts])
        outputs = self._score_holdout()
        found: dict[int, float] = {}
        for member in asked:
            truth = self._holdout_parts[member.place].truth
            own = outputs[member.place, : len(truth), : member.outline.levels[-1].width]
            predicted = predictions(own, member.data.preparation)
            found[member.place] = skill(float(metric(predicted, truth)), truth)
        return found


def _loss(judge: GroupOutputs, bound: Pass) -> Callable[[Sequence[Tensor]], None]:
    assert bound.gradient is not None
    return judge.bind(bound.outputs, bound.gradient)


def _batches(rows: int, size: int, *, skip_last: bool) -> list[tuple[int, int]]:
    """First and last row (exclusive) of the updates of an epoch."""
    bounds = [(start, min(start + size, rows)) for start in range(0, rows, size)]
    return bounds[:-1] if skip_last else bounds


def _fill(target: Tensor, parts: Sequence[Tensor], orders: Sequence[Tensor] | None = None) -> None:
    """Copy the rows of each program into its place, in an order where there is one; padding stays 0."""
    for m, part in enumerate(parts):
        if orders is not None and part.shape[1:] == target.shape[2:]:
            torch.index_select(part, 0, orders[m], out=target[m])
            continue
        rows = part if orders is None else part[orders[m]]
        count = min(len(rows), target.shape[1])
        target[m, :count, ..., : rows.shape[-1]].copy_(rows[:count])

"""Forward passes of the network from outside: which are trained on, what they are compared with, how good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from netmend.env.script.graph import numbers
from netmend.env.script.record import Score
from netmend.env.script.row_order import in_other_order, same_values
from netmend.env.script.rows import Rows
from netmend.env.script.scores import BALANCED, Tally, balanced, compare, equal, together
from netmend.env.script.site import Site

_TAGS = 2_000  # tensors that are followed at once
_LEAST = 5  # labels of an evaluation that is believed
_MOVES = frozenset(("squeeze", "view", "reshape", "flatten", "detach", "cpu", "to", "float", "clone"))
SPREAD = "broadcast_score"
"""The fact that each output is compared with the labels of all rows."""
_LEAST_ROWS = 20
"""Labels from which on they are no list of classes with which outputs are compared."""
_ORDERS = frozenset(("gt", "ge", "lt", "le"))
_CHOICES = _ORDERS | {"argmax", "max", "topk", "round"}
_NUMBERS = frozenset(("item", "int", "tolist"))
SAME = frozenset({"eq", "ne"})
COMPARISONS = SAME | {"sub", "rsub"}
GOOD_SCORES = frozenset(
    {
        "accuracy_score",
        "balanced_accuracy_score",
        "r2_score",
        "f1_score",
        "roc_auc_score",
        "average_precision_score",
        "matthews_corrcoef",
        "cohen_kappa_score",
    }
)


@dataclass(eq=False)
class Pass:
    """A forward pass of the network that the script itself calls.

    Attributes:
        inputs: first tensor that goes in; output: first that comes out.
        training: mode of the network; grad: whether gradients were recorded.
        update: how many updates there had been.
        where: the way from the script's first line to the call.
        batch: last tensor of the loader's batch: what the output should be, where nothing better is known.
        called: where the script calls it.
        nodes: numbers of the autograd nodes of its outputs.
        truth: what the output was compared with; tally: how it compares.
        chosen: whether the script chose a class or a side by the output.
        loader: id of the loader that the batch comes from; shuffled: its rows, where it shuffles them.
        given: all tensors of the batch.
        in_order: whether the output was compared with one of them, row by row.
    """

    inputs: Tensor | None
    output: Tensor
    training: bool
    grad: bool
    update: int
    where: object
    batch: Tensor | None = None
    called: Site | None = None
    nodes: tuple[int, ...] = ()
    truth: Tensor | None = None
    tally: Tally | None = None
    chosen: bool = False
    loader: int | None = None
    shuffled: int = 0
    given: Sequence[Tensor] = ()
    in_order: bool = False

    @property
    def is_alone(self) -> bool:
        """Whether it is of one row."""
        return self.output.dim() > 0 and len(self.output) == 1


@dataclass
class Passes:
    """Passes of a run.

    Attributes:
        loss: kind of the trained loss, as soon as it is known.
        forward: where the first pass is called that a backward pass trains; evaluated: the first other one,
            of those that are judged where any is.
        scored_in_training_mode: rows that were judged while the network was in training mode.
        trained_in_evaluation_mode: passes that were trained on while it was not.
        disordered: the first whose outputs were compared with the labels of other rows.
    """

    training_rows: Rows
    evaluation_rows: Rows
    loss: str = ""
    forward: Site | None = None
    evaluated: Site | None = None
    scored_in_training_mode: int = 0
    trained_in_evaluation_mode: int = 0
    disordered: Pass | None = None
    _open: list[Pass] = field(default_factory=list)
    _tags: dict[int, tuple[object, tuple[Pass, ...]]] = field(default_factory=dict)
    _raw: set[int] = field(default_factory=set)
    _said: tuple[Pass, Tensor] | None = None
    _trained: list[Tally] = field(default_factory=list)
    _evaluation: list[Tally] = field(default_factory=list)
    _outputs: list[Pass] = field(default_factory=list)
    _key: object = None
    _evaluates: bool = False
    _metric: tuple[object, str, float, int] | None = None

    @property
    def judged(self) -> bool:
        """Whether outputs since the last update were compared with labels."""
        return any(run.tally is not None for run in self._open)

    def shown(self) -> list[float]:
        """Scores of the evaluations since the last update, one for each place in the script."""
        places: dict[object, list[Tally]] = {}
        for run in self._open:
            if run.tally is not None:
                places.setdefault(run.where, []).append(run.tally)
        return [tally.value for own in places.values() if (tally := together(own)) is not None]

    def begin(self, run: Pass, outputs: Sequence[Tensor]) -> None:
        """A pass has come out; what becomes of its outputs is followed."""
        if len(self._open) > 5_000:
            self.close()
        self._open.append(run)
        for output in outputs:
            self._tag(output, (run,))
            if id(output) in self._tags:  # which keeps it: an id may be another's later on
                self._raw.add(id(output))

    def _tag(self, value: object, runs: tuple[Pass, ...]) -> None:
        if len(self._tags) < _TAGS:
            self._tags[id(value)] = (value, runs)

    def follows(self, values: Sequence[object]) -> bool:
        """Whether any of the values, or of the lists among them, comes from a pass, or may be its label."""
        tags = self._tags
        return self._said is not None or any(
            id(value) in tags or (isinstance(value, (list, tuple)) and any(id(one) in tags for one in value))
            for value in values
        )

    def followed(self, values: Sequence[object]) -> tuple[Pass, ...]:
        """Passes from which any of the values come."""
        found: dict[int, Pass] = {}
        for value in values:
            for run in self._tags.get(id(value), (None, ()))[1]:
                found[id(run)] = run
        return tuple(found.values())

    def flow(self, name: str, given: Sequence[Tensor], returned: Sequence[object]) -> None:
        """A function was called: what comes from a pass is followed, a comparison with labels is taken."""
        if not self._tags:
            return
        runs = self.followed(given)
        if not runs:
            if given:  # else it is a switch, as of gradients
                self._answer(name, given)
            return
        for run in runs if name in _CHOICES else ():
            run.chosen = True
        is_number = name in _NUMBERS and len(runs) == 1 and runs[0].is_alone and runs[0].chosen
        self._said = (runs[0], given[0]) if is_number and given[0].numel() == 1 else None
        if name in COMPARISONS and len(given) == 2:
            own = [value for value in given if id(value) in self._tags]
            others = [value for value in given if id(value) not in self._tags]
            if len(own) == 1 and own[0].numel() == others[0].numel():
                self.compared(runs, own[0], others[0], same=name in SAME)
                return
        for value in returned:
            self._tag(value, runs)
            if name in _MOVES and id(given[0]) in self._raw and id(value) in self._tags:
                self._raw.add(id(value))

    def _answer(self, name: str, given: Sequence[Tensor]) -> None:
        """A label is read as a number, or compared, right behind the class that was chosen for its row."""
        said, self._said = self._said, None
        if said is None or name not in _NUMBERS | SAME or len(given) != 1 or given[0].numel() != 1:
            return
        if not given[0].is_floating_point():
            self._judge(said[0], equal(said[1], given[0]), given[0].reshape(1))

    def misjudged(
        self, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[str, float] | None:
        """What a call gets wrong about the outputs that it judges, and a number of that fact.

        It rounds outputs as they are, cuts them at one half, or chooses from one of a row. Or it compares
        each with the labels of all rows: the number is below 0 where the second has the column.
        """
        first, *others = args or (None,)
        if name in COMPARISONS and len(others) == 1:
            return self._spread(first, others[0], same=name in SAME)
        half = name in _ORDERS and len(others) == 1 and isinstance(others[0], float) and others[0] == 0.5
        if id(first) in self._raw and (half or (name == "round" and not others)):
            return "outputs_cut", 0.5
        dim = next((value for value in (*others, kwargs.get("dim")) if isinstance(value, int)), None)
        if name not in ("argmax", "max") or dim is None or id(first) not in self._tags:
            return None
        if not isinstance(first, Tensor) or first.dim() != 2 or len(first) == 1 or dim not in (1, -1):
            return None  # the outputs for one row may stand for a list of any length
        return ("chosen_from_one", float(len(first))) if first.shape[1] == 1 else None

    def _spread(self, first: object, second: object, *, same: bool) -> tuple[str, float] | None:
        if not isinstance(first, Tensor) or not isinstance(second, Tensor):
            return None
        own, rows = [one for one in (first, second) if id(one) in self._tags], first.numel()
        shapes = tuple(first.shape), tuple(second.shape)
        if rows < _LEAST_ROWS or len(own) != 1 or shapes not in (((rows, 1), (rows,)), ((rows,), (rows, 1))):
            return None
        trained = own[0].requires_grad and not same  # a part of the loss
        return None if trained else (SPREAD, float(rows if first.dim() == 2 else -rows))

    def compared(self, runs: tuple[Pass, ...], value: Tensor, truth: Tensor, *, same: bool) -> None:
        """What the script made of the outputs of passes, one behind the other, was compared with labels.

        Args:
            runs: the passes; value: what became of their outputs.
            truth: of the same size.
            same: whether the script asks if both are the same; else it takes their difference.
        """
        made = "logits" in self.loss and id(value) not in self._raw  # something else of logits, by the script
        self.ordered(runs, value, truth)
        judge = equal if same else partial(compare, loss="" if made else self.loss)
        sizes = [len(run.output) if run.output.dim() else 1 for run in runs]
        if len(runs) == 1:
            self._judge(runs[0], judge(value, truth), truth)
        elif value.dim() and truth.dim() and sum(sizes) == len(value) == len(truth):
            parts = zip(runs, torch.split(value, sizes), torch.split(truth, sizes), strict=True)
            for run, own, labels in parts:
                self._judge(run, judge(own, labels), labels)

    def ordered(self, runs: Sequence[Pass], value: Tensor, truth: Tensor) -> None:
        """What became of the outputs of passes is compared with labels, which may be in another order.

        Only all rows of a loader tell: the labels of a few may be like any other values.
        """
        sizes = [len(run.output) if run.output.dim() else 0 for run in runs]
        if not truth.dim() or sum(sizes) != len(truth):
            return
        for run, part in zip(runs, torch.split(truth, sizes), strict=True):
            run.in_order |= any(same_values(one, part) for one in run.given)
        own = [run.batch for run in runs if run.batch is not None and run.batch.dim()]
        outputs = [run.output for run in runs]
        alike = len({one.shape[1:] for one in own}) == len({one.shape[1:] for one in outputs}) == 1
        all_rows = {(run.loader, run.shuffled) for run in runs} == {(runs[-1].loader, len(truth))}
        known = alike and all_rows and len(own) == len(runs) and not any(run.in_order for run in runs)
        told = self.disordered is not None and not self.disordered.in_order
        if known and not told and in_other_order(torch.cat(outputs), torch.cat(own), value, truth):
            self.disordered = runs[-1]

    def _judge(self, run: Pass, tally: Tally | None, truth: Tensor) -> None:
        if run.truth is None and tally is not None:
            run.truth, run.tally = truth.detach(), tally

    def lost(self, output: Tensor, target: Tensor) -> None:
        """A loss was called with them."""
        runs = self.followed([output])
        if len(runs) == 1 and runs[0].truth is None:
            fits = compare(runs[0].output, target, self.loss)
            self._judge(runs[0], fits or compare(output, target, self.loss), target)

    def close(self, loss: Tensor | None = None) -> int:
        """Put the open passes where they belong: to training what a backward pass trains, else to evaluation.

        Args:
            loss: that a backward pass comes from; None where none came.

        Returns:
            Rows of those that are trained on.
        """
        rows = 0
        trained = [] if loss is None else self._behind(loss)
        if trained:
            self.forward = self.forward or trained[0].called
        for run in self._open:
            if run.truth is None and run.batch is not None:
                self._judge(run, compare(run.output, run.batch, self.loss), run.batch)
            if run in trained:
                rows += len(run.output) if run.output.dim() else 1
                self.training_rows.add(run.inputs, run.truth)
                self.trained_in_evaluation_mode += not run.training
                if run.tally is not None:
                    self._trained.append(run.tally)
            else:
                self._evaluate(run)
        self._open.clear()
        self._tags.clear()
        self._raw.clear()
        self._said = None
        return rows

    def _behind(self, loss: Tensor) -> list[Pass]:
        """The passes behind a loss, of one place: that of the last. A loss without a graph takes any."""
        found = [run for run in self._open if run.grad]
        if len(found) > 1:
            nodes = numbers(loss)
            found = [run for run in found if not nodes.isdisjoint(run.nodes)] or found
        return [run for run in found if run.where == found[-1].where]

    def _evaluate(self, run: Pass) -> None:
        judged = run.tally is not None
        if run.called is not None and (self.evaluated is None or (judged and not self._evaluates)):
            self.evaluated, self._evaluates = run.called, judged
        key = (run.update, run.where)
        if key != self._key:
            self._key, self._evaluation, self._outputs = key, [], []
            self.evaluation_rows.clear()
        self._outputs.append(run)
        if run.tally is not None:
            self._evaluation.append(run.tally)
            self.evaluation_rows.add(run.inputs, run.truth)
        # With gradients it may be part of a loss; a look at the training rows is no evaluation.
        if run.training and run.update and not run.grad and not self.training_rows.hold(run.inputs):
            self.scored_in_training_mode += 0 if run.tally is None else run.tally.rows

    def measured(self, name: str, truth: Tensor, value: float) -> None:
        """The script called a score of scikit-learn with labels, for the last passes."""
        runs: list[Pass] = []
        rows = 0
        for run in reversed((*self._outputs, *self._open)):
            if rows < len(truth):
                runs.insert(0, run)
                rows += len(run.output) if run.output.dim() else 1
        if not runs or rows != len(truth):
            return
        if self._metric is None or runs[-1] is not self._metric[0]:
            self._metric = runs[-1], name, value, rows
        for run, labels in zip(runs, torch.split(truth, [len(run.output) for run in runs]), strict=True):
            self._judge(run, compare(run.output, labels, self.loss), labels)

    def own(self, updates: int) -> Score | None:
        """Score of the script's last own evaluation; one in front of the first of the updates is none."""
        if self.forward is None and (last := next((run for run in reversed(self._open) if run.grad), None)):
            self.forward = last.called  # a crash came in front of its backward pass
            self._open.remove(last)
        self.close()
        if updates and self._outputs and self._outputs[-1].update == 0:
            return None
        if self._metric is not None and self._outputs and self._metric[0] is self._outputs[-1]:
            _, name, value, rows = self._metric
            return Score(kind=name, value=value, rows=rows, source="own")
        tally = together(self._evaluation)
        return _score(tally, "own") if tally is not None and tally.items >= _LEAST else None

    def balanced(self) -> Score | None:
        """The same with every class alike, where it is an accuracy; None where it is not, or none is seen."""
        runs = [run for run in self._outputs if run.tally is not None and run.output.dim()]
        pairs = [(run.output, run.truth) for run in runs if run.truth is not None and run.truth.dim()]
        if len({(output.shape[1:], truth.shape[1:]) for output, truth in pairs}) != 1:
            return None
        outputs, truths = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        value = balanced(outputs, truths, self.loss)
        return None if value is None else Score(kind=BALANCED, value=value, rows=len(outputs), source="own")

    def prequential(self) -> Score | None:
        """Score of each training batch before its update, over the last fifth of the updates."""
        last = self._trained[-max(len(self._trained) // 5, 1) :]
        tally = together(last)
        return None if tally is None else _score(tally, "prequential")

    def withheld(self, outputs: Callable[[], list[tuple[Tensor, Tensor]]]) -> Score | None:
        """Score of rows that were kept from training."""
        tallies = [compare(output, target, self.loss) for output, target in outputs()]
        tally = together(tally for tally in tallies if tally is not None)
        return None if tally is None else _score(tally, "withheld")


def _score(tally: Tally, source: str) -> Score | None:
    value = tally.value
    if not np.isfinite(value):
        return None
    return Score(kind=tally.kind, value=value, rows=tally.rows, source=source)  # type: ignore[arg-type]

"""Which call in a network mixes the rows of a batch: one row is changed, and what else changes is looked at.

The network runs again behind the end of the script, in evaluation mode and without gradients: as it was, and
with one row of its first batch in the place of another. Where each row is taken by itself, no more than that
row's share of any tensor changes, wherever it lies. The first call that changes more mixes the rows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from netmend.env.script.frames import Frames
from netmend.env.script.measure import tensors_in
from netmend.env.script.record import Fact, Operation
from netmend.env.script.site import Site
from netmend.env.script.trace import function_name, is_leaf

if TYPE_CHECKING:
    from netmend.env.script.recorder import Recorder

RESHAPES = frozenset(("view", "reshape", "flatten", "unflatten", "view_as", "reshape_as", "resize"))
SEQUENCES = (
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerDecoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoderLayer,
)
"""Layers that go over the steps of a row."""
_FUNCTIONS = frozenset(("linear", "conv1d", "conv2d", "conv3d", "layer_norm"))
"""Functions that take a row as a whole, as layers with weights do."""
_MOST = 8 << 20, 64 << 20
"""Values of a first batch that is kept, and of what a network makes of it."""
_LEAST_ROWS = 4
_SLACK = 1.5
"""Times the share of one row from which more than that row has changed."""
_MOMENT = 0.25
"""Seconds of CPU for an update, up to which the network is run some more times."""
_NOISE = 1e-3
"""Share of the largest change below which a change is rounding."""


@dataclass(frozen=True)
class Batch:
    """What the network was given in its first training pass.

    Attributes:
        args, kwargs: copies.
        rows: how many of a loader's batch stand on its first axis; 0 where that is not known.
        shuffled: whether that loader shuffles them.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    rows: int = 0
    shuffled: bool = False

    @property
    def inputs(self) -> Tensor:
        """The first tensor."""
        return tensors_in(*self.args, *self.kwargs.values())[0]

    def copy(self) -> Batch:
        """The same for a network that may write into it."""
        return Batch(_copied(self.args), _copied(dict(self.kwargs)), self.rows, self.shuffled)


def keep_batch(args: tuple[Any, ...], kwargs: Mapping[str, Any], rows: int, shuffled: bool) -> Batch | None:
    """Keep what a network is given; nothing where that is too much.

    Args:
        args, kwargs: of its call.
        rows: of the batch that a loader gave last, 0 without one.
        shuffled: whether that loader shuffles.
    """
    given = tensors_in(*args, *kwargs.values())
    if not given or not given[0].dim() or sum(one.numel() for one in given) > _MOST[0]:
        return None
    first, *others = given[0].shape
    return Batch(args, kwargs, rows if first == rows and rows not in others[:1] else 0, shuffled).copy()


def may_mix(operations: Sequence[Operation]) -> bool:
    """Whether a forward pass can mix rows: it has a layer of sequences, or a reshape of the first axis."""
    return any(
        any(name.endswith("batch_first") for name in one.settings)
        or (one.kind in RESHAPES and one.received.shape[:1] != one.returned.shape[:1])
        for one in operations
    )


def look_for_mixing(recorder: Recorder) -> None:
    """Note what mixes the rows of a batch, where looking for that takes no more than a moment.

    Args:
        recorder: of a script that has ended, in a process of its own: its network is run again.
    """
    network, batch, updates = recorder.network, recorder.batch, recorder.updates
    taken = (time.process_time() - recorder.began) / max(updates.count, 1)
    if network is None or batch is None or not updates.count or taken > _MOMENT:
        return
    if recorder.framework in ("torch", "lightning") and may_mix(recorder.trace.operations):
        # Its prints are not the script's, and whatever it raises when it is run again says nothing.
        with recorder.resting(), redirect_stdout(StringIO()), suppress(Exception):
            fact = _mixing(recorder, network, batch)
            if fact is not None:
                updates.facts[fact.name] = fact


def _mixing(recorder: Recorder, network: nn.Module, batch: Batch) -> Fact | None:
    """What mixes the rows of a batch; None where each is taken by itself, or where that cannot be told."""
    network.eval()
    steps = _Steps(recorder.frames)
    base = steps.run(network, batch)
    if _changed(base, steps.run(network, batch)).any():
        return None  # it gives something else each time
    shape = batch.inputs.shape
    found: list[Fact | None] = []
    for axis in [0] if batch.rows else [axis for axis in range(len(shape)) if shape[axis] in base.shape]:
        rows = shape[axis]
        mixers = (steps.mixer(network, batch, axis, row, base) for row in (0, rows // 2))
        mixer = next((one for one in mixers if one is not None), None)
        if rows < _LEAST_ROWS or mixer is None:
            return None
        if base.shape[0] == rows or (batch.rows and base.shape[0] % rows == 0):
            found.append(_fact(mixer, rows, batch, recorder))
    return next((fact for fact in found if fact is not None), None)


@dataclass(frozen=True)
class _Reshape:
    """A call that brings the rows out of order: its place, its shapes, and the axis of the rows before."""

    kind: str
    site: Site | None
    given: tuple[int, ...]
    left: tuple[int, ...]
    axis: int | None


@dataclass(frozen=True)
class _Trail:
    """Where in a tensor a row lies.

    Attributes:
        share: of the tensor that changes with it.
        axis: on which it stands alone, None where it does so on none.
        orderly: whether it does, or is a block or a comb of an axis, as where rows are joined with steps.
        shape: of the tensor.
        reshape: what has brought it out of order.
    """

    share: float
    axis: int | None
    orderly: bool
    shape: tuple[int, ...]
    reshape: _Reshape | None = None


@dataclass(frozen=True)
class _Mixer:
    """The first call that changes more than a row, and where the row lies in what it is given."""

    kind: str = ""
    module: nn.Module | None = None
    given: _Trail | None = None


class _Steps(TorchFunctionMode):
    """Runs a network and follows a row through its calls."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self._base: list[tuple[str, list[Tensor]]] = []
        self._values = self._leaves = self._count = self._row = self._rows = 0
        self._trails: dict[int, tuple[Tensor, _Trail]] = {}
        self._found: _Mixer | None = None

    def run(self, network: nn.Module, batch: Batch, axis: int = 0, row: int = 0, by: int = 0) -> Tensor:
        """What a network gives for a batch, in which row ``by`` of an axis stands in the place of another."""
        given = batch.copy()
        self._row, self._rows, self._count = row, batch.inputs.shape[axis] if by != row else 0, 0
        self._trails, self._found = {}, None
        if self._rows:
            inputs = given.inputs
            inputs.select(axis, row).copy_(batch.inputs.select(axis, by))
            self._trails[id(inputs)] = inputs, _Trail(1 / self._rows, axis, True, tuple(inputs.shape))
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(0)
        with ExitStack() as undo:
            undo.callback(register_module_forward_pre_hook(self._enter).remove)
            undo.callback(register_module_forward_hook(self._leave, with_kwargs=True).remove)
            undo.enter_context(torch.enable_grad())  # without gradients encoders take another way
            undo.enter_context(self)
            returned = tensors_in(network(*given.args, **given.kwargs))
        return next((one for one in returned if one.dim()), returned[0]).detach().clone()

    def mixer(self, network: nn.Module, batch: Batch, axis: int, row: int, base: Tensor) -> _Mixer | None:
        """What mixes a row of an axis with others; None where nothing does, or no row differs from it.

        It may mix rows and leave them out of what the network gives, such as a first step that is always the
        same.
        """
        rows = batch.inputs.unbind(axis)
        by = next((at for at, other in enumerate(rows) if not torch.equal(other, rows[row])), row)
        changed = float(_changed(base, self.run(network, batch, axis, row, by)).float().mean())
        if changed > _SLACK / len(rows):
            return self._found or _Mixer()
        return None if changed else self._found

    def _enter(self, module: nn.Module, _args: object) -> None:
        self._leaves += is_leaf(module)

    def _leave(self, module: nn.Module, args: object, kwargs: object, out: object) -> None:
        self._leaves -= is_leaf(module)
        if is_leaf(module) and not self._leaves:
            with torch._C.DisableTorchFunction():
                self._add(type(module).__name__, module, tensors_in(args, kwargs), tensors_in(out))

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function and follow the row through it."""
        out = func(*args, **(kwargs or {}))
        if not self._leaves:
            self._add(function_name(func), None, tensors_in(args, kwargs or {}), tensors_in(out))
        return out

    def _add(self, kind: str, module: nn.Module | None, given: list[Tensor], outs: list[Tensor]) -> None:
        if not outs:
            return
        if self._count == len(self._base) and not self._rows:
            self._values += sum(one.numel() for one in outs)
            if self._values > _MOST[1]:
                raise MemoryError("the network makes too much of its batch")
            self._base.append((kind, [one.detach().clone() for one in outs]))
        name, before = self._base[self._count]
        self._count += 1
        known = [self._trails[id(one)][1] for one in given if id(one) in self._trails]
        if name != kind or not known:
            return
        whole = max(trail.share for trail in known) <= _SLACK / self._rows
        for old, new in zip(before, outs, strict=True):
            trail = self._trail(_changed(old, new.detach()), kind, known)
            if trail is not None:
                self._trails[id(new)] = new, trail
                if whole and trail.share > _SLACK / self._rows and self._found is None:
                    self._found = _Mixer(kind, module, known[0])

    def _trail(self, changed: Tensor, kind: str, known: Sequence[_Trail]) -> _Trail | None:
        """Where the row lies in what a call returns."""
        if not changed.any():
            return None
        axis, orderly, shape = None, False, tuple(changed.shape)
        for place, size in enumerate(shape):
            if size % self._rows == 0:
                at = changed.movedim(place, 0).reshape(size, -1).any(1).nonzero().flatten()
                parts = size // self._rows
                fits = bool((at // parts == self._row).all() or (at % self._rows == self._row).all())
                orderly |= fits
                axis = place if fits and parts == 1 and axis is None else axis
        reshape = None
        if not orderly:
            reshape = next((trail.reshape for trail in known if trail.reshape is not None), None)
            if kind in RESHAPES and known[0].orderly:
                site = self._frames.site()
                reshape = _Reshape(kind, site, known[0].shape, shape, known[0].axis)
        return _Trail(float(changed.float().mean()), axis, orderly, shape, reshape)


def _fact(mixer: _Mixer, rows: int, batch: Batch, recorder: Recorder) -> Fact | None:
    """The mixer as a fact; None where it may be meant, as a sum over all rows of a graph may be."""
    given, module = mixer.given, mixer.module
    if given is None:
        return None
    if isinstance(module, SEQUENCES) and given.axis is not None:
        return _over_rows(module, given, rows, batch, recorder)
    reshape = given.reshape
    if reshape is None or not (isinstance(module, SEQUENCES) or mixer.kind in _FUNCTIONS or _weighs(module)):
        return None
    stood = "joined with their steps" if reshape.axis is None else f"on axis {reshape.axis}"
    text = f"{reshape.kind} mixes the {rows} rows of a batch, which stand {stood} of {reshape.given}"
    return Fact(
        name="rows_mixed", value=rows, text=f"{text}: it makes {reshape.left} of that", site=reshape.site
    )


def _over_rows(module: nn.Module, given: _Trail, rows: int, batch: Batch, recorder: Recorder) -> Fact | None:
    """A layer of sequences that mixes rows: it takes their axis for that of the steps."""
    rows_first = next(bool(one.batch_first) for one in module.modules() if hasattr(one, "batch_first"))
    single = len(given.shape) < 3
    others = 1 if single else given.shape[0 if rows_first else 1]
    if not single and given.axis != int(rows_first):
        return None
    if others == 1 and not (batch.rows and batch.shuffled):  # it may be one long sequence
        return None
    order = (
        "steps, features" if single else "rows, steps, features" if rows_first else "steps, rows, features"
    )
    label = f"{type(module).__name__} {recorder.names.get(id(module), '')}".strip()
    text = f"{label} takes the {rows} rows of a batch for steps: it reads {given.shape} as ({order})"
    name = "steps_over_rows" if others > 1 else "shuffled_steps"
    return Fact(name=name, value=rows, text=text, site=recorder.made.get(id(module), (module, None))[1])


def _weighs(module: nn.Module | None) -> bool:
    return module is not None and next(module.parameters(), None) is not None


def _copied(value: Any) -> Any:
    """Nested lists, tuples and dictionaries with their tensors copied."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return value


def _changed(before: Tensor, after: Tensor) -> Tensor:
    """Which values differ by more than rounding. What is no number is not looked at."""
    if before.shape != after.shape:
        return torch.ones(1, dtype=torch.bool)
    if not before.is_floating_point():
        return before != after
    change = torch.nan_to_num((before - after).abs(), nan=0.0, posinf=0.0)
    return change > _NOISE * change.max() if change.numel() else change > 0

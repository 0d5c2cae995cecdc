"""Rows that end in padding in front of a recurrent layer, which goes on over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netmend.env.script.record import Fact
from netmend.env.script.site import Site

PADDED = "ends_in_padding"
"""The fact that a recurrent layer goes over steps of padding, of a share of all: see ``Padding``."""
_LENGTHS, _FILLED = "ends", "filled"
_LEAST_ROWS, _FEWEST_LENGTHS = 8, 3
_SHARE, _LARGE_SHARE = 0.1, 0.25
"""Of all steps that are padding: where the network is given the lengths of the rows, and else."""


@dataclass(frozen=True)
class Padding:
    """What the fact says.

    Attributes:
        rows: which of the network's inputs ends in padding.
        lengths: which of them says where its rows end, or None.
        value: what fills them up; axes: of that input.
    """

    rows: int
    lengths: int | None
    value: float = 0.0
    axes: int = 0

    @classmethod
    def read(cls, fact: Fact) -> Padding:
        """As it stands in a fact."""
        rows, kind, *more = fact.text.split()
        if kind == _LENGTHS:
            return cls(int(rows), int(more[0]))
        return cls(int(rows), None, float(more[0]), int(more[1]))


def padded_rows(
    module: nn.Module,
    args: Sequence[object],
    _kwargs: Mapping[str, object],
    inputs: Sequence[Tensor],
    site: Site | None,
) -> Fact | None:
    """Whether a recurrent layer is given rows that end in padding; None where that does not show.

    Rows may end in zeros by chance, as pictures do. These are padding where they begin as the lengths say
    that the network is given, or where no other step is like them.

    Args:
        module: one of torch's own.
        args: of its call.
        inputs: what the network was given, rows and steps on their first two axes.
        site: of the call.
    """
    steps = args[0] if isinstance(module, nn.RNNBase) and args else None
    if not isinstance(module, nn.RNNBase) or not isinstance(steps, Tensor) or steps.dim() != 3:
        return None
    own = steps if module.batch_first else steps.transpose(0, 1)
    for place, given in enumerate(inputs):
        ends = _ends(given) if given.dim() > 1 and given.shape[:2] == own.shape[:2] else None
        if ends is None:
            continue
        at = next((at for at, one in enumerate(inputs) if ends.are(one)), None)
        if at is not None and ends.share >= _SHARE:
            return Fact(name=PADDED, value=ends.share, text=f"{place} {_LENGTHS} {at}", site=site)
        value = ends.value
        if ends.alone and ends.share >= _LARGE_SHARE and value is not None:
            text = f"{place} {_FILLED} {value:g} {given.dim()}"
            return Fact(name=PADDED, value=ends.share, text=text, site=site)
    return None


@dataclass(frozen=True)
class _Ends:
    """Where rows end.

    Attributes:
        lengths: of the rows, without the steps behind that all hold one value.
        steps: that all rows have.
        padding: a step of it.
        alone: whether no other step of any row is like these.
    """

    lengths: Tensor
    steps: int
    padding: Tensor
    alone: bool

    @property
    def share(self) -> float:
        """Of all steps that are padding."""
        return 1 - float(self.lengths.double().mean()) / self.steps

    @property
    def value(self) -> float | None:
        """What the padding is made of, where that is one number; 0 and no -0."""
        first = self.padding[0]
        return float(first) + 0.0 if bool((self.padding == first).all()) else None

    def are(self, given: Tensor) -> bool:
        """Whether a tensor holds the lengths; a row may end in what looks like padding."""
        if given.shape != self.lengths.shape or given.is_floating_point() or given.dtype == torch.bool:
            return False
        same = given == self.lengths
        return bool((given >= self.lengths).all() and same.double().mean() >= 0.9)


def _ends(rows: Tensor) -> _Ends | None:
    """Where rows end in padding; None where they do not differ in that, or most of them have none."""
    count, steps = rows.shape[:2]
    flat = rows.detach().reshape(count, steps, -1)
    kinds, counts = torch.unique(flat[:, -1], dim=0, return_counts=True)
    padding = kinds[int(counts.argmax())]
    is_padding = (flat == padding).all(2)
    behind = is_padding.flip(1).long().cumprod(1).sum(1)
    lengths = steps - behind
    many = 2 * int((behind > 0).sum()) >= count and len(set(lengths.tolist())) >= _FEWEST_LENGTHS
    if count < _LEAST_ROWS or not many or not bool((lengths > 0).all()):
        return None
    return _Ends(lengths, steps, padding, int(is_padding.sum()) == int(behind.sum()))

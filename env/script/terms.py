"""The parts of a loss: those that come from the rows, and penalties that come from the weights alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf, isclose, prod

from torch import Tensor
from torch.autograd.graph import Node

from netmend.env.script.graph import node_name, reaches
from netmend.env.script.record import Fact
from netmend.env.script.site import Site

_MEAN, _SUM = 1, 2
"""How a node of the graph of a loss keeps its reduction (ATen/core/Reduction.h)."""
SUMMED = "summed_part"
"""The fact that a part of a loss is a sum over the rows where another is a mean."""
_MOST = 5_000
_SUMS = ("Add", "Sub")
_FACTORS = ("Mul", "Div", "Neg")
_NEAR = 200  # nodes between outputs and a number, at most
_LEAST = 10.0
"""From how many times on that a sum counts each row it is told."""
_OF_ALL = frozenset({"Mm", "Bmm", "T", "Transpose", "Permute", "Diagonal", "Var", "Std"})
"""Autograd nodes whose first axis need not be that of the rows."""


@dataclass
class Terms:
    """Numbers that a loss may be made of, by their place in the autograd graph.

    Attributes:
        outputs: where the network's outputs stand in it.
        rows: of the batch that gave them.
    """

    outputs: set[Node] = field(default_factory=set)
    rows: int = 0
    _seen: dict[Node, tuple[float, Site | None]] = field(default_factory=dict)

    def add(self, value: Tensor, site: Site | None) -> None:
        """A number was computed."""
        if value.grad_fn is not None:
            if len(self._seen) >= _MOST:  # they keep their graphs
                self._seen.clear()
            self._seen[value.grad_fn] = float(value.detach()), site

    def facts(self, loss: Tensor) -> Iterator[Fact]:
        """What the parts of a loss show that is trained; they were added."""
        parts = [] if loss.grad_fn is None else list(self._parts(loss.grad_fn))
        if all(node in self._seen for node, _ in parts):
            of_rows = [node for node, of_rows in parts if of_rows]
            yield from self._penalty([node for node, of_rows in parts if not of_rows], self._size(of_rows))
            yield from self._summed(of_rows)

    def _size(self, nodes: Iterable[Node]) -> float:
        return sum(abs(self._seen[node][0]) for node in nodes)

    def _penalty(self, of_weights: Sequence[Node], rest: float) -> Iterator[Fact]:
        """How large the penalties on weights are, as a multiple of the rest of a loss."""
        if of_weights and rest:
            size = self._size(of_weights)
            largest = max(of_weights, key=lambda node: abs(self._seen[node][0]))
            text = f"{size:.3g} of the loss are a penalty on weights, and {rest:.3g} come from the rows"
            yield Fact(name="penalty", value=size / rest, text=text, site=self._factor(largest))

    def _summed(self, of_rows: Sequence[Node]) -> Iterator[Fact]:
        """How many times a part that sums the rows of a batch counts each, where another is their mean."""
        made = [(node, *self._made_by(node)) for node in of_rows]
        mean = self._size(node for node, base, _ in made if self._reduction(base) == "mean")
        for node, base, divided in made:
            size, site = self._seen[base]
            if mean and size and not divided and self._reduction(base) == "sum":
                own = self._size([node])
                text = f"{own:.3g} of the loss are a sum of {self.rows} rows, and {mean:.3g} a mean of them"
                if (times := own / abs(size) * self.rows) >= _LEAST:
                    yield Fact(name=SUMMED, value=times, text=text, site=site)

    def _made_by(self, node: Node) -> tuple[Node, bool]:
        """What gives a number, less the factors in front of it, and whether one divides by the rows."""
        divided = False
        while node_name(node) in _FACTORS and len(_behind(node)) == 1 and _behind(node)[0] in self._seen:
            (inner,) = _behind(node)
            times = abs(self._seen[inner][0] / (self._seen[node][0] or inf)) / max(self.rows, 1)
            divided |= times > 0.5 and isclose(times, round(times), rel_tol=1e-4)
            node = inner
        return node, divided

    def _reduction(self, node: Node) -> str:
        """How a number comes from those of the rows: ``mean``, ``sum``, or in another way."""
        kind, told = node_name(node), getattr(node, "_saved_reduction", None)
        sizes = getattr(node, "_saved_self_sym_sizes", ())
        if told == _MEAN or (kind == "Mean" and prod(sizes) % max(self.rows, 1) == 0):
            return "mean"
        of_rows = told == _SUM or (kind == "Sum" and sizes[:1] == (self.rows,))
        return "sum" if of_rows and self._keeps_rows(node) else ""

    def _keeps_rows(self, root: Node) -> bool:
        """Whether the first axis of what a number is reduced from is that of the outputs."""
        waiting, known = _behind(root), {root}
        while waiting and len(known) < _NEAR:
            node = waiting.pop()
            if node in known or node in self.outputs or not reaches(node, self.outputs):
                continue
            known.add(node)
            name = node_name(node)
            reduces = name in ("Sum", "Mean") and 0 in _axes(node)
            if node in self._seen or name in _OF_ALL or reduces:
                return False
            waiting += _behind(node)
        return not waiting

    def _parts(self, root: Node) -> Iterator[tuple[Node, bool]]:
        """What a loss is the sum of, and whether it comes from the rows."""
        waiting, first = [root], True
        while waiting:
            node = waiting.pop()
            following = _behind(node)
            kind = node_name(node)
            if not reaches(node, self.outputs):
                yield node, False
            elif (first and kind in _FACTORS and len(following) == 1) or (
                kind in _SUMS and node not in self.outputs
            ):
                waiting += following
            else:
                yield node, True
            first = first and kind in _FACTORS

    def _factor(self, node: Node) -> Site | None:
        """Where a penalty is multiplied by its weight, or else where it is computed."""
        place, site = node, self._seen[node][1]
        for _ in range(_MOST):
            if node_name(place) == "Mul" and len(_behind(place)) == 1:
                return self._seen[place][1]
            inner = [one for one in _behind(place) if one in self._seen]
            if not inner or node_name(place) not in (*_SUMS, *_FACTORS):
                break
            place = inner[-1]
            site = self._seen[place][1]
        return site


def _axes(node: Node) -> Sequence[int]:
    """The axes that a sum or mean takes together, from 0 on; the graph keeps -1 as 2**64 - 1."""
    axes, sizes = getattr(node, "_saved_dim", ()), getattr(node, "_saved_self_sym_sizes", ())
    return [(axis + len(sizes)) % 2**64 if axis >= 2**63 else axis for axis in axes] or range(len(sizes))


def _behind(node: Node) -> list[Node]:
    return [following for following, _ in node.next_functions if following is not None]

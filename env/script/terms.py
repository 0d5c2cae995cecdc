"""The parts of a loss: those that come from the rows, and penalties that come from the weights alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import Tensor
from torch.autograd.graph import Node

from netmend.env.script.graph import node_name, reaches
from netmend.env.script.record import Fact
from netmend.env.script.site import Site

_MOST = 5_000
_SUMS = ("Add", "Sub")
_FACTORS = ("Mul", "Div", "Neg")


@dataclass
class Terms:
    """Numbers that a loss may be made of, by their place in the autograd graph.

    Attributes:
        outputs: where the network's outputs stand in it.
    """

    outputs: set[Node] = field(default_factory=set)
    _seen: dict[Node, tuple[float, Site | None]] = field(default_factory=dict)

    def add(self, value: Tensor, site: Site | None) -> None:
        """A number was computed."""
        if value.grad_fn is not None:
            if len(self._seen) >= _MOST:  # they keep their graphs
                self._seen.clear()
            self._seen[value.grad_fn] = float(value.detach()), site

    def penalty(self, loss: Tensor) -> Fact | None:
        """How large the penalties on weights are, as a multiple of the rest of a loss; None without any.

        Args:
            loss: that is trained; what it is made of was added.
        """
        parts = [] if loss.grad_fn is None else list(self._parts(loss.grad_fn))
        of_rows = [node for node, of_rows in parts if of_rows]
        of_weights = [node for node, of_rows in parts if not of_rows]
        known = all(node in self._seen for node, _ in parts)
        rest = sum(abs(self._seen[node][0]) for node in of_rows) if known else 0.0
        if not of_weights or not rest:
            return None
        size = sum(abs(self._seen[node][0]) for node in of_weights)
        largest = max(of_weights, key=lambda node: abs(self._seen[node][0]))
        text = f"{size:.3g} of the loss are a penalty on weights, and {rest:.3g} come from the rows"
        return Fact(name="penalty", value=size / rest, text=text, site=self._factor(largest))

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


def _behind(node: Node) -> list[Node]:
    return [following for following, _ in node.next_functions if following is not None]

"""What the autograd graph of a loss shows: the functions behind it, and the parameters it reaches."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor
from torch.autograd.graph import Node

_MOST = 50_000
_SHAPING = frozenset(
    {
        "View",
        "Reshape",
        "ReshapeAlias",
        "UnsafeView",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "T",
        "Permute",
        "Expand",
        "Alias",
        "Select",
        "Slice",
        "Clone",
        "ToCopy",
        "AsStrided",
        "Index",
        "Cat",
        "Split",
        "Unbind",
        "Flatten",
        "Contiguous",
        "Narrow",
    }
)
_LOGITS = frozenset({"Addmm", "Mm", "Convolution", "Bmm", "Linear"})


@dataclass(frozen=True)
class Graph:
    """The graph behind a loss.

    Attributes:
        names: of the nodes, from the loss backwards, by level (``MseLoss``, ``Addmm``).
        fed: for each node, the name of the first that feeds it, less those that only shape.
        leaves: ids of the tensors that gradients reach.
        attached: whether there is a graph.
    """

    names: tuple[str, ...]
    fed: tuple[str, ...]
    leaves: frozenset[int]
    attached: bool
    nodes: frozenset[Node] = frozenset()


def walk(loss: Tensor) -> Graph:
    """Read the graph, at most 50,000 nodes of it."""
    if loss.grad_fn is None:
        return Graph((), (), frozenset({id(loss)} if loss.requires_grad else ()), loss.requires_grad)
    seen: set[Node] = {loss.grad_fn}
    waiting = deque([loss.grad_fn])
    names: list[str] = []
    fed: list[str] = []
    leaves: set[int] = set()
    while waiting and len(names) < _MOST:
        node = waiting.popleft()
        variable = getattr(node, "variable", None)
        if variable is not None:
            leaves.add(id(variable))
            continue
        names.append(node_name(node))
        fed.append(_feeding(node))
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return Graph(tuple(names), tuple(fed), frozenset(leaves), True, frozenset(seen))


def numbers(loss: Tensor) -> set[int]:
    """Numbers of the nodes behind a loss: autograd counts its nodes as they are made."""
    found: set[int] = set()
    waiting = deque([loss.grad_fn])
    while waiting and len(found) < _MOST:
        node = waiting.popleft()
        if node is not None and (number := node._sequence_nr()) not in found:
            found.add(number)
            waiting.extend(following for following, _ in node.next_functions)
    return found


def squashed(graph: Graph) -> tuple[str, str] | None:
    """A fault of the output in front of the loss: its name and the two functions, None where there is none.

    LogSoftmax in front of LogSoftmax changes nothing and is none.
    """
    for name, behind in list(zip(graph.names, graph.fed, strict=True))[:40]:
        found = ""
        if name == "LogSoftmax":
            found = {
                "Softmax": "double_softmax",
                "Sigmoid": "sigmoid_before_softmax",
                "Relu": "relu_on_output",
            }.get(behind, "")
        elif name == "BinaryCrossEntropyWithLogits":
            found = {
                "Sigmoid": "double_sigmoid",
                "Softmax": "softmax_before_sigmoid",
                "Relu": "relu_on_output",
            }.get(behind, "")
        elif name.startswith("NllLoss") and (behind in ("Softmax", "Sigmoid", "Relu") or behind in _LOGITS):
            found = "nll_without_log"
        elif name == "BinaryCrossEntropy" and behind in _LOGITS | {"Relu"}:
            found = "bce_without_sigmoid"
        if found:
            return found, f"{behind} in front of {name}"
    return None


def reaches(node: Node, ends: Collection[Node]) -> bool:
    """Whether a graph comes to any of some nodes, at most 50,000 further on."""
    seen, waiting = {node}, deque([node])
    while waiting and len(seen) < _MOST:
        here = waiting.popleft()
        if here in ends:
            return True
        for following, _ in here.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return False


def node_name(node: Node) -> str:
    """The function that a node is the gradient of: ``MseLoss`` of ``MseLossBackward0``."""
    return re.sub(r"Backward\d*$", "", node.name().removeprefix("torch::autograd::"))


def _feeding(node: Node) -> str:
    while True:
        following = next((found for found, _ in node.next_functions if found is not None), None)
        if following is None:
            return ""
        if node_name(following).rstrip("0123456789") not in _SHAPING:
            return node_name(following) if getattr(following, "variable", None) is None else ""
        node = following

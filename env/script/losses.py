"""The calls of losses, and which of them is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from netmend.env.script.graph import Graph
from netmend.env.script.measure import describe
from netmend.env.script.record import LossCall, Setting
from netmend.env.script.site import Site

LOSSES = frozenset(
    {
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "kl_div",
        "poisson_nll_loss",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "soft_margin_loss",
        "cosine_embedding_loss",
        "margin_ranking_loss",
        "triplet_margin_loss",
        "ctc_loss",
    }
)
POINTWISE = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
_DEFAULTS: dict[str, object] = {"reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100}
_OLD = ("size_average", "reduce")
_CLASSES = 64
_MOST = 1_000


@dataclass(frozen=True, eq=False)
class LossSeen:
    """A call of a loss: kind, keywords, operands, what it returned, its sites, and what weighs it."""

    kind: str
    keywords: dict[str, object]
    output: Tensor
    target: Tensor
    returned: Tensor
    made: Site | None
    called: Site | None
    factor: Tensor | None = None
    weighed: Site | None = None


@dataclass
class Losses:
    """The calls of losses in a run.

    Attributes:
        seen: those in front of the first backward pass.
        fitting: where one of them is given an output and a target of one shape; unlike: of two shapes.
    """

    seen: list[LossSeen] = field(default_factory=list)
    fitting: set[Site] = field(default_factory=set)
    unlike: set[Site] = field(default_factory=set)

    def add(self, call: LossSeen, *, keep: bool) -> None:
        """A loss was called; whether the call is kept."""
        if call.called is not None:
            (self.fitting if call.output.shape == call.target.shape else self.unlike).add(call.called)
        if keep and len(self.seen) < _MOST:
            self.seen.append(call)


def weigh(losses: list[LossSeen], given: Sequence[Tensor], site: Site | None) -> None:
    """Tensors were multiplied: keep by what, where one of them is the loss of each row."""
    for place, call in enumerate(losses):
        others = [tensor for tensor in given if tensor is not call.returned]
        if (
            len(others) == 1
            and len(given) == 2
            and others[0].shape == call.target.shape == call.returned.shape
        ):
            losses[place] = replace(call, factor=others[0], weighed=site)


def trained_loss(seen: Sequence[LossSeen], graph: Graph | None) -> tuple[LossCall, int] | None:
    """The loss from which the backward pass started, and how many places call one.

    Args:
        seen: calls since the last update.
        graph: behind the loss, None where there was no backward pass.
    """
    inside = [] if graph is None else [call for call in seen if call.returned.grad_fn in graph.nodes]
    chosen = inside or [call for call in seen if call.returned.requires_grad] or list(seen)
    if not chosen:
        return None
    call = chosen[0]
    found = LossCall(
        kind=call.kind,
        settings=_settings(call),
        output=describe(call.output),
        target=describe(call.target),
        made=call.made,
        called=call.called,
        attached=call.returned.requires_grad if graph is None else graph.attached,
        behind=() if graph is None else graph.names[:8],
        weighed=call.weighed,
    )
    return found, len({one.called for one in chosen})


def _settings(call: LossSeen) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, value in call.keywords.items():
        if value is None or name in _OLD or value == _DEFAULTS.get(name, _OLD):
            continue
        if isinstance(value, Tensor):
            found[name] = tuple(value.detach().reshape(-1)[:64].tolist())
        elif isinstance(value, (bool, int, float, str)):
            found[name] = value
    weights = () if call.factor is None else _by_class(call.factor, call.target)
    return {**found, "row_weights": weights} if weights else found


def _by_class(factor: Tensor, target: Tensor) -> tuple[float, ...]:
    """The one weight of each class, from 0 on; nothing where rows of a class differ, or there is but one."""
    labels, weights = target.detach().reshape(-1), factor.detach().reshape(-1)
    classes = int(labels.max()) + 1 if labels.numel() else 0
    own = [weights[labels == number] for number in range(min(classes, _CLASSES))]
    known = len(own) > 1 and all(len(part) and bool((part == part[0]).all()) for part in own)
    return tuple(float(part[0]) for part in own) if known and sum(map(len, own)) == len(labels) else ()

"""The calls of losses, and which of them is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class LossSeen:
    """A call of a loss: kind, keywords, operands, what it returned, and its sites."""

    kind: str
    keywords: dict[str, object]
    output: Tensor
    target: Tensor
    returned: Tensor
    made: Site | None
    called: Site | None


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
    return found

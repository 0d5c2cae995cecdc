"""Masks of attention that hide what they should show, or hide nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature

import torch
from torch import Tensor, nn

from netmend.env.script.record import Fact
from netmend.env.script.site import Site

REVERSED, ADDED = "mask_reversed", "mask_added"
"""The facts that a mask hides the tokens and shows the padding, and that one of numbers hides nothing."""
_ATTENTION = "scaled_dot_product_attention"
_OF_STEPS = ("mask", "src_mask", "tgt_mask", "attn_mask")
_LEAST = 8
"""Hidden steps from which they say something."""
_FEWEST_STEPS = 3


def module_mask(
    module: nn.Module,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    inputs: Sequence[Tensor],
    site: Site | None,
) -> Fact | None:
    """What is wrong with a mask that a module of attention is given, where True hides; None where nothing is.

    Args:
        module: one of torch's own.
        args, kwargs: of its call.
        inputs: what the network was given, rows and steps on its first two axes.
        site: of the call.
    """
    kind = type(module).__name__
    if kind != "MultiheadAttention" and not kind.startswith("Transformer"):
        return None
    given = signature(module.forward).bind(*args, **kwargs).arguments
    for name, mask in given.items():
        if isinstance(mask, Tensor) and (name.endswith("key_padding_mask") or name in _OF_STEPS):
            found = _judged(f"{name} of {kind}", mask, inputs, site, hides=True)
            if found is not None:
                return found
    return None


def function_mask(
    function: str,
    args: Sequence[object],
    kwargs: Mapping[str, object],
    inputs: Sequence[Tensor],
    site: Site | None,
) -> Fact | None:
    """As ``module_mask``, of the one function of torch whose mask is of attention, where True shows.

    ``masked_fill`` may be meant in any way.
    """
    mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
    if function != _ATTENTION or not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        return None
    return _judged(f"attn_mask of {function}", mask, inputs, site, hides=False)


def _judged(
    label: str, mask: Tensor, inputs: Sequence[Tensor], site: Site | None, *, hides: bool
) -> Fact | None:
    """A mask of any shape: of padding it has rows and steps, of steps twice as many of these."""
    with torch.no_grad():
        flat = _flat(mask.detach())
        if flat is None:
            return None
        if mask.is_floating_point():
            return _added(label, flat, inputs, site)
        hidden, word = flat if hides else ~flat, "True" if hides else "False"
        rows, steps = hidden.shape
        if rows == steps >= _FEWEST_STEPS and torch.equal(hidden, torch.ones_like(hidden).tril()):
            seen = f"{word} hides, and it hides each step and all before it: the last step sees nothing"
        elif hidden.all():
            seen = f"{word} hides, and it hides all {hidden.numel()} steps of the batch"
        elif (rows != steps or "padding" in label) and (value := _left(hidden, inputs)) is not None:
            seen = f"{word} hides, and it hides the tokens and shows the padding{value}"
        else:
            return None
    return Fact(name=REVERSED, value=float(hidden.sum()), text=f"{label} is turned round: {seen}", site=site)


def _added(label: str, mask: Tensor, inputs: Sequence[Tensor], site: Site | None) -> Fact | None:
    """A mask of the numbers 0 and 1, which is added to the scores."""
    ones = mask == 1
    if not ((mask == 0) | ones).all() or ones.all() or not ones.any():
        return None
    square = mask.shape[0] == mask.shape[1] >= _FEWEST_STEPS
    if square and torch.equal(ones, torch.ones_like(ones).tril()):
        hides = 0
    elif square and torch.equal(ones, torch.ones_like(ones).triu(1)):
        hides = 1
    elif "padding" in label and (_left(ones, inputs) is not None or _left(~ones, inputs) is not None):
        hides = int(_left(ones, inputs) is None)
    else:
        return None
    text = f"{label} holds 0 and 1 as numbers, which are added to the scores: it hides nothing"
    return Fact(name=ADDED, value=float(hides), text=text, site=site)


def _flat(mask: Tensor) -> Tensor | None:
    """A mask without axes of size 1, where two are left."""
    sizes = [size for size in mask.shape if size != 1]
    return mask.reshape(sizes) if len(sizes) == 2 else None


def _left(hidden: Tensor, inputs: Sequence[Tensor]) -> str | None:
    """What stands where a mask shows: one value in every input, where what it hides is not; else None."""
    if int(hidden.sum()) < _LEAST or hidden.all():
        return None
    found: str | None = None
    for rows in inputs:
        for own in (rows, rows.transpose(0, 1)) if rows.dim() > 1 else ():
            if own.shape[:2] != hidden.shape or own.dtype == torch.bool:
                continue
            shown, kept_back = own[~hidden], own[hidden]
            if _is_one(kept_back) or not _is_one(shown):
                return None
            found = f" of {shown.reshape(-1)[0].item():g} alone" if own.dim() == 2 else ""
            break
    return found


def _is_one(steps: Tensor) -> bool:
    """Whether all steps hold the same."""
    return bool((steps == steps[:1]).all())

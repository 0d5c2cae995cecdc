"""What a tensor, a module and a call hold, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import get_testing_overrides

from netmend.env.script.record import Array, Setting

_SEEN = 1_000_000  # values of a tensor that are looked at
_DISTINCT = 1_000


def tensors_in(*values: object) -> list[Tensor]:
    """The tensors of nested lists, tuples and mappings, in order."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += tensors_in(*value)
        elif isinstance(value, Mapping):
            found += tensors_in(*value.values())
    return found


def inputs_in(args: tuple[object, ...], kwargs: Mapping[str, object]) -> list[Tensor]:
    """The tensors that a network is given, less the labels by which some give their loss."""
    return tensors_in(*args, *(value for name, value in kwargs.items() if name != "labels"))


def outputs_in(out: object) -> list[Tensor]:
    """The tensors that a network returns; one for Hugging Face's trainer returns its loss as well."""
    logits = out.get("logits") if isinstance(out, Mapping) else getattr(out, "logits", None)
    outputs = [logits] if isinstance(logits, Tensor) else tensors_in(out)
    return [output for output in outputs if output.dim()] or outputs


def shape_of(value: Tensor) -> Array:
    """The shape and type alone."""
    return Array(shape=tuple(value.shape), dtype=str(value.dtype).removeprefix("torch."))


def describe(value: Tensor | np.ndarray) -> Array:
    """Shape, type and statistics; of a large one, of its first million values."""
    if isinstance(value, Tensor):
        shape, dtype = tuple(value.shape), str(value.dtype).removeprefix("torch.")
        flat = value.detach().reshape(-1)[:_SEEN].cpu()
        values = (flat.abs() if flat.is_complex() else flat).to(torch.float64).numpy()
    else:
        shape, dtype = value.shape, str(value.dtype)
        values = np.asarray(value).reshape(-1)[:_SEEN].astype(np.float64)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Array(shape=shape, dtype=dtype, missing=len(values))
    return Array(
        shape=shape,
        dtype=dtype,
        low=float(finite.min()),
        high=float(finite.max()),
        mean=float(finite.mean()),
        deviation=float(finite.std()),
        missing=len(values) - len(finite),
        whole=bool((finite == np.round(finite)).all()),
        distinct=min(len(np.unique(finite)), _DISTINCT),
    )


def module_settings(module: nn.Module) -> dict[str, Setting]:
    """The public plain attributes of a module, and whether it has a bias.

    Those of the modules inside stand behind their dotted names: all that an encoder block shows of its sizes.
    """
    found = plain_settings(
        (f"{inside}.{name}" if inside else name, value)
        for inside, part in module.named_modules()
        for name, value in vars(part).items()
        if not name.startswith("_") and name not in ("training", "call_super_init", "dump_patches")
    )
    if "bias" in module._parameters:
        found["bias"] = module._parameters["bias"] is not None
    return found


def call_settings(
    function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
) -> dict[str, Setting]:
    """Constant arguments of a call, by name where torch says it, else by position."""
    names = _names(function)
    placed = ((names[place] if place < len(names) else str(place), value) for place, value in enumerate(args))
    return plain_settings([*placed, *kwargs.items()])


def kernel(module: nn.Module) -> tuple[float, float] | None:
    """Mean and deviation of a module's kernel, None without one."""
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("weight") and parameter.dim() > 1 and parameter.numel():
            values = parameter.detach().float()
            return float(values.mean()), float(values.std(correction=0))
    return None


def _names(function: Callable[..., object]) -> tuple[str, ...]:
    stand_in = get_testing_overrides().get(function)
    try:
        return tuple(
            name
            for name, parameter in signature(stand_in or function).parameters.items()
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        )
    except (TypeError, ValueError):
        return ()


def plain_settings(pairs: Iterable[tuple[str, object]]) -> dict[str, Setting]:
    """Those that a record can hold: numbers, texts, tuples of numbers, types, and slices as texts."""
    found: dict[str, Setting] = {}
    for name, value in pairs:
        if value is None or isinstance(value, (bool, int, float, str)):
            found[name] = value
        elif isinstance(value, (torch.dtype, torch.device)):
            found[name] = str(value).removeprefix("torch.")
        elif isinstance(value, (tuple, list)) and value and all(type(item) in (int, float) for item in value):
            found[name] = tuple(value)
        elif isinstance(value, tuple) and any(isinstance(item, slice) for item in value):
            found[name] = ",".join(":" if item == slice(None) else str(item) for item in value)
    return found

"""A trained policy as a folder: weights as safetensors, the rest as YAML. Loading it runs no code from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from netmend.agents.files import whole_folder
from netmend.env.errors import NetmendError
from netmend.env.observation import slot_names
from netmend.repair_actions import CATALOGUE, RepairAction

FORMAT = 1
WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.yaml"
FOLDER = "policy"
STOP = "stop"

Floats: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Facts: TypeAlias = Mapping[str, str | int | float | bool | None]


class PolicyError(NetmendError):
    """A policy's folder is missing or damaged, or it was trained with other actions or observations."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A multilayer perceptron from an observation to one score per action; the best legal action is taken.

    Attributes:
        algorithm: that trained it.
        activation: of the hidden layers, tanh or relu.
        layers: weight ``(outputs, inputs)`` and bias ``(outputs,)`` of each layer, from input to output.
        slots: names of the observation's slots, in order.
        actions: names of the actions, in order; the last one is ``stop``.
        facts: how it was trained.
    """

    algorithm: str
    activation: str
    layers: tuple[tuple[Floats, Floats], ...]
    slots: tuple[str, ...]
    actions: tuple[str, ...]
    facts: Facts = field(default_factory=dict)

    def scores(self, observations: Floats) -> Floats:
        """Scores of the actions, shape ``(..., actions)``, for observations of shape ``(..., slots)``."""
        values = observations
        for weight, bias in self.layers[:-1]:
            hidden = values @ weight.T + bias
            values = np.tanh(hidden) if self.activation == "tanh" else np.maximum(hidden, 0)
        weight, bias = self.layers[-1]
        return np.asarray(values @ weight.T + bias, np.float32)

    def act(self, observation: Floats, mask: Mask) -> int:
        """Number of the best action that the mask allows."""
        return int(self.act_many(observation[None], mask[None])[0])

    def act_many(self, observations: Floats, masks: Mask) -> NDArray[np.int64]:
        """Numbers of the best legal actions, shape ``(n,)``, for ``(n, slots)`` observations."""
        scores = np.where(masks, self.scores(observations), -np.inf)
        return np.asarray(scores.argmax(axis=-1), np.int64)

    def repair_actions(self) -> tuple[RepairAction, ...]:
        """The repair actions that it was trained with, in order.

        Raises:
            KeyError: one is not in the catalogue; of a loaded policy all are.
        """
        return tuple(CATALOGUE[name] for name in self.actions[:-1])


def save_policy(policy: Policy, folder: Path) -> None:
    """Write a policy's folder, replacing one that is there, completely or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    tensors = {
        f"layers.{index}.{name}": np.ascontiguousarray(value)
        for index, layer in enumerate(policy.layers)
        for name, value in zip(("weight", "bias"), layer, strict=True)
    }
    description = {
        "netmend_policy": FORMAT,
        "netmend": version("netmend"),
        "algorithm": policy.algorithm,
        "activation": policy.activation,
        "training": dict(policy.facts),
        "actions": list(policy.actions),
        "digests": {action.name: action_digest(action) for action in policy.repair_actions()},
        "observation": list(policy.slots),
    }
    with whole_folder(folder) as fresh:
        (fresh / WEIGHTS).write_bytes(save(tensors))  # not by save_file: what it raises is no OSError
        (fresh / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False))


def action_digest(action: RepairAction) -> str:
    """What tells that an action of the same name has become another one: SHA-256 of name and description."""
    return sha256(f"{action.name}\n{action.description}".encode()).hexdigest()


def load_policy(folder: Path | str) -> Policy:
    """Policy from its folder, or from the folder of the run that trained it.

    Raises:
        PolicyError: it is not there, damaged, or trained with other actions or observations than there are.
    """
    place = _find(Path(folder))
    try:
        plain = yaml.safe_load((place / DESCRIPTION).read_text())
        tensors = load_file(place / WEIGHTS)
        if plain["netmend_policy"] != FORMAT:
            raise PolicyError(
                f"{place}: policy format {plain['netmend_policy']}; this version reads {FORMAT}"
            )
        policy = Policy(
            algorithm=str(plain["algorithm"]),
            activation=str(plain["activation"]),
            layers=_layers(tensors),
            slots=tuple(plain["observation"]),
            actions=tuple(plain["actions"]),
            facts=dict(plain["training"]),
        )
        digests = dict(plain.get("digests", {}))
    except (OSError, yaml.YAMLError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(f"{place}: damaged policy ({type(error).__name__}: {error})") from error
    _check_shapes(policy, place)
    _check_actions(policy, digests, place)
    _check_slots(policy, place)
    return policy


def _find(folder: Path) -> Path:
    for place in (folder, folder / FOLDER):
        if (place / DESCRIPTION).is_file():
            return place
    raise PolicyError(f"no policy in {folder}: {DESCRIPTION} is neither there nor in {folder / FOLDER}")


def _layers(tensors: Mapping[str, Floats]) -> tuple[tuple[Floats, Floats], ...]:
    count = len(tensors) // 2
    return tuple((tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"]) for i in range(count))


def _check_shapes(policy: Policy, place: Path) -> None:
    widths = [len(policy.slots), *(len(bias) for _, bias in policy.layers)]
    expected = [(after, before) for before, after in pairwise(widths)]
    shapes = [weight.shape for weight, _ in policy.layers]
    finite = all(np.isfinite(value).all() for layer in policy.layers for value in layer)
    if not policy.layers or shapes != expected or widths[-1] != len(policy.actions) or not finite:
        raise PolicyError(
            f"{place}: the weights (shapes {shapes}) do not fit {len(policy.slots)} slots and "
            f"{len(policy.actions)} actions, or are not finite"
        )


def _check_actions(policy: Policy, digests: Mapping[str, str], place: Path) -> None:
    """Against the catalogue; actions that came later do no harm."""
    gone = [name for name in policy.actions[:-1] if name not in CATALOGUE]
    changed = [name for name, digest in digests.items() if name not in gone and _changed(name, digest)]
    _refuse("actions", {"gone": gone, "changed": changed}, place)


def _changed(name: str, digest: str) -> bool:
    return action_digest(CATALOGUE[name]) != digest


def _check_slots(policy: Policy, place: Path) -> None:
    here = slot_names()
    if policy.slots != here:
        gone = [name for name in policy.slots if name not in here]
        new = [name for name in here if name not in policy.slots]
        moved = [] if gone or new else [a for a, b in zip(policy.slots, here, strict=True) if a != b]
        _refuse("observation slots", {"gone": gone, "new": new, "moved": moved}, place)


def _refuse(kind: str, differences: Mapping[str, Sequence[str]], place: Path) -> None:
    found = [f"{what}: {_some(names)}" for what, names in differences.items() if names]
    if found:
        raise PolicyError(f"{place}: the policy was trained with other {kind}; {'; '.join(found)}")


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

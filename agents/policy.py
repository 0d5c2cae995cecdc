"""A trained policy as a folder: weights as safetensors, the rest as YAML. Loading it runs no code from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import load, save

from netmend.agents.confidence import Confidence, facts_of
from netmend.agents.policy_description import FORMAT, LIMITS, problem_of, some
from netmend.agents.tensors import read_tensors
from netmend.env import blas
from netmend.env.errors import FileError, NetmendError
from netmend.env.history import GO
from netmend.env.observation import slot_names
from netmend.env.program.fields import shown
from netmend.env.reading import read_yaml, shown_path
from netmend.env.writing import whole_folder
from netmend.repair_actions import CATALOGUE, RepairAction
from netmend.repair_actions.recipes import WITH_RECIPES

WEIGHTS, DESCRIPTION = "policy.safetensors", "policy.yaml"
FOLDER = "policy"
DEFAULT = "default"
NAMED: Mapping[str, Path] = {DEFAULT: Path(__file__).parent / "policies" / DEFAULT}
"""Policies of the package, by name."""
RETRAIN = "netmend train experiment=shipped"
"""The command that makes ``default``."""
LEFT, IDLE = "trials_left", "pending/none"
"""Slots of an observation: the share of the trials that are left, and whether no edit is pending."""
MOST_BYTES = 128_000_000
"""Of its weights."""

Floats: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]
Facts: TypeAlias = Mapping[str, str | int | float | bool | None]


class PolicyError(NetmendError):
    """A policy's folder is missing or damaged, or it was trained with other actions or observations."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Multilayer perceptrons from an observation to one score per action; the best legal action is taken.

    Attributes:
        algorithm: that trained it.
        activation: of the hidden layers, tanh or relu.
        layers: weight ``(outputs, inputs)`` and bias ``(outputs,)`` of each layer, from input to output. Of
            an ensemble ``(members, outputs, inputs)`` and ``(members, outputs)``: networks whose scores are
            averaged.
        slots: names of the observation's slots, in order.
        actions: names of the actions, in order; the last one is ``stop``, or ``go`` where edits compose.
        go: least probability with which ``go`` is taken for the first trial of a repair, else the best other
            action is; None sets none.
        retry: action that the second trial of a repair begins with, where it is legal and was not taken
            before; None leaves that to the scores.
        confidence: says how sure it is, and ends a repair after a trial; without it a repair whose edits
            compose spends all its trials.
        facts: how it was trained.
    """

    algorithm: str
    activation: str
    layers: tuple[tuple[Floats, Floats], ...]
    slots: tuple[str, ...]
    actions: tuple[str, ...]
    go: float | None = None
    retry: str | None = None
    confidence: Confidence | None = None
    facts: Facts = field(default_factory=dict)

    @property
    def compose(self) -> bool:
        """Whether it was trained where edits compose."""
        return self.actions[-1] == GO

    @property
    def members(self) -> int:
        """How many networks it has."""
        return len(self.layers[0][0]) if self.layers[0][0].ndim == 3 else 1

    def scores(self, observations: Floats) -> Floats:
        """Scores of the actions, shape ``(n, actions)``, for observations of shape ``(n, slots)``."""
        values = observations
        with blas.one_thread():
            for number, (weight, bias) in enumerate(self.layers, 1):
                values = values @ weight.swapaxes(-1, -2) + bias[..., None, :]
                if number < len(self.layers):
                    values = np.tanh(values) if self.activation == "tanh" else np.maximum(values, 0)
        # Scores are averaged and not probabilities: on validation bugs that fixed as many, with fewer edits.
        return np.asarray(values.mean(axis=0) if values.ndim > 2 else values, np.float32)

    def act(self, observation: Floats, mask: Mask) -> int:
        """Number of the best action that the mask allows."""
        return int(self.act_many(observation[None], mask[None])[0])

    def act_many(self, observations: Floats, masks: Mask) -> NDArray[np.int64]:
        """Numbers of the best legal actions, shape ``(n,)``, for ``(n, slots)`` observations.

        Raises:
            PolicyError: there are other slots or actions, as where edits compose for one of single edits.
        """
        scores = self._legal_scores(observations, masks)
        if self.compose:
            self._steer(scores, observations, masks)
        return np.asarray(scores.argmax(axis=-1), np.int64)

    def _steer(self, scores: Floats, observations: Floats, masks: Mask) -> None:
        """Bring the bounds to bear on the scores of the legal actions, where edits compose."""
        first, edits = observations[:, self.slots.index(LEFT)] >= 1, masks[:, :-1].any(axis=1)
        # Whoever asks for a repair gets a trial: nothing is known yet of what an edit would bring.
        scores[first & self._flags(observations, IDLE) & edits, -1] = -np.inf
        if self.go is not None:
            # Later trials are better with few edits: the first one has told what is right by then.
            withheld = (_softmax(scores)[:, -1] < self.go) & edits
            scores[first & withheld, -1] = -np.inf
            chosen = first & ~withheld & np.isfinite(scores[:, -1])
            scores[chosen, -1] = np.inf
        if self.retry is not None:
            number, tried = self.actions.index(self.retry), (f"failed/{self.retry}", f"kept/{self.retry}")
            scores[~first & ~self._flags(observations, *tried) & masks[:, number], number] = np.inf
        # Its own stop comes too early by far.
        between = self._flags(observations, IDLE) & ~first & edits
        ends = np.zeros(len(scores), np.bool_)
        if self.confidence is not None and between.any():
            ends[between] = self.confidence.ends(facts_of(observations[between], self.slots))
        scores[ends, :-1] = -np.inf
        scores[between & ~ends, -1] = -np.inf

    def _flags(self, observations: Floats, *slots: str) -> Mask:
        """Whether one of these slots is set, shape ``(n,)``."""
        return np.asarray(np.any(observations[:, [self.slots.index(name) for name in slots]] > 0, axis=1))

    def sure(self, observation: Floats) -> float | None:
        """Probability that the bug is fixed, after a trial; None without a confidence."""
        if self.confidence is None:
            return None
        return float(self.confidence.is_fixed(facts_of(observation[None], self.slots))[0])

    def probabilities(self, observations: Floats, masks: Mask) -> Floats:
        """Probabilities of the actions, shape ``(n, actions)``, 0 of one that is not legal.

        Raises:
            PolicyError: as ``act_many``.
        """
        return _softmax(self._legal_scores(observations, masks))

    def _legal_scores(self, observations: Floats, masks: Mask) -> Floats:
        given = observations.shape[-1], masks.shape[-1]
        if given != (len(self.slots), len(self.actions)):
            way = "edits compose" if self.compose else "each edit has a trial of its own"
            raise PolicyError(
                f"the policy was trained with {len(self.slots)} slots and {len(self.actions)} actions, "
                f"where {way}; here are {given[0]} and {given[1]}"
            )
        return np.where(masks, self.scores(observations), np.float32(-np.inf))

    def repair_actions(self) -> tuple[RepairAction, ...]:
        """The repair actions that it was trained with, in order.

        Raises:
            KeyError: one is not in the catalogue; of a loaded policy all are.
        """
        return tuple(_known(self.compose)[name] for name in self.actions[:-1])


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), np.float32)


def _known(compose: bool) -> Mapping[str, RepairAction]:
    """The actions that there are, by name."""
    return WITH_RECIPES if compose else CATALOGUE


def save_policy(policy: Policy, folder: Path) -> None:
    """Write a policy's folder, replacing one that is there, completely or not at all.

    Raises:
        OSError: the disk is full or the folder cannot be written to.
    """
    tensors = {
        f"layers.{index}.{name}": _smallest(value)
        for index, layer in enumerate(policy.layers)
        for name, value in zip(("weight", "bias"), layer, strict=True)
    }
    description = {
        "netmend_policy": FORMAT,
        "netmend": version("netmend"),
        "algorithm": policy.algorithm,
        "activation": policy.activation,
        "go": policy.go,
        "retry": policy.retry,
        "confidence": policy.confidence and policy.confidence.plain(),
        "training": dict(policy.facts),
        "actions": list(policy.actions),
        "digests": {action.name: action_digest(action) for action in policy.repair_actions()},
        "observation": list(policy.slots),
    }
    with whole_folder(folder) as fresh:
        (fresh / WEIGHTS).write_bytes(save(tensors))  # not by save_file: what it raises is no OSError
        fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        (fresh / DESCRIPTION).write_text(yaml.dump(description, Dumper=fast, sort_keys=False))


def _smallest(value: Floats) -> NDArray[np.floating]:
    """Weights as half-precision numbers where these are exactly the same."""
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    return np.ascontiguousarray(half if np.array_equal(half, value) else value)


def action_digest(action: RepairAction) -> str:
    """What tells that an action of the same name has become another one: SHA-256 of name and description."""
    return sha256(f"{action.name}\n{action.description}".encode()).hexdigest()


def load_policy(folder: Path | str) -> Policy:
    """Policy by its name in the package, from its folder, or from the folder of the run that trained it.

    Raises:
        PolicyError: it is not there, damaged, or trained with other actions or observations than there are.
    """
    place = NAMED.get(str(folder)) or _find(Path(folder))
    try:
        plain = read_yaml(place / DESCRIPTION, LIMITS)
        tensors = read_tensors(place / WEIGHTS, MOST_BYTES, load)
    except FileError as error:
        raise PolicyError(f"{shown_path(place)}: damaged policy ({error})") from None
    where = shown_path(place)
    if isinstance(plain, dict) and plain.get("netmend_policy", FORMAT) != FORMAT:
        found = shown(plain["netmend_policy"])
        raise PolicyError(f"{where}: policy format {found}; this version reads {FORMAT}")
    problem = problem_of(plain)
    if problem:
        raise PolicyError(f"{where}: damaged policy ({DESCRIPTION}: {problem})")
    assert isinstance(plain, dict)  # problem_of says so
    slots, actions = tuple(plain["observation"]), tuple(plain["actions"])
    _check_weights(tensors, len(slots), len(actions), where)
    policy = Policy(
        algorithm=plain["algorithm"],
        activation=plain["activation"],
        layers=tuple(
            (tensors[f"layers.{i}.weight"].astype(np.float32), tensors[f"layers.{i}.bias"].astype(np.float32))
            for i in _layers(tensors)
        ),
        slots=slots,
        actions=actions,
        go=plain.get("go"),
        retry=plain.get("retry"),
        confidence=Confidence(**plain["confidence"]) if plain.get("confidence") else None,
        facts=plain["training"],
    )
    _check_actions(policy, plain["digests"], place)
    _check_slots(policy, place)
    return policy


def _find(folder: Path) -> Path:
    with suppress(OSError, ValueError):
        for place in (folder, folder / FOLDER):
            if (place / DESCRIPTION).exists():
                return place
    where = shown_path(folder)
    raise PolicyError(f"no policy in {where}: {DESCRIPTION} is neither there nor in its folder {FOLDER}")


def _layers(tensors: Mapping[str, Floats]) -> range:
    return range(len(tensors) // 2)


def _check_weights(tensors: Mapping[str, Floats], slots: int, actions: int, where: str) -> None:
    names = {f"layers.{i}.{name}" for i in _layers(tensors) for name in ("weight", "bias")}
    if tensors.keys() != names or not names:
        raise PolicyError(f"{where}: damaged policy ({WEIGHTS} holds {shown(sorted(tensors))})")
    odd = [name for name in sorted(tensors) if tensors[name].dtype not in (np.float32, np.float16)]
    if odd:
        raise PolicyError(f"{where}: {odd[0]} is {tensors[odd[0]].dtype}; float32 or float16 is needed")
    before, members = slots, tensors["layers.0.bias"].shape[:-1]
    for i in _layers(tensors):
        shapes = tensors[f"layers.{i}.weight"].shape, tensors[f"layers.{i}.bias"].shape
        after = actions if i == _layers(tensors)[-1] else (0, *shapes[1])[-1]
        fits = shapes == ((*members, after, before), (*members, after)) and len(members) < 2
        if not fits or 0 in (*members, after):
            fit = f"do not fit {slots} slots and {actions} actions"
            raise PolicyError(
                f"{where}: the weights {fit}: layer {i} is of shapes {shapes[0]} and {shapes[1]}"
            )
        before = after
    infinite = [name for name in sorted(tensors) if not np.isfinite(tensors[name]).all()]
    if infinite:
        raise PolicyError(f"{where}: {infinite[0]} holds numbers that are not finite")


def _check_actions(policy: Policy, digests: Mapping[str, str], place: Path) -> None:
    """Against the catalogue; actions that came later do no harm."""
    known = _known(policy.compose)
    gone = [name for name in policy.actions[:-1] if name not in known]
    changed = [
        name for name, digest in digests.items() if name not in gone and action_digest(known[name]) != digest
    ]
    _refuse("actions", {"gone": gone, "changed": changed}, place)


def _check_slots(policy: Policy, place: Path) -> None:
    here = slot_names(policy.compose)
    if policy.slots != here:
        gone = [name for name in policy.slots if name not in here]
        new = [name for name in here if name not in policy.slots]
        moved = [] if gone or new else [a for a, b in zip(policy.slots, here, strict=True) if a != b]
        _refuse("observation slots", {"gone": gone, "new": new, "moved": moved}, place)


def _refuse(kind: str, differences: Mapping[str, Sequence[str]], place: Path) -> None:
    found = [f"{what}: {some(names)}" for what, names in differences.items() if names]
    if found:
        again = f"; {RETRAIN} makes it anew" if place in NAMED.values() else ""
        raise PolicyError(
            f"{shown_path(place)}: the policy was trained with other {kind}; {'; '.join(found)}{again}"
        )

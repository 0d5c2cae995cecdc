"""What a policy's description holds, the YAML beside its weights: every key, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from netmend.agents.confidence import problem_of as problem_of_confidence
from netmend.env.history import GO, STOP
from netmend.env.program.fields import shown
from netmend.env.reading import Limits

FORMAT = 1
ACTIVATIONS = ("tanh", "relu")
LIMITS = Limits(size=1_000_000, depth=3, items=20_000, text=1000)


def problem_of(plain: object) -> str:
    """What is wrong with a description, empty where it is as ``save_policy`` writes it."""
    if not isinstance(plain, dict) or plain.keys() | OPTIONAL != EXPECTED.keys():
        return f"not a mapping with keys of {', '.join(EXPECTED)}, and no others"
    for key, value in plain.items():
        expected, holds = EXPECTED[key]
        if not holds(value):
            return f"{key}: {shown(value)} is not {expected}"
    actions = plain["actions"]
    if actions[-1] not in (STOP, GO):
        return f"actions: the last one is {shown(actions[-1])}, neither {STOP} nor {GO}"
    strangers = [name for name in plain["digests"] if name not in actions[:-1]]
    if strangers:
        return f"digests: {some(strangers)} stand there, but not among the actions"
    bounds = [key for key in sorted(OPTIONAL) if plain.get(key) is not None]
    if bounds and actions[-1] != GO:
        return f"{bounds[0]}: {shown(plain[bounds[0]])} is for a policy whose edits compose"
    if plain.get("retry") is not None and plain["retry"] not in actions[:-1]:
        return f"retry: {plain['retry']} is not among the actions"
    confidence = plain.get("confidence")
    problem = "" if confidence is None else problem_of_confidence(confidence)
    return f"confidence: {problem}" if problem else ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _are_names(value: object) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(map(_is_text, value)) and len({*value}) == len(value)
    )


def _are_facts(value: object) -> bool:
    return isinstance(value, dict) and all(
        _is_text(name) and (fact is None or isinstance(fact, str | int | float)) and fact == fact
        for name, fact in value.items()
    )


def _is_share(value: object) -> bool:
    return value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    )


def _are_digests(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(text) for pair in value.items() for text in pair)


EXPECTED: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "netmend_policy": (f"the number {FORMAT}", lambda value: value == FORMAT and not isinstance(value, bool)),
    "netmend": ("a version", _is_text),
    "algorithm": ("a name", _is_text),
    "activation": (
        f"one of {', '.join(ACTIVATIONS)}",
        lambda value: _is_text(value) and value in ACTIVATIONS,
    ),
    "go": ("a number from 0 to 1 or null", _is_share),
    "retry": ("the name of an action or null", lambda value: value is None or _is_text(value)),
    "confidence": ("a mapping or null", lambda value: value is None or isinstance(value, dict)),
    "training": ("a mapping of names to values", _are_facts),
    "actions": ("a list of names, each once", _are_names),
    "digests": ("a mapping of names to digests", _are_digests),
    "observation": ("a list of names, each once", _are_names),
}
"""Every key of a description: what is expected there, and whether a value is that."""
OPTIONAL = frozenset({"go", "retry", "confidence"})
"""Keys that may be missing."""


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of these names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

"""What episodes are drawn from: bugs, actions, rules and seeds."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, TypeVar

import numpy as np

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug, Split, Suite
from netmend.env.bugs.loading import task_of, without_missing_packs
from netmend.env.episode import Episode
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.reward import LIMITS, Rules, check_whole
from netmend.env.training.front import build_trainer
from netmend.env.training.trial import Budget, Trainer
from netmend.repair_actions import CATALOGUE, RepairAction, select
from netmend.repair_actions.keep import check_keep
from netmend.repair_actions.recipes import WITH_RECIPES

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What episodes are drawn from.

    Attributes:
        bugs: drawn from uniformly.
        actions: the repair actions, in the order of their numbers; recipes, if any, are the last.
        rules: of every repair; see ``Rules.of`` for bugs with a budget of their own.
        seeds: each episode draws its trials' seed from ``range(seeds)``.

    Raises:
        NetmendError: ``seeds`` is not a whole number from 1 up.
    """

    bugs: tuple[Bug, ...]
    actions: tuple[RepairAction, ...]
    rules: Rules
    seeds: int = 1

    def __post_init__(self) -> None:
        check_whole("seeds", self.seeds)

    def draw(self, rng: np.random.Generator, bug_id: str | None = None) -> Episode:
        """A new episode: of the bug with that id, or of one drawn by ``rng``."""
        bug = self.bugs[int(rng.integers(len(self.bugs)))] if bug_id is None else self._bug(bug_id)
        return self.episode(bug, int(rng.integers(self.seeds)))

    def episode(self, bug: Bug, seed: int) -> Episode:
        """A new episode of a bug whose trials use ``seed``."""
        return Episode(bug, task_of(bug), self.actions, self.rules, seed)

    def _bug(self, bug_id: str) -> Bug:
        for bug in self.bugs:
            if bug.id == bug_id:
                return bug
        raise UnknownNameError("bug", str(bug_id), (bug.id for bug in self.bugs))


def make_setting(
    bugs: str | Suite | Sequence[Bug],
    *,
    split: Split = "train",
    actions: Sequence[str] = ("*",),
    trials: int | None = None,
    rules: Rules | None = None,
    seeds: int = 1,
    keep: Sequence[str] = (),
    compose: bool | None = None,
) -> Setting:
    """Setting from names: see :class:`netmend.env.repair_env.RepairEnv` for the arguments and errors."""
    suite = load_suite(bugs) if isinstance(bugs, str) else bugs
    if not isinstance(suite, Suite) and not _is_list_of(suite, Bug):
        raise NetmendError(
            f"bugs: {reprlib.repr(bugs)} is not a suite, the name or folder of one, or a list of bugs"
        )
    actions, keep = _names("actions", actions), _names("keep", keep)
    if rules is None:
        budget = suite.budget if isinstance(suite, Suite) else Budget()
        rules = Rules(budget=budget, open_limits=LIMITS)
        rules = rules if trials is None else replace(rules, trials=trials)
        rules = replace(rules, keep=keep, compose=rules.compose if compose is None else compose)
    elif not isinstance(rules, Rules):
        raise NetmendError(f"rules: {reprlib.repr(rules)} is not a Rules object")
    elif trials is not None or keep or compose is not None:
        name = "trials" if trials is not None else "keep" if keep else "compose"
        raise NetmendError(f"{name} and rules are both given; rules hold it: Rules({name}=...)")
    check_keep(rules.keep)
    chosen = select(actions, WITH_RECIPES if rules.compose else CATALOGUE)
    if not chosen:
        raise NetmendError("actions: name at least one action")
    return Setting(bugs=_chosen(suite, split), actions=chosen, rules=rules, seeds=seeds)


def trainer_or_own(trainer: Trainer | None) -> Trainer:
    """The trainer that is given, else one that trains in this process.

    Raises:
        NetmendError: what is given trains nothing.
    """
    if trainer is not None and not callable(getattr(trainer, "run", None)):
        made = "netmend.env.training.front.build_trainer makes one"
        raise NetmendError(f"trainer: {reprlib.repr(trainer)} is not a trainer; {made}")
    return trainer or build_trainer(workers=0)


def checked_options(options: Mapping[str, object] | None, *known: str) -> dict[str, Any]:
    """The options of a ``reset()``, by name.

    Raises:
        UnknownNameError: one is not known.
    """
    given = dict(options or {})
    for name in given:
        if name not in known:
            raise UnknownNameError("option of reset()", str(name), known)
    return given


def _names(key: str, names: object) -> tuple[str, ...]:
    """Names as a tuple; a single one may stand alone."""
    if isinstance(names, str):
        return (names,)
    if not _is_list_of(names, str):
        raise NetmendError(f"{key}: {reprlib.repr(names)} is not a list of names")
    return tuple(names)


def _is_list_of(values: object, kind: type[T]) -> TypeGuard[Sequence[T]]:
    return isinstance(values, Sequence) and all(isinstance(value, kind) for value in values)


def _chosen(suite: Suite | Sequence[Bug], split: Split) -> tuple[Bug, ...]:
    """The bugs of the split of a suite, or all of those given one by one."""
    if not isinstance(suite, Suite):
        if not suite:
            raise NetmendError("no bugs are given")
        return tuple(suite)
    chosen = suite.split(split)
    if not chosen:
        raise NetmendError(
            f"suite {suite.name!r} has no bugs in split {split!r}; "
            f"a bug file says with `split: {split}` that it belongs there"
        )
    kept, note = without_missing_packs(chosen)
    if note:
        warnings.warn(note, stacklevel=4)
    return kept

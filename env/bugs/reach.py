"""Whether a sequence of a few catalogue actions does what the published fix does.

The search looks at the published fix, so that it finds a sequence soon if there is one. It says whether the
catalogue can express a repair; no policy ever sees what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import cast

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.killing import measure, score
from netmend.env.program import Program, Task, to_plain
from netmend.env.program.crashes import phases_passed
from netmend.env.training.trial import Budget, Trainer, TrialRequest, answered
from netmend.repair_actions import RepairAction, successors

MOST_ACTIONS = 4
WIDTH = 24
"""Programs that are trained at each length of a sequence."""
BEAM = 5
"""Programs from which the next, longer sequences start."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A sequence of actions and what it gives.

    Attributes:
        patch: names of the actions, empty where the search found none.
        skill: mean validation skill over the seeds, of the best program that was found.
        goal: what counts as the published fix's skill.
    """

    patch: tuple[str, ...]
    skill: float
    goal: float

    @property
    def holds(self) -> bool:
        """Whether the goal is reached."""
        return self.skill >= self.goal


@dataclass(frozen=True, kw_only=True)
class _Node:
    program: Program
    patch: tuple[str, ...]
    skill: float


def goal_of(bug: Bug) -> float:
    """Least mean validation skill that counts as the published fix's; it needs the fix's measured score."""
    goal = bug.goal("validation")
    if goal is None:
        raise ValueError(f"bug {bug.id}: the published fix has no measured score")
    return goal


def replay_patch(
    bug: Bug, task: Task, actions: Sequence[RepairAction], patch: Sequence[str]
) -> Program | None:
    """The program after a sequence of actions, None where one of them is not legal when it comes."""
    numbers = {action.name: number for number, action in enumerate(actions)}
    program: Program | None = bug.program
    for name in patch:
        if program is None or name not in numbers:
            return None
        program = successors(tuple(actions), program, task)[numbers[name]]
    return program


def reach(
    bug: Bug,
    task: Task,
    actions: tuple[RepairAction, ...],
    trainer: Trainer,
    budget: Budget,
    seeds: Sequence[int],
    most: int = MOST_ACTIONS,
) -> Reached:
    """Search for a sequence of actions that reaches the published fix's skill; see ``Reached``.

    Every length up to ``most`` is tried in turn: the programs that come closest to the published fix, and
    those that the best ones so far lead to, get one trial, and what reaches the goal is confirmed with all
    seeds.
    """
    goal = goal_of(bug)
    beam, known = [_Node(program=bug.program, patch=(), skill=-1.0)], {bug.program}
    best = Reached(patch=(), skill=-1.0, goal=goal)
    for _ in range(most):
        nodes = _candidates(bug, task, actions, beam, known)
        requests = [
            TrialRequest(program=x.program, budget=budget, seed=seeds[0], metric=bug.task_metric)
            for x in nodes
        ]
        trials = answered(trainer.run(requests))
        tried = [
            _Node(program=node.program, patch=node.patch, skill=trial.skill)
            for node, trial in zip(nodes, trials, strict=True)
        ]
        tried.sort(key=lambda node: -node.skill)
        for node in tried[:BEAM]:
            if node.skill < goal - 0.1:
                break
            mean = score(measure(trainer, [node.program], budget, seeds, bug.task_metric)[0]).validation.mean
            best = max(best, Reached(patch=node.patch, skill=mean, goal=goal), key=lambda found: found.skill)
            if best.holds:
                return best
        beam = _next_beam(bug, task, tried)
    return Reached(patch=(), skill=best.skill, goal=goal)


def _candidates(
    bug: Bug, task: Task, actions: tuple[RepairAction, ...], beam: Sequence[_Node], known: set[Program]
) -> list[_Node]:
    """New programs one action further, the most promising first, at most WIDTH of them."""
    found: list[_Node] = []
    for node in beam:
        for action, program in zip(actions, successors(actions, node.program, task), strict=True):
            if program is not None and program not in known:
                known.add(program)
                found.append(_Node(program=program, patch=(*node.patch, action.name), skill=node.skill))
    return sorted(found, key=lambda node: _promise(bug, task, node.program))[:WIDTH]


def _next_beam(bug: Bug, task: Task, tried: Sequence[_Node]) -> list[_Node]:
    """The best by skill, and those closest to the published fix."""
    close = sorted(tried, key=lambda node: _promise(bug, task, node.program))
    return list(dict.fromkeys((*tried[: BEAM - 2], *close[: BEAM - 2])))


def _promise(bug: Bug, task: Task, program: Program) -> tuple[float, float]:
    """Sorts programs: those that crash later or not at all, then those closer to the published fix."""
    progress = phases_passed(program, task)
    return (distance(program, cast(Program, bug.fixed)) - 0.25 * progress, -progress)


def distance(program: Program, other: Program) -> float:
    """How many fields and layers differ; a layer of the same kind with other numbers counts half."""
    left, right = dict(_leaves(to_plain(program))), dict(_leaves(to_plain(other)))
    fields = sum(left.get(key) != right.get(key) for key in left.keys() | right.keys())
    return fields + _layer_distance(program, other)


def _layer_distance(program: Program, other: Program) -> float:
    same = SequenceMatcher(None, program.layers, other.layers, autojunk=False)
    kinds = SequenceMatcher(None, _kinds(program), _kinds(other), autojunk=False)
    equal = sum(block.size for block in same.get_matching_blocks())
    alike = sum(block.size for block in kinds.get_matching_blocks())
    return max(len(program.layers), len(other.layers)) - 0.5 * (equal + alike)


def _kinds(program: Program) -> list[str]:
    return [type(layer).__name__ for layer in program.layers]


def _leaves(plain: object, path: str = "") -> Iterable[tuple[str, object]]:
    """Values of nested mappings by path, without the layers; a list counts as one value."""
    if not isinstance(plain, dict):
        yield path, plain
        return
    for key, value in plain.items():
        if (path, key) != ("", "layers"):
            yield from _leaves(value, f"{path}.{key}")

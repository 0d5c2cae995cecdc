"""Making a suite of mutants: draw candidates, screen them, keep those that are killed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.bases import Base
from netmend.env.bugs.bug import SPLITS, Bug, Score, Suite
from netmend.env.bugs.enlarging import enlarge
from netmend.env.bugs.killing import Skills, is_harmful, is_killed, measure, reaches_fix, score
from netmend.env.bugs.loading import load_suite
from netmend.env.bugs.mutation import Mutant, mutate, remainders
from netmend.env.bugs.operators import OPERATORS, draw_operators
from netmend.env.bugs.plans import SuitePlan
from netmend.env.bugs.variants import draw_variants, is_dense
from netmend.env.data import load_dataset
from netmend.env.program import Program, Task, check
from netmend.env.program.crashes import find_crash
from netmend.env.training.trial import Trainer

Report = Callable[[str], None]
LEAST_SKILL: Mapping[str, float] = {"classification": 0.6, "multilabel": 0.6, "regression": 0.4}
"""A base must be so good, and steady, on both parts, or its mutants say little; a plan may ask for less."""
DRAWS_PER_MUTANT = 50
"""Tries to find a new mutant for a place before the place is left for the next round."""
DRAWS_PER_VARIANT = 2
"""Variants drawn for each that is wanted: not all of them are good programs."""


@dataclass
class _Slot:
    """A place for one bug: its base, its number of faults, and the bug once it is found.

    ``crashes`` says whether the bug has to crash; None leaves it to chance.
    """

    base: str
    faults: int
    crashes: bool | None = None
    bug: Bug | None = None


@dataclass
class _Candidate:
    """A mutant that may become the bug of a place."""

    slot: _Slot
    mutant: Mutant
    all_matter: bool = True


@dataclass
class _Making:
    plan: SuitePlan
    trainer: Trainer
    report: Report
    rng: Generator
    good: dict[str, Base] = field(default_factory=dict)
    fixed: dict[str, Skills] = field(default_factory=dict)
    seen: set[Program] = field(default_factory=set)
    uses: Counter[str] = field(default_factory=Counter)


def make_suite(plan: SuitePlan, trainer: Trainer, report: Report = print) -> Suite:
    """Make a suite as planned: the same plan and the same trials give the same suite.

    Args:
        plan: what to make.
        trainer: trains the candidates; with a store, a second run is a matter of seconds.
        report: takes a line of progress.
    """
    if plan.enlarges:
        bugs = enlarge(load_suite(plan.enlarges))
        return Suite(name=plan.name, description=plan.description, budget=plan.budget, bugs=bugs)
    making = _Making(plan, trainer, report, np.random.default_rng(plan.seed))
    _measure_bases(making)
    slots = _slots(making)
    for number in range(plan.rounds):
        missing = [slot for slot in slots if slot.bug is None]
        if not missing:
            break
        _fill(making, missing, strict=number < plan.strict_rounds)
        found = sum(slot.bug is not None for slot in slots)
        report(f"round {number + 1}: {found} of {len(slots)} bugs, {len(making.seen)} candidates")
    return Suite(
        name=plan.name, description=plan.description, budget=plan.budget, bugs=tuple(_numbered(slots))
    )


def _measure_bases(making: _Making) -> None:
    """Train the good programs, then variants of those for training."""
    plan = making.plan
    _keep_good(making, {name: plan.known[name] for name in plan.bases})
    drawn: dict[str, list[Base]] = {}
    for name, base in making.good.items():
        if base.split == "train":
            task, count = _task(base.program), plan.variants * DRAWS_PER_VARIANT
            programs = draw_variants(name, base.program, task, count, plan.seed)
            drawn[name] = [replace(base, program=program) for program in programs]
    _keep_good(
        making, {f"{name}~{i + 1}": base for name, bases in drawn.items() for i, base in enumerate(bases)}
    )
    for name, bases in drawn.items():
        kept = [key for i in range(len(bases)) if (key := f"{name}~{i + 1}") in making.good]
        for key in kept[plan.variants :]:
            del making.good[key], making.fixed[key]


def _keep_good(making: _Making, bases: Mapping[str, Base]) -> None:
    """Measure programs; leave out, with a line, those that are not good or not steady enough."""
    measured = _measure(making, [base.program for base in bases.values()], making.plan.seeds)
    for (name, base), skills in zip(bases.items(), measured, strict=True):
        good = score(skills)
        verdict = "" if _is_good(making.plan, good, _task(base.program)) else "  left out"
        text = f"{good.validation.mean:.3f} ± {good.validation.sd:.3f}, hold-out {good.holdout.mean:.3f}"
        making.report(f"base {name}: skill {text} ± {good.holdout.sd:.3f}{verdict}")
        if not verdict:
            making.good[name], making.fixed[name] = base, skills


def _is_good(plan: SuitePlan, good: Score, task: Task) -> bool:
    least = LEAST_SKILL[task.kind] if plan.least_skill is None else plan.least_skill
    parts = (good.validation, good.holdout)
    return all(part.mean >= least and part.sd <= plan.largest_spread for part in parts)


def _task(program: Program) -> Task:
    return load_dataset(program.data.dataset).task


def _slots(making: _Making) -> list[_Slot]:
    """Places for all bugs with the wanted numbers of faults, spread evenly over dense and other bases."""
    slots = []
    for split in SPLITS:
        names = [name for name, base in making.good.items() if base.split == split]
        wanted = making.plan.bugs[split] if names else 0
        twenties = itertools.chain.from_iterable(
            making.rng.permutation(making.plan.faults) for _ in range(-(-wanted // len(making.plan.faults)))
        )
        places = zip(_spread_over(making, names, wanted), twenties, _crashes(making, wanted), strict=False)
        slots += [_Slot(base, int(faults), crashes) for base, faults, crashes in places]
    return slots


def _crashes(making: _Making, wanted: int) -> list[bool | None]:
    """Which of the bugs of a split have to crash."""
    share = making.plan.crash_share
    if share is None:
        return [None] * wanted
    return [bool(number < share * wanted) for number in making.rng.permutation(wanted)]


def _spread_over(making: _Making, names: Sequence[str], wanted: int) -> list[str]:
    """As many names of bases as wanted, in random order: each kind of network has its share of them."""
    dense = [name for name in names if is_dense(making.good[name].program)]
    others = [name for name in names if name not in dense]
    share = making.plan.dense_share if dense and others else float(bool(dense))
    parts = ((dense, round(share * wanted)), (others, wanted - round(share * wanted)))
    spread = [name for some, count in parts for name in itertools.islice(itertools.cycle(some), count)]
    return [spread[i] for i in making.rng.permutation(len(spread))]


def _fill(making: _Making, missing: Sequence[_Slot], *, strict: bool) -> None:
    """One round: a candidate for every missing bug, screening, and the kill test of the harmful ones."""
    drawn = [_Candidate(slot, mutant) for slot in missing if (mutant := _draw(making, slot)) is not None]
    harmful = _screened(making, drawn)
    _look_for_one_that_does_all(making, harmful)
    chosen = [candidate for candidate in harmful if candidate.all_matter or not strict]
    for candidate, skills in zip(chosen, _tested(making, chosen), strict=True):
        if is_killed(skills, making.fixed[candidate.slot.base]):
            making.uses.update(candidate.mutant.operators)
            candidate.slot.bug = _bug(making, candidate, skills)


def _tested(making: _Making, candidates: Sequence[_Candidate]) -> list[Skills]:
    """Train candidates for the kill test, those of the training split with fewer seeds."""
    programs = [candidate.mutant.program for candidate in candidates]
    skills: dict[Program, Skills] = {}
    for is_train, seeds in ((True, making.plan.seeds[: making.plan.train_seeds]), (False, making.plan.seeds)):
        some = [
            candidate.mutant.program
            for candidate in candidates
            if (making.good[candidate.slot.base].split == "train") == is_train
        ]
        skills.update(zip(some, _measure(making, some, seeds), strict=True))
    return [skills[program] for program in programs]


def _measure(making: _Making, programs: Sequence[Program], seeds: Sequence[int]) -> list[Skills]:
    return measure(making.trainer, programs, making.plan.budget, seeds)


def _draw(making: _Making, slot: _Slot) -> Mutant | None:
    """A new mutant of the wanted kind."""
    base = making.good[slot.base].program
    task = _task(base)
    for _ in range(DRAWS_PER_MUTANT):
        operators = [OPERATORS[name] for name in _names(making, slot)]
        mutant = mutate(base, task, operators, making.rng)
        if mutant is None or mutant.program in making.seen or check(mutant.program, task):
            continue
        if slot.crashes is None or _crashing_faults(base, mutant, task) == slot.crashes:
            making.seen.add(mutant.program)
            return mutant
    return None


def _names(making: _Making, slot: _Slot) -> list[str]:
    """Operators for one mutant, drawn the likelier the fewer bugs they have made, so that none dominates."""
    if slot.crashes is None:
        return _drawn(making, making.plan.operators, slot.faults)
    crashing = [name for name in making.plan.operators if OPERATORS[name].crash]
    others = [name for name in making.plan.operators if not OPERATORS[name].crash]
    count = int(slot.crashes)
    return [*_drawn(making, crashing, count), *_drawn(making, others, slot.faults - count)]


def _drawn(making: _Making, names: Sequence[str], count: int) -> list[str]:
    even = sum(making.plan.bugs.values()) / len(making.plan.operators)
    return draw_operators(names, count, making.uses, even, making.rng)


def _crashing_faults(base: Program, mutant: Mutant, task: Task) -> int | None:
    """How many faults make a mutant crash, each of them for itself: 0, 1, or None for more."""
    if find_crash(mutant.program, task) is None:
        return 0
    mended = [rest for rest in remainders(base, mutant) if find_crash(rest, task) is None]
    return 1 if len(mended) == 1 else None


def _screened(making: _Making, candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """The candidates that seem to do harm: by one seed first, then by all screening seeds."""
    seeds = making.plan.screening_seeds
    for some in (seeds[:1], seeds):
        measured = _measure(making, [candidate.mutant.program for candidate in candidates], some)
        candidates = [
            candidate
            for candidate, skills in zip(candidates, measured, strict=True)
            if is_harmful(skills, score(making.fixed[candidate.slot.base]))
        ]
    return list(candidates)


def _look_for_one_that_does_all(making: _Making, candidates: Sequence[_Candidate]) -> None:
    """Note where mending a single one of several faults is enough."""
    rests = [
        (candidate, rest)
        for candidate in candidates
        if candidate.slot.faults > 1
        for rest in remainders(making.good[candidate.slot.base].program, candidate.mutant)
    ]
    measured = _measure(making, [rest for _, rest in rests], making.plan.screening_seeds)
    for (candidate, _), skills in zip(rests, measured, strict=True):
        if reaches_fix(skills, score(making.fixed[candidate.slot.base])):
            candidate.all_matter = False


def _bug(making: _Making, candidate: _Candidate, skills: Skills) -> Bug:
    slot, mutant = candidate.slot, candidate.mutant
    base = making.good[slot.base]
    several = (
        "no single one of them mended is enough" if candidate.all_matter else "one of them mended is enough"
    )
    return Bug(
        id="",
        program=mutant.program,
        split=base.split,
        fixed=base.program,
        base=slot.base,
        operators=mutant.operators,
        provenance=f"mutant of {slot.base}: {mutant.description}"
        + (f"; {several}" if slot.faults > 1 else ""),
        faulty_score=score(skills),
        fixed_score=score(making.fixed[slot.base]),
    )


def _numbered(slots: Sequence[_Slot]) -> Iterator[Bug]:
    numbers: Counter[str] = Counter()
    for slot in slots:
        if slot.bug is not None:
            numbers[slot.base] += 1
            yield replace(slot.bug, id=f"{slot.base}-{numbers[slot.base]:02d}")

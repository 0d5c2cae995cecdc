"""Making a suite of mutants: draw candidates, screen them, keep those that are killed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from netmend.env.bugs.bases import BASES, Base
from netmend.env.bugs.bug import SPLITS, Bug, Score, Split, Suite
from netmend.env.bugs.killing import Skills, is_harmful, is_killed, measure, reaches_fix, score
from netmend.env.bugs.mutation import Mutant, mutate, remainders
from netmend.env.bugs.operators import OPERATORS
from netmend.env.bugs.variants import draw_variants, is_dense
from netmend.env.data import load_dataset
from netmend.env.program import Program, Task, check
from netmend.env.training.trial import Budget, Trainer

Report = Callable[[str], None]
FAULTS_OF_TWENTY = (1,) * 10 + (2,) * 7 + (3,) * 3
"""How many faults at a time, in every twenty bugs."""
LEAST_SKILL: Mapping[str, float] = {"classification": 0.6, "regression": 0.4}
RATES = ("hlr", "hlx")
LARGEST_SPREAD = 0.08
"""A base must be good and steady, on both parts, or its mutants say little."""
DENSE_SHARE = 0.6
"""Share of a split's bugs that are on dense programs, whose trials are cheap, where it has both kinds."""
DRAWS_PER_VARIANT = 2
"""Variants drawn for each that is wanted: not all of them are good programs."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a suite is made.

    Attributes:
        name, description: of the suite.
        bugs: number of bugs by split.
        bases: names of the base programs.
        seed: of everything that is drawn.
        budget: of every trial.
        variants: of each training base, good programs too, whose mutants go to the training split.
        screening_seeds, seeds: of the first look at a candidate, and of the kill test and all good programs.
        train_seeds: how many of ``seeds`` test a mutant of the training split; the others take all.
        rounds: candidates for one bug; one for which none is killed stays missing.
        strict_rounds: first rounds, which pass over candidates with several faults if one of them does all.
    """

    name: str
    description: str
    bugs: Mapping[Split, int]
    bases: tuple[str, ...]
    seed: int = 1
    budget: Budget = field(default_factory=Budget)
    screening_seeds: tuple[int, ...] = (0, 1, 2)
    seeds: tuple[int, ...] = tuple(range(100, 108))
    train_seeds: int = 8
    variants: int = 0
    rounds: int = 24
    strict_rounds: int = 8


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan(
            name="mutants-v1",
            description="Mutants of good programs, one to three faults each, all killed; the default suite. "
            "Training bugs: also on variants of their bases (base~n), killed with 5 seeds; others with 8.",
            bugs={"train": 600, "validation": 60, "held-out": 80},
            bases=tuple(BASES),
            train_seeds=5,
            variants=3,
        ),
        Plan(
            name="tiny",
            description="A dozen mutants of small dense programs with short trials, to try things out.",
            bugs={"train": 6, "validation": 3, "held-out": 3},
            bases=("circles_logit", "friedman2_sgd", "wine_single", "faults_keras"),
            budget=Budget(samples=200, epochs=12, updates=120),
        ),
    )
}
"""Every suite that ``netmend bugs make`` can make, by name."""


@dataclass
class _Slot:
    """A place for one bug: its base, its number of faults, and the bug once it is found."""

    base: str
    faults: int
    bug: Bug | None = None


@dataclass
class _Candidate:
    """A mutant that may become the bug of a place."""

    slot: _Slot
    mutant: Mutant
    all_matter: bool = True


@dataclass
class _Making:
    plan: Plan
    trainer: Trainer
    report: Report
    rng: Generator
    good: dict[str, Base] = field(default_factory=dict)
    fixed: dict[str, Skills] = field(default_factory=dict)
    seen: set[Program] = field(default_factory=set)
    uses: Counter[str] = field(default_factory=Counter)


def make_suite(plan: Plan, trainer: Trainer, report: Report = print) -> Suite:
    """Make a suite as planned: the same plan and the same trials give the same suite.

    Args:
        plan: what to make.
        trainer: trains the candidates; with a store, a second run is a matter of seconds.
        report: takes a line of progress.
    """
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
    _keep_good(making, {name: BASES[name] for name in plan.bases})
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
        verdict = "" if _is_good(good, _task(base.program)) else "  left out"
        text = f"{good.validation.mean:.3f} ± {good.validation.sd:.3f}, hold-out {good.holdout.mean:.3f}"
        making.report(f"base {name}: skill {text} ± {good.holdout.sd:.3f}{verdict}")
        if not verdict:
            making.good[name], making.fixed[name] = base, skills


def _is_good(good: Score, task: Task) -> bool:
    parts = (good.validation, good.holdout)
    return all(part.mean >= LEAST_SKILL[task.kind] and part.sd <= LARGEST_SPREAD for part in parts)


def _task(program: Program) -> Task:
    return load_dataset(program.data.dataset).task


def _slots(making: _Making) -> list[_Slot]:
    """Places for all bugs with the wanted numbers of faults, spread evenly over dense and other bases."""
    slots = []
    for split in SPLITS:
        names = [name for name, base in making.good.items() if base.split == split]
        wanted = making.plan.bugs[split] if names else 0
        twenties = itertools.chain.from_iterable(
            making.rng.permutation(FAULTS_OF_TWENTY) for _ in range(-(-wanted // 20))
        )
        slots += [
            _Slot(base, int(faults))
            for base, faults in zip(_spread_over(making, names, wanted), twenties, strict=False)
        ]
    return slots


def _spread_over(making: _Making, names: Sequence[str], wanted: int) -> list[str]:
    """As many names of bases as wanted, in random order: each kind of network has its share of them."""
    dense = [name for name in names if is_dense(making.good[name].program)]
    others = [name for name in names if name not in dense]
    share = DENSE_SHARE if dense and others else float(bool(dense))
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
    is_train = [making.good[candidate.slot.base].split == "train" for candidate in candidates]
    few = iter(
        _measure(
            making, list(itertools.compress(programs, is_train)), making.plan.seeds[: making.plan.train_seeds]
        )
    )
    rest = [program for program, train in zip(programs, is_train, strict=True) if not train]
    all_seeds = iter(_measure(making, rest, making.plan.seeds))
    return [next(few if train else all_seeds) for train in is_train]


def _measure(making: _Making, programs: Sequence[Program], seeds: Sequence[int]) -> list[Skills]:
    return measure(making.trainer, programs, making.plan.budget, seeds)


def _draw(making: _Making, slot: _Slot) -> Mutant | None:
    """A new mutant. An operator is the likelier the fewer bugs it has made, so that none dominates."""
    base = making.good[slot.base].program
    task = _task(base)
    names = list(OPERATORS)
    weights = np.array([_weight(making, name) for name in names])
    for _ in range(50):
        chosen = making.rng.choice(len(names), slot.faults, replace=False, p=weights / weights.sum())
        mutant = mutate(base, task, [OPERATORS[names[i]] for i in chosen], making.rng)
        if mutant is not None and mutant.program not in making.seen and not check(mutant.program, task):
            making.seen.add(mutant.program)
            return mutant
    return None


def _weight(making: _Making, name: str) -> float:
    # two operators set the learning rate: they share one part
    family = RATES if name in RATES else (name,)
    even = sum(making.plan.bugs.values()) / len(OPERATORS)
    return 1.0 / len(family) / (1 + sum(making.uses[member] for member in family) / even) ** 2


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

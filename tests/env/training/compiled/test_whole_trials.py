"""Whole trials of compiled code against those of the plain loop, number by number.

Two programs that round differently part sooner or later, so the measure is the plain loop itself, from
weights that are off by their rounding: compiled code may part from it as often, and to both sides alike.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

pytest.importorskip("numba")

from netmend.env.bugs import load_suite
from netmend.env.data import Dataset, load_dataset
from netmend.env.errors import NetmendError
from netmend.env.program import Optimizer, Program
from netmend.env.program.yaml import digest
from netmend.env.training import session
from netmend.env.training.compiled import checks
from netmend.env.training.compiled.session import CompiledSession
from netmend.env.training.compiled.table import NotMineError
from netmend.env.training.loop import train
from netmend.env.training.measure import LayerCheck
from netmend.env.training.session import Session
from netmend.env.training.trial import Budget, Trial, TrialRequest

BUDGET, SHORT = Budget(samples=64, epochs=6, updates=60), Budget(samples=40, epochs=3, updates=20)
SUITES = ("tiny", "mutants-v1", "crashes-v1", "real-v1")
LIGHT = ("spot", "gestures", "tank", "pulses", "reviews", "shells", "xor", "grammar", "shapes", "circles")
"""Datasets that need no library that takes seconds to import."""
OFF = 1e-4
"""Relative difference beyond which two numbers are not the same."""
LUCK = 1e-4
"""Probability below which a difference is no luck."""

Datasets = Callable[[str], Dataset]


@dataclass(frozen=True)
class Pair:
    """A trial of compiled code, of the plain loop, and of the plain loop from shaken weights."""

    compiled: Trial
    plain: Trial
    shaken: Trial


class Shaken(session.Network):
    """Initial weights that are off by their rounding; what is 0 stays so."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        values = self.parameters.values
        noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(5))
        values.mul_(1 + 1e-7 * noise)


def trained(request: TrialRequest, datasets: Datasets, sessions: Callable[..., Session] = Session) -> Trial:
    dataset = datasets(request.program.data.dataset)
    return train(request.program, dataset, request.budget, request.seed, holdout=True, sessions=sessions)


def pairs(
    requests: Sequence[TrialRequest],
    datasets: Datasets,
    patch: pytest.MonkeyPatch,
    mistake: Callable[[TrialRequest], TrialRequest] = lambda request: request,
) -> list[Pair]:
    found = []
    for request in requests:
        try:
            compiled = trained(mistake(request), datasets, CompiledSession)
        except NotMineError:
            continue
        plain = trained(request, datasets)
        with patch.context() as patched:
            patched.setattr(session, "Network", Shaken)
            found.append(Pair(compiled, plain, trained(request, datasets)))
    return found


def numbers(trial: Trial) -> dict[str, float]:
    """All numbers of a trial but its seconds, by their place."""
    found = dict(_walk("", {**asdict(trial), "seconds": 0.0}))
    # beyond that a number says nothing but that training went wrong
    return {place: math.copysign(1e9, n) if abs(n) > 1e9 else n for place, n in found.items()}


def _walk(place: str, value: object) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(f"{place}/{name}", item)
    elif isinstance(value, tuple | list):
        yield f"{place}/length", len(value)
        for nth, item in enumerate(value):
            yield from _walk(f"{place}/{nth}", item)
    elif isinstance(value, int | float):
        yield place, float(value)


def moved(trial: Trial, plain: Trial) -> dict[str, float]:
    """Kinds of numbers that are not the same, and by how much the first such one is off; how it ended too."""
    found = {} if end(trial) == end(plain) else {"end": 1.0}
    mine, theirs = numbers(trial), numbers(plain)
    for place, wanted in theirs.items():
        off = mine.get(place, math.inf) - wanted
        if abs(off) > OFF * max(1.0, abs(wanted)):
            found.setdefault("/".join(part for part in place.split("/") if not part.isdigit()), off)
    return found


def complaints(found: Sequence[Pair]) -> dict[str, str]:
    """What differs more often than by luck, or to one side, by kind of number."""
    signs: defaultdict[str, Counter[bool]] = defaultdict(Counter)
    luck: Counter[str] = Counter()
    for pair in found:
        for kind, off in moved(pair.compiled, pair.plain).items():
            signs[kind][off > 0] += 1
        luck.update(moved(pair.shaken, pair.plain).keys())
    said = {}
    for kind, sides in signs.items():
        count = sides.total()
        share = (luck[kind] + 3) / (len(found) + 6)
        often = binomtest(count, len(found), min(1.5 * share, 1.0), alternative="greater").pvalue
        aside = binomtest(sides[True], count).pvalue
        if min(often, aside) < LUCK:
            said[kind] = f"{count} of {len(found)} ({sides[True]} above), {luck[kind]} by luck"
    return said


def end(trial: Trial) -> tuple[object, ...]:
    """How a trial ended; which comes first, infinity or what is no number, is a matter of rounding."""
    return trial.status, trial.message.replace("-inf", "nan").replace("inf", "nan"), trial.symptoms.crash


def suite_requests(budget: Budget, every: int = 1, known: Sequence[str] = ()) -> list[TrialRequest]:
    """Distinct programs of the suites, bugs and fixes."""
    programs: dict[str, Program] = {}
    for name in SUITES:
        for bug in load_suite(name).bugs:
            for program in (bug.program, bug.fixed):
                if program is not None and (not known or program.data.dataset in known):
                    programs.setdefault(digest(program), program)
    chosen = list(programs.values())[::every]
    return [TrialRequest(program=program, budget=budget, seed=nth % 3) for nth, program in enumerate(chosen)]


def random_requests(
    draw: Callable[..., Program], trunks: Sequence[str], budget: Budget, each: int = 1
) -> list[TrialRequest]:
    rng = np.random.default_rng(11)
    return [
        TrialRequest(program=draw(rng, trunk), budget=budget, seed=nth % 3)
        for trunk in trunks
        for nth in range(each)
    ]


def test_trials_of_the_suites_are_those_of_the_plain_loop(monkeypatch):
    found = pairs(suite_requests(SHORT, 12, LIGHT), load_dataset, monkeypatch)
    assert len(found) > 30
    assert not complaints(found)


def test_random_trials_are_those_of_the_plain_loop(datasets, random_program, trunks, monkeypatch):
    requests = random_requests(random_program, list(trunks), SHORT, 2)
    found = pairs(requests, datasets.__getitem__, monkeypatch)
    assert len(found) > 50
    assert not complaints(found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_trials_of_all_programs_of_the_suites_are_those_of_the_plain_loop(monkeypatch):
    requests = [request for request in suite_requests(BUDGET) if can_load(request)]
    found = pairs(requests, load_dataset, monkeypatch)
    assert len(found) > 1000
    assert not complaints(found)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_trials_are_those_of_the_plain_loop(datasets, random_program, trunks, monkeypatch):
    requests = random_requests(random_program, list(trunks), BUDGET, 40)
    found = pairs(requests, datasets.__getitem__, monkeypatch)
    assert len(found) > 1000
    assert not complaints(found)


def can_load(request: TrialRequest) -> bool:
    try:
        load_dataset(request.program.data.dataset)
    except NetmendError:
        return False
    return True


MISTAKES = {
    "beta2": {"beta2": 0.99},
    "rate": {"lr": 0.00505},
    "decay": {"weight_decay": 1e-3},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_comparison_of_symptoms_sees_a_mistake(datasets, good, monkeypatch, mistake):
    adam = Optimizer(kind="adam", lr=0.005)
    changed = replace(adam, **MISTAKES[mistake])
    program = replace(good, optimizer=adam)
    requests = [TrialRequest(program=program, budget=SHORT, seed=seed) for seed in range(16)]

    def wrong(request: TrialRequest) -> TrialRequest:
        return replace(request, program=replace(request.program, optimizer=changed))

    assert not complaints(pairs(requests, datasets.__getitem__, monkeypatch))
    said = complaints(pairs(requests, datasets.__getitem__, monkeypatch, wrong))
    assert any(kind.startswith("/symptoms/layers/weight_change") for kind in said), said


def first_check(request: TrialRequest, datasets: Datasets, sessions: type[Session]) -> Sequence[LayerCheck]:
    """What is measured before the first update."""
    kept: list[Session] = []

    def remembered(*arguments: object) -> Session:
        kept.append(sessions(*arguments))  # type: ignore[arg-type]
        return kept[-1]

    trained(request, datasets, remembered)
    return kept[0].measurements.checks()[0]


def differing_checks(
    datasets: dict[str, Dataset], draw: Callable[..., Program], trunks: Sequence[str]
) -> list[str]:
    problems = []
    for request in random_requests(draw, trunks, SHORT, 2):
        try:
            mine = first_check(request, datasets.__getitem__, CompiledSession)
        except (NotMineError, IndexError):
            continue  # left to the plain loop, or a crash before any session
        theirs = first_check(request, datasets.__getitem__, Session)
        for a, b in zip(mine, theirs, strict=True):
            # of a gradient that is 0 but for its rounding, it is luck which entries are 0; so it is of units
            skipped = ("gradient_zero",) if b.gradient < 1e-5 else ()
            skipped += ("dead",) if max(abs(b.activation_mean), b.activation_spread) < 1e-4 else ()
            problems += [
                f"{name}: {x}, not {y}"
                for name, x, y in zip(LayerCheck._fields, a, b, strict=True)
                if name not in skipped and x != pytest.approx(y, rel=3e-3, abs=1e-4)
            ]
    return problems


def test_what_is_measured_before_the_training_is_the_same(datasets, random_program, trunks, monkeypatch):
    assert not differing_checks(datasets, random_program, list(trunks))
    seen = checks.look.function

    def wrong(arena, looked, bounds, rows, found):
        seen(arena, looked, bounds, rows - 1, found)

    monkeypatch.setattr(checks.look, "function", wrong)
    assert differing_checks(datasets, random_program, list(trunks)[:3])

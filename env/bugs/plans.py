"""Plans of suites: what ``netmend bugs make`` can make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netmend.env.bugs.bases import BASES, LARGE_BASES, Base
from netmend.env.bugs.bug import Split
from netmend.env.bugs.operators import CRASHING, EITHER, SILENT
from netmend.env.training.trial import Budget

FAULTS_OF_TWENTY = (1,) * 10 + (2,) * 7 + (3,) * 3
"""How many faults at a time, in every twenty bugs."""

STUDY = ("ach", "aal", "arm", "hlr", "hne", "lch", "och", "raw", "wci")
"""Operators of the 21 mutants of the published benchmark (ICST 2023)."""

_FORMS = (
    *("volumes_conv3d", "digits_autoencoder", "grammar_transformer"),
    *("pulses_transformer", "rooms_lstm", "pumps_weighted"),
)


LARGE_BUDGET = Budget(samples=3000, epochs=10, updates=600, work=20_000.0)
"""Of a trial of a larger program: one to four seconds of a core."""


@dataclass(frozen=True, kw_only=True)
class SuitePlan:
    """How a suite is made.

    Attributes:
        name, description: of the suite.
        bugs: number of bugs by split.
        bases: names of the base programs.
        known: where they are.
        least_skill, largest_spread: what a base must have on both parts; no least skill: ``LEAST_SKILL``.
        seed: of everything that is drawn.
        budget: of every trial.
        variants: of each training base, good programs too, whose mutants go to the training split.
        screening_seeds, seeds: of the first look at a candidate, and of the kill test and all good programs.
        train_seeds: how many of ``seeds`` test a mutant of the training split; the others take all.
        rounds: candidates for one bug; if none of them is killed, the bug is left out.
        strict_rounds: first rounds, which pass over candidates with several faults if one of them does all.
        faults: how many faults at a time, in every so many bugs.
        operators: names of those that the faults are drawn from.
        dense_share: share of a split's bugs on dense programs, whose trials are cheap, if it has both kinds.
        enlarges: suite of the package of which this one is the full form; nothing is drawn and trained.
        crash_share: share of the bugs of which one fault makes the program crash; the other bugs run. None
            leaves crashes to chance.
    """

    name: str
    description: str
    bugs: Mapping[Split, int]
    bases: tuple[str, ...]
    known: Mapping[str, Base] = field(default=BASES, repr=False)
    least_skill: float | None = None
    largest_spread: float = 0.08
    seed: int = 1
    budget: Budget = field(default_factory=Budget)
    screening_seeds: tuple[int, ...] = (0, 1, 2)
    seeds: tuple[int, ...] = tuple(range(100, 108))
    train_seeds: int = 8
    variants: int = 0
    rounds: int = 24
    strict_rounds: int = 8
    faults: tuple[int, ...] = FAULTS_OF_TWENTY
    operators: tuple[str, ...] = EITHER
    enlarges: str | None = None
    dense_share: float = 0.6
    crash_share: float | None = None


PLANS: dict[str, SuitePlan] = {
    plan.name: plan
    for plan in (
        SuitePlan(
            name="mutants-v1",
            description="Mutants of good programs, one to three faults each, all killed; the default suite. "
            "Training bugs: also on variants of their bases (base~n), killed with 5 seeds; others with 8.",
            bugs={"train": 600, "validation": 60, "held-out": 80},
            bases=tuple(BASES),
            train_seeds=5,
            variants=3,
        ),
        SuitePlan(
            name="tiny",
            description="A dozen mutants of small dense programs with short trials, to try things out.",
            bugs={"train": 6, "validation": 3, "held-out": 3},
            bases=("circles_logit", "friedman2_sgd", "wine_single", "faults_keras"),
            budget=Budget(samples=200, epochs=12, updates=120),
        ),
        SuitePlan(
            name="crashes-v1",
            description="Mutants of the good programs of mutants-v1, one to three faults each, all killed. "
            "Three in five crash; faults of data, loop and release are among the others.",
            bugs={"train": 350, "validation": 40, "held-out": 60},
            bases=tuple(BASES),
            train_seeds=5,
            variants=3,
            strict_rounds=24,
            faults=(1,) * 7 + (2,) * 10 + (3,) * 3,
            operators=EITHER + SILENT + CRASHING,
            dense_share=0.4,
            crash_share=0.6,
        ),
        SuitePlan(
            name="forms-v1",
            description="Mutants of programs in forms that mutants-v1 has not: volumes, a decoder, "
            "transformers, targets at each step, a rare class. One or two faults each, a quarter crash, all "
            "killed.",
            bugs={"train": 32, "held-out": 16},
            bases=_FORMS,
            strict_rounds=24,
            faults=(1, 1, 2),
            operators=EITHER + SILENT + CRASHING,
            dense_share=0.25,
            crash_share=0.25,
        ),
        SuitePlan(
            name="large-v1",
            description="Mutants of larger programs: a residual network, a recurrent one and a transformer "
            "on texts, convolutions on spoken digits and on the road, a deep autoencoder. One or two faults "
            "each, none crashes, all killed with 5 seeds; for a CPU. Data packs: CIFAR-10 as JPEG, not "
            "pixel-identical, at 16x16; the first 64 words of 20 Newsgroups; spoken digits, whose hold-out "
            "speakers are no training ones; the road at a quarter of its pixels; Fashion-MNIST.",
            bugs={"held-out": 24},
            bases=tuple(LARGE_BASES),
            known=LARGE_BASES,
            least_skill=0.15,
            budget=LARGE_BUDGET,
            screening_seeds=(0,),
            seeds=tuple(range(100, 105)),
            train_seeds=5,
            strict_rounds=24,
            faults=(1, 1, 1, 2),
            # those of the study twice, so that half of the bugs have one
            operators=EITHER + SILENT + STUDY,
            dense_share=0.125,
            crash_share=0.0,
        ),
        SuitePlan(
            name="large-full-v1",
            description="The bugs of large-v1 on all rows, words and pixels of their packs, at the programs' "
            "own epochs: for a GPU. Their scores are not measured.",
            bugs={},
            bases=(),
            enlarges="large-v1",
            budget=Budget(samples=60_000, epochs=200, updates=1_000_000, work=1e9),
        ),
    )
}
"""Every suite that ``netmend bugs make`` can make, by name."""

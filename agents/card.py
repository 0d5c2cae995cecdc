"""The card of a policy: what it was made of, what it shows on validation bugs, and a sample to repeat."""

from __future__ import annotations

from collections.abc import Sequence

import netmend
from netmend.agents.choices import CHOSEN_BY
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import PolicyMethod
from netmend.agents.outcome import Outcome, by_method
from netmend.agents.policy import Policy
from netmend.agents.summary import methods_table, summarise
from netmend.agents.table import Table
from netmend.agents.verbs.train import TrainConfig
from netmend.env.bugs.bug import Suite
from netmend.env.data.loading import needs_pack
from netmend.env.reward import Rules
from netmend.env.training.trial import Trainer

CARD = "card.md"
SEEDS = (0, 1, 2)
"""Of the repairs that the results are taken from."""
SAMPLE = 12
"""Repairs that stand on the card one by one."""
COLUMNS = ("bug", "trials", "skill", "fixed", "answer")
NOTHING = "as it was"
"""The answer of a repair that changes nothing."""

TEXT = """# A policy of {members} networks

`netmend train experiment=shipped` makes the policy of the package. This one was made by netmend
{version}. Its networks learned one after another, with the seeds {seeds}. Their scores are averaged.

## What it learned from

* Suites: the training bugs of `{bugs}`{without}.
  No validation or held-out bug is a lesson.
* Imitation: {lessons:,} lessons for each network, in {rounds} rounds. They are made of {bases} drawn programs
  and of the package's own.
* Reinforcement: {steps:,} environment steps for each network.
* In all {trials:,} trials, {stored:,} of them from the store, in {minutes:.0f} minutes.
* A repair has {budget} trials. A trial costs {price:g} of skill, a replaced part {part_price:g}.
* {actions} actions and {slots} slots of an observation. A version of netmend with other slots refuses it.

## What was chosen

`go` {go}, `retry` {retry}, `confidence.end` {end}. {chosen_by}
bugs chose, from which no network learned: see docs/policies.md.

## Results on validation bugs

{results}

In brackets: 95 % bootstrap interval over bugs. *Fixed* is judged on the hold-out part. `member_N`
is one network with its own choices, by the validation bugs. This measures the whole policy again:

```
netmend evaluate bugs={bugs}{apart} split=validation \\
    methods=policy policy=default seeds={count} minimise=false
```

## A sample

Single repairs with seed 0, of the cheaper half of the bugs. A test repeats them.

{sample}

## Limits

* The bugs that chose are on datasets of these, so it fixes somewhat fewer held-out bugs: see
  docs/results.md.
* It learned from programs of 1 to 12 layers and from trials of at most {rows} rows and {epochs} epochs.
  Larger programs look to it like small ones that were trained too briefly.
* It knows the actions of this package. A fault that none of them mends is not repaired.
* Its *sure* was fitted to the bugs that chose.
"""


def card_of(
    policy: Policy,
    members: Sequence[Policy],
    config: TrainConfig,
    suite: Suite,
    rules: Rules,
    trainer: Trainer,
) -> str:
    """Repair all validation bugs with a policy and with each of its members; the card as Markdown."""
    named = {"policy": policy} | {f"member_{number}": member for number, member in enumerate(members)}
    methods = tuple(
        PolicyMethod(own, own.repair_actions(), name=name, compose=own.compose) for name, own in named.items()
    )
    bugs = suite.split("validation")
    evaluation = Evaluation(bugs=bugs, methods=methods, rules=rules, seeds=SEEDS, minimise=False)
    outcomes = run_repairs(evaluation, trainer)
    facts, imitation = policy.facts, config.imitation
    return TEXT.format(
        members=policy.members,
        version=netmend.__version__,
        seeds=facts["seeds"],
        bugs=config.bugs,
        without=f", without\n  the datasets of `{config.without}`" if config.without else "",
        apart=f" without={config.without}" if config.without else "",
        lessons=imitation.lessons,
        rounds=imitation.rounds,
        bases=imitation.bases,
        steps=config.training.steps,
        trials=facts["trials"],
        stored=facts["stored"],
        minutes=float(str(facts["seconds"])) / 60,
        budget=rules.trials,
        price=rules.price,
        part_price=rules.part_price,
        actions=len(policy.actions) - 1,
        slots=len(policy.slots),
        go=policy.go,
        retry=policy.retry,
        end=policy.confidence and policy.confidence.end,
        chosen_by=facts[CHOSEN_BY],
        results=methods_table(summarise(outcomes, rules.trials)).markdown(),
        count=len(SEEDS),
        sample=Table(head=COLUMNS, rows=sample(by_method(outcomes)["policy"]), left=(0, 4)).markdown(),
        rows=rules.budget.samples,
        epochs=rules.budget.epochs,
    )


def sample(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Rows of the sample: repairs with the first seed, whose data everybody has, spread over the bugs."""
    own = [
        outcome
        for outcome in outcomes
        if outcome.seed == SEEDS[0] and not needs_pack(outcome.bug.program.data.dataset)
    ]
    limit = sorted(outcome.work for outcome in own)[len(own) // 2] if own else 0.0
    cheap = [outcome for outcome in own if outcome.work <= limit]
    return [sample_row(outcome) for outcome in cheap[:: max(1, len(cheap) // SAMPLE)][:SAMPLE]]


def sample_row(outcome: Outcome) -> tuple[str, ...]:
    """Bug, trials, validation skill of the answer, whether it is fixed, and the answer."""
    found = outcome.found
    fixed = {True: "yes", False: "no", None: "not known"}[outcome.fixed(found)]
    patch = ", ".join(found.proposal.patch) or NOTHING
    return outcome.bug.id, str(outcome.trials), f"{found.trial.skill:.2f}", fixed, patch

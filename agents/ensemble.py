"""Several networks as one policy: trained one after another, averaged, and judged together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import yaml
from omegaconf import OmegaConf
from rich.console import Console

from netmend.agents.card import CARD, card_of
from netmend.agents.choices import chosen
from netmend.agents.policy import FOLDER, Facts, Policy, load_policy, save_policy
from netmend.agents.progress import Totals
from netmend.agents.statistics import validate
from netmend.agents.train import (
    FINISHED,
    Interrupted,
    MakeTrainer,
    refuse_taken,
    train,
    trainer_of,
    validation_bugs,
)
from netmend.agents.verbs.config import make_rules
from netmend.agents.verbs.opening import open_suite
from netmend.agents.verbs.train import CONFIG, TrainConfig
from netmend.env.setting import Setting
from netmend.env.training.trial import Trainer
from netmend.env.writing import from_here, whole_folder, write_whole


def train_ensemble(
    config: TrainConfig, folder: Path, console: Console, open_with: MakeTrainer = trainer_of
) -> Totals:
    """Train the members that are not finished, then make them one policy with a card.

    Each member is a run of its own in ``folder/member_N``, with the seed ``config.seed + N``.

    Raises:
        NetmendError: the configuration is wrong, or the folder holds a run already.
        Interrupted: Ctrl-C; what there was to save was saved.
    """
    if not config.resume:
        refuse_taken(folder)
        write_whole(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.structured(config)))
    try:
        return _train_all(config, folder, console, open_with)
    except KeyboardInterrupt as interrupt:
        go_on = f"go on with: netmend train resume={from_here(folder)}"
        raise Interrupted(f"interrupted; what was saved of the members stands; {go_on}") from interrupt


def _train_all(config: TrainConfig, folder: Path, console: Console, open_with: MakeTrainer) -> Totals:
    runs = [folder / f"member_{number}" for number in range(config.members)]
    total = _sum(
        [train(_member(config, number, run), run, console, open_with) for number, run in enumerate(runs)]
    )
    trainer = open_with(config)
    try:
        fixed = _put_together([load_policy(run) for run in runs], config, total, folder, trainer, console)
    finally:
        trainer.close()
    write_whole(folder / FINISHED, yaml.safe_dump({"totals": asdict(total), "fixed": fixed}, sort_keys=False))
    places = [folder / FOLDER]
    if config.ship is not None:
        places.append(Path(config.ship))
        with whole_folder(places[-1]) as fresh:
            shutil.copytree(places[0], fresh, dirs_exist_ok=True)
    for place in places:
        console.print(f"policy       {from_here(place)}", highlight=False, soft_wrap=True)
    return total


def averaged(policies: Sequence[Policy], facts: Facts) -> Policy:
    """One policy of several networks of one shape, their weights rounded to half precision.

    What is chosen and measured afterwards is so of the weights that are kept.
    """

    def stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(arrays).astype(np.float16).astype(np.float32)

    layers = tuple(
        (stacked([weight for weight, _ in layer]), stacked([bias for _, bias in layer]))
        for layer in zip(*(policy.layers for policy in policies), strict=True)
    )
    return replace(policies[0], layers=layers, go=None, retry=None, confidence=None, facts=facts)


def _member(config: TrainConfig, number: int, run: Path) -> TrainConfig:
    """The configuration of a member's own run, which goes on where there is one.

    What it chooses for itself is shown on the card and nowhere used, so no mutants are drawn for that.
    """
    begun = str(run) if (run / CONFIG).exists() else None
    training = replace(config.training, choosing_bugs=0)
    return replace(config, members=1, ship=None, training=training, seed=config.seed + number, resume=begun)


def _sum(totals: Sequence[Totals]) -> Totals:
    return Totals(**{key.name: sum(getattr(own, key.name) for own in totals) for key in fields(Totals)})


def _put_together(
    members: Sequence[Policy],
    config: TrainConfig,
    total: Totals,
    folder: Path,
    trainer: Trainer,
    console: Console,
) -> float | None:
    """Average the members, choose, write policy and card; the share of the validation bugs that is fixed."""
    suite = open_suite(config, console)
    facts: Facts = {
        "suite": suite.name,
        "seeds": ", ".join(str(member.facts["seed"]) for member in members),
        "trials_per_repair": config.budget.trials,
        **{key: round(value, 1) for key, value in asdict(total).items()},
    }
    policy = averaged(members, facts)
    rules = make_rules(config.budget, suite.budget, config.keep, compose=True)
    setting = Setting(bugs=suite.bugs, actions=policy.repair_actions(), rules=rules)
    bugs, count = validation_bugs(suite, config.training.validation_bugs), config.training.choosing_bugs

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    policy = chosen(policy, setting, bugs, count, trainer, say)
    text = card_of(policy, members, config, suite, rules, trainer)
    save_policy(policy, folder / FOLDER)
    write_whole(folder / FOLDER / CARD, text)
    return validate(policy, setting, bugs, trainer, seed=0).fixed if bugs else None

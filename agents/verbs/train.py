"""``netmend train``: an agent learns to repair the training bugs of a suite."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from netmend.agents.policy_description import ACTIVATIONS
from netmend.agents.verbs.config import (
    MOST,
    MOST_TRIALS,
    ActionsConfig,
    ConfigError,
    RepairingConfig,
    TrainerConfig,
    above_zero,
    at_least,
    checked,
    one_of,
    shortened,
)
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.hydra_job import run_job
from netmend.env.reading import read_yaml
from netmend.env.writing import from_here
from netmend.repair_actions import CATALOGUE
from netmend.repair_actions.recipes import WITH_RECIPES

MOST_LAYERS, MOST_LESSONS, MOST_ROUNDS, MOST_MEMBERS = 64, 100_000, 99, 16
VALUED = frozenset({"dqn"})
"""Algorithms whose network says what an action returns and not how likely it is the right one."""
PLACES = frozenset({"data_dir", "training.store", "ship", "resume"})
NAMING, LONGEST_NAME = r"[\w.=,+-]", 100
"""Characters of the name of a run, and how many: it is the name of a folder."""
CONFIG = "config.yaml"
"""File of a run's folder with its configuration."""


@dataclass
class AgentConfig:
    """Which Stable-Baselines3 algorithm, with what network.

    Attributes:
        algorithm: ``maskable_ppo``, ``ppo``, ``a2c`` or ``dqn``.
        n_envs: repairs that run side by side.
        network: units of the hidden layers.
        activation: of the hidden layers, tanh or relu.
        weight_decay: decoupled (AdamW), so that the policy generalises from few bugs.
        anneal: whether the learning rate falls linearly to 0 over the training.
        value_updates: first updates, in which the value alone learns and the policy stays what imitation has
            made of it; on-policy agents.
        unread: names or patterns (``symptom/*``) of slots of the observation that the network does not read:
            what a policy is worth without them.
        params: passed to the algorithm's class as they stand: ``agent.params.gamma=0.9``.
    """

    algorithm: str = MISSING
    n_envs: int = 16
    network: list[int] = field(default_factory=lambda: [512, 512])
    activation: str = "relu"
    weight_decay: float = 0.0
    anneal: bool = False
    value_updates: int = 0
    unread: list[str] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        """By key."""
        yield from at_least(1, self, "n_envs", path="agent.")
        if len(self.network) > MOST_LAYERS:
            yield f"agent.network: {len(self.network)} layers are above {MOST_LAYERS}"
        for index, units in enumerate(self.network[:MOST_LAYERS]):
            if not 1 <= units <= MOST:
                yield f"agent.network[{index}]: {shortened(units)} is below 1 or beyond {MOST}"
        yield from one_of(self, "activation", ACTIVATIONS, path="agent.")
        yield from at_least(0, self, "weight_decay", "value_updates", path="agent.")
        if self.value_updates and self.algorithm in VALUED:
            yield f"agent.value_updates: {self.algorithm} learns nothing but values; leave it 0"


@dataclass
class TrainingConfig(TrainerConfig):
    """How long to train and what to write meanwhile.

    Attributes:
        steps: environment steps in all; rounded up to whole updates, since an agent learns from whole ones.
            0 = none: the policy is what imitation has made of it.
        trials: most trials of a repair whose rewards an agent learns from; null = ``budget.trials``. With 1 a
            reward says what the first trial is worth, and no later one makes up for it.
        trial_seeds: an episode's trials use one of this many seeds.
        checkpoint_every: updates between checkpoints.
        validate_every: updates between looks at the validation bugs; 0 = only at the end.
        validation_bugs: most validation bugs per look.
        traces: repairs written out as text at each look.
        shuffle_rewards: permute the rewards within each rollout: a control in which nothing can be learned.
    """

    steps: int = 10_240
    trials: int | None = None
    trial_seeds: int = 1
    checkpoint_every: int = 20
    validate_every: int = 40
    validation_bugs: int = 50
    traces: int = 3
    shuffle_rewards: bool = False

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems()
        found += at_least(1, self, "trial_seeds", "checkpoint_every", path="training.")
        found += at_least(1, self, "trials", path="training.", most=MOST_TRIALS)
        return found + at_least(
            0, self, "steps", "validate_every", "validation_bugs", "traces", path="training."
        )


@dataclass
class ImitationConfig:
    """What a policy learns from a teacher before it learns from rewards, where edits compose.

    Attributes:
        lessons: mutants of good programs that it learns from, with the good program at hand, before it learns
            from rewards, beside the real bugs of the suite with their published fixes; 0 = none.
        bases: good programs that are drawn at random, beside the package's own for training and their
            variants; each takes some hundred trials.
        rounds: in which the lessons come; the teacher leads the repairs of the first one, and the policy as
            it is half of those of the others.
        epochs: passes over the states of all rounds so far, in each round.
        learning_rate: the highest of the cycle of a round.
        batch_size: states per update.
    """

    lessons: int = 10_000
    bases: int = 300
    rounds: int = 3
    epochs: int = 14
    learning_rate: float = 0.002
    batch_size: int = 256

    def problems(self) -> list[str]:
        """By key."""
        found = at_least(0, self, "lessons", "bases", path="imitation.", most=MOST_LESSONS)
        found += at_least(1, self, "rounds", path="imitation.", most=MOST_ROUNDS)
        found += at_least(1, self, "epochs", "batch_size", path="imitation.")
        found += above_zero(self, "learning_rate", path="imitation.")
        if 0 < self.lessons < self.rounds:
            found.append(f"imitation.rounds: {self.rounds} are more than the {self.lessons} lessons")
        return found


@dataclass
class TrainConfig(RepairingConfig):
    """``netmend train``.

    Attributes:
        seed: of the agent and of the bugs that it meets.
        members: networks whose scores the policy averages; each is a run of its own, with the seeds
            from ``seed`` on.
        ship: folder that gets a copy of the policy of several members; null = none.
        compose: whether edits wait until the last action trains all of them in one trial, and recipes are
            actions too; else each edit has a trial of its own. A policy keeps to what it was trained with.
        name: under which TensorBoard shows the run; null = the words that were typed behind the verb.
        resume: folder of a run that was cut off.
    """

    agent: AgentConfig = field(default_factory=AgentConfig)
    actions: ActionsConfig = field(default_factory=ActionsConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    members: int = 1
    ship: str | None = None
    compose: bool = True
    name: str | None = None
    resume: str | None = None

    def problems(self) -> list[str]:
        """By key."""
        known = WITH_RECIPES if self.compose else CATALOGUE
        found = [*self.agent.problems(), *super().problems(), *self.actions.problems(known)]
        found += at_least(1, self, "members", most=MOST_MEMBERS)
        if self.name is not None and not re.fullmatch(rf"(?!\.+$){NAMING}{{1,{LONGEST_NAME}}}", self.name):
            found.append(f"name: up to {LONGEST_NAME} letters, digits and any of . _ = , + -")
        return [*found, *self.imitation.problems(), *self._stage_problems(), *self._member_problems()]

    def _member_problems(self) -> Iterator[str]:
        """What several networks do not go with."""
        if self.members > 1 and (not self.compose or self.agent.algorithm in VALUED):
            yield "members: several networks average how likely edits are that compose; use members=1"
        if self.members == 1 and self.ship is not None:
            yield "ship: copies a policy of several members; name members=, or copy the run's policy"

    def _stage_problems(self) -> Iterator[str]:
        """Stages that do not go together."""
        if not self.training.steps and not self.imitation.lessons:
            yield "training.steps: 0 leaves nothing to do where imitation.lessons is 0 too"
        if self.imitation.lessons and not self.compose:
            yield "imitation.lessons: the teacher composes edits; use compose=true, or imitation.lessons=0"
        if self.imitation.lessons and self.agent.algorithm in VALUED:
            why = f"{self.agent.algorithm} learns returns, which a teacher does not say"
            yield f"imitation.lessons: {why}; use another agent, or imitation.lessons=0"

    def require(self) -> None:
        """Look up the suites, and let the algorithm's class say what it takes, which imports torch."""
        super().require()
        from netmend.agents.algorithms import check_agent

        check_agent(self.agent, compose=self.compose)


def train_verb(words: Sequence[str]) -> Ended:
    """Run the verb."""
    return run_job("train", words, TrainConfig, train_job)


def train_job(config: TrainConfig, folder: Path, overrides: Sequence[str]) -> Ended:
    """Begin a run in ``folder``, or go on with the run that lies there.

    Its figure is the share of the validation bugs that the policy fixes, for Hydra's sweepers.
    """
    from netmend.agents.ensemble import train_ensemble
    from netmend.agents.policy import FOLDER
    from netmend.agents.train import TENSORBOARD, fixed_share, train

    named = replace(config, name=config.name or name_of(overrides))
    own = resumed_config(folder, overrides) if config.resume else named
    totals = (train if own.members == 1 else train_ensemble)(own, folder, Console())
    fixed = fixed_share(folder)
    places = {"run": folder, "policy": folder / FOLDER, "tensorboard": folder / TENSORBOARD}
    return Ended(
        figure=fixed,
        answer={**places, "fixed": fixed, "totals": totals},
        then=f"netmend evaluate policy={from_here(folder)}",
    )


def name_of(words: Sequence[str]) -> str | None:
    """What tells a run from others: the words of its configuration, but for those that say where things are.

    None where nothing is left.
    """
    told = ",".join(word for word in words if word.partition("=")[0] not in PLACES)
    return re.sub(f"(?!{NAMING}).", "_", told, flags=re.DOTALL)[:LONGEST_NAME] or None


def resumed_config(folder: Path, overrides: Sequence[str]) -> TrainConfig:
    """Configuration of the run in a folder, changed by overrides of ``training.*``, the only ones allowed.

    Raises:
        ConfigError: there is no run, or an override would make it another one.
    """
    others = [word for word in overrides if not word.startswith(("training.", "resume="))]
    if others:
        raise ConfigError(
            [f"{word}: a resumed run keeps its configuration except training.*" for word in others]
        )
    if not (folder / CONFIG).is_file():
        raise ConfigError([f"resume: {folder} holds no run ({CONFIG} is missing)"])
    changes = [word for word in overrides if word.startswith("training.")]
    said = read_yaml(folder / CONFIG)
    if not isinstance(said, dict):
        raise ConfigError([f"resume: {from_here(folder / CONFIG)} is empty or holds no keys"])
    try:
        kept = OmegaConf.merge(OmegaConf.structured(TrainConfig), said, OmegaConf.from_dotlist(changes))
    except OmegaConfBaseException as error:
        raise ConfigError([f"resume: {from_here(folder / CONFIG)}: {str(error).splitlines()[0]}"]) from error
    assert isinstance(kept, DictConfig)
    kept.resume = str(folder)
    return checked(kept, TrainConfig)

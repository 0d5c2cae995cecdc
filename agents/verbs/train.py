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
CORRECTING = frozenset({"maskable_ppo", "ppo"})
"""Algorithms that weigh each step by how likely the policy takes it now and how likely it was then."""
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
        n_envs: number of repairs that run side by side.
        network: number of units in each hidden layer.
        activation: activation of the hidden layers, ``tanh`` or ``relu``.
        weight_decay: decoupled weight decay (AdamW). It helps the policy to generalise from few bugs.
        anneal: whether the learning rate falls linearly to 0 over the training.
        value_updates: number of updates at the start in which only the value learns, while the policy stays
            as imitation made it. For on-policy agents.
        unread: names or patterns (``symptom/*``) of observation slots that the network does not read. This
            shows what a policy is worth without them.
        params: parameters of the algorithm's class, passed on as they are: ``agent.params.gamma=0.9``.
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
        steps: number of environment steps, rounded up to whole updates. 0 = none: the policy stays as
            imitation made it.
        trials: most trials of a repair from whose rewards an agent learns. null = ``budget.trials``. With
            1, a reward shows what the first trial is worth, because no later trial can make up for it.
        trial_seeds: number of seeds from which an episode draws the seed of its trials.
        checkpoint_every: number of updates between two checkpoints.
        validate_every: number of updates between two looks at the validation bugs. 0 = only at the end.
        validation_bugs: most validation bugs in a look.
        choosing_bugs: number of mutants that choose how the trained policy repairs: when it goes for its
            first trial, how a second one begins, when a repair ends. They are drawn from the good programs
            behind the validation bugs. 0 = the validation bugs of a look choose.
        traces: number of repairs that are written out as text at each look.
        shuffle_rewards: whether rewards are shuffled within each rollout: a control in which nothing can be
            learned.
        staleness: by how many updates the policy that collects a rollout may be behind: 0 or 1. With 1, an
            update runs while the next rollout is collected, and no worker waits for it. For PPO.
    """

    steps: int = 10_240
    trials: int | None = None
    trial_seeds: int = 1
    checkpoint_every: int = 20
    validate_every: int = 40
    validation_bugs: int = 50
    choosing_bugs: int = 650
    traces: int = 3
    shuffle_rewards: bool = False
    staleness: int = 0

    def problems(self) -> list[str]:
        """By key."""
        found = super().problems()
        found += at_least(1, self, "trial_seeds", "checkpoint_every", path="training.")
        found += at_least(1, self, "trials", path="training.", most=MOST_TRIALS)
        found += at_least(0, self, "staleness", path="training.", most=1)
        counts = ("steps", "validate_every", "validation_bugs", "choosing_bugs", "traces")
        return found + at_least(0, self, *counts, path="training.")


@dataclass
class ImitationConfig:
    """What a policy learns from a teacher before it learns from rewards, where edits compose.

    Attributes:
        lessons: number of lessons, which are mutants of good programs. The policy learns from them, and
            from the suite's real bugs with their fixes, before it learns from rewards. 0 = no imitation.
        bases: number of good programs that are drawn at random. The package's own training programs and
            their variants come on top. Each drawn one takes some hundred trials.
        rounds: number of rounds that the lessons are spread over. The teacher leads all repairs of the
            first round, and half of those in each later round. The policy leads the others.
        epochs: passes of each round over the states of all rounds so far.
        learning_rate: highest learning rate of a round, in which it rises and falls.
        batch_size: number of states in an update.
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
        seed: seed of the agent and of the bugs that it meets.
        members: number of networks whose scores the policy averages. Each is trained in a run of its own,
            with the seeds from ``seed`` on.
        ship: folder that gets a copy of the policy of several members. null = none.
        compose: whether edits wait until one trial tries all of them. Then recipes are actions too.
            ``false`` gives each edit a trial of its own. A policy keeps to the way in which it was trained.
        name: name of the run in TensorBoard. null = the words that were typed behind the verb.
        resume: folder of a run that was cut off, to go on with.
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
            yield "members: only networks whose edits compose can be averaged; use members=1"
        if self.members == 1 and self.ship is not None:
            yield "ship: copies a policy of several members; name members=, or copy the run's policy"

    def _stage_problems(self) -> Iterator[str]:
        """Stages that do not go together."""
        if self.training.staleness and self.agent.algorithm not in CORRECTING:
            yield f"training.staleness: PPO alone corrects for it, and not {self.agent.algorithm}"
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

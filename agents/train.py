"""``netmend train``: an agent learns to repair the training bugs of a suite."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from omegaconf import OmegaConf
from rich.console import Console
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HParam
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from netmend.agents.algorithms import (
    build_model,
    check_agent,
    copy_to_value,
    policy_of,
    update_size,
    whole_updates,
)
from netmend.agents.callbacks import (
    Plan,
    ShuffledRewards,
    UpdateCallback,
    ValueFirst,
)
from netmend.agents.checkpoint import (
    Tensors,
    checkpoints,
    load_checkpoint,
    read_facts,
)
from netmend.agents.choices import THRESHOLDS, chosen
from netmend.agents.imitation.rounds import Rounds
from netmend.agents.imitation.stage import Classroom, imitate
from netmend.agents.lockstep import Evaluation, run_repairs
from netmend.agents.methods import PolicyMethod
from netmend.agents.outcome import Outcome
from netmend.agents.overlap import Overlap
from netmend.agents.policy import FOLDER as POLICY_FOLDER, Policy, save_policy
from netmend.agents.progress import ProgressView, StageProgress, Totals, make_progress
from netmend.agents.statistics import (
    Scalars,
    Statistics,
    Validation,
    validate,
)
from netmend.agents.tensorboard import METRICS, quiet_writers, tensorboard_logger, write_end
from netmend.agents.traces import write_traces
from netmend.agents.vec_env import RepairVecEnv
from netmend.agents.verbs.config import ConfigError, check, make_rules
from netmend.agents.verbs.opening import make_trainer, open_suite, settled
from netmend.agents.verbs.train import CONFIG, VALUED, TrainConfig
from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug, Suite
from netmend.env.errors import NetmendError
from netmend.env.setting import Setting
from netmend.env.training.front import TrialFront
from netmend.env.vector import RepairVectorEnv
from netmend.env.writing import from_here, write_whole

FINISHED, TENSORBOARD = "finished.yaml", "tensorboard"
"""What a run's folder holds, beside ``config.yaml``, ``policy/`` and ``checkpoints/``."""

MakeTrainer = Callable[[TrainConfig], TrialFront]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after everything was saved; the message says where."""


def trainer_of(config: TrainConfig) -> TrialFront:
    """The trainer that the configuration asks for."""
    return make_trainer(config)


def train(config: TrainConfig, folder: Path, console: Console, open_with: MakeTrainer = trainer_of) -> Totals:
    """Train an agent, or go on with a run that was cut off; everything it writes is under ``folder``.

    Raises:
        NetmendError: the configuration is wrong, or there is nothing to go on from.
        Interrupted: Ctrl-C; what there was to save was saved.
    """
    check(config)
    check_agent(config.agent, compose=config.compose)
    finished = _finished(folder)
    if config.resume and finished is not None and finished.steps >= config.training.steps:
        said = f"{from_here(folder)} is finished: {finished.steps} steps; raise training.steps to go on"
        console.print(said, soft_wrap=True)
        return finished
    if not config.resume:
        refuse_taken(folder)
    elif finished is not None and (config.agent.anneal or config.agent.algorithm == "dqn"):
        said = "what falls over a training (learning rate, exploration) follows the new length from here on"
        console.print(f"prolonged: {said}", highlight=False, soft_wrap=True)
    with _one_thread():
        return _Run(config, folder, console, open_with).train()


def refuse_taken(folder: Path) -> None:
    """A second run never writes over the first one's folder. Raises ConfigError where it would."""
    if (folder / CONFIG).exists():
        place = from_here(folder)
        raise ConfigError(
            [f"hydra.run.dir: {place} holds a run already; use resume={place} or another folder"]
        )


def _finished(folder: Path) -> Totals | None:
    path = folder / FINISHED
    return Totals(**read_facts(path)["totals"]) if os.path.lexists(path) else None


def validation_bugs(suite: Suite, most: int) -> tuple[Bug, ...]:
    """At most so many validation bugs, from the whole split: of each of several suites."""
    bugs = suite.split("validation")
    return bugs[:: -(-len(bugs) // most)] if bugs and most else ()


def fixed_share(folder: Path) -> float:
    """Share of the validation bugs that the policy of a finished run fixes; not a number where unknown."""
    path = folder / FINISHED
    fixed = read_facts(path).get("fixed") if path.is_file() else None
    return float(fixed) if isinstance(fixed, int | float) else float("nan")


@contextmanager
def _one_thread() -> Iterator[None]:
    """The learner's networks are too small for more than one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Parts:
    """What a training is made of."""

    suite: Suite
    setting: Setting
    trainer: TrialFront
    model: BaseAlgorithm
    totals: Totals
    acting: Tensors
    shuffle: np.random.Generator | None


class _Run:
    """One call of ``netmend train``."""

    def __init__(self, config: TrainConfig, folder: Path, console: Console, open_with: MakeTrainer) -> None:
        self._config, self._folder, self._console = config, folder, console
        self._open_with = open_with
        self._board = folder / TENSORBOARD / (config.name or "")

    def train(self) -> Totals:
        trainer = self._open_with(self._config)
        try:
            parts = self._build(trainer)
            if not self._config.resume:  # not before everything was built: after a typo the folder is free
                write_whole(self._folder / CONFIG, OmegaConf.to_yaml(OmegaConf.structured(self._config)))
            with quiet_writers():
                return self._learn(self._taught(parts))
        finally:
            trainer.close()

    def _build(self, trainer: TrialFront) -> _Parts:
        config = self._config
        suite = open_suite(config, self._console)
        rules = make_rules(config.budget, suite.budget, config.keep, compose=config.compose)
        repairs = RepairVectorEnv(
            config.agent.n_envs,
            suite,
            actions=config.actions.names,
            rules=replace(rules, trials=config.training.trials or rules.trials),
            seeds=config.training.trial_seeds,
            trainer=trainer,
        )
        env = RepairVecEnv(repairs)
        model = build_model(config.agent, env, config.seed)
        if config.training.shuffle_rewards and not isinstance(model, OnPolicyAlgorithm):
            raise ConfigError(["training.shuffle_rewards: needs an on-policy agent (maskable_ppo, ppo, a2c)"])
        shuffle = np.random.default_rng([config.seed, 0]) if config.training.shuffle_rewards else None
        totals, acting = Totals(), Tensors()
        if self._resumes():
            totals, acting = load_checkpoint(model, self._folder, self._say, shuffle)
        return _Parts(suite, replace(repairs.setting, rules=rules), trainer, model, totals, acting, shuffle)

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)

    def _resumes(self) -> bool:
        """A run that was killed before its first checkpoint begins anew."""
        return self._config.resume is not None and bool(checkpoints(self._folder))

    def _taught(self, parts: _Parts) -> _Parts:
        """The parts after the imitation, where there is one that is not behind them already."""
        config = self._config
        if not config.imitation.lessons or parts.totals.steps:
            return parts
        rounds = Rounds(self._folder, config.imitation.rounds, self._say)
        logger = tensorboard_logger(self._board, rounds.done() * config.imitation.epochs)
        tell = StageProgress(self._console)

        def log(scalars: Scalars, epoch: int) -> None:
            for tag, value in scalars.items():
                logger.record(tag, value)
            logger.dump(epoch)

        room = Classroom(
            config=config.imitation,
            seed=config.seed,
            without=load_suite(config.without).bugs if config.without else (),
            setting=parts.setting,
            trainer=parts.trainer,
            model=parts.model,
            policy_of=lambda: policy_of(parts.model, config.agent, parts.setting, {}),
            look=lambda: self._look(parts, THRESHOLDS[0]),
            log=log,
            tell=tell,
        )
        try:
            with settled():
                totals = imitate(room, rounds)
            copy_to_value(parts.model)
            return replace(parts, totals=totals)
        except KeyboardInterrupt as interrupt:
            tell.close()
            kept = f"{rounds.done()} of {rounds.count} rounds of imitation are saved"
            go_on = f"go on with: netmend train resume={from_here(self._folder)}"
            raise Interrupted(f"interrupted; {kept}; {go_on}") from interrupt
        finally:
            tell.close()
            logger.close()

    def _learn(self, parts: _Parts) -> Totals:
        config, model, totals = self._config, parts.model, parts.totals
        steps = totals.steps + whole_updates(max(config.training.steps - totals.steps, 0), model)
        model.set_logger(tensorboard_logger(self._board, totals.steps))
        if steps > config.training.steps > totals.steps:
            size = update_size(model)
            said = f"an agent learns from whole updates, here of {size} steps: {steps} steps in place of"
            self._console.print(f"{said} {config.training.steps}", highlight=False, soft_wrap=True)
        if not totals.steps:
            self._record_configuration(model)
        view = make_progress(self._console, steps, update_size(model))
        overlap = self._overlap(parts)
        callback = self._callback(parts, view, overlap)
        callbacks: list[BaseCallback] = [ValueFirst(config.agent.value_updates), callback]
        if parts.shuffle is not None:
            callbacks.insert(0, ShuffledRewards(parts.shuffle))
        try:
            if steps > totals.steps:
                with settled():
                    (overlap.collector if overlap else model).learn(
                        steps - totals.steps,
                        callback=callbacks,
                        log_interval=None,  # type: ignore[arg-type]  # SB3 takes it: the callback logs
                        reset_num_timesteps=not totals.steps,
                    )
        except KeyboardInterrupt as interrupt:
            view.close()
            raise Interrupted(f"interrupted; {self._saved(callback)}") from interrupt
        except (NetmendError, OSError):
            view.close()
            with suppress(OSError):
                self._say(self._saved(callback))
            raise
        finally:
            view.close()
            if overlap:
                overlap.close()
            model.logger.close()
        return self._finish(parts, callback.totals)

    def _overlap(self, parts: _Parts) -> Overlap | None:
        if not self._config.training.staleness:
            return None
        assert isinstance(parts.model, OnPolicyAlgorithm)  # the configuration was checked
        return Overlap(parts.model, parts.acting)

    def _callback(self, parts: _Parts, view: ProgressView, overlap: Overlap | None) -> UpdateCallback:
        training = self._config.training
        plan = Plan(
            checkpoint_every=training.checkpoint_every,
            validate_every=training.validate_every,
            traces=training.traces,
        )
        return UpdateCallback(
            run=self._folder,
            plan=plan,
            totals=parts.totals,
            trainer=parts.trainer,
            statistics=Statistics(parts.setting),
            look=partial(self._look, parts),
            view=view,
            shuffle=parts.shuffle,
            overlap=overlap,
        )

    def _look(self, parts: _Parts, go: float | None = None) -> Validation | None:
        return self._validated(parts, policy_of(parts.model, self._config.agent, parts.setting, {}, go))

    def _validated(self, parts: _Parts, policy: Policy) -> Validation | None:
        bugs = self._validation_bugs(parts)
        return validate(policy, parts.setting, bugs, parts.trainer, seed=0) if bugs else None

    def _validation_bugs(self, parts: _Parts) -> tuple[Bug, ...]:
        return validation_bugs(parts.suite, self._config.training.validation_bugs)

    def _record_configuration(self, model: BaseAlgorithm) -> None:
        config = self._config
        plain = OmegaConf.to_yaml(OmegaConf.structured(config))
        model.logger.record("configuration", "".join(f"    {line}\n" for line in plain.splitlines()))
        settings = {"seed": config.seed, "suite": config.bugs, "compose": config.compose}
        for group in ("agent", "budget", "imitation"):
            values = asdict(getattr(config, group))
            settings |= {f"{group}.{key}": value for key, value in values.items() if key != "params"}
        settings |= {f"agent.{key}": value for key, value in config.agent.params.items()}
        shown = {
            key: value if isinstance(value, int | float | str) else str(value)
            for key, value in settings.items()
        }
        model.logger.record("hyper_parameters", HParam(shown, dict.fromkeys(METRICS, 0.0)))
        model.logger.dump(0)

    def _saved(self, callback: UpdateCallback) -> str:
        """Save what there is to save; says where, and how to go on."""
        place = callback.save()
        nothing = "there was nothing new to save and nothing is lost"
        what = nothing if place is None else f"saved {from_here(place)}"
        return f"{what}; go on with: netmend train resume={from_here(self._folder)}"

    def _finish(self, parts: _Parts, totals: Totals) -> Totals:
        config, folder = self._config, self._folder
        facts = {
            "suite": parts.suite.name,
            "seed": config.seed,
            "trials_per_repair": config.budget.trials,
            **{key: round(value, 1) for key, value in asdict(totals).items()},
        }
        policy = policy_of(parts.model, config.agent, parts.setting, facts)
        if parts.setting.rules.compose and policy.algorithm not in VALUED:
            bugs, count = self._validation_bugs(parts), config.training.choosing_bugs
            policy = chosen(policy, parts.setting, bugs, count, parts.trainer, self._say)
        save_policy(policy, folder / POLICY_FOLDER)
        outcomes = self._keep_repairs(parts, policy)
        look = self._validated(parts, policy)  # by trials that are known
        if look is not None:
            write_end(self._board, totals.steps, look, outcomes[: config.training.traces])
        write_whole(
            folder / FINISHED,
            yaml.safe_dump({"totals": asdict(totals), "fixed": look and look.fixed}, sort_keys=False),
        )
        self._console.print(
            f"policy       {from_here(folder / POLICY_FOLDER)}\n"
            f"tensorboard  {from_here(folder / TENSORBOARD)}\n"
            f"{totals.steps} steps, {totals.trials} trials ({totals.stored} from the store), "
            f"{totals.seconds:.0f} s",
            highlight=False,
            soft_wrap=True,
        )
        return totals

    def _keep_repairs(self, parts: _Parts, policy: Policy) -> list[Outcome]:
        """Repair the validation bugs once more, by trials that are known, for what a report shows."""
        evaluation = Evaluation(
            bugs=self._validation_bugs(parts),
            methods=(PolicyMethod(policy, policy.repair_actions(), compose=policy.compose),),
            rules=parts.setting.rules,
            minimise=False,
        )
        outcomes = run_repairs(evaluation, parts.trainer, holdout=False)
        write_traces(self._folder, outcomes, trials=evaluation.rules.trials, part="validation")
        return outcomes

"""What happens around each update of a training: figures, validation, checkpoints, progress."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numpy.random import Generator
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback

from netmend.agents.algorithms import update_size
from netmend.agents.checkpoint import Snapshot, save_checkpoint, take_snapshot
from netmend.agents.overlap import Overlap
from netmend.agents.progress import ProgressView, Totals
from netmend.agents.statistics import Scalars, Statistics, Validation, trial_scalars, validation_scalars
from netmend.agents.vec_env import permuted
from netmend.env.render import trace
from netmend.env.training.front import TrialFront


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How often something happens, in updates; see :class:`netmend.agents.verbs.train.TrainingConfig`."""

    checkpoint_every: int
    validate_every: int
    traces: int


class UpdateCallback(BaseCallback):
    """Ends every update: logs its figures, validates and saves when it is time, shows the progress.

    Stable-Baselines3 begins the next rollout right after an update, and there the parameters, the optimizer
    and the counters agree: that is when a snapshot is taken. It is written where it is time, or when the
    training is interrupted later on: what came after it is done again, with the same outcome. Where an
    update overlaps with the next rollout, looking at the policy and saving it wait for the update.

    Attributes:
        totals: of the training so far.
    """

    def __init__(
        self,
        *,
        run: Path,
        plan: Plan,
        totals: Totals,
        trainer: TrialFront,
        statistics: Statistics,
        look: Callable[[], Validation | None],
        view: ProgressView,
        shuffle: Generator | None = None,
        overlap: Overlap | None = None,
    ) -> None:
        super().__init__()
        self.totals = totals
        self._run, self._plan, self._trainer, self._view, self._look = run, plan, trainer, view, look
        self._statistics, self._shuffle, self._overlap = statistics, shuffle, overlap
        self._seen = (trainer.trials, Counter(trainer.statuses), trainer.hits)
        self._snapshot: Snapshot | None = None
        self._saved = totals.steps
        self._clock = time.monotonic()

    def save(self) -> Path | None:
        """Write a checkpoint of the last update; None where there was none after the last checkpoint."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.totals.steps == self._saved:
            return None
        place = save_checkpoint(snapshot, self._run)
        self._saved = snapshot.totals.steps
        return place

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            ended = info.get("repair")
            self.totals.episodes += ended is not None
            self._statistics.add(info["step"], ended)
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps > self.totals.steps:
            self._end_update(last=False)

    def _on_training_end(self) -> None:
        self._end_update(last=True)

    def _end_update(self, *, last: bool) -> None:
        self.totals.updates += 1
        scalars, histograms = self._statistics.take()
        scalars |= self._count()
        due = self._plan.validate_every and self.totals.updates % self._plan.validate_every == 0
        if last or due:
            scalars |= self._validate()
            self._count()  # its trials are in the totals and in no update's figures
        for tag, value in (*scalars.items(), *histograms.items()):
            self.logger.record(tag, value)
        self.logger.dump(self.model.num_timesteps)
        self._view.show(self.totals, scalars)
        learned = self._overlap.update.result if self._overlap else None
        self._snapshot = take_snapshot(self.model, self.totals, self._shuffle, learned)
        if last or self.totals.updates % self._plan.checkpoint_every == 0:
            self.save()

    def _validate(self) -> Scalars:
        if self._overlap:
            self._overlap.update.result()
        validation = self._look()
        if validation is None:
            return {}
        for number, episode in enumerate(validation.episodes[: self._plan.traces]):
            self.logger.record(f"traces/{number}", "\n\n".join(trace(episode).splitlines()))
        return validation_scalars(validation)

    def _count(self) -> Scalars:
        """Bring the totals up to date; figures of the trials since the last time."""
        trials, statuses, stored = self._seen
        now, trainer, totals = time.monotonic(), self._trainer, self.totals
        seconds, self._clock = now - self._clock, now
        self._seen = (trainer.trials, Counter(trainer.statuses), trainer.hits)
        totals.steps = self.model.num_timesteps
        totals.trials += trainer.trials - trials
        totals.stored += trainer.hits - stored
        totals.seconds += seconds
        return trial_scalars(trainer.statuses - statuses, trainer.hits - stored, seconds)


class ShuffledRewards(BaseCallback):
    """Gives the rewards of each rollout to other steps of it, then computes the advantages again.

    A control: what an agent learns this way it did not learn from the rewards of its actions.
    """

    def __init__(self, rng: Generator) -> None:
        super().__init__()
        self._rng = rng

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model = self.model
        buffer: RolloutBuffer = model.rollout_buffer  # type: ignore[attr-defined]
        buffer.rewards = permuted(buffer.rewards, self._rng)
        observations, _ = model.policy.obs_to_tensor(model._last_obs)  # type: ignore[arg-type]
        values = model.policy.predict_values(observations).detach()  # type: ignore[operator]
        assert model._last_episode_starts is not None
        buffer.compute_returns_and_advantage(last_values=values, dones=model._last_episode_starts)


class ValueFirst(BaseCallback):
    """Lets the value alone learn in the first updates: no action has an advantage there.

    Nobody knows yet what a policy that imitates a teacher earns; steps by a wrong guess would undo it.
    """

    def __init__(self, updates: int) -> None:
        super().__init__()
        self._updates = updates

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.model.num_timesteps <= self._updates * update_size(self.model):
            self.model.rollout_buffer.advantages[:] = 0  # type: ignore[attr-defined]

"""The vector of repairs as Stable-Baselines3 wants it, masks included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from netmend.env.episode import Episode, advance, begin
from netmend.env.history import GO
from netmend.env.observation import observe
from netmend.env.vector import RepairVectorEnv


@dataclass(frozen=True)
class RepairUnderWay:
    """A repair that has not ended, by what it takes to repeat it.

    Attributes:
        bug: its id.
        seed: of its trials.
        actions: names of the actions taken, those whose edits are pending included.
    """

    bug: str
    seed: int
    actions: Sequence[str]

    def __post_init__(self) -> None:
        """Refuse what a damaged checkpoint may say. Raises TypeError."""
        names = [self.bug, *self.actions]
        if not isinstance(self.seed, int) or not all(isinstance(name, str) for name in names):
            raise TypeError("a repair under way is not a bug, a seed and actions")


class RepairVecEnv(VecEnv):
    """Adapter: a Gymnasium vector of repairs behind Stable-Baselines3's interface.

    ``info["step"]`` is the :class:`netmend.env.history.Step` just taken; at the end of a repair
    ``info["repair"]`` is its :class:`netmend.env.episode.Episode` and ``info["episode"]`` what SB3's monitor
    would write. A repair that ends is followed by another in the same step, as SB3 asks.
    """

    def __init__(self, repairs: RepairVectorEnv) -> None:
        self.repairs = repairs
        repairs.set_autoreset(AutoresetMode.SAME_STEP)
        self._actions: NDArray[np.int64] = np.zeros(repairs.num_envs, np.int64)
        super().__init__(repairs.num_envs, repairs.single_observation_space, repairs.single_action_space)

    def reset(self) -> NDArray[np.float32]:
        """Begin new repairs, with the seed that ``seed()`` was given last."""
        observations, _ = self.repairs.reset(seed=self._seeds[0])
        self._reset_seeds()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return observations

    def under_way(self) -> list[RepairUnderWay]:
        """The repairs as they stand, one per environment."""
        return [
            RepairUnderWay(own.bug.id, own.seed, [step.action for step in own.steps])
            for own in self.repairs.episodes
        ]

    def repeat(self, repairs: Sequence[RepairUnderWay]) -> NDArray[np.float32] | None:
        """Put the vector where these repairs stand; nothing is drawn at random.

        Returns:
            The observations, or None where a repair can't be repeated: its bug or an action is unknown, or it
            has ended by now. Then the vector has to be reset, with the generator that it has.

        Raises:
            NetmendError: the trial of a faulty program hung.
        """
        self._reset_seeds()
        setting = self.repairs.setting
        bugs = {bug.id: bug for bug in setting.bugs}
        numbers = {action.name: number for number, action in enumerate(setting.actions)}
        numbers[GO] = len(setting.actions)
        known = all(own.bug in bugs and numbers.keys() >= set(own.actions) for own in repairs)
        if not known or len(repairs) != self.num_envs:
            return None
        episodes = [setting.episode(bugs[own.bug], own.seed) for own in repairs]
        choices = [[numbers[name] for name in own.actions] for own in repairs]
        begin(episodes, self.repairs.trainer)
        for number in range(max(map(len, choices))):
            going = [index for index, own in enumerate(choices) if number < len(own)]
            if any(episodes[index].done for index in going):
                return None
            taken = [choices[index][number] for index in going]
            advance([episodes[index] for index in going], taken, self.repairs.trainer)
        if any(episode.done for episode in episodes):
            return None
        self.repairs.episodes, self.repairs.finished = episodes, {}
        return observe([episode.state() for episode in episodes])

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Keep the actions for ``step_wait``."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """One step of every repair."""
        observations, rewards, terminated, truncated, _ = self.repairs.step(self._actions)
        infos = [self._info(index) for index in range(self.num_envs)]
        return observations, np.asarray(rewards, np.float32), np.asarray(terminated | truncated), infos

    def close(self) -> None:
        """Release the repairs' trainer."""
        self.repairs.close()

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of the vector, once per environment asked for."""
        value = getattr(self.repairs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: object, indices: int | Iterable[int] | None = None) -> None:
        """Not offered: repairs are configured when they are made."""
        raise NotImplementedError(f"cannot set {attr_name!r}: repairs are configured when they are made")

    def env_method(
        self,
        method_name: str,
        *arguments: object,
        indices: int | Iterable[int] | None = None,
        **named: object,
    ) -> list[Any]:
        """Result of a method of the vector, one row per environment asked for (``action_masks``)."""
        rows = getattr(self.repairs, method_name)(*arguments, **named)
        return [rows[index] for index in self._get_indices(indices)]

    def env_is_wrapped(
        self,
        wrapper_class: type,  # noqa: ARG002
        indices: int | Iterable[int] | None = None,
    ) -> list[bool]:
        """No environment is wrapped: this adapter does the monitor's work."""
        return [False for _ in self._get_indices(indices)]

    def _info(self, index: int) -> dict[str, Any]:
        ended = self.repairs.finished.get(index)
        if ended is None:
            return {"step": self.repairs.episodes[index].steps[-1]}
        summary = {"r": episode_return(ended), "l": len(ended.steps), "t": 0.0}
        return {
            "step": ended.steps[-1],
            "repair": ended,
            "episode": summary,
            "terminal_observation": ended.observation(),
            "TimeLimit.truncated": ended.cut_off,
        }


def episode_return(episode: Episode) -> float:
    """Sum of the rewards of a repair."""
    return sum(step.reward for step in episode.steps)


def permuted(rewards: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The same rewards given to other steps, whatever their shape."""
    return rng.permutation(rewards.reshape(-1)).reshape(rewards.shape)

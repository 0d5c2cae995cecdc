"""Many repairs in lockstep: one call to the trainer for all their trials."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug, Split, Suite
from netmend.env.episode import Episode, advance, begin
from netmend.env.errors import NetmendError, UnknownNameError
from netmend.env.observation import observe
from netmend.env.render import RENDER_MODES, Frame, check_mode, frame, tell_news
from netmend.env.repair_env import action_numbers, action_space, episode_info, observation_space
from netmend.env.reward import Rules, check_whole
from netmend.env.setting import checked_options, make_setting, trainer_or_own
from netmend.env.training.trial import Trainer

Observations = NDArray[np.float32]


class RepairVectorEnv(VectorEnv[Observations, NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` repairs side by side; arguments as :class:`netmend.env.repair_env.RepairEnv`, and:

    Args:
        num_envs: number of repairs.
        autoreset_mode: what follows a repair that has ended. ``NextStep``, Gymnasium's default: the next step
            begins another instead of an action, and earns nothing. ``SameStep``: the same step does, and the
            ended repair's last observation and info stand in ``infos["final_obs"]`` and
            ``infos["final_info"]``. ``Disabled``: ``reset(options={"reset_mask": ended})`` does.

    Attributes:
        episodes: the repairs under way, one per environment.
        finished: the repairs that the last step ended, by environment.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium's own form)
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": list(RENDER_MODES),
        "render_fps": 1,
    }

    def __init__(
        self,
        num_envs: int = 16,
        bugs: str | Suite | Sequence[Bug] = "mutants-v1",
        *,
        split: Split = "train",
        actions: Sequence[str] = ("*",),
        trials: int | None = None,
        keep: Sequence[str] = (),
        compose: bool | None = None,
        rules: Rules | None = None,
        seeds: int = 1,
        trainer: Trainer | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    ) -> None:
        check_whole("num_envs", num_envs)
        check_mode(render_mode)
        self.num_envs = num_envs
        self.setting = make_setting(
            bugs,
            split=split,
            actions=actions,
            trials=trials,
            keep=keep,
            compose=compose,
            rules=rules,
            seeds=seeds,
        )
        self.set_autoreset(autoreset_mode)
        self.trainer = trainer_or_own(trainer)
        self.render_mode = render_mode
        self.single_observation_space = observation_space(self.setting)
        self.single_action_space = action_space(self.setting)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes: list[Episode] = []
        self.finished: dict[int, Episode] = {}

    def set_autoreset(self, mode: AutoresetMode | str) -> None:
        """Choose what follows a repair that has ended.

        Raises:
            UnknownNameError: there is no such mode.
        """
        names = [one.value for one in AutoresetMode]
        if mode not in (*names, *AutoresetMode):
            raise UnknownNameError("autoreset_mode", str(mode), names)
        self.metadata = {**self.metadata, "autoreset_mode": AutoresetMode(mode)}

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, shape ``(num_envs, actions)``. ResetNeeded before ``reset()``."""
        if not self.episodes:
            raise ResetNeeded("call reset() before action_masks()")
        return np.stack([episode.mask() for episode in self.episodes])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin ``num_envs`` repairs.

        ``options={"bugs": [id, ...]}`` chooses their bugs, ``options={"reset_mask": array}`` which of them
        begin; the others go on.

        Raises:
            NetmendError: an option or a bug is unknown, or has another length than ``num_envs``.
        """
        super().reset(seed=seed)
        given = checked_options(options, "bugs", "reset_mask")
        ids, begins = given.get("bugs", [None] * self.num_envs), given.get("reset_mask")
        if isinstance(ids, str) or not isinstance(ids, Sequence) or len(ids) != self.num_envs:
            raise NetmendError(f"bugs: {reprlib.repr(ids)} is not a list of {self.num_envs} ids")
        if begins is None:
            self.episodes = self._begun(ids)
        elif not self.episodes or np.shape(begins) != (self.num_envs,) or np.asarray(begins).dtype != bool:
            raise NetmendError(f"reset_mask: {self.num_envs} times yes or no, after a first reset without it")
        else:
            self._replace(np.flatnonzero(begins).tolist(), ids)
        tell_news(self.episodes, self.render_mode)
        return self._observations(), self._infos()

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observations, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """One step of every repair: one call to the trainer, and a second one where repairs begin anew.

        Raises:
            gymnasium.error.InvalidAction: there are no such actions; nothing was done.
            gymnasium.error.ResetNeeded: there are no repairs, or one has ended that nobody began anew.
        """
        if not self.episodes:
            raise ResetNeeded("call reset() before step()")
        mode = self.metadata["autoreset_mode"]
        choices = action_numbers(actions, (self.num_envs,), self.setting)
        over = [i for i, episode in enumerate(self.episodes) if episode.done]
        if over and mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"repairs {over} have ended; reset(options={{'reset_mask': ...}}) begins others"
            )
        running = {i: episode for i, episode in enumerate(self.episodes) if not episode.done}
        rewards = np.zeros(self.num_envs)
        rewards[list(running)] = advance([*running.values()], [choices[i] for i in running], self.trainer)
        self._replace(over)
        self.finished = {i: episode for i, episode in running.items() if episode.done}
        ended = np.array([episode.done for episode in self.episodes])
        cut_off = np.array([episode.cut_off for episode in self.episodes])
        tell_news(self.episodes, self.render_mode)
        infos: dict[str, Any] = {}
        if self.finished and mode is AutoresetMode.SAME_STEP:
            infos = self._last_seen()
            self._replace(list(self.finished))
        infos |= self._infos()
        return self._observations(), rewards, ended & ~cut_off, cut_off, infos

    def render(self) -> tuple[Frame | None, ...] | None:  # type: ignore[override]  # as in RepairEnv
        """Every repair so far, as :meth:`netmend.env.repair_env.RepairEnv.render` shows it."""
        if self.render_mode is None:
            return None
        return tuple([frame(episode, self.render_mode) for episode in self.episodes])

    def close_extras(self, **_: object) -> None:
        """Release the trainer."""
        self.trainer.close()

    def _begun(self, bugs: Iterable[str | None]) -> list[Episode]:
        episodes = [self.setting.draw(self.np_random, bug) for bug in bugs]
        begin(episodes, self.trainer)
        return episodes

    def _replace(self, places: Sequence[int], bugs: Sequence[str | None] | None = None) -> None:
        """Begin other repairs in these places, of these bugs (one for each of all places)."""
        if places:
            begun = self._begun([bugs[i] if bugs else None for i in places])
            for i, episode in zip(places, begun, strict=True):
                self.episodes[i] = episode

    def _last_seen(self) -> dict[str, Any]:
        """The last observations and infos of the repairs that have ended, in Gymnasium's form."""
        places = list(self.finished)
        rows = observe([episode.state() for episode in self.finished.values()])
        final_obs = np.full(self.num_envs, None)
        for i, row in zip(places, rows, strict=True):
            final_obs[i] = row
        there = self._spread(np.ones(len(places), np.bool_), places)
        told = self._infos(places)
        return {"final_obs": final_obs, "_final_obs": there, "final_info": told, "_final_info": there.copy()}

    def _observations(self) -> Observations:
        return observe([episode.state() for episode in self.episodes])

    def _infos(self, places: Sequence[int] | None = None) -> dict[str, Any]:
        """The infos of the repairs in some places, of all by default, by key and with who has it.

        In Gymnasium's form, at a tenth of the time of its ``_add_info``.
        """
        told = [episode_info(self.episodes[i]) for i in (range(self.num_envs) if places is None else places)]
        columns: dict[str, Any] = {}
        for key, sample in told[0].items():
            values = np.array([info[key] for info in told], object if isinstance(sample, str) else None)
            present = np.ones(len(told), np.bool_)
            if places is not None:
                values, present = self._spread(values, places), self._spread(present, places)
            columns |= {key: values, f"_{key}": present}
        return columns

    def _spread(self, values: NDArray[Any], places: Sequence[int]) -> NDArray[Any]:
        """An array of one row per repair, with the values in their places and nothing in the others."""
        column = np.full(
            (self.num_envs, *values.shape[1:]), None if values.dtype == object else 0, values.dtype
        )
        column[places] = values
        return column

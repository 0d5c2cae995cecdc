"""The Gymnasium environment: one faulty program, repaired edit by edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug, Split, Suite
from netmend.env.episode import Episode, advance, begin
from netmend.env.observation import LIMIT, slot_names
from netmend.env.reward import Rules
from netmend.env.setting import Setting, make_setting
from netmend.env.training.build_trainer import build_trainer
from netmend.env.training.trial import Trainer


def observation_space() -> gymnasium.Space[NDArray[np.float32]]:
    """One value per slot of :func:`netmend.env.observation.slot_names`."""
    return gymnasium.spaces.Box(-LIMIT, LIMIT, (len(slot_names()),), np.float32)


def action_space(setting: Setting) -> gymnasium.spaces.Discrete:
    """One number per repair action of the setting, and the last one for stopping."""
    return gymnasium.spaces.Discrete(len(setting.actions) + 1)


class RepairEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Repair of one bug per episode.

    Reset picks a bug and trains its faulty program once, free of charge. A step applies one repair action and
    trains the edited program; it earns the skill gained over the best so far less the price of a trial. The
    episode ends with the stop action or when the trials are spent. A program that cannot be trained is a
    labelled result, never an exception; an action that the mask forbids trains nothing and costs its price.
    A trial whose process hung says nothing: it truncates the episode, with no reward and the observation as
    it was before.

    Args:
        bugs: name of a suite, path of a folder of bug files, or the bugs themselves.
        split: which split of the suite.
        actions: names or patterns (``"activation/*"``) of the repair actions.
        trials: most trials of a repair, by default five at the budget of the bug or else of its suite.
        keep: what no edit may touch: ``architecture``, ``data``, ``frozen``, ``labels``, or names of actions
            and patterns of names.
        rules: all the rules instead: trials, their budget, prices and what is kept.
        seeds: number of different trial seeds; each episode draws one.
        trainer: who trains; by default plainly in this process.
        render_mode: ``"ansi"`` or None.

    Raises:
        NetmendError: a suite, bug file, action or dataset is unknown or wrong, or rules are given beside
            trials or keep.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        bugs: str | Suite | Sequence[Bug] = "mutants-v1",
        *,
        split: Split = "train",
        actions: Sequence[str] = ("*",),
        trials: int | None = None,
        keep: Sequence[str] = (),
        rules: Rules | None = None,
        seeds: int = 1,
        trainer: Trainer | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.setting = make_setting(
            bugs, split=split, actions=actions, trials=trials, keep=keep, rules=rules, seeds=seeds
        )
        self.trainer = trainer or build_trainer(workers=0)
        self.render_mode = render_mode
        self.observation_space = observation_space()
        self.action_space = action_space(self.setting)
        self._episode: Episode | None = None

    @property
    def episode(self) -> Episode:
        """The repair under way.

        Raises:
            gymnasium.error.ResetNeeded: there is none.
        """
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset() before step(), action_masks() or render()")
        return self._episode

    def action_masks(self) -> NDArray[np.bool_]:
        """Which actions are legal now, shape ``(action_space.n,)``; stopping always is."""
        return self.episode.mask()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a repair; ``options={"bug": id}`` chooses the bug, else it is drawn."""
        super().reset(seed=seed)
        episode = self.setting.draw(self.np_random, (options or {}).get("bug"))
        begin([episode], self.trainer)
        self._episode = episode
        return episode.observation(), episode_info(episode)

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply a repair action and train the program once; see the class for the reward and the end.

        Raises:
            IndexError: there is no such action.
            gymnasium.error.ResetNeeded: the repair has ended.
        """
        episode = self.episode
        if episode.done:
            raise gymnasium.error.ResetNeeded("this repair has ended; call reset()")
        (reward,) = advance([episode], [int(action)], self.trainer)
        ended = episode.done and not episode.cut_off
        return episode.observation(), reward, ended, episode.cut_off, episode_info(episode)

    def render(self) -> str | None:
        """The repair so far as text, with ``render_mode="ansi"``."""
        return trace(self.episode) if self.render_mode == "ansi" else None

    def close(self) -> None:
        """Release the trainer."""
        self.trainer.close()


INFO_TYPES: dict[str, type] = {
    "skill": float,
    "best_skill": float,
    "trials_left": int,
    "legal": bool,
    "kept": bool,
}
"""Types of the infos that are numbers, by key."""


def episode_info(episode: Episode) -> dict[str, Any]:
    """What ``reset`` and ``step`` tell beside the observation: no wall time, NaN or hold-out skill."""
    info: dict[str, Any] = {
        "bug": episode.bug.id,
        "status": str(episode.trial.status),
        "skill": episode.trial.skill,
        "best_skill": episode.best_trial.skill,
        "trials_left": episode.trials_left,
        "patch": episode.best_patch,
    }
    if episode.steps:
        last = episode.steps[-1]
        info |= {"action": last.action, "legal": last.legal, "kept": last.kept}
        if last.skill is not None:
            info |= {"status": str(last.status), "skill": last.skill}
    return info


def trace(episode: Episode) -> str:
    """A repair as readable lines, one per step."""
    lines = [f"{episode.bug.id}: faulty program, skill {episode.faulty_skill:.3f}"]
    for number, step in enumerate(episode.steps, start=1):
        if step.action == "stop":
            lines.append(f"{number}. stop")
        elif step.skill is None:
            lines.append(f"{number}. {step.action}: not legal here, reward {step.reward:+.3f}")
        else:
            back = "" if step.kept else ", taken back"
            outcome = f"{step.status}, skill {step.skill:.3f}, reward {step.reward:+.3f}{back}"
            lines.append(f"{number}. {step.action}: {outcome}")
    lines.append(
        f"best skill {episode.best_trial.skill:.3f} with {' + '.join(episode.best_patch) or 'no edit'}"
    )
    return "\n".join(lines)

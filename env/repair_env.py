"""The Gymnasium environment: one faulty program, repaired edit by edit."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from netmend.env.bugs.bug import Bug, Split, Suite
from netmend.env.episode import Episode, advance, begin
from netmend.env.history import Step
from netmend.env.observation import LIMIT, slot_names
from netmend.env.render import RENDER_MODES, Frame, check_mode, frame, tell_news
from netmend.env.reward import Rules
from netmend.env.setting import Setting, checked_options, make_setting, trainer_or_own
from netmend.env.training.trial import Trainer


def observation_space(setting: Setting) -> gymnasium.Space[NDArray[np.float32]]:
    """One value per slot of :func:`netmend.env.observation.slot_names`."""
    return gymnasium.spaces.Box(-LIMIT, LIMIT, (len(slot_names(setting.rules.compose)),), np.float32)


def action_space(setting: Setting) -> gymnasium.spaces.Discrete:
    """One number per repair action of the setting, and the last one for stopping, or for the trial."""
    return gymnasium.spaces.Discrete(len(setting.actions) + 1)


class RepairEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """Repair of one bug per episode.

    Reset picks a bug and trains its faulty program once, free of charge. A step applies one repair action and
    trains the edited program; it earns the skill gained over the best so far less the price of a trial. The
    episode ends with the stop action or when the trials are spent. A program that cannot be trained is a
    labelled result, never an exception; an action that the mask forbids trains nothing and costs its price.
    A trial whose process hung says nothing: it truncates the episode, with no reward and the observation as
    it was before.

    Where edits compose, a step with a repair action trains nothing and earns nothing: its edit is pending.
    The last action trains the program with all pending edits, and stops where there are none.

    Args:
        bugs: name of a suite, path of a folder of bug files, or the bugs themselves.
        split: which split of the suite.
        actions: names or patterns (``"activation/*"``) of the repair actions.
        trials: most trials of a repair, by default five at the budget of the bug or else of its suite.
        keep: what no edit may touch: ``architecture``, ``data``, ``frozen``, ``labels``, or names of actions
            and patterns of names.
        compose: whether edits compose: they wait until the last action trains all of them in one trial.
            Recipes (``recipe/rewrite@program``) are actions too then. By default each edit has a trial.
        rules: all the rules instead: trials, their budget, prices, what is kept and whether edits compose.
        seeds: number of different trial seeds; each episode draws one.
        trainer: who trains; by default plainly in this process.
        render_mode: ``"ansi"`` (``render()`` gives text), ``"rgb_array"`` (it gives a picture), ``"human"``
            (each step is printed) or None.

    Raises:
        NetmendError: a suite, bug file, action or dataset is unknown, an argument makes no sense, or rules
            are given beside trials, keep or compose.

    Example:
        >>> env = gymnasium.make("netmend/Repair-v0", bugs="tiny", trials=3)
        >>> observation, info = env.reset(seed=0)
        >>> action = env.action_space.sample(info["action_mask"])
        >>> observation, reward, terminated, truncated, info = env.step(action)
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 1}  # noqa: RUF012 (Gymnasium's form)

    def __init__(
        self,
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
    ) -> None:
        check_mode(render_mode)
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
        self.trainer = trainer_or_own(trainer)
        self.render_mode = render_mode
        self.observation_space = observation_space(self.setting)
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
        """Which actions are legal now, shape ``(action_space.n,)``; at least one always is."""
        return self.episode.mask()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin a repair; ``options={"bug": id}`` chooses the bug, else it is drawn.

        Raises:
            UnknownNameError: there is no such option or bug.
        """
        super().reset(seed=seed)
        episode = self.setting.draw(self.np_random, checked_options(options, "bug").get("bug"))
        begin([episode], self.trainer)
        self._episode = episode
        tell_news([episode], self.render_mode)
        return episode.observation(), episode_info(episode)

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply a repair action, train the program once; see the class for the reward and the end.

        Raises:
            gymnasium.error.InvalidAction: there is no such action.
            gymnasium.error.ResetNeeded: the repair has ended.
        """
        episode = self.episode
        if episode.done:
            raise gymnasium.error.ResetNeeded("this repair has ended; call reset()")
        (choice,) = action_numbers(action, (), self.setting)
        (reward,) = advance([episode], [choice], self.trainer)
        tell_news([episode], self.render_mode)
        ended = episode.done and not episode.cut_off
        return episode.observation(), reward, ended, episode.cut_off, episode_info(episode)

    def render(self) -> Frame | None:
        """The repair so far: text with ``ansi``, a picture of shape ``(400, 900, 3)`` with ``rgb_array``."""
        return frame(self.episode, self.render_mode)

    def close(self) -> None:
        """Release the trainer."""
        self.trainer.close()


def action_numbers(actions: object, shape: tuple[int, ...], setting: Setting) -> list[int]:
    """Actions as a flat list, after a look at their shape, type and range.

    Raises:
        gymnasium.error.InvalidAction: they are no whole numbers of actions in that shape.
    """
    try:
        numbers, count = np.asarray(actions), len(setting.actions) + 1
    except ValueError as error:  # rows of several lengths
        raise gymnasium.error.InvalidAction(str(error)) from error
    if numbers.dtype.kind not in "iu" or numbers.shape != shape:
        wanted = f"whole numbers of shape {shape}" if shape else "a whole number"
        raise gymnasium.error.InvalidAction(f"{wanted} expected, not {reprlib.repr(actions)}")
    found: list[int] = numbers.reshape(-1).tolist()
    for number in found:
        if not 0 <= number < count:
            raise gymnasium.error.InvalidAction(f"there is no action {number}: there are 0 to {count - 1}")
    return found


def episode_info(episode: Episode) -> dict[str, Any]:
    """What ``reset`` and ``step`` tell beside the observation: no wall time, NaN or hold-out skill.

    Keys, types and shapes are always the same: ``bug``; the last ``action`` (empty before the first), whether
    it was ``legal`` and whether its edit was ``kept``; ``status`` and ``skill`` of its trial, or of the
    program that stands where there was none; ``best_skill``; ``trials_left``; ``patch``, the names of the
    edits of the best program with ``;`` between them; ``pending``, those of the edits that wait for a trial;
    and ``action_mask`` of shape ``(action_space.n,)`` and type ``int8``, 1 for what is legal now, as
    Gymnasium's spaces take it.
    """
    last = episode.steps[-1] if episode.steps else Step(action="", kept=True)
    shown = last if last.skill is not None else episode.trial
    return {
        "bug": episode.bug.id,
        "action": last.action,
        "legal": last.legal,
        "kept": last.kept,
        "status": str(shown.status),
        "skill": shown.skill,
        "best_skill": episode.best_trial.skill,
        "trials_left": episode.trials_left,
        "patch": ";".join(episode.best_patch),
        "pending": ";".join(episode.pending_edits),
        "action_mask": episode.mask().astype(np.int8),
    }

"""Edits that wait for one trial of all of them: what is pending, what is legal then, and what it earns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from netmend.env.bugs import load_suite
from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.episode import Episode, advance, begin
from netmend.env.errors import NetmendError
from netmend.env.findings import only_answers
from netmend.env.history import MOST_PENDING
from netmend.env.observation import LIMIT, slot_names
from netmend.env.program import Dense, Loop, Program, check, digest, find_crash
from netmend.env.program.changes import replaced
from netmend.env.render import trace
from netmend.env.repair_env import RepairEnv
from netmend.env.reward import Rules, capped
from netmend.env.setting import make_setting
from netmend.env.training.symptoms import Symptoms
from netmend.env.training.trial import SKILL_FLOOR, Budget, Curves, Status, Trial, TrialRequest
from netmend.env.vector import RepairVectorEnv
from netmend.repair_actions import edited, select
from netmend.repair_actions.keep import touched
from netmend.repair_actions.mend import MEND, only_remedy
from netmend.repair_actions.patch import applied, needed
from netmend.repair_actions.recipes import RECIPES, WITH_RECIPES, effective_edits, rewrite_actions
from tests.env.test_episode import ADDS_UP, CRASHES, IMAGES, RUNS

ALL = select(["*"], WITH_RECIPES)
NUMBERS = {action.name: number for number, action in enumerate(ALL)}
RULES = Rules(trials=9, compose=True)
RELU, ADAM, REWRITE = "activation/relu@hidden", "optimizer/adam@program", "recipe/rewrite@program"
GO = len(ALL)


class DigestTrainer:
    """A skill for each program, drawn by its digest, and the floor for what crashes."""

    def __init__(self) -> None:
        self.seen: list[TrialRequest] = []

    def run(self, requests: Sequence[TrialRequest]) -> list[Trial]:
        self.seen += requests
        return [self._trial(request) for request in requests]

    def close(self) -> None:
        pass

    def _trial(self, request: TrialRequest) -> Trial:
        program = request.program
        crash = find_crash(program, load_dataset(program.data.dataset).task)
        if crash is not None:
            return Trial(status=Status.CRASHED, message="no", symptoms=Symptoms(crash=crash))
        curves = Curves(train_loss=(1.0,) * min(program.epochs, request.budget.epochs))
        return Trial(status=Status.OK, skill=int(digest(program)[:8], 16) % 900 / 1000, curves=curves)


def started(program: Program, skill: float = 0.2, rules: Rules = RULES) -> Episode:
    episode = Episode(Bug(id="bug", program=program), IMAGES, ALL, rules, seed=0)
    episode.begin(judged(program, skill))
    return episode


def judged(program: Program, skill: float = 0.2) -> Trial:
    crash = find_crash(program, IMAGES)
    if crash is None:
        return Trial(status=Status.OK, skill=skill)
    return Trial(status=Status.CRASHED, message="no", skill=SKILL_FLOOR, symptoms=Symptoms(crash=crash))


def stack(episode: Episode, *names: str) -> None:
    for name in names:
        choice = episode.request(NUMBERS[name])
        assert choice.request is None, name
        assert episode.tell(choice) == 0, name
        assert episode.steps[-1].pending, name


def go(episode: Episode, skill: float) -> float:
    choice = episode.request(GO)
    assert choice.program is not None
    return episode.tell(choice, judged(choice.program, skill))


def legal(episode: Episode) -> set[str]:
    return {ALL[number].name for number in np.flatnonzero(episode.mask()[:-1])}


def test_edits_wait_for_one_trial_of_all_of_them() -> None:
    episode = started(RUNS)
    stack(episode, RELU, ADAM)
    assert episode.program == RUNS
    assert episode.pending == applied(RUNS, IMAGES, (RELU, ADAM))
    assert episode.trials_left == RULES.trials
    reward = go(episode, skill=0.9)
    parts = replaced(RUNS, episode.program)
    assert reward == pytest.approx(0.7 - RULES.price - parts * RULES.part_price)
    assert episode.program == episode.pending == episode.best_program
    assert episode.best_patch == (RELU, ADAM)
    assert episode.pending_edits == ()
    assert episode.trials_left == RULES.trials - 1
    assert [step.action for step in episode.steps] == [RELU, ADAM, "go"]
    assert episode.steps[-1].edits == (RELU, ADAM)


def test_edits_that_do_harm_are_taken_back_together() -> None:
    episode = started(RUNS, skill=0.5)
    stack(episode, RELU, ADAM)
    assert go(episode, skill=0.1) == pytest.approx(-RULES.price)
    assert episode.program == episode.pending == RUNS
    assert episode.patch == ()
    assert not episode.steps[-1].kept
    assert {RELU, ADAM} <= legal(episode)


def test_a_repair_may_go_on_from_the_best_program_without_a_trial() -> None:
    episode = started(RUNS)
    stack(episode, RELU)
    go(episode, skill=0.5)
    best = episode.program
    stack(episode, ADAM)
    go(episode, skill=0.5 - RULES.tolerance / 2)
    assert episode.program != best == episode.best_program
    episode.return_to_best()
    assert episode.program == episode.pending == best
    assert (episode.trial.skill, episode.patch) == (0.5, (RELU,))
    assert episode.trials_left == RULES.trials - 2
    assert ADAM in legal(episode)
    stack(episode, ADAM)
    assert not episode.mask()[GO]
    episode.return_to_best()
    assert episode.pending_edits == (ADAM,)


def test_the_last_action_stops_where_nothing_is_pending() -> None:
    episode = started(RUNS)
    stack(episode, RELU)
    go(episode, skill=0.5)
    assert not episode.done
    assert episode.tell(episode.request(GO)) == 0
    assert episode.done
    assert episode.steps[-1].action == "stop"


def test_a_program_that_was_tried_is_passed_but_not_trained_again() -> None:
    episode = started(RUNS, skill=0.5)
    stack(episode, RELU)
    go(episode, skill=0.1)
    stack(episode, RELU)
    assert not episode.mask()[GO]
    assert episode.tell(episode.request(GO)) == -RULES.price
    step = episode.steps[-1]
    assert (step.action, step.legal, episode.pending_edits) == ("go", False, (RELU,))
    assert episode.trials_left == RULES.trials - 2
    stack(episode, ADAM)
    assert episode.mask()[GO]


def test_where_no_edit_is_left_and_the_program_was_tried_the_last_action_stops() -> None:
    few = select([RELU])
    episode = Episode(Bug(id="bug", program=RUNS), IMAGES, few, RULES, seed=0)
    episode.begin(judged(RUNS, 0.5))
    for number in (0, 1, 0):
        choice = episode.request(number)
        episode.tell(choice, None if choice.program is None else judged(choice.program, 0.1))
    assert episode.mask().tolist() == [False, True]
    assert episode.tell(episode.request(1)) == 0
    assert episode.done


def test_an_edit_that_leads_back_is_not_legal() -> None:
    episode = started(RUNS)
    stack(episode, "optimizer/lr_0.1@program", "optimizer/lr_0.01@program")
    assert "optimizer/lr_0.1@program" not in legal(episode)
    undone = replace(RUNS, optimizer=replace(RUNS.optimizer, lr=0.1))
    back = started(undone)
    stack(back, "optimizer/lr_0.01@program")
    assert "optimizer/lr_0.1@program" not in legal(back)


def test_no_more_than_eight_edits_wait() -> None:
    episode = started(RUNS)
    for _ in range(MOST_PENDING):
        stack(episode, ALL[np.flatnonzero(episode.mask()[: -1 - len(RECIPES)])[-1]].name)
    assert legal(episode) == set()
    assert episode.mask()[GO]


def test_more_epochs_wait_only_where_they_may_change_something() -> None:
    """The updates of the faulty program lasted three of its six epochs; larger batches may last longer."""
    longer, six = "iterations/epochs_x2@program", replace(RUNS, epochs=6)
    episode = started(six)
    episode.begin(replace(judged(six), curves=Curves(train_loss=(1.0,) * 3)))
    assert longer not in legal(episode)
    stack(episode, "iterations/batch_64@program")
    assert longer in legal(episode)
    stack(episode, longer)
    assert longer not in legal(episode)  # the budget has no more
    choice = episode.request(GO)
    assert choice.program is not None
    episode.tell(choice, replace(judged(choice.program), curves=Curves(train_loss=(1.0,) * 5)))
    assert not any(name.startswith("iterations/epochs") for name in legal(episode))


def test_a_recipe_is_pending_edit_by_edit_and_comes_first() -> None:
    episode = started(RUNS)
    edits, program = effective_edits(RUNS, IMAGES, rewrite_actions(RUNS, IMAGES))
    stack(episode, REWRITE)
    assert episode.pending == program
    assert episode.pending_edits == edits
    assert len(edits) > 2
    assert not legal(episode) & set(RECIPES)
    go(episode, skill=0.9)
    assert episode.best_patch == needed(RUNS, IMAGES, edits)
    assert applied(RUNS, IMAGES, episode.best_patch) == program
    assert episode.steps[-1].edits == (REWRITE,)


def test_an_invalid_program_is_repaired_as_others() -> None:
    huge = replace(RUNS, layers=(RUNS.layers[0], Dense(units=10**6), RUNS.layers[-1]))
    assert check(huge, IMAGES)
    episode = Episode(Bug(id="bug", program=huge), IMAGES, ALL, RULES, seed=0)
    episode.begin(Trial(status=Status.INVALID, message="too large"))
    stack(episode, RELU)
    assert np.isfinite(episode.observation()).all()
    assert episode.mask()[GO]


def test_the_only_remedy_of_a_crash_comes_first_and_may_be_joined() -> None:
    episode = started(CRASHES)
    remedy = "layer_dimension/fit_inputs@all"
    assert legal(episode) == {remedy, MEND.name, *RECIPES}
    stack(episode, remedy)
    assert len(legal(episode)) > 20
    stack(episode, RELU)
    go(episode, skill=0.4)
    assert episode.best_patch == (remedy, RELU)


def test_an_answer_that_did_harm_is_not_waited_for() -> None:
    answer = "api_contract/zero_grad@program"
    episode = started(ADDS_UP, skill=0.9)
    assert legal(episode) - set(RECIPES) == {answer}
    stack(episode, answer)
    assert len(legal(episode)) > 20
    go(episode, skill=0.1)
    assert len(legal(episode)) > 20


def test_what_must_be_kept_is_masked_on_the_pending_program_too() -> None:
    episode = started(
        RUNS, rules=replace(RULES, keep=("architecture", "optimizer/*", "recipe/defaults@program"))
    )
    assert not legal(episode) & {ADAM, "add_layer/batch_norm@hidden", *RECIPES}
    stack(episode, RELU)
    assert not legal(episode) & {ADAM, "add_layer/batch_norm@hidden"}
    assert legal(started(RUNS)) - legal(started(RUNS, rules=replace(RULES, keep=("recipe/*",)))) == set(
        RECIPES
    )


def test_a_trial_that_hung_ends_the_repair_and_leaves_what_was_pending() -> None:
    episode = started(RUNS)
    stack(episode, RELU)
    seen = episode.observation()
    assert episode.tell(episode.request(GO), Trial(status=Status.HUNG, message="no answer")) == 0
    assert (episode.done, episode.cut_off, episode.pending_edits) == (True, True, (RELU,))
    np.testing.assert_array_equal(episode.observation(), seen)
    assert "go: hung" in trace(episode)


def walk(
    bugs: Sequence[Bug], rules: Rules, steps: int, illegal: float = 0.0
) -> list[tuple[Episode, DigestTrainer]]:
    """Random actions of repairs side by side, go in a quarter of the steps; the mask is checked at each."""
    rng, trained, setting = np.random.default_rng(0), [], make_setting(bugs, rules=rules)
    for bug in bugs:
        trainer, episode = DigestTrainer(), setting.episode(bug, 0)
        begin([episode], trainer)
        passed = [episode.program]
        for _ in range(steps):
            if episode.done:
                break
            np.testing.assert_array_equal(episode.mask(), by_definition(episode, passed, trainer))
            mask = episode.mask()
            action = int(rng.choice(np.flatnonzero(mask)))
            action = episode.stop if mask[-1] and episode.pending_edits and rng.random() < 0.25 else action
            action = int(rng.integers(len(mask))) if rng.random() < illegal else action
            advance([episode], [action], trainer)
            if episode.steps[-1].pending:
                passed.append(episode.pending)
            elif episode.steps[-1].legal:
                passed = [episode.program]
        trained.append((episode, trainer))
    return trained


def test_walks_from_any_bug_with_real_trials(
    crash_bugs: tuple[Bug, ...], silent_bugs: tuple[Bug, ...]
) -> None:
    bugs = [*load_suite("tiny").bugs, *crash_bugs, *silent_bugs]
    rules = Rules(trials=4, compose=True, budget=Budget(samples=32, epochs=2, updates=4), tolerance=10.0)
    rng, kinds = np.random.default_rng(0), set()
    with closing(RepairVectorEnv(24, bugs, rules=rules, seeds=4, autoreset_mode="SameStep")) as env:
        env.reset(seed=0)
        for _ in range(16):
            masks = env.action_masks()
            choices = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
            going = masks[:, -1] & (rng.random(24) < 0.3)
            observations, rewards, *_, infos = env.step(np.where(going, masks.shape[1] - 1, choices))
            assert np.all(np.abs(observations) <= LIMIT)
            assert np.all(np.isfinite(rewards))
            kinds |= {
                (action == "go", status)
                for action, status in zip(infos["action"], infos["status"], strict=True)
            }
    assert {(True, "ok"), (True, "crashed"), (False, "ok")} <= kinds


def by_definition(episode: Episode, passed: Sequence[Program], trainer: DigestTrainer) -> np.ndarray:
    """The mask from what it is to be, an edit at a time."""
    program, task, rules = episode.pending, episode.task, episode.rules
    budget = rules.budget
    barred = {capped(one, budget.epochs) for one in passed}
    allowed = set()
    for action in episode.actions:
        after = edited(action, program, task)
        joins = action.name in RECIPES and episode.pending_edits
        if after is None or joins or len(episode.pending_edits) >= MOST_PENDING:
            continue
        names = {action.name, *action.patch(program, task)}
        if capped(after, budget.epochs) not in barred and not touched(program, after, rules.keep):
            allowed |= set() if names & set(rules.keep) else {action.name}
    failed = {
        name
        for number, step in enumerate(episode.steps)
        if step.action == "go" and step.skill is not None and not step.kept
        for name in (*step.edits, *_edits_of(episode, number))
    }
    if check(program, task) or find_crash(program, task) is None:
        first, beside = set(only_answers(program, load_dataset(program.data.dataset))), set(RECIPES)
    else:
        plain = tuple(action for action in episode.actions if action.name not in RECIPES)
        remedy = only_remedy(plain, program, task)
        first, beside = {remedy.name} if remedy else set(), {MEND.name, *RECIPES}
    if (first - failed) & allowed:
        allowed &= (first - failed) | beside
    new = capped(program, budget.epochs) not in {
        capped(request.program, budget.epochs) for request in trainer.seen
    }
    last = new or not episode.pending_edits or not allowed
    return np.array([*(action.name in allowed for action in episode.actions), last])


def _edits_of(episode: Episode, number: int) -> tuple[str, ...]:
    """The edits that the ``go`` at this step trained: those of a recipe or a mend one by one."""
    by_name = {action.name: action for action in episode.actions}
    program = _standing_before(episode, number)
    names: tuple[str, ...] = ()
    for name in episode.steps[number].edits:
        names = (*names, *by_name[name].patch(program, episode.task))
        program = by_name[name].apply(program, episode.task)
    return names


def _standing_before(episode: Episode, number: int) -> Program:
    by_name = {action.name: action for action in episode.actions}
    program = episode.bug.program
    for step in episode.steps[:number]:
        if step.kept:
            for name in step.edits:
                program = by_name[name].apply(program, episode.task)
    return program


@pytest.mark.parametrize("keep", [(), ("architecture", "recipe/rewrite@program")])
def test_the_mask_is_what_it_is_defined_to_be(
    keep: tuple[str, ...], crash_bugs: tuple[Bug, ...], silent_bugs: tuple[Bug, ...]
) -> None:
    bugs = [*load_suite("tiny").bugs[:6], *crash_bugs[::6], *silent_bugs[::4]]
    rules = Rules(trials=4, compose=True, keep=keep, budget=Budget(epochs=4))
    kinds = {step.action for episode, _ in walk(bugs, rules, 18) for step in episode.steps}
    assert {"go", "stop"} <= kinds


def test_rewards_add_up_to_the_gain_less_the_cost_and_no_program_is_trained_twice(
    crash_bugs: tuple[Bug, ...], silent_bugs: tuple[Bug, ...]
) -> None:
    rules = Rules(trials=5, compose=True, budget=Budget(epochs=4))
    kept = set()
    for episode, trainer in walk(
        [*load_suite("tiny").bugs[:8], *crash_bugs[::5], *silent_bugs[::5]], rules, 30, 0.05
    ):
        program, parts = episode.bug.program, 0
        for step in episode.steps:
            if step.kept:
                after = program
                for name in step.edits:
                    after = WITH_RECIPES[name].apply(after, episode.task)
                parts += replaced(program, after)
                program = after
            kept |= {step.kept} if step.edits else set()
        assert program == episode.program
        assert applied(episode.bug.program, episode.task, episode.patch) == program
        spent = sum(step.spends for step in episode.steps)
        gain = episode.best_trial.skill - episode.faulty_skill
        total = sum(step.reward for step in episode.steps)
        assert total == pytest.approx(gain - spent * rules.price - parts * rules.part_price)
        tried = [capped(request.program, rules.budget.epochs) for request in trainer.seen]
        assert len(tried) == len(set(tried))
        assert len(tried) - 1 <= spent <= rules.trials
    assert kept == {True, False}


def test_slots_tell_what_is_pending() -> None:
    names = slot_names(compose=True)
    assert len(names) == len(set(names)) == len(started(RUNS).observation())
    assert names[: len(slot_names())] == slot_names()

    def told(episode: Episode) -> dict[str, float]:
        row = episode.observation()
        assert np.all(np.abs(row) <= LIMIT)
        return dict(zip(names, row.tolist(), strict=True))

    episode = started(RUNS)
    nothing = told(episode)
    assert nothing["pending/none"] == nothing["optimizer/sgd"] == 1
    assert not any(
        value for name, value in nothing.items() if name.startswith(("change/", "failed/", "kept/"))
    )
    stack(episode, RELU, ADAM)
    two = told(episode)
    assert (two["pending/edits"], two["pending/none"]) == (2 / MOST_PENDING, 0)
    assert (two["optimizer/adam"], two["change/optimizer/adam"], two["change/optimizer/sgd"]) == (1, 1, -1)
    assert {name for name in WITH_RECIPES if two[f"pending/{name}"]} == {RELU, ADAM}
    assert two["trials_left"] == 1
    assert two["last/reward"] == 0
    go(episode, skill=0.1)
    back = told(episode)
    assert {name for name in WITH_RECIPES if back[f"failed/{name}"]} == {RELU, ADAM}
    assert (back["optimizer/adam"], back["last/taken_back"], back["tried/optimizer"]) == (
        0,
        1,
        np.float32(1 / 3),
    )
    assert back["trials_left"] == np.float32(8 / 9)
    stack(episode, REWRITE)
    assert told(episode)[f"pending/{REWRITE}"] == 1
    go(episode, skill=0.9)
    assert told(episode)[f"kept/{REWRITE}"] == 1
    assert all(told(episode)[f"kept/{name}"] for name in episode.patch)


def test_the_slots_of_a_pending_crash_say_where_it_is_known_to_come() -> None:
    episode = started(CRASHES)
    names = slot_names(compose=True)
    crash = find_crash(CRASHES, IMAGES)
    assert crash is not None
    row = dict(zip(names, episode.observation().tolist(), strict=True))
    assert row[f"pending/crash/{crash.phase}"] == 1
    stack(episode, "layer_dimension/fit_inputs@all")
    row = dict(zip(names, episode.observation().tolist(), strict=True))
    assert not any(value for name, value in row.items() if name.startswith("pending/crash/"))
    assert row[f"crash/phase/{crash.phase}"] == 1


def test_the_environment_tells_what_is_pending() -> None:
    bug = Bug(id="bug", program=replace(RUNS, loop=Loop()))
    env = RepairEnv([bug], compose=True, trials=3, trainer=DigestTrainer(), actions=["*", "!recipe/*"])
    assert not {action.name for action in env.setting.actions} & set(RECIPES)
    observation, info = env.reset(seed=0)
    assert observation.shape == (len(slot_names(compose=True)),) == env.observation_space.shape
    assert info["pending"] == ""
    numbers = {action.name: number for number, action in enumerate(env.setting.actions)}
    env.step(np.int64(numbers[RELU]))
    _, reward, ended, _, info = env.step(np.int64(numbers[ADAM]))
    assert (info["pending"], info["kept"], info["legal"], reward, ended) == (
        f"{RELU};{ADAM}",
        False,
        True,
        0,
        False,
    )
    assert info["trials_left"] == 3
    *_, info = env.step(env.action_space.n - 1)
    assert (info["action"], info["pending"], info["trials_left"]) == ("go", "", 2)
    assert f"1. {RELU}: pending" in trace(env.episode)


def test_a_setting_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(NetmendError, match="compose and rules are both given"):
        make_setting("tiny", rules=Rules(), compose=True)
    with pytest.raises(NetmendError, match="compose: 'yes' is neither True nor False"):
        make_setting("tiny", compose="yes")  # type: ignore[arg-type]
    with pytest.raises(NetmendError, match="unknown repair action 'recipe/\\*'"):
        make_setting("tiny", actions=["recipe/*"])

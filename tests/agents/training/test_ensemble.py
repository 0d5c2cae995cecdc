"""Several networks as one policy: trained in turn, averaged, chosen for, and described on a card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netmend.agents.card import COLUMNS
from netmend.agents.ensemble import averaged, train_ensemble
from netmend.agents.policy import Policy, load_policy, save_policy
from netmend.agents.train import Interrupted
from netmend.agents.verbs.config import ActionsConfig, ConfigError, check
from netmend.agents.verbs.train import TrainConfig, resumed_config
from netmend.env.observation import slot_names
from netmend.env.training.front import TrialFront
from tests.agents.training.conftest import ACTIONS, World
from tests.agents.training.test_train import quiet


@pytest.fixture
def several(world: World) -> TrainConfig:
    """Two networks where edits compose."""
    return replace(world.config, compose=True, actions=ActionsConfig(names=[*ACTIONS, "recipe/*"]), members=2)


def run(world: World, folder: Path, config: TrainConfig, **trainer: object) -> None:
    train_ensemble(config, folder, quiet(), lambda _: TrialFront(world.trainer(**trainer)))  # type: ignore[arg-type]


def network(seed: int, actions: tuple[str, ...]) -> Policy:
    rng, slots = np.random.default_rng(seed), slot_names(compose=True)
    weight = rng.normal(size=(len(actions), len(slots))).astype(np.float32)
    bias = rng.normal(size=len(actions)).astype(np.float32)
    return Policy(
        algorithm="ppo", activation="relu", layers=((weight, bias),), slots=slots, actions=actions, go=0.5
    )


def test_scores_are_averaged_and_kept(tmp_path: Path) -> None:
    members = [network(seed, ("optimizer/adam@program", "optimizer/sgd@program", "go")) for seed in range(3)]
    both = averaged(members, {})
    assert (both.members, members[0].members, both.go) == (3, 1, None)
    rng = np.random.default_rng(9)
    observations = rng.normal(size=(20, len(both.slots))).astype(np.float32) * 0.1
    masks = rng.random((20, 3)) < 0.6
    masks[:, 0] = True
    expected = np.mean([own.scores(observations) for own in members], axis=0)
    np.testing.assert_allclose(both.scores(observations), expected, atol=2e-3)
    save_policy(both, tmp_path)
    again = load_policy(tmp_path)
    assert again.members == 3
    np.testing.assert_array_equal(
        again.probabilities(observations, masks), both.probabilities(observations, masks)
    )
    assert (tmp_path / "policy.safetensors").stat().st_size < 2 * both.layers[0][0].size + 1000


def test_one_command_trains_the_members_and_puts_them_together(
    world: World, several: TrainConfig, run_folder: Path
) -> None:
    ship = run_folder.with_name("shipped")
    run(world, run_folder, replace(several, ship=str(ship)))
    policy, members = load_policy(run_folder), [load_policy(run_folder / f"member_{n}") for n in range(2)]
    assert [own.facts["seed"] for own in members] == [0, 1]
    assert (policy.members, policy.facts["seeds"]) == (2, "0, 1")
    assert policy.facts["steps"] == sum(int(str(own.facts["steps"])) for own in members)
    assert policy.confidence is not None
    assert (run_folder / "finished.yaml").is_file()
    for name in ("policy.yaml", "policy.safetensors", "card.md"):
        assert (ship / name).read_bytes() == (run_folder / "policy" / name).read_bytes()
    card = (ship / "card.md").read_text()
    assert f"| {' | '.join(COLUMNS)} |" in card
    assert sum(line.startswith("| validation-") for line in card.splitlines()) == 3
    assert "member_1" in card
    with pytest.raises(ConfigError, match="holds a run already"):
        run(world, run_folder, several)


def test_one_that_was_cut_off_ends_as_one_that_was_not(
    world: World, several: TrainConfig, run_folder: Path
) -> None:
    run(world, run_folder, several)
    other = run_folder.with_name("other")
    several.training.checkpoint_every = 1

    def stop(trials: int) -> None:
        if (other / "member_1" / "checkpoints").exists() and trials > 100:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"go on with: netmend train resume=\S*other$"):
        run(world, other, several, on_run=stop)
    assert (other / "member_0" / "finished.yaml").exists()
    assert not (other / "policy").exists()
    run(world, other, resumed_config(other, []))
    for mine, theirs in zip(load_policy(run_folder).layers, load_policy(other).layers, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_what_several_networks_do_not_go_with(several: TrainConfig) -> None:
    for config, problem in (
        (replace(several, compose=False, actions=ActionsConfig()), "members: only networks whose"),
        (replace(several, members=0), "members: 0 is below 1"),
        (replace(several, members=1, ship="x"), "ship: copies a policy of several members"),
    ):
        with pytest.raises(ConfigError, match=problem):
            check(config)

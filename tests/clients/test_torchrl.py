"""TorchRL's environment over ours, with its own check of specs and its mask of actions."""

from __future__ import annotations

import pytest

from netmend.env import ENVIRONMENT_ID

pytestmark = pytest.mark.filterwarnings("ignore")  # of torchrl and what it imports, at import and later


def test_its_specs_hold_and_its_mask_is_kept() -> None:
    # Here, and not above: its import takes seconds, and processes forked after it are slow to end.
    pytest.importorskip("torchrl", reason="torchrl is not installed (extra clients)")
    import torch
    from torchrl.data import Binary
    from torchrl.envs import GymEnv, TransformedEnv
    from torchrl.envs.gym_like import default_info_dict_reader
    from torchrl.envs.transforms import ActionMask
    from torchrl.envs.utils import check_env_specs

    env = GymEnv(ENVIRONMENT_ID, bugs="tiny", trials=3, device="cpu")
    check_env_specs(env)
    reader = default_info_dict_reader(
        ["action_mask"], spec={"action_mask": Binary(env.action_space.n, dtype=torch.bool)}
    )
    env.set_info_dict_reader(reader)
    masked = TransformedEnv(env, ActionMask())
    steps = masked.rollout(12, break_when_any_done=False)
    chosen = steps["action"].to(torch.bool)
    assert (chosen & steps["action_mask"]).any(-1).all()
    env.close()

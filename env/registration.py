"""The environment's entry in Gymnasium's registry."""

from __future__ import annotations

import gymnasium

ENVIRONMENT_ID = "netmend/Repair-v0"


def register_environments() -> None:
    """Make ``gymnasium.make`` and ``make_vec`` know netmend's environment. Calling it again is fine.

    Importing ``netmend.env`` does it: Gymnasium 1.x no longer loads the ``gymnasium.envs`` entry points by
    itself. Without an import, ``gymnasium.make("netmend.env:netmend/Repair-v0")`` does both.
    """
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(
            ENVIRONMENT_ID,
            entry_point="netmend.env.repair_env:RepairEnv",
            vector_entry_point="netmend.env.vector:RepairVectorEnv",
        )

"""What an agent meets: faulty training programs, as a Gymnasium environment.

Importing it registers the environment, since Gymnasium 1.x loads no entry points by itself;
``gymnasium.make("netmend.env:netmend/Repair-v0")`` does both.

Raises:
    ImportError: this Python or system is not supported.
"""

import netmend

# Before anything else is imported: elsewhere that may fail with a message of its own.
if reason := netmend.refusal():
    raise ImportError(f"netmend {reason}")

import gymnasium

ENVIRONMENT_ID = "netmend/Repair-v0"

if ENVIRONMENT_ID not in gymnasium.registry:
    gymnasium.register(
        ENVIRONMENT_ID,
        entry_point="netmend.env.repair_env:RepairEnv",
        vector_entry_point="netmend.env.vector:RepairVectorEnv",
    )

__all__ = ["ENVIRONMENT_ID"]

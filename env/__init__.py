"""What an agent meets: faulty training programs, as a Gymnasium environment.

Importing it registers the environment, as soon as Gymnasium is there, which loads no entry points by itself;
``gymnasium.make("netmend.env:netmend/Repair-v0")`` does both.

Raises:
    ImportError: this Python or system is not supported.
"""

from typing import Any

import netmend

# Before anything else is imported: elsewhere that may fail with a message of its own.
if reason := netmend.refusal():
    raise ImportError(f"netmend {reason}")

from netmend.env.script.importing import after_import

ENVIRONMENT_ID = "netmend/Repair-v0"


def _register(gymnasium: Any) -> None:
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(
            ENVIRONMENT_ID,
            entry_point="netmend.env.repair_env:RepairEnv",
            vector_entry_point="netmend.env.vector:RepairVectorEnv",
        )


after_import("gymnasium", _register)  # whose import takes a while, and scripts are run without it

__all__ = ["ENVIRONMENT_ID"]

"""The command ``netmend``, also as ``python -m netmend``."""

from __future__ import annotations

import sys

import netmend


def main() -> int:
    """Run the command line; returns its exit status, 2 where this Python or system is not supported."""
    reason = netmend.refusal()
    if reason:
        print(f"netmend: {reason}", file=sys.stderr)
        return 2
    try:
        from netmend.agents.cli import main as run  # its syntax is newer than what was refused above
    except KeyboardInterrupt:  # the imports take a second
        print("netmend: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())

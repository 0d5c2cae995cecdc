"""From the record of a script's run to the program that trains the same network in the same way."""

from netmend.env.script.lift.lifting import Lifted, NotLifted, lift

__all__ = ["Lifted", "NotLifted", "lift"]

"""How a run of a script is ended from inside."""

from __future__ import annotations

from netmend.env.script.record import Ending


class StopScript(BaseException):
    """Ends the script. No ``Exception``, so that the script's own handlers let it through."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending: Ending = ending

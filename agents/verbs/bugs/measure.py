"""``netmend bugs verify`` and ``netmend bugs reachable``: measure the bugs of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import MISSING
from rich.console import Console

from netmend.agents.suite_check import reach_suite, verify_suite
from netmend.agents.verbs.config import ConfigError, MeasuringConfig, at_least
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.opening import open_trainer
from netmend.env.bugs.bug import Suite
from netmend.env.bugs.loading import load_suite, suite_folder
from netmend.env.errors import UnknownNameError


@dataclass
class MeasureConfig(MeasuringConfig):
    """``netmend bugs verify`` and ``netmend bugs reachable``.

    Attributes:
        bugs: suite, or folder of bug files, to measure.
        only: ids of the bugs to measure. null = all.
        seeds: number of trainings of each program.
        write: whether ``verify`` keeps what it measured in the folder of the bug files.
        search: whether ``reachable`` looks for new sequences of actions, if none on file reaches the fix.
            It keeps what it finds.
        longest: most actions in a sequence that it looks for.
    """

    bugs: str = MISSING
    only: list[str] | None = None
    seeds: int = 8
    write: bool = False
    search: bool = False
    longest: int = 4

    def problems(self) -> list[str]:
        """By key."""
        return super().problems() + at_least(5, self, "seeds") + at_least(1, self, "longest")

    def require(self) -> None:
        """Look up the bugs, and the folder that is to be written."""
        self.suite()
        if self.write and suite_folder(self.bugs) is None:
            raise ConfigError(
                [f"write: {self.bugs} is not a folder of bug files, so nothing can be kept there"]
            )

    def suite(self) -> Suite:
        """The bugs to measure."""
        suite = load_suite(self.bugs)
        if self.only is None:
            return suite
        known = {bug.id: bug for bug in suite.bugs}
        for name in self.only:
            if name not in known:
                raise UnknownNameError(f"bug of {suite.name}", name, known)
        return replace(suite, bugs=tuple(known[name] for name in self.only))


def verify_job(config: MeasureConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Verify the bugs of a suite."""
    place = suite_folder(config.bugs) if config.write else None
    with open_trainer(config) as trainer:
        results = verify_suite(config.suite(), trainer, range(config.seeds), Console(), place)
    bugs = {one.bug.id: {key: own for key, own in vars(one).items() if key != "bug"} for one in results}
    return Ended(answer={"bugs": bugs}, then=f"netmend bugs reachable {config.bugs}")


def reachable_job(config: MeasureConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Check or find the sequences of actions that reach the published fixes of a suite."""
    suite, seeds, place = config.suite(), range(config.seeds), suite_folder(config.bugs)
    with open_trainer(config) as trainer:
        found = reach_suite(
            suite, trainer, seeds, Console(), folder=place, search=config.search, most=config.longest
        )
    bugs = {name: {**vars(one), "holds": one.holds} for name, one in found.items()}
    return Ended(answer={"bugs": bugs}, then=f"netmend evaluate bugs={config.bugs}")

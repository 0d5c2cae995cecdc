"""Cases of generated scripts whose fault shows, as a folder that ``netmend evaluate`` takes.

``python -m netmend.env.script.generate.cases FOLDER 20 --first 100`` tries one seed after another. With
``--held-out`` they come from programs that no lesson of the package's policy comes from. Then
``netmend evaluate bugs=FOLDER split=train`` (or ``held-out``) repairs each of them by its printed figure.
"""

from __future__ import annotations

import argparse
import shutil
from itertools import count
from pathlib import Path

from netmend.env.script.parent import Runner
from netmend.env.script.plan import Plan
from netmend.env.script.suite import ScriptCase, read_suite, write_generated

SHOWS = 0.1
"""What a faulty script's figure is short of the good one's, where it has one."""
_LIMITS = Plan(wall=120.0, cpu=60.0)


def write_cases(folder: Path, wanted: int, first: int, *, held_out: bool) -> list[str]:
    """Write so many cases whose fault shows into a folder.

    Args:
        folder: is made.
        wanted: how many cases.
        first: seed of the first draw.
        held_out: whether the programs are those of the held-out split.

    Returns:
        the names of the cases.
    """
    names: list[str] = []
    with Runner() as runner:
        for seed in count(first):
            if len(names) == wanted:
                return names
            name = write_generated(folder, seed=seed, split="held-out" if held_out else "train")
            (case,) = (one for one in read_suite(folder) if one.name == name)
            if shows(runner, case):
                names.append(name)
                print(f"{len(names)} of {wanted}  {name}", flush=True)
            else:
                shutil.rmtree(folder / name)
    raise AssertionError("there is always another seed")


def shows(runner: Runner, case: ScriptCase) -> bool:
    """Whether the good script of a case has a figure, and the faulty one none or a clearly worse one."""
    plan = Plan(metric=case.pattern, wall=_LIMITS.wall, cpu=_LIMITS.cpu)
    good, faulty = (
        None if path is None else runner.run(path, plan=plan) for path in (case.fixed, case.faulty)
    )
    if good is None or faulty is None or good.ending != "finished" or good.score is None:
        return False
    ended = faulty.ending == "finished" and faulty.score is not None
    if not ended:
        return faulty.crash is not None
    assert faulty.score is not None
    return not good.score.value - faulty.score.value < SHOWS  # NaN shows, too


def main() -> None:
    """Write cases and name them."""
    parser = argparse.ArgumentParser(description="Cases of generated scripts whose fault shows.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--held-out", action="store_true", help="programs of the held-out split")
    given = parser.parse_args()
    write_cases(given.folder, given.count, given.first, held_out=given.held_out)


if __name__ == "__main__":
    main()

"""Are the bugs of a suite as recorded, and do a few actions reach their fixes?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from netmend.agents.progress import time_left
from netmend.agents.study.published import Published, load_published
from netmend.agents.table import Table
from netmend.env.bugs.bug import SPLITS, Bug, Score, Suite
from netmend.env.bugs.killing import SIGNIFICANCE, measure, score
from netmend.env.bugs.loading import task_of, without_missing_packs
from netmend.env.bugs.measured import Measured, read_measured, write_measured
from netmend.env.bugs.reach import MOST_ACTIONS, Reached, goal_of, reach, replay_patch
from netmend.env.bugs.verify import HOLDS, Verified, verify
from netmend.env.errors import NetmendError
from netmend.env.training.trial import Trainer
from netmend.repair_actions import CATALOGUE

Seeds = Sequence[int]
VERIFIED_WIDTH = 180

MADE = {
    "command": "netmend bugs verify SUITE write=true; netmend bugs reachable SUITE search=true",
    "torch": version("torch"),
}
"""How a ``measured.yaml`` comes about; each score has its number of seeds."""


def verify_suite(
    suite: Suite, trainer: Trainer, seeds: Seeds, console: Console, folder: Path | None = None
) -> list[Verified]:
    """Verify every bug of a suite, print the table, and keep what was measured in a folder of bug files.

    Args:
        suite: whose bugs.
        trainer: who trains.
        seeds: of the trials.
        console: where the table goes.
        folder: whose ``measured.yaml`` is written; None writes nothing.

    Raises:
        OSError: the file cannot be written.
    """
    entries = {} if folder is None else read_measured(folder)  # before hours of training, not after them
    if folder is not None:
        write_measured(folder, entries, MADE)
    results = verify(suite.bugs, trainer, suite.budget, seeds, _progress(len(suite.bugs), console))
    verified_table(results, published_of(suite)).show(console)
    console.print(verified_summary(results))
    console.print(significant_summary(results))
    if folder is not None:
        for result in results:
            before = entries.get(result.bug.id, Measured())
            if result.verdict == "not loaded" and before.verdict:
                continue  # what was measured where the data were stays
            entries[result.bug.id] = replace(
                before,
                verdict=result.verdict,
                reason=result.reason,
                faulty=result.faulty,
                fixed=result.fixed,
            )
        console.print(f"written to {write_measured(folder, entries, MADE)}")
    return results


def reach_suite(
    suite: Suite,
    trainer: Trainer,
    seeds: Seeds,
    console: Console,
    *,
    folder: Path | None = None,
    search: bool = False,
    most: int = MOST_ACTIONS,
) -> dict[str, Reached]:
    """Check, or with ``search`` find, the sequences of actions that reach the published fixes of a suite.

    A sequence that is on file and holds is kept; with ``search`` others are sought.

    Raises:
        OSError: the file cannot be written.
        NetmendError: a sequence on file no longer holds.
    """
    entries = {} if folder is None else read_measured(folder)
    targets, note = without_missing_packs([bug for bug in suite.bugs if bug.goal("validation") is not None])
    if note:
        console.print(note, highlight=False, soft_wrap=True)
    results: dict[str, Reached] = {}
    begun = time.monotonic()
    for number, bug in enumerate(targets, start=1):
        known = entries.get(bug.id, Measured()).patch
        found = _checked(bug, suite, trainer, seeds, known or ())
        if search and not found.holds:
            task, budget = task_of(bug), bug.budget or suite.budget
            found = reach(bug, task, tuple(CATALOGUE.values()), trainer, budget, seeds, most)
        results[bug.id] = found
        if folder is not None and search:
            before = entries.get(bug.id, Measured())
            entries[bug.id] = replace(before, patch=found.patch, patch_skill=round(found.skill, 4))
            write_measured(folder, entries, MADE)
        left = time_left(time.monotonic() - begun, number, len(targets) - number)
        console.print(f"{number} of {len(targets)}  {_reached_line(bug, found)}  {left}", highlight=False)
    held = sum(found.holds for found in results.values())
    console.print(f"{held} of {len(results)} reproduced bugs are reached in at most {most} actions")
    lost = [
        name for name, found in results.items() if entries.get(name, Measured()).patch and not found.holds
    ]
    if lost:
        raise NetmendError(f"the actions on file no longer reach the published fix of {', '.join(lost)}")
    return results


def published_of(suite: Suite) -> Mapping[str, Published]:
    """What the study of the suite's bugs published of them; empty for other suites."""
    return load_published() if suite.name.startswith("icst2023") else {}


def verified_table(results: Sequence[Verified], published: Mapping[str, Published] | None = None) -> Table:
    """One row per bug: skills on the validation part; signed-rank test and A12 on the hold-out part.

    With ``published`` the study's figures stand beside: accuracy, or a loss of which less is better.
    """
    study = ("study: faulty", "fix") if published else ()
    head = ("bug", "kind", "quality", "faulty", "fixed", *study, "p", "signed-rank p", "A12", "verdict")
    rows = [_verified_row(result, published) for result in results]
    return Table(head=head, rows=rows, left=range(len(head)), width=VERIFIED_WIDTH)


def _verified_row(result: Verified, published: Mapping[str, Published] | None) -> list[str]:
    bug = result.bug
    faulty = f"{result.status} ({result.crash_phase})" if result.crash_phase else _skill(result.faulty)
    row = [bug.id, bug.kind, bug.quality, faulty, _skill(result.fixed)]
    if published:
        known = published.get(bug.id)
        row += ["", ""] if known is None else [f"{known.faulty:g}", f"{known.fix:g}"]
    tests = (result.p, result.signed_rank, result.a12)
    row += ["" if p is None or result.crash_phase else f"{p:.2g}" for p in tests]
    return [*row, f"{result.verdict}: {result.reason}" if result.reason else result.verdict]


def significant_summary(results: Sequence[Verified]) -> str:
    """How many faults are significant at the budget, as the studies of repair count them."""
    known = [result for result in results if result.signed_rank is not None]
    count = sum(result.signed_rank is not None and result.signed_rank < SIGNIFICANCE for result in known)
    return f"{count} of {len(known)} faults are significant (Wilcoxon signed-rank, p < {SIGNIFICANCE})"


def verified_summary(results: Sequence[Verified]) -> str:
    """How many bugs are as recorded, by kind and by split."""
    held = [result for result in results if result.verdict in HOLDS]
    counts = Counter(result.verdict for result in results)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    kinds = Counter(result.bug.kind for result in held)
    splits = ", ".join(f"{sum(r.bug.split == name for r in held)} {name}" for name in SPLITS)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
    return f"{len(held)} of {len(results)} bugs are as recorded ({by_kind}; {splits}): {verdicts}"


def _checked(bug: Bug, suite: Suite, trainer: Trainer, seeds: Seeds, patch: tuple[str, ...]) -> Reached:
    goal = goal_of(bug)
    task = task_of(bug)
    program = replay_patch(bug, task, tuple(CATALOGUE.values()), patch) if patch else None
    if program is None:
        return Reached(patch=(), skill=-1.0, goal=goal)
    (skills,) = measure(trainer, [program], bug.budget or suite.budget, seeds, bug.task_metric)
    return Reached(patch=patch, skill=score(skills).validation.mean, goal=goal)


def _reached_line(bug: Bug, found: Reached) -> str:
    patch = " + ".join(found.patch) if found.holds else "no sequence found"
    return f"{bug.id}: skill {found.skill:.3f}, the fix counts from {found.goal:.3f}: {patch}"


def _skill(score: Score | None) -> str:
    return "" if score is None else f"{score.validation.mean:.2f} ± {score.validation.sd:.2f}"


def _progress(bugs: int, console: Console) -> Callable[[Verified], None]:
    done, begun = 0, time.monotonic()

    def report(result: Verified) -> None:
        nonlocal done
        done += 1
        left = time_left(time.monotonic() - begun, done, bugs - done)
        console.print(f"{done} of {bugs}  {result.bug.id}: {result.verdict}  {left}", highlight=False)

    return report

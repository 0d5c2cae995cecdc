"""Both suites from the subjects: ``python -m netmend.env.bugs.icst2023.make`` writes them anew."""

from __future__ import annotations

import sys
from pathlib import Path

from netmend.env.bugs.bug import Bug
from netmend.env.bugs.icst2023.real_faults import real_faults
from netmend.env.bugs.icst2023.subjects import Size, Subject, mutants
from netmend.env.bugs.writing import write_bug, write_folder_facts
from netmend.env.training.trial import Budget

SUITES = Path(__file__).parent.parent / "suites"
STUDY = '"Repairing DNN Architecture: Are We There Yet?" (ICST 2023)'

SHORT = Size(
    mnist="mnist_small",
    cifar10="cifar10_small",
    eyes="eyes_small",
    reuters="reuters_bags_small",
    share=4,
    batch=10,
    budgets={
        "mnist": Budget(samples=384, epochs=10, updates=300, work=1_200_000.0),
        "cifar10": Budget(samples=448, epochs=12, updates=300, work=1_200_000.0),
        "eyes": Budget(samples=384, epochs=14, updates=250, work=1_200_000.0),
        "U2": Budget(samples=640, epochs=50, updates=250, work=1_200_000.0),
        "reuters": Budget(samples=800, epochs=6, updates=250),
        "D4": Budget(samples=300, epochs=10, updates=300),
        "D5": Budget(samples=400, epochs=15, updates=250, work=1_200_000.0),
        "D9": Budget(samples=320, epochs=10, updates=200, work=1_200_000.0),
    },
)
"""About a second a trial on one core."""

ENOUGH = Budget(samples=60_000, epochs=200, updates=1_000_000, work=1e9)
FULL = Size(
    mnist="mnist_full",
    cifar10="cifar10_full",
    eyes="eyes_full",
    reuters="reuters_bags",
    share=1,
    batch=1,
    budgets=dict.fromkeys(SHORT.budgets, ENOUGH),
)
"""The study's rows, pictures and epochs, for a GPU."""

DATA = (
    "Data: MNIST; CIFAR-10 as JPEG, not pixel-identical; Reuters R52, another cut than its 46 topics; "
    "rendered eyes, a substitute for UnityEyes, with squared error in place of the loss of angles, without "
    "the second input; generated rows for D1 to D3 and D6 to D8. Hold-out rows are from the packs' test "
    "part, validation rows from their training part."
)
DESCRIPTIONS = {
    "icst2023-v1": f"The 30 faults of {STUDY} at a short budget: pictures of 14x14, 22x22 and 18x30 pixels, "
    f"1,000 words, a few hundred rows and at most 15 epochs, but for U2. {DATA}",
    "icst2023-full-v1": f"The 30 faults of {STUDY} with its epochs and all rows. {DATA}",
}
SIZES = {"icst2023-v1": SHORT, "icst2023-full-v1": FULL}


def make_bugs(size: Size) -> tuple[Bug, ...]:
    """All 30 bugs; none is for training."""
    return tuple(_bug(subject) for subject in (*real_faults(size), *mutants(size)))


def write_suites(folder: Path) -> None:
    """Write both folders of bug files; what was measured of them stays."""
    for name, size in SIZES.items():
        for bug in make_bugs(size):
            write_bug(bug, folder / name / f"{bug.id}.yaml")
        write_folder_facts(folder / name, name, DESCRIPTIONS[name], Budget())


def _bug(subject: Subject) -> Bug:
    what = "real fault" if subject.base == "real" else f"mutant of its {subject.base} program"
    return Bug(
        id=subject.id,
        program=subject.faulty,
        split="held-out",
        fixed=subject.fixed,
        base="" if subject.base == "real" else subject.base,
        operators=subject.operators,
        provenance=f"{what} {subject.id} of ICST 2023: {subject.told}",
        fix_patterns=subject.patterns,
        budget=subject.budget,
    )


if __name__ == "__main__":
    write_suites(Path(sys.argv[1]) if len(sys.argv) > 1 else SUITES)

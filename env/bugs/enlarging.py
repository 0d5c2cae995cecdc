"""The full form of a suite: the same faults of the same programs, on whole data packs, for a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netmend.env.bugs.bug import Bug, Suite
from netmend.env.program import Program
from netmend.env.program.part import changed

FULL: Mapping[str, str] = {
    "cifar10_half": "cifar10_full",
    "newsgroups20_short": "newsgroups20_full",
    "fsdd_digits": "fsdd_digits_full",
    "fsdd_speakers": "fsdd_speakers_full",
    "steering_small": "steering_full",
    "fashion_decoded": "fashion_decoded_full",
}
"""The view of all rows and pixels of each dataset's pack."""


def enlarge(suite: Suite) -> tuple[Bug, ...]:
    """The bugs of a suite in their full form. Their scores are not known: nothing is trained."""
    return tuple(map(_enlarged, suite.bugs))


def _enlarged(bug: Bug) -> Bug:
    fixed = None if bug.fixed is None else _on_all_rows(bug.fixed)
    return replace(bug, program=_on_all_rows(bug.program), fixed=fixed, faulty_score=None, fixed_score=None)


def _on_all_rows(program: Program) -> Program:
    return changed(program, data=changed(program.data, dataset=FULL[program.data.dataset]))

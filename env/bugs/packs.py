"""Bugs whose data pack is not here: left out with a word, so that the others can be worked with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netmend.env.bugs.bug import Bug
from netmend.env.data import load_dataset
from netmend.env.data.loading import FOLDER_VARIABLE, needs_pack
from netmend.env.data.views import pack_of
from netmend.env.errors import DataError


def without_missing_packs(bugs: Sequence[Bug]) -> tuple[tuple[Bug, ...], str]:
    """The bugs whose data pack is here or that need none, and which packs the others need (else empty).

    Raises:
        DataError: the pack of every bug is missing; the message is that of the first.
    """
    missing: Counter[str] = Counter()
    kept: list[Bug] = []
    for bug in bugs:
        name = bug.program.data.dataset
        try:
            if needs_pack(name):
                load_dataset(name)
            kept.append(bug)
        except DataError:
            missing[pack_of(name)] += 1
            if sum(missing.values()) == len(bugs):
                raise
    if not missing:
        return tuple(kept), ""
    needs = ", ".join(f"{name} ({count})" for name, count in sorted(missing.items()))
    note = f"{missing.total()} of {len(bugs)} bugs are left out; they need the data packs {needs}:"
    return tuple(kept), f"{note} set data_dir or {FOLDER_VARIABLE} to their folder"

"""A script in the middle of its repair: sources, a record of a run, and the program that it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from netmend.agents.script_repair.runs import Texts
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import task_of
from netmend.env.program import Program, Task
from netmend.env.program.misfit import MisfitError
from netmend.env.program.wording import in_words
from netmend.env.script.actions import ANSWERS, described, record_changes
from netmend.env.script.changes import SourceChange, source_changes
from netmend.env.script.edit import edit
from netmend.env.script.lift import Lifted
from netmend.env.script.record import Record
from netmend.env.script.source import EditRefused, Project
from netmend.repair_actions import RepairAction
from netmend.repair_actions.keep import Keep, ruled_out, touched
from netmend.repair_actions.patch import applied

_SIZES = tuple(f"layer.{name}" for name in ("units", "kernel", "stride", "padding", "insert", "remove"))
_TOUCHES: Mapping[str, tuple[str, ...]] = {
    "architecture": (*_SIZES, "input.standardize"),  # which is a layer in front of the others
    "data": ("input.", "loop.shuffle"),
    "frozen": ("layer.trainable",),
    "labels": ("loss.labels", "loss.shapes"),
}
"""What changes of a source touch each part that may be kept: how their words begin."""


class KeptError(EditRefused):
    """An edit would touch what is to be kept."""


@dataclass(frozen=True)
class Stage:
    """A script as it stands.

    Attributes:
        folder: of the original.
        texts: what is new in its files so far.
        record: of a short run.
        lifted: the program that it is, None where a program cannot hold it.
        reasons: why not.
        keep: what no edit may touch.
    """

    folder: Path
    texts: Texts
    record: Record
    lifted: Lifted | None
    reasons: tuple[str, ...] = ()
    keep: Keep = ()

    @property
    def program(self) -> Program:
        """The program that the script is."""
        assert self.lifted is not None
        return self.lifted.program

    @cached_property
    def task(self) -> Task:
        """What its data ask for."""
        return task_of(Bug(id="", program=self.program))

    @cached_property
    def project(self) -> Project:
        """Its sources with what is new in them."""
        known = Project.read(self.folder, self.record.files).texts
        return Project({**known, **{path: text for path, text in self.texts.items() if path in known}})

    @cached_property
    def crashed_at(self) -> tuple[str, str]:
        """What crashed, and in which line of code, wherever lines in front of it have moved that to."""
        crash = self.record.crash
        if crash is None or crash.site is None:
            return ("", "") if crash is None else (crash.operation, "")
        site = crash.site
        lines = self.project.texts.get(site.file, "").splitlines()
        return crash.operation, lines[site.line - 1].strip() if site.line <= len(lines) else str(site)

    def written(self, changes: Iterable[SourceChange]) -> Texts:
        """What is new in its files behind some more changes.

        Raises:
            EditRefused: they cannot be written, or touch what is to be kept.
        """
        changes = tuple(changes)
        words = [change.what for change in changes]
        _leave_alone(
            part for part in self.keep if any(word.startswith(_TOUCHES.get(part, ())) for word in words)
        )
        return {**self.texts, **edit(self.project, self.record, changes).texts}

    def patched(self, actions: Sequence[str]) -> Texts:
        """What is new in its files behind some more repair actions, by name.

        Raises:
            EditRefused: what they change cannot be written, they change nothing, or they touch what is to be
                kept.
        """
        _leave_alone(ruled_out(actions, self.keep))
        if self.lifted is None:
            return self.written(change for name in actions for change in record_changes(name, self.record))
        after = applied(self.program, self.task, actions)
        _leave_alone(touched(self.program, after, self.keep))
        return self.become(after)

    def answered(self, actions: Sequence[str]) -> Texts:
        """What is new behind actions that answer findings, of which the program may say nothing.

        Raises:
            EditRefused: as for ``patched``.
        """
        return self.written(change for action in actions for change in self._asked(action))

    def _asked(self, action: str) -> tuple[SourceChange, ...]:
        """What an action changes, as the program says it or else as the record does."""
        _leave_alone(ruled_out((action,), self.keep))
        if self.lifted is not None:
            after = applied(self.program, self.task, (action,))
            _leave_alone(touched(self.program, after, self.keep))
            try:
                changes = self._difference(after)
                self.written(changes)
                return changes
            except EditRefused as refused:
                if isinstance(refused, KeptError) or action not in ANSWERS:
                    raise
        return record_changes(action, self.record)

    def told(self, actions: Sequence[str]) -> str:
        """What repair actions change, in words."""
        if self.lifted is None:
            return "; ".join(map(described, actions))
        return "; ".join(in_words(self.program, applied(self.program, self.task, actions)))

    def become(self, program: Program) -> Texts:
        """What is new in its files where it is another program.

        Raises:
            EditRefused: the difference cannot be written, or there is none.
        """
        return self.written(self._difference(program))

    def _difference(self, program: Program) -> tuple[SourceChange, ...]:
        assert self.lifted is not None
        try:
            return source_changes(self.program, program, self.lifted.layers, self.task)
        except MisfitError as error:
            raise EditRefused(str(error)) from error

    def impossible(self, actions: Iterable[RepairAction]) -> tuple[str, ...]:
        """Names of the actions that change the program in a way that its source cannot take."""
        return tuple(action.name for action in actions if not self._takes(action))

    def _takes(self, action: RepairAction) -> bool:
        after = action.apply(self.program, self.task)
        if after == self.program:
            return True  # it may change something later, when other edits stand
        try:
            self.become(after)
        except EditRefused:
            return False
        return True


def _leave_alone(kept: Iterable[str]) -> None:
    """Raise KeptError where there is anything that is to be kept."""
    names = ", ".join(kept)
    if names:
        raise KeptError(f"it touches what is to be kept: {names}")

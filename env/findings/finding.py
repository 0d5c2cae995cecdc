"""What a finding is, what it is found in, and the form of a heuristic.

Detection stands apart from explanation and advice: a heuristic's ``look`` says that, where and how much; its
``text`` and its ``edits`` say it to a person, and what answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Literal, TypeAlias, TypeVar, get_args

from netmend.env.data.dataset import Dataset
from netmend.env.program import Crash, Program, Task, check, find_crash, infer_shapes, prepared_task
from netmend.env.program.shapes import loss_input
from netmend.env.script.site import Site
from netmend.env.training.trial import Status, Trial

Severity = Literal["fault", "warning"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Sureness = Literal["certain", "likely", "possible"]
Seen = TypeVar("Seen")
"""What is looked at: a ``Case``, or the record of a script."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a person is told is wrong with a program or a script.

    Attributes:
        name: of the heuristic that found it.
        severity: ``fault`` is wrong whatever a training shows: it stands in the program or its data, or it is
            a crash. ``warning`` is a doubtful choice, or a symptom of a trial.
        text: a sentence in plain words, with the number that was seen.
        value: that number.
        place: where: ``layer 2 (dense)``, a key of the program such as ``loop.zero_grad``, ``column age``;
            empty where it is the program as a whole.
        edits: names or globs of the repair actions that answer it, the likeliest first; empty where no action
            does.
        sure: how sure it is that this is wrong; what was seen is certain anyway. A fault is certain.
        site: where it stands in the source, None where there is none or that is not known.
    """

    name: str
    severity: Severity
    text: str
    value: float
    place: str
    edits: tuple[str, ...]
    sure: Sureness = "possible"
    site: Site | None = None

    def __str__(self) -> str:
        where = self.site or self.place
        return f"{where}: {self.severity}: {self.text}" if where else f"{self.severity}: {self.text}"

    @property
    def only_answer(self) -> bool:
        """Whether it is a fault that one repair action answers and no other."""
        return self.severity == "fault" and is_one(self.edits)


@dataclass(frozen=True, eq=False)
class Case:
    """What heuristics look at.

    Attributes:
        program: the program as its author wrote it.
        dataset: its data.
        trial: one of its trials, None where it was not trained.
    """

    program: Program
    dataset: Dataset
    trial: Trial | None = None

    @property
    def task(self) -> Task:
        """What the data ask for."""
        return self.dataset.task

    @cached_property
    def problems(self) -> list[str]:
        """Why the program is none that can be tried; nothing else can then be said of it."""
        return check(self.program, self.task)

    @cached_property
    def crash(self) -> Crash | None:
        """The crash that the static check sees, or else the one that the trial ended with."""
        seen = None if self.trial is None else self.trial.symptoms.crash
        return find_crash(self.program, self.task) or seen

    @property
    def is_crash(self) -> bool:
        """Whether the program crashes; nothing else can then be said of its training."""
        ended = self.trial is not None and self.trial.status is Status.CRASHED
        return ended or self.crash is not None

    @cached_property
    def outputs(self) -> int:
        """Values that the loss is given for a row; only of a program that does not crash."""
        output = infer_shapes(self.program.layers, prepared_task(self.program, self.task))[-1]
        return loss_input(output, self.task)[0]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What one look saw.

    Attributes:
        value: the number seen.
        place: as in ``Finding``.
        words: what stands in the text's braces, beside ``value`` and ``place``.
        edits: in place of the heuristic's own, where what answers it depends on what was seen.
        site: as in ``Finding``.
    """

    value: float = 1.0
    place: str = ""
    words: Mapping[str, object] = field(default_factory=dict)
    edits: tuple[str, ...] | None = None
    site: Site | None = None


Look: TypeAlias = Callable[[Seen], Iterable[Sight]]


@dataclass(frozen=True, kw_only=True)
class Heuristic(Generic[Seen]):
    """One kind of finding.

    Attributes:
        name: unique.
        severity: of its findings.
        look: gives a sight for every place where it holds.
        text: a format string over ``value``, ``place`` and the words of a sight.
        edits: names or globs of the repair actions that answer it.
        sure: of its findings.
    """

    name: str
    severity: Severity
    look: Look[Seen]
    text: str
    edits: tuple[str, ...] = ()
    sure: Sureness = "possible"

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """What it finds."""
        for sight in self.look(seen):
            edits = self.edits if sight.edits is None else sight.edits
            yield Finding(
                name=self.name,
                severity=self.severity,
                text=self.text.format(value=sight.value, place=sight.place, **sight.words),
                value=sight.value,
                place=sight.place,
                edits=edits,
                sure="certain" if self.severity == "fault" else self.sure,
                site=sight.site,
            )


@dataclass(frozen=True)
class Finder(Generic[Seen]):
    """A decorator that makes a heuristic of a look, with the text and the edits of its findings.

    Attributes:
        severity: of the findings.
        into: where the heuristics go, in the order of their definition.
        sure: of the findings.

    Example:
        >>> @warning("it stops after {value:.0f} epochs", "iterations/remove_early_stopping@program")
        ... def short_patience(case): ...
    """

    severity: Severity
    into: list[Heuristic[Seen]]
    sure: Sureness = "possible"

    def __call__(self, text: str, *edits: str, name: str = "") -> Callable[[Look[Seen]], Look[Seen]]:
        """The decorator; the heuristic is called as the function is, where no name is given."""

        def add(look: Look[Seen]) -> Look[Seen]:
            self.into.append(
                Heuristic(
                    name=name or look.__name__,
                    severity=self.severity,
                    look=look,
                    text=text,
                    edits=edits,
                    sure=self.sure,
                )
            )
            return look

        return add


def is_one(edits: Sequence[str]) -> bool:
    """Whether edits are one repair action that is named in full."""
    return len(edits) == 1 and not set("*?[") & set(edits[0])


def layer_place(program: Program, index: int) -> str:
    """A layer as a person counts it, with its kind: ``layer 2 (dense)``."""
    return f"layer {index + 1} ({program.layers[index].name})"


def layer_places(program: Program, indices: Sequence[int]) -> str:
    """Several layers: ``layer 1 (dense), layer 3 (conv2d)``."""
    return ", ".join(layer_place(program, index) for index in indices)

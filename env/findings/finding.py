"""What a finding is, what it is found in, and the form of a heuristic.

Detection stands apart from explanation and advice: a heuristic's ``look`` says that, where and how much; its
``text`` and its ``edits`` say it to a person, and what answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from netmend.env.data.dataset import Dataset
from netmend.env.program import Crash, Program, Task, check, find_crash, infer_shapes, prepared_task
from netmend.env.program.shapes import loss_input
from netmend.env.training.trial import Status, Trial

Severity = Literal["fault", "warning"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a person is told is wrong with a program.

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
    """

    name: str
    severity: Severity
    text: str
    value: float
    place: str
    edits: tuple[str, ...]


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
    """

    value: float = 1.0
    place: str = ""
    words: Mapping[str, object] = field(default_factory=dict)
    edits: tuple[str, ...] | None = None


Look: TypeAlias = Callable[[Case], Iterable[Sight]]


@dataclass(frozen=True, kw_only=True)
class Heuristic:
    """One kind of finding.

    Attributes:
        name: unique.
        severity: of its findings.
        look: gives a sight for every place where it holds.
        text: a format string over ``value``, ``place`` and the words of a sight.
        edits: names or globs of the repair actions that answer it.
    """

    name: str
    severity: Severity
    look: Look
    text: str
    edits: tuple[str, ...] = ()

    def findings(self, case: Case) -> Iterator[Finding]:
        """What it finds."""
        for sight in self.look(case):
            edits = self.edits if sight.edits is None else sight.edits
            yield Finding(
                name=self.name,
                severity=self.severity,
                text=self.text.format(value=sight.value, place=sight.place, **sight.words),
                value=sight.value,
                place=sight.place,
                edits=edits,
            )


@dataclass(frozen=True)
class Finder:
    """A decorator that makes a heuristic of a look, with the text and the edits of its findings.

    Attributes:
        severity: of the findings.
        into: where the heuristics go, in the order of their definition.

    Example:
        >>> @warning("it stops after {value:.0f} epochs", "iterations/remove_early_stopping@program")
        ... def short_patience(case): ...
    """

    severity: Severity
    into: list[Heuristic]

    def __call__(self, text: str, *edits: str, name: str = "") -> Callable[[Look], Look]:
        """The decorator; the heuristic is called as the function is, where no name is given."""

        def add(look: Look) -> Look:
            self.into.append(
                Heuristic(
                    name=name or look.__name__, severity=self.severity, look=look, text=text, edits=edits
                )
            )
            return look

        return add


def layer_place(program: Program, index: int) -> str:
    """A layer as a person counts it, with its kind: ``layer 2 (dense)``."""
    return f"layer {index + 1} ({program.layers[index].name})"


def layer_places(program: Program, indices: Sequence[int]) -> str:
    """Several layers: ``layer 1 (dense), layer 3 (conv2d)``."""
    return ", ".join(layer_place(program, index) for index in indices)

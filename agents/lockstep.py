"""Repairs side by side: each a method's trials, then those that minimise its patch; one call for a round."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeAlias, TypeVar

from netmend.agents.free import Wanted, run_freely, urgency
from netmend.agents.methods import Ahead, Confident, Method, MethodError, Proposal, Repair, Thinking, blinded
from netmend.agents.minimise import TOLERANCE, Minimisation
from netmend.agents.outcome import Attempt, Outcome, best, smallest
from netmend.agents.progress import RoundProgress
from netmend.env.bugs.bug import Bug
from netmend.env.bugs.loading import task_of
from netmend.env.program import Program
from netmend.env.reward import PERFECT, Rules
from netmend.env.training.trial import StreamingTrainer, Trainer, Trial, TrialRequest, answered
from netmend.repair_actions.keep import broken
from netmend.repair_actions.patch import applied, needed

Answer = TypeVar("Answer")
Fixes: TypeAlias = dict[tuple[str, int], Trial]
"""Trials of published fixes, by bug and seed: the report's yardstick, which no method ever sees."""
_Wanted: TypeAlias = Wanted[TrialRequest, Trial]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is compared.

    Attributes:
        bugs: each is repaired under ``rules.of(bug)``.
        methods: under comparison.
        rules: of each repair.
        seeds: one repair of each bug by each method for each of them.
        seen: datasets of the suite's training and validation bugs.
        tolerance: validation skill that a minimised patch may lose.
        minimise: whether patches are minimised.
        work: a repair asks for no further trial once its trials took this many times the work of the faulty
            program's own; None, and a faulty program that did no work, set no limit.
        missing: methods under comparison that cannot be built here, and why.
        lockstep: whether a repair's next trial waits for those of all others.
        keep_going: whether a method that fails ends its repair alone, and the outcome says why; else its
            error is raised.
    """

    bugs: tuple[Bug, ...]
    methods: tuple[Method, ...]
    rules: Rules
    seeds: tuple[int, ...] = (0,)
    seen: frozenset[str] = frozenset()
    tolerance: float = TOLERANCE
    minimise: bool = True
    work: float | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    lockstep: bool = True
    keep_going: bool = False

    @property
    def cases(self) -> list[tuple[Bug, int]]:
        """Each bug with each seed."""
        return [(bug, seed) for bug in self.bugs for seed in self.seeds]

    def work_limit(self, first: Trial) -> float:
        """Work that a repair may do, in millions of multiply-accumulates, from the faulty program's trial."""
        return math.inf if self.work is None or first.work <= 0 else self.work * first.work


def run_repairs(
    evaluation: Evaluation,
    trainer: Trainer,
    *,
    holdout: bool = True,
    progress: RoundProgress | None = None,
) -> list[Outcome]:
    """Every method on every bug with every seed, all in lockstep: one call to the trainer for each round.

    In each round all methods that think ahead are told to begin before the first is asked. Out of lockstep,
    with a trainer that gives each trial as soon as it is done, no repair waits for another one. The outcomes
    are the same.
    """
    if not evaluation.lockstep and isinstance(trainer, StreamingTrainer):
        return _run_freely(evaluation, trainer, holdout, progress, None)
    cases, rules = evaluation.cases, evaluation.rules
    first_requests = [_request(bug, bug.program, seed, rules.of(bug), holdout=holdout) for bug, seed in cases]
    firsts = answered(trainer.run(first_requests))
    running = [
        OngoingRepair(method, bug, seed, first, evaluation)
        for method in evaluation.methods
        for (bug, seed), first in zip(cases, firsts, strict=True)
    ]
    waiting, trials = list(running), 0
    while waiting:
        for repair in waiting:
            repair.think()
        asked = [(repair, one) for repair in waiting for one in repair.ask()]
        waiting = [repair for repair in waiting if not repair.ended]
        requests = [repair.request(one, holdout=holdout) for repair, one in asked]
        for (repair, one), trial in zip(asked, trainer.run(requests) if requests else (), strict=True):
            repair.tell(one, trial)
        trials += len(requests)
        if progress is not None:
            progress(len(running) - len(waiting), len(running), trials)
    return [repair.outcome() for repair in running]


def run_with_fixes(
    evaluation: Evaluation, trainer: Trainer, progress: RoundProgress | None = None
) -> tuple[list[Outcome], Fixes]:
    """As ``run_repairs``, and the trials of the fixes: out of lockstep they take workers that are left."""
    fixes: Fixes = {}
    if not evaluation.lockstep and isinstance(trainer, StreamingTrainer):
        return _run_freely(evaluation, trainer, True, progress, fixes), fixes
    outcomes = run_repairs(evaluation, trainer, progress=progress)
    requests = _fix_requests(evaluation)
    return outcomes, dict(zip(requests, answered(trainer.run(list(requests.values()))), strict=True))


def _run_freely(
    evaluation: Evaluation,
    trainer: StreamingTrainer,
    holdout: bool,
    progress: RoundProgress | None,
    fixes: Fixes | None,
) -> list[Outcome]:
    """Each repair begins with its first trial, and asks for programs as soon as it can choose them."""
    running: dict[tuple[int, int], OngoingRepair] = {}
    total, trials = len(evaluation.methods) * len(evaluation.cases), count(1)

    def begin(place: int, first: Trial) -> Iterator[_Wanted]:
        answered([first])
        bug, seed = evaluation.cases[place]
        for number, method in enumerate(evaluation.methods):
            repair = running[number, place] = OngoingRepair(method, bug, seed, first, evaluation)
            yield from ask(repair)

    def ask(repair: OngoingRepair) -> Iterator[_Wanted]:
        repair.think()
        for one in repair.ask():
            yield Wanted(repair.request(one, holdout=holdout), partial(tell, repair, one))

    def tell(repair: OngoingRepair, asked: Asked, trial: Trial) -> Iterator[_Wanted]:
        repair.tell(asked, trial)
        yield from ask(repair)
        if (done := next(trials)) % total == 0 and progress is not None:
            progress(sum(one.ended for one in running.values()), total, done)

    def keep(name: tuple[str, int], trial: Trial) -> tuple[()]:
        assert fixes is not None
        (fixes[name],) = answered([trial])
        return ()

    firsts = [
        Wanted(
            _request(bug, bug.program, seed, evaluation.rules.of(bug), holdout=holdout, urgency=math.inf),
            partial(begin, place),
        )
        for place, (bug, seed) in enumerate(evaluation.cases)
    ]
    others = {} if fixes is None else _fix_requests(evaluation)
    last = [Wanted(request, partial(keep, name)) for name, request in others.items()]
    run_freely([*firsts, *last], trainer.stream)
    return [running[place].outcome() for place in sorted(running)]


def _fix_requests(evaluation: Evaluation) -> dict[tuple[str, int], TrialRequest]:
    return {
        (bug.id, seed): _request(bug, bug.fixed, seed, evaluation.rules.of(bug), holdout=True)
        for bug, seed in evaluation.cases
        if bug.fixed is not None
    }


def _request(
    bug: Bug, program: Program, seed: int, rules: Rules, *, holdout: bool, urgency: float = 0.0
) -> TrialRequest:
    return TrialRequest(
        program=program,
        budget=rules.budget,
        seed=seed,
        holdout=holdout,
        metric=bug.task_metric,
        urgency=urgency,
    )


@dataclass(eq=False)
class Asked:
    """A program that a repair asked for.

    Attributes:
        proposal: the program.
        known: trials that the repair had been told of.
        trial: None until it is there.
    """

    proposal: Proposal
    known: int
    trial: Trial | None = None


class OngoingRepair:
    """One repair of one bug by one method with one seed.

    Attributes:
        bug: what is repaired.
        seed: of its trials.
        rules: of its bug.
    """

    def __init__(self, method: Method, bug: Bug, seed: int, first: Trial, terms: Evaluation) -> None:
        self.seed, self.rules = seed, terms.rules.of(bug)
        self._method, self.bug, self._task, self._terms = method, bug, task_of(bug), terms
        self._attempts = [Attempt(proposal=Proposal(program=bug.program, patch=()), trial=first)]
        self._limit = terms.work_limit(first)
        self._asked: deque[Asked] = deque()
        self._searched: int | None = None
        self._failure = ""
        seen = replace(first, holdout=None)
        self._repair: Repair | None = self._guarded(
            lambda: method.start(blinded(bug), self._task, seen, self.rules, seed)
        )

    def think(self) -> None:
        """Let the method begin to choose its next program, where it can do so beside others."""
        if self._searching() and isinstance(self._repair, Thinking):
            self._guarded(self._repair.think)

    @property
    def ended(self) -> bool:
        """Whether it waits for no trial, once it was asked."""
        return not self._asked

    def ask(self) -> list[Asked]:
        """All programs that can be tried by now: of the method, then of the minimising."""
        asked: list[Asked] = []
        while not self._waits() and (proposal := self._ask()) is not None:
            asked.append(Asked(proposal, len(self._attempts) - 1))
            self._asked.append(asked[-1])
        return asked

    def request(self, asked: Asked, *, holdout: bool) -> TrialRequest:
        """The trial of a program that was asked for."""
        left = self.rules.trials - len(self._attempts) - len(self._asked) + 2
        if isinstance(self._repair, Minimisation):
            left = len(self._repair.answer.patch)
        seconds = sum(attempt.trial.seconds for attempt in self._attempts)
        return _request(
            self.bug,
            asked.proposal.program,
            self.seed,
            self.rules,
            holdout=holdout,
            urgency=urgency(seconds, len(self._attempts), left),
        )

    def tell(self, asked: Asked, trial: Trial) -> None:
        """Take the trial of a program. The method is told of the trials in the order in which it asked."""
        asked.trial = trial
        while self._asked and (told := self._asked[0].trial) is not None:
            failure = self._failure
            self._take(self._asked.popleft(), told)
            if self._searched is None and (self._failure != failure or self._over()):
                self._asked.clear()  # nobody needs what was asked for ahead

    def _waits(self) -> bool:
        """Whether the next program depends on a trial that is not there yet."""
        if not self._asked:
            return False
        repair = self._repair if self._searching() else None
        return not (isinstance(repair, Ahead) and self._guarded(repair.ready))

    def _ask(self) -> Proposal | None:
        if self._searched is None:
            repair = self._repair if self._searching() else None
            proposal = None if repair is None else self._guarded(lambda: self._next(repair))
            if proposal is not None or self._asked:
                return proposal
            self._searched = len(self._attempts) - 1
            self._repair = self._minimisation()
        return None if self._repair is None else self._repair.ask()

    def _take(self, asked: Asked, trial: Trial) -> None:
        if trial.says_nothing:
            self._give_up(trial.message)
            return
        repair = self._repair
        assert repair is not None
        sure = None
        if self._searched is None:
            self._guarded(lambda: repair.tell(replace(trial, holdout=None)))
            sure = self._guarded(repair.sure) if isinstance(repair, Confident) else None
        else:
            repair.tell(replace(trial, holdout=None))
        proposal = self._without_idle_edits(asked.proposal)
        attempt = Attempt(proposal=proposal, trial=trial, sure=sure, known=asked.known)
        self._attempts.append(attempt)

    def outcome(self) -> Outcome:
        """What came of it."""
        return Outcome(
            bug=self.bug,
            method=self._method.name,
            seed=self.seed,
            attempts=tuple(self._attempts),
            searched=self._searched or 0,
            tolerance=self._terms.tolerance,
            minimise=self._terms.minimise,
            failure=self._failure,
            left=self._left(),
        )

    def _give_up(self, message: str) -> None:
        """End the search, or the minimising, with a trial that hung: nobody is told of it."""
        self._failure = f"a trial hung: {message}"
        if self._searched is not None:
            self._repair = None

    def _searching(self) -> bool:
        """Whether the method may ask for one more trial."""
        tried = len(self._attempts) + len(self._asked)
        return self._searched is None and tried <= self.rules.trials and not (self._failure or self._over())

    def _over(self) -> bool:
        """Whether the trials so far end the search, whatever comes of others that were asked for."""
        if best(self._attempts).trial.skill >= PERFECT:
            return True
        if isinstance(self._repair, Ahead) and self._repair.done():
            return True
        return sum(attempt.trial.work for attempt in self._attempts[1:]) >= self._limit

    def _guarded(self, step: Callable[[], Answer]) -> Answer | None:
        """A step of the method; whatever it raises ends this repair and no other."""
        try:
            return step()
        except Exception as error:
            if not self._terms.keep_going:
                raise
            self._failure = reason(error)
            return None

    def _next(self, repair: Repair) -> Proposal | None:
        """The method's next program. Raises MethodError where it touches what must be kept."""
        proposal = repair.ask()
        if proposal is not None and self.rules.keep:
            touched = broken(self.bug.program, proposal.program, proposal.patch, self.rules.keep)
            if touched:
                raise MethodError(f"it cannot leave {', '.join(touched)} alone, which was to be kept")
        return proposal

    def _without_idle_edits(self, proposal: Proposal) -> Proposal:
        """The proposal without edits that can be left out of it and give the same trial."""
        if not proposal.by_actions:
            return proposal
        program, task = self.bug.program, self._task
        patch = needed(program, task, proposal.patch, self.rules.budget.epochs)
        if patch == proposal.patch:
            return proposal
        return replace(proposal, program=applied(program, task, patch), patch=patch)

    def _minimisation(self) -> Minimisation | None:
        if not (self._terms.minimise and best(self._attempts).proposal.by_actions):
            return None
        return Minimisation(
            self.bug.program,
            self._task,
            smallest(self._attempts, self._terms.tolerance).proposal,
            {attempt.proposal.program: attempt.trial for attempt in self._attempts},
            self.rules.budget,
            self._terms.tolerance,
        )

    def _left(self) -> Attempt | None:
        """What minimising has left."""
        if not isinstance(self._repair, Minimisation):
            return None
        return Attempt(proposal=self._repair.answer, trial=self._repair.trial)


def reason(error: Exception) -> str:
    """Why a method failed, in one line: its own words, or the type of an error that it did not expect."""
    words = " ".join(str(error).split())
    return words if isinstance(error, MethodError) and words else f"{type(error).__name__}: {words}"

"""``netmend repair``: repair one program with a trained policy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING
from rich.console import Console

from netmend.agents.named_bug import find_bug
from netmend.agents.policy import DEFAULT
from netmend.agents.repair import repair
from netmend.agents.repair_one import policy_method, rules_for, worth_compiling
from netmend.agents.repair_page import confirmed, print_repair, verdict, write_offer
from netmend.agents.traces import write_traces
from netmend.agents.verbs.config import RepairingConfig, TrainerConfig, require_policy
from netmend.agents.verbs.ended import Ended
from netmend.agents.verbs.hydra_job import run_job
from netmend.agents.verbs.opening import open_trainer, set_data_dir
from netmend.agents.verbs.scripts import is_script, no_such_script
from netmend.env.errors import NetmendError
from netmend.env.writing import from_here

UNREPAIRED = 3
"""Exit status of a repair after which there is nothing to offer."""


@dataclass
class RepairConfig(RepairingConfig):
    """``netmend repair``.

    Attributes:
        bug: path of a bug file, or id of a bug of the suite.
        policy: ``default``, the policy of the package, or the folder of a training run or of its policy.
        seed: seed of the trials.
    """

    # One program is trained after another; what takes too much memory ends the worker alone.
    training: TrainerConfig = field(default_factory=lambda: TrainerConfig(workers=1))
    bug: str = MISSING
    policy: str = DEFAULT

    def require(self) -> None:
        """Look up the policy and the bug, whose suite is looked at only for an id."""
        require_policy(self.policy)
        set_data_dir(self)
        find_bug(self.bug, self.bugs)


def repair_verb(words: Sequence[str]) -> int | Ended:
    """Run the verb, for a script or for a program file.

    Raises:
        NetmendError: the words make no sense.
    """
    if is_script(words):
        from netmend.agents.verbs.repair_script import repair_script_verb

        return repair_script_verb(words)
    if words and "=" not in words[0] and not words[0].startswith("-"):
        if os.path.exists(words[0]):
            raise NetmendError(f"repair: {words[0]}: a script is a .py or an .ipynb file")
        raise NetmendError(f"{no_such_script(Path(words[0]))}; a bug of a suite is bug={words[0]}")
    return run_job("repair", words, RepairConfig, repair_job)


def repair_job(config: RepairConfig, folder: Path, overrides: Sequence[str]) -> Ended:  # noqa: ARG001
    """Repair one bug, say what was found and done, write the program that is offered."""
    bug, suite_budget = find_bug(config.bug, config.bugs)
    method = policy_method(config.policy)
    rules, confirming = rules_for(bug, suite_budget, config)
    if config.training.compiled is None:
        config.training.compiled = worth_compiling(bug, rules)
    with open_trainer(config) as trainer:
        result = repair(bug, method, trainer, rules, seed=config.seed, budget_of=confirming)
    console = Console()
    print_repair(result, console, budget=rules.of(bug).budget)
    notes = [verdict(result), *confirmed(result)]
    write_traces(folder, [result.outcome], trials=rules.trials, part="validation", notes=notes)
    written = write_offer(result, folder)
    answer = {
        "run": folder,
        "bug": bug.id,
        "claim": result.claim,
        "verdict": verdict(result),
        "findings": result.findings,
        "patch": result.patch,
        "gain": result.gain,
        "trials": result.outcome.trials,
        "program": written,
    }
    then = f"netmend report {from_here(folder)}"
    if written is None:
        return Ended(status=UNREPAIRED, answer=answer, then=then)
    console.print(f"{written.stem} program  {from_here(written)}", highlight=False, soft_wrap=True)
    return Ended(answer=answer, then=then)

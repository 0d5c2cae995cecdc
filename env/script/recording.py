"""The same findings for a loop that runs here, in a notebook or a function, with nothing in between."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn
from torch.optim import Optimizer

from netmend.env.errors import NetmendError
from netmend.env.findings import Finding
from netmend.env.script.check import check_script, unjudged
from netmend.env.script.flow import Flow
from netmend.env.script.frames import Frames
from netmend.env.script.hooks import install_torch
from netmend.env.script.plan import Plan
from netmend.env.script.record import Record
from netmend.env.script.recorder import Recorder
from netmend.env.script.rules import findings
from netmend.env.script.summary import summarise


class Recording:
    """What was seen in a block.

    Attributes:
        record: of what ran in it; None until it has ended.
        findings: what is wrong, faults with one answer first.
    """

    def __init__(self) -> None:
        self.record: Record | None = None
        self.findings: tuple[Finding, ...] = ()


@contextmanager
def recording() -> Iterator[Recording]:
    """Record the training loop in the block; at its end nothing of the recorder is left in PyTorch.

    Errors of the block pass through; what PyTorch raised is a finding too. Network and optimizer may be made
    in the block or before it; where is known of those that are made in it. Keras is not seen here: use
    ``check`` with a file.

    >>> with netmend.recording() as run:  # doctest: +SKIP
    ...     train(model, loader, optimizer)
    >>> for finding in run.findings: print(finding)  # doctest: +SKIP
    """
    with _recording(sys._getframe(2).f_code.co_filename) as seen:
        yield seen


@contextmanager
def _recording(file: str) -> Iterator[Recording]:
    seen, crash = Recording(), None
    recorder = Recorder(Frames(Path(file).parent), Plan())
    _know(recorder)
    undo = ExitStack()
    try:
        install_torch(recorder, undo)
        with Flow(recorder, gpu=True):
            yield seen
    except BaseException as error:
        failed = recorder.crash
        crash = failed[1] if failed is not None and failed[0] is error else None
        raise
    finally:
        undo.close()
        recorder.busy = True  # what follows is not the block's
        with TemporaryDirectory(prefix="netmend-") as folder:
            seen.record = replace(summarise(recorder, f"{folder}/data.npz"), crash=crash)
            seen.findings = findings(seen.record)


def check(what: Callable[[], object] | str | Path) -> tuple[Finding, ...]:
    """What is wrong with a training script, or with a function that trains.

    Args:
        what: path of a script, which runs in a copy of its folder with the limits of ``netmend check``; or a
            function, which is called here, to its end and without limits.

    Returns:
        faults with one answer first, then other faults, then warnings.

    Raises:
        NetmendError: the script could not be run, or nothing was trained.
    """
    if not callable(what):
        return check_script(Path(what)).findings
    code = getattr(what, "__code__", None)
    with _recording(code.co_filename if code else "") as seen:
        what()
    if seen.record is not None and (reason := unjudged(seen.record)):
        raise NetmendError(reason)
    return seen.findings


def _know(recorder: Recorder) -> None:
    """Tell a recorder of the networks and optimizers that are there already."""
    for one in gc.get_objects():
        if issubclass(type(one), nn.Module):
            recorder.on_module(one)
        elif issubclass(type(one), Optimizer):
            recorder.on_optimizer(one, was_there=True)

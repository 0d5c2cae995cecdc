"""Loops that Lightning and Hugging Face hold. Both are imported by the script alone."""

from __future__ import annotations

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from netmend.env.script.importing import AfterImport
from netmend.env.script.measure import plain_settings
from netmend.env.script.record import Framework, Loop
from netmend.env.script.site import Site

if TYPE_CHECKING:
    from netmend.env.script.frames import Frames
    from netmend.env.script.recorder import Recorder


_ARGUMENTS = (
    *("per_device_train_batch_size", "max_grad_norm", "max_steps"),
    *("gradient_accumulation_steps", "label_smoothing_factor"),
)


def install_trainers(recorder: Recorder) -> None:
    """Keep ``TrainingArguments`` and where they are made: optimizer and loop of Hugging Face follow them."""

    def listen(module: Any) -> None:
        arguments = module.TrainingArguments
        init = arguments.__init__

        def __init__(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            init(self, *args, **kwargs)
            recorder.arguments = recorder.site_of(self)
            recorder.held = plain_settings((name, getattr(self, name, None)) for name in _ARGUMENTS)

        arguments.__init__ = __init__

    sys.meta_path.insert(0, AfterImport("transformers.training_args", listen))


def trainer_loop(frames: Frames) -> tuple[Framework, Loop | None]:
    """Who holds the loop that runs now, and the call that holds it; ``torch`` where the script does."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name, function = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        trainer = frame.f_locals.get("self")
        if function == "fit" and name.startswith(("lightning.", "pytorch_lightning.")):
            return "lightning", _loop(frames, frame, getattr(trainer, "max_epochs", None))
        if function == "train" and name == "transformers.trainer":
            return "transformers", _loop(
                frames, frame, getattr(getattr(trainer, "args", None), "num_train_epochs", None)
            )
        frame = frame.f_back
    return "torch", None


def _loop(frames: Frames, frame: FrameType, epochs: float | None) -> Loop | None:
    """The loop of a trainer, where the script calls it."""
    outer: FrameType | None = frame
    while outer is not None and frames.file(outer.f_code) is None:
        outer = outer.f_back
    if outer is None:
        return None
    site: Site = frames.of(outer)
    return Loop(kind="epochs", rounds=None if epochs is None else int(epochs), step=1, site=site)

"""Programs that cannot be tried, and crashes: what a framework would say, and what can answer it."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.findings.finding import Case, Heuristic, Sight, layer_place
from netmend.env.program import Crash
from netmend.env.program.crashes import CrashKind, Phase

PHASE_WORDS: dict[Phase, str] = {
    "data": "while it reads its data",
    "build": "while its network is built",
    "forward": "in the forward pass",
    "loss": "in its loss",
    "backward": "in the backward pass",
    "predict": "when it predicts, after its training",
}
_SHAPES: tuple[CrashKind, ...] = ("rank", "size")
_LAYER_SHAPES = (
    "add_layer/flatten@program",
    "add_layer/reshape@program",
    "layer_dimension/fit_*",
    "neural_connection/all_steps@hidden",
    "neural_connection/remove_skips@hidden",
    "neural_connection/own_weights@hidden",
    "data_dimension/*@inputs",
    "layer_dimension/input_from_data@program",
    "layer_dimension/padding_same@all",
    "layer_dimension/kernel_3@hidden",
    "neural_connection/replace_head@output",
    "change_neural_architecture/*",
    "add_layer/global_pool@program",
    "neural_connection/last_step@hidden",
    "layer_dimension/*",
)
_OUTPUT_SHAPES = (
    "layer_dimension/task_units@output",
    "layer_dimension/fit_decoder@output",
    "data_dimension/*@targets",
    "loss_function/*",
    "neural_connection/replace_head@output",
    "add_layer/flatten@program",
    "neural_connection/last_step@hidden",
    "add_layer/global_pool@program",
    "change_neural_architecture/*",
)
_CLASS_IDS = (
    "data_wrangling/remove_prep@targets",
    "layer_dimension/task_units@output",
    "data_dimension/*@targets",
    "data_type/loss_type@targets",
    "loss_function/*",
    "neural_connection/replace_head@output",
)
ANSWERS: dict[tuple[Phase, CrashKind], tuple[str, ...]] = {
    ("data", "type"): ("data_type/arrays@program",),
    ("data", "label"): (
        "data_dimension/index@targets",
        "data_wrangling/remove_prep@targets",
        "loss_function/*",
        "data_type/loss_type@targets",
    ),
    ("build", "name"): ("versioning/*",),
    ("build", "graph"): ("api_contract/optimize_all@program",),
    ("forward", "type"): ("data_type/first_layer_type@inputs", "change_neural_architecture/*"),
    ("loss", "name"): ("versioning/*",),
    ("loss", "type"): ("data_type/loss_type@targets", "loss_function/*"),
    ("loss", "label"): _CLASS_IDS,
    ("backward", "graph"): ("api_contract/loss_graph@program",),
    **{("data", kind): ("data_dimension/*", "change_neural_architecture/*") for kind in _SHAPES},
    **{("build", kind): _LAYER_SHAPES for kind in _SHAPES},
    **{
        ("forward", kind): (
            "layer_dimension/fit_inputs@*",
            "layer_dimension/input_from_data@program",
            "layer_dimension/vocabulary@inputs",
            *_LAYER_SHAPES,
        )
        for kind in _SHAPES
    },
    **{("loss", kind): _OUTPUT_SHAPES for kind in _SHAPES},
    **{("predict", kind): ("data_dimension/batch_axis@program",) for kind in _SHAPES},
}
"""By phase and kind: names or globs of the repair actions that can answer such a crash, the likeliest first.

What only the numbers decide (kind ``other``) has no answer of its own.
"""
_UNSEEN: tuple[str, ...] = ("iterations/batch_*", "add_layer/*", "layer_dimension/*")


def invalid(case: Case) -> Iterator[Sight]:
    """Settings out of range, and networks too large to be tried."""
    for problem in case.problems:
        yield Sight(place=problem.partition(":")[0], words={"problem": problem})


def crash(case: Case) -> Iterator[Sight]:
    """The crash of the program, from the static check or from a trial."""
    if case.crash is not None:
        yield _sight(case, case.crash)
    elif case.is_crash and case.trial is not None:
        yield Sight(words={"when": "", "message": case.trial.message or "no reason was given"}, edits=_UNSEEN)


def _sight(case: Case, found: Crash) -> Sight:
    place = "" if found.layer is None else layer_place(case.program, found.layer)
    where = f" at {place}" if place else ""
    return Sight(
        place=place,
        words={"when": f" {PHASE_WORDS[found.phase]}{where}", "message": found.message},
        edits=ANSWERS.get((found.phase, found.kind), _UNSEEN),
    )


INVALID = Heuristic(
    name="invalid",
    severity="fault",
    look=invalid,
    text="the program cannot be tried: {problem}",
    edits=("change_neural_architecture/*", "data_*", "layer_dimension/*", "add_layer/*"),
)
HEURISTICS: tuple[Heuristic[Case], ...] = (
    INVALID,
    Heuristic(name="crash", severity="fault", look=crash, text="the program crashes{when}: {message}"),
)

"""What a recorder has seen, as a ``Record``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from netmend.env.script.derivatives import settle
from netmend.env.script.facts import curve_facts, keras_facts, loss_facts, operation_facts, row_facts
from netmend.env.script.graph import squashed
from netmend.env.script.keras import KerasSeen
from netmend.env.script.losses import trained_loss
from netmend.env.script.measure import describe
from netmend.env.script.record import Fact, LossCall, Record, Score
from netmend.env.script.recorder import Recorder
from netmend.env.script.row_order import OTHER_ORDER
from netmend.env.script.rows import save

_SQUASHING = ("softmax", "sigmoid", "relu", "logsoftmax", "log_softmax")


def summarise(recorder: Recorder, data: str | None) -> Record:
    """The record of a run, without what only the process around it knows (ending, output, seconds).

    Args:
        recorder: after the script has ended.
        data: path of the ``npz`` that the rows are written to, None for none.
    """
    if recorder.keras is not None and recorder.framework == "keras":
        return _summarise_keras(recorder, recorder.keras, data)
    with suppress(Exception):  # of weights of any kind
        settle(recorder)
    score = _score(recorder)
    seen = trained_loss(recorder.losses.seen, recorder.updates.graph)
    loss = seen[0] if seen is not None else _own_loss(recorder)
    network = recorder.network
    saved = data is not None and save(data, recorder.passes.training_rows, recorder.passes.evaluation_rows)
    updates = recorder.updates
    return Record(
        framework=recorder.framework,
        operations=tuple(recorder.trace.operations),
        modules=_modules(recorder),
        made=None if network is None else recorder.made.get(id(network), (network, None))[1],
        network="" if network is None else type(network).__name__,
        inputs=recorder.inputs,
        targets=None if loss is None else loss.target,
        loss=loss,
        fitting=tuple(sorted(recorder.losses.fitting - recorder.losses.unlike)),
        optimizers=updates.optimizers_made(_parameter_names(recorder)),
        loaders=recorder.loaders.records(),
        loops=recorder.loops,
        zeroed=updates.zeroed,
        backward=updates.backward_site,
        forward=recorder.passes.forward,
        evaluated=recorder.passes.evaluated,
        modes=tuple(recorder.modes),
        schedules=tuple((type(one.schedule).__name__, one.made) for one in updates.schedules),
        scheduled=updates.scheduled_site,
        fit=recorder.held if recorder.framework == "transformers" else {},
        facts=tuple(_facts(recorder, loss)),
        losses=tuple(updates.losses),
        updates=updates.count,
        score=score,
        opaque=tuple(_opaque(recorder, loss, 1 if seen is None else seen[1])),
        data=data if saved else None,
    )


def _summarise_keras(recorder: Recorder, seen: KerasSeen, data: str | None) -> Record:
    passes, updates = recorder.passes, recorder.updates
    # What Keras puts out is a probability, judged at one half, but where the loss takes logits.
    logits = seen.loss is not None and bool(seen.loss.settings.get("from_logits"))
    passes.loss = "binary_cross_entropy_with_logits" if logits else "mse_loss"
    if recorder.judge_keras is not None and not passes.judged:
        recorder.judge_keras()
    score = passes.own(updates.count)
    if score is not None and seen.withheld:
        score = replace(score, source="withheld")
    rows = passes.training_rows.arrays()
    saved = data is not None and save(data, passes.training_rows, passes.evaluation_rows)
    facts = [
        *(() if rows is None else row_facts(rows[0], seen.fitted)),
        *curve_facts(updates.losses, seen.fitted),
        *(
            ()
            if seen.loss is None
            else keras_facts(seen.operations, seen.loss, None if rows is None else rows[1])
        ),
    ]
    return Record(
        framework="keras",
        operations=seen.operations,
        modules=seen.modules,
        network=seen.network[0],
        made=seen.network[1],
        inputs=seen.inputs,
        targets=None if seen.loss is None else seen.loss.target,
        loss=seen.loss,
        optimizers=() if seen.optimizer is None else (replace(seen.optimizer, steps=updates.count),),
        loaders=() if seen.loader is None else (seen.loader,),
        loops=() if seen.loop is None else (seen.loop,),
        forward=recorder.passes.forward,
        evaluated=recorder.passes.evaluated,
        backward=seen.fitted,
        facts=tuple(facts),
        losses=tuple(updates.losses),
        updates=updates.count,
        score=score,
        fit=seen.fit,
        opaque=(
            *seen.opaque,
            *(f"not recorded: {text.strip().splitlines()[-1][:200]}" for text in recorder.troubles[:1]),
        ),
        data=data if saved else None,
    )


def _score(recorder: Recorder) -> Score | None:
    own = recorder.passes.own(recorder.updates.count)
    if own is not None:
        # Who draws rows by weights wants rare classes to count, and loses accuracy on common ones by that.
        fair = recorder.passes.balanced() if recorder.loaders.weighted and own.kind == "accuracy" else None
        return fair or own
    network = recorder.network
    if network is not None and recorder.loaders.withheld is not None:
        withheld = recorder.passes.withheld(lambda: _applied(recorder, network))
        if withheld is not None:
            return withheld
    return recorder.passes.prequential()


def _applied(recorder: Recorder, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Outputs and targets of the withheld rows; none where the network does not take them as they are."""
    recorder.busy = True  # nothing of this is the script's
    network.eval()
    try:
        with torch.no_grad():
            return [(network(given), target) for given, target in recorder.loaders.withheld_batches()]
    except Exception:
        return []


def _own_loss(recorder: Recorder) -> LossCall | None:
    """A loss that the script computes by itself: only the network's output and its truth are known."""
    updates, rows = recorder.updates, recorder.passes.training_rows.arrays()
    outputs = [operation.returned for operation in recorder.trace.operations if operation.owner != "<script>"]
    if updates.graph is None or not outputs:
        return None
    return LossCall(
        kind="",
        settings={},
        output=outputs[-1],
        target=outputs[-1] if rows is None else describe(rows[1]),
        made=None,
        called=updates.backward_site,
        attached=updates.graph.attached,
        behind=updates.graph.names[:8],
    )


def _modules(recorder: Recorder) -> dict[str, str]:
    """Dotted names and classes of all modules that were applied from outside, hidden ones included."""
    return {
        name: type(recorder.made[key][0]).__name__
        for key, name in recorder.names.items()
        if key in recorder.made and (name or recorder.made[key][0] is recorder.network)
    }


def _parameter_names(recorder: Recorder) -> dict[int, str]:
    found: dict[int, str] = {}
    for key, name in recorder.names.items():
        if key in recorder.made:
            for own, parameter in recorder.made[key][0].named_parameters(recurse=False):
                found.setdefault(id(parameter), f"{name}.{own}" if name else own)
    return found


def _facts(recorder: Recorder, loss: LossCall | None) -> Iterator[Fact]:
    updates, passes = recorder.updates, recorder.passes
    batches = next(
        (loop.rounds for loop in reversed(recorder.loops) if loop.kind in ("loader", "range")), None
    )
    rounds = [None if loop.kind == "epochs" else loop.rounds for loop in recorder.loops]
    planned = prod(filter(None, rounds)) if rounds and None not in rounds else None
    if planned is not None and updates.count > planned:  # of several loops
        planned = None if recorder.capped else updates.count
    updates.schedule_facts(batches if len(recorder.loops) > 1 else None, planned)
    yield from updates.facts.values()
    yield from updates.idle_facts()
    yield from {fact.name: fact for fact in reversed(recorder.trace.facts)}.values()
    yield from recorder.states.facts()
    yield from _hidden(recorder)
    yield from _modes(recorder)
    yield from _disorder(recorder)
    yield from operation_facts(recorder.trace.operations)
    if updates.graph is not None and (found := squashed(updates.graph)) is not None:
        last = [one for one in recorder.trace.operations if one.kind.lower() in _SQUASHING]
        site = (last[-1].made or last[-1].called) if last else (loss.called if loss else None)
        yield Fact(name=found[0], value=1, text=found[1], site=site)
    rows = passes.training_rows.arrays()
    if loss is not None:
        yield from loss_facts(loss, None if rows is None else rows[1])
    if rows is not None:
        yield from row_facts(rows[0], recorder.passes.forward)
    yield from curve_facts(updates.losses, updates.backward_site)
    if recorder.no_gpu:
        yield Fact(name="no_gpu", value=1, text="there is no GPU: cuda stands for the CPU", site=None)


def _hidden(recorder: Recorder) -> Iterator[Fact]:
    """Modules that work in the network but are not registered in it, so that no optimizer gets them."""
    owners = [
        (module, site)
        for module, site in list(recorder.made.values())  # a layer of Keras makes modules as one looks
        if any(id(parameter) in recorder.updates.hidden for parameter in module.parameters(recurse=False))
    ]
    if owners:
        names = [recorder.names.get(id(module)) or type(module).__name__ for module, _ in owners]
        text = f"{', '.join(names[:8])} not registered in the network"
        yield Fact(name="unregistered", value=len(owners), text=text, site=owners[0][1])


def _modes(recorder: Recorder) -> Iterator[Fact]:
    network, passes = recorder.network, recorder.passes
    if network is None or not any(
        isinstance(module, (_DropoutNd, _BatchNorm)) for module in network.modules()
    ):
        return
    if passes.scored_in_training_mode:
        text = f"{passes.scored_in_training_mode} rows were judged with dropout or batch statistics on"
        yield Fact(
            name="evaluated_in_training_mode",
            value=passes.scored_in_training_mode,
            text=text,
            site=recorder.passes.evaluated,
        )
    if passes.trained_in_evaluation_mode:
        text = f"{passes.trained_in_evaluation_mode} updates came from a network in evaluation mode"
        yield Fact(
            name="trained_in_evaluation_mode",
            value=passes.trained_in_evaluation_mode,
            text=text,
            site=recorder.passes.forward,
        )


def _disorder(recorder: Recorder) -> Iterator[Fact]:
    """Outputs that were compared with the labels of other rows, and where their loader is made."""
    run = recorder.passes.disordered
    if run is not None and not run.in_order:
        made = recorder.loaders.made(run.loader)
        yield Fact(name=OTHER_ORDER, value=len(run.output), text="", site=made or run.called)


def _opaque(recorder: Recorder, loss: LossCall | None, places: int) -> Iterator[str]:
    """What a program cannot say, by name."""
    yield from recorder.opaque
    if sum(seen.steps > 0 for seen in recorder.updates.optimizers) > 1:
        yield "two optimizers"
    if loss is not None and not loss.kind:
        yield "own loss"
    if places > 1:
        yield "several losses"
    if recorder.troubles:
        yield f"not recorded: {recorder.troubles[0].strip().splitlines()[-1][:200]}"

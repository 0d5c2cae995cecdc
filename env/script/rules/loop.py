"""The training loop: gradients, the optimizer and what it was given, modes, rate and schedule."""

from __future__ import annotations

from collections.abc import Iterator

from netmend.env.findings.choices import FAR_RATE, HEAVY_MOMENTUM, LEAST_UPDATES
from netmend.env.findings.finding import Finder, Sight
from netmend.env.program.kinds import DEFAULT_LR, OPTIMIZER_KINDS
from netmend.env.script.exhausted import EXHAUSTED
from netmend.env.script.losses import POINTWISE
from netmend.env.script.record import Record
from netmend.env.script.rules.reading import Rule, behind_loss, chosen, cut, facts, fitting_losses
from netmend.env.script.stopping import WRONG_MODE
from netmend.env.script.terms import SUMMED

LOOP: list[Rule] = []
CHOICES: list[Rule] = []
fault = Finder("fault", LOOP)
likely, possible = Finder("warning", CHOICES, "likely"), Finder("warning", CHOICES)
_RATES = (0.0001, 0.001, 0.01, 0.1)
"""Learning rates that an action sets."""
_TWO_MODES = ("Dropout", "AlphaDropout", "FeatureAlphaDropout", "BatchNorm", "SyncBatchNorm")
"""Beginnings of classes of modules that work in one way while training and in another while predicting."""

_FLAT = frozenset(("Round", "Sign", "Floor", "Ceil", "Trunc"))
"""Autograd nodes of steps, whose gradient is 0."""
_NEVER_NEGATIVE = (*POINTWISE, "cross_entropy", "binary_cross_entropy", "binary_cross_entropy_with_logits")
_LARGE_PENALTY, _LARGE_DECAY, _LARGE_DECOUPLED = 10.0, 0.1, 1.0
"""Times the rest of the loss from which a penalty is large. From which a weight decay is: as a part of the
gradient, and as a share of the rate."""
_DECOUPLED = ("AdamW", "NAdamW", "SGDW", "Lion")


@fault(
    "gradients are never set to zero, so every update repeats all the gradients before it",
    "api_contract/zero_grad@program",
)
def gradients_add_up(record: Record) -> Iterator[Sight]:
    """Gradients of an update that stand there in the next, and are never set to zero.

    Of two optimizers one may be set to zero later than the other's backward pass, so nothing at all must be
    set to zero then.
    """
    for one in facts(record, "no_zero_grad"):
        if record.zeroed is None or _steps_alone(record):
            yield Sight(value=one.value, site=one.site or record.backward)


@fault(
    "the optimizer steps before the backward pass, not with the gradient of its batch",
    "api_contract/step_order@program",
)
def step_before_backward(record: Record) -> Iterator[Sight]:
    """A step in front of the backward pass in the same round. One in front of the loop is harmless."""
    behind = record.backward
    for one in facts(record, "step_before_backward"):
        site = one.site
        if site is None or behind is None or (site.file, site.function) != (behind.file, behind.function):
            continue
        heads = [loop.site.line for loop in record.loops if loop.site.function == site.function]
        if max(heads, default=0) <= site.line < behind.line:
            yield Sight(value=one.value, site=site)


@fault(
    "{why}: the optimizer has stepped {value:.0f} times without a gradient, and nothing is learnt",
    "api_contract/step_order@program",
)
def no_backward(record: Record) -> Iterator[Sight]:
    """Steps without a backward pass, and without a gradient that stands there at any of them.

    Without a loss it may be the course of a schedule that is drawn.
    """
    for one in facts(record, "no_backward"):
        if record.loss is not None:
            held = record.framework == "lightning"
            why = "training_step returns no loss" if held else "there is no backward pass"
            yield Sight(value=one.value, site=record.loss.called if held else one.site, words={"why": why})


@fault(
    "gradients are set to zero between the backward pass and the step, so the step changes nothing",
    "api_contract/step_order@program",
)
def zeroed_before_step(record: Record) -> Iterator[Sight]:
    """A step of the only optimizer at which all its gradients are zero, since they were set to that."""
    for one in facts(record, "zeroed_before_step"):
        if _steps_alone(record):
            yield Sight(value=one.value, site=one.site or record.zeroed)


@fault(
    "no gradient goes from the loss to the network, so nothing is learnt", "api_contract/loss_graph@program"
)
def loss_cut(record: Record) -> Iterator[Sight]:
    """A loss that is trained and has no gradient graph, or that is made anew of its number."""
    loss, found, by = record.loss, chosen(record), cut(record)
    several = "several networks" in record.opaque or any(facts(record, "optimizer_in_front"))
    parameters = 0 if several else len({name for made in record.optimizers for name in made.given})
    if found is not None and set(behind_loss(record)[:1]) & _FLAT:
        yield Sight(site=found[0].called, edits=fitting_losses(found[1], loss.target) if loss else None)
    for one in facts(record, "detached_loss", "no_gradient"):
        whole = one.value >= parameters > 0 or (loss is not None and not loss.behind)
        if one.name == "detached_loss" or whole:
            edits = fitting_losses(found[1], loss.target) if found is not None and loss is not None else None
            site = found[0].called if found is not None else by and by.called
            yield Sight(value=one.value, site=site or one.site or record.backward, edits=edits)


@fault("the training makes {loss} larger, not smaller: {how}")
def turned_loss(record: Record) -> Iterator[Sight]:
    """A loss that is never below 0 and is trained with a minus, or an optimizer that goes uphill on it.

    Of several networks, one may be meant to make the loss of another larger.
    """
    loss, losses = record.loss, record.losses
    if loss is None or loss.kind not in _NEVER_NEGATIVE or not losses or "several networks" in record.opaque:
        return
    by_hand = next(facts(record, "added_gradient"), None)
    if by_hand is not None and by_hand.site is not None and losses[0] > 0:
        yield Sight(value=losses[0], site=by_hand.site, words={"loss": loss.kind, "how": by_hand.text})
    minus = loss.behind[:1] == ("Neg",) and max(losses) < 0
    uphill = [made for made in record.optimizers if made.settings.get("maximize") and made.steps]
    if minus != bool(uphill) and len(record.optimizers) == 1 and (minus or min(losses) >= 0):
        how = "it is trained with a minus" if minus else f"{uphill[0].kind} has maximize=True"
        site = record.backward if minus else uphill[0].made
        yield Sight(value=losses[0], site=site, words={"loss": loss.kind, "how": how})


@fault("the optimizer never steps: {value:.0f} backward passes and no update")
def never_stepped(record: Record) -> Iterator[Sight]:
    """Backward passes of a run that went on to its end, and an optimizer that never steps."""
    if (
        record.framework == "torch"
        and record.ending == "finished"
        and record.optimizers
        and not record.updates
    ):
        backwards = len(record.losses)
        if backwards > 1 and all(made.given and not made.steps for made in record.optimizers):
            yield Sight(value=float(backwards), site=record.backward)


@fault(
    "{seen} (in a plain list?), so no optimizer has them and they never change",
    "api_contract/optimize_all@program",
)
def unregistered(record: Record) -> Iterator[Sight]:
    """Parameters in the loss's graph that stand neither in the network nor in an optimizer."""
    for one in facts(record, "unregistered"):
        yield Sight(value=one.value, site=one.site or record.made, words={"seen": one.text})


@fault(
    "the optimizer was not given the parameters of {layers}: they never change",
    "api_contract/optimize_all@program",
)
def not_all_optimized(record: Record) -> Iterator[Sight]:
    """Parameters with a gradient that no optimizer has, beside others of the same network that one has.

    Where weights were loaded, a part may be meant to stay as it is: nothing is said.
    """
    if any("pretrained" in what for what in record.opaque) or any(facts(record, "optimizer_in_front")):
        return
    made = next((made for made in record.optimizers if made.given), None)
    for one in facts(record, "not_optimized"):
        if made is not None:
            layers = one.text.rpartition(": ")[2]
            yield Sight(value=one.value, site=one.site or made.made, words={"layers": layers})


@fault(
    "the optimizer was made before the new {layers}, and still has the old ones: the new ones never change",
    "api_contract/optimize_all@program",
)
def optimizer_in_front(record: Record) -> Iterator[Sight]:
    """A layer that gradients reach and no optimizer has: one gets another that stood in its place before."""
    for one in facts(record, "optimizer_in_front"):
        yield Sight(value=one.value, site=one.site, words={"layers": one.text})


@fault(
    "the network is trained in evaluation mode, which matters to {layers}",
    "api_contract/training_mode@program",
)
def no_training_mode(record: Record) -> Iterator[Sight]:
    """A network with dropout that is trained in evaluation mode.

    Batch statistics may be frozen on purpose, and a network that no optimizer has may only look on.
    """
    layers = _of_two_modes(record, "Dropout") if any(made.given for made in record.optimizers) else ""
    for one in facts(record, "trained_in_evaluation_mode"):
        if layers:
            yield Sight(value=one.value, site=one.site or record.forward, words={"layers": layers})


@fault(
    "the network is judged in training mode, which matters to {layers}",
    "api_contract/evaluation_mode@program",
)
def no_evaluation_mode(record: Record) -> Iterator[Sight]:
    """Rows that are compared with labels, without gradients, while dropout or batch statistics are on."""
    layers = _of_two_modes(record, *_TWO_MODES)
    for one in facts(record, "evaluated_in_training_mode"):
        if layers:
            yield Sight(value=one.value, site=one.site or record.evaluated, words={"layers": layers})


@fault(
    "{kept} is no copy: training goes on to change it, and what is used in the end are the last weights",
    "iterations/early_stopping_10@program",
)
def kept_uncopied(record: Record) -> Iterator[Sight]:
    """Weights that are taken in a training and given back behind it, with no copy of them in between."""
    for one in facts(record, "kept_uncopied"):
        yield Sight(value=one.value, site=one.site, words={"kept": one.text})


@likely(
    "the optimizer was given nothing of a network that gradients reach: {layers} never change",
    "api_contract/optimize_all@program",
)
def network_left_out(record: Record) -> Iterator[Sight]:
    """A second network in the graph of the loss that no optimizer has. It may be there to judge the first."""
    if any("pretrained" in what for what in record.opaque) or not any(
        made.given for made in record.optimizers
    ):
        return
    for one in facts(record, "network_not_optimized"):
        yield Sight(value=one.value, site=one.site, words={"layers": one.text.rpartition(": ")[2]})


@likely(
    "{seen}, though the network uses it: it never learns",
    "neural_connection/remove_detach@all",
    "api_contract/loss_graph@program",
)
def no_gradient(record: Record) -> Iterator[Sight]:
    """Layers that the training forward pass uses, and that the loss does not reach.

    With several optimizers another loss may reach them.
    """
    if any(loss_cut(record)):
        return
    used = {one.module for one in record.operations if one.module}
    for one in facts(record, "no_gradient"):
        names = one.text.removeprefix("no gradient reaches ").split(", ")
        if used & {name.rpartition(".")[0] for name in names} and _steps_alone(record):
            yield Sight(value=one.value, site=one.site or record.made, words={"seen": one.text})


@likely(
    "{seen}: the network learns small weights and little else",
    "neural_connection/remove_regularisation@all",
)
def large_penalty(record: Record) -> Iterator[Sight]:
    """A penalty on weights in the loss that is many times the rest of it at the start."""
    for one in facts(record, "penalty"):
        if one.value >= _LARGE_PENALTY:
            yield Sight(value=one.value, site=one.site or record.backward, words={"seen": one.text})


@likely(
    "{seen}: the sum counts each row {value:,.0f} times, and more with larger batches",
    "loss_function/mean_reduction@program",
)
def summed_part(record: Record) -> Iterator[Sight]:
    """A part of the loss that sums the rows of a batch, where another is their mean."""
    for one in facts(record, SUMMED):
        yield Sight(value=one.value, site=one.site or record.backward, words={"seen": one.text})


@likely(
    "the learning rate {value:g} is {times} what {kind} usually has, {usual:g}",
    "optimizer/lr_*",
    "optimizer/*",
)
def far_rate(record: Record) -> Iterator[Sight]:
    """A learning rate far from the optimizer's usual one, in every update that was seen."""
    for made in record.optimizers:
        rate = made.settings.get("lr", made.settings.get("learning_rate"))
        usual = next((lr for kind, lr in DEFAULT_LR.items() if kind == made.kind.lower()), None)
        if not isinstance(rate, int | float) or usual is None or rate <= 0 or not made.given:
            continue
        rate = min(max(usual, min(rate, *made.rates)), max(rate, *made.rates)) if made.rates else rate
        ratio = max(rate / usual, usual / rate)
        of_lambda = rate == 1 and any(kind == "LambdaLR" for kind, _ in record.schedules)
        if ratio >= FAR_RATE and not of_lambda:  # whose function gives rates then
            times = f"{ratio:,.0f} times {'above' if rate > usual else 'below'}"
            words = {"kind": made.kind, "usual": usual, "times": times}
            rates = (own for own in (usual, 10 * usual) if own in _RATES)
            edits = (*(f"optimizer/lr_{own:g}@program" for own in rates), "optimizer/lr_*", "optimizer/*")
            yield Sight(value=float(rate), site=made.made, words=words, edits=edits)


@likely(
    "the schedule is for epochs and steps after every update{fell}",
    "api_contract/schedule_per_epoch@program",
    "optimizer/remove_schedule@program",
)
def schedule_per_update(record: Record) -> Iterator[Sight]:
    """A schedule for epochs that steps after every update. Some are made for updates, so it is a warning."""
    rates = next((made.rates for made in record.optimizers if made.rates), (0.0, 0.0))
    fell = f": in {record.updates} updates the rate goes from {rates[1]:.2g} to {rates[0]:.2g}"
    for one in facts(record, "schedule_per_update"):
        yield Sight(value=one.value, site=one.site, words={"fell": fell if rates[0] < rates[1] else ""})


@likely("{seen}", "api_contract/schedule_per_epoch@program", "iterations/remove_early_stopping@program")
def stop_mode(record: Record) -> Iterator[Sight]:
    """A callback that waits for a score to fall, or for a loss to rise."""
    for one in facts(record, WRONG_MODE):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@fault(
    "{seen} is made once and is used up by the first epoch: all the others train on nothing",
    "data_wrangling/all_rows@inputs",
)
def exhausted(record: Record) -> Iterator[Sight]:
    """An iterator over the batches that no epoch makes anew."""
    for one in facts(record, EXHAUSTED):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@likely("{seen}", "api_contract/schedule_per_epoch@program")
def plateau_mode(record: Record) -> Iterator[Sight]:
    """A schedule that waits for a score to fall, or for a loss to rise."""
    for one in facts(record, "minimized_score", "maximized_loss"):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@likely(
    "{seen}: no update has a rate above {value:.2g}",
    "api_contract/schedule_per_epoch@program",
    "optimizer/remove_schedule@program",
)
def rate_as_factor(record: Record) -> Iterator[Sight]:
    """A schedule that is given rates, and takes them for factors of the optimizer's rate."""
    for one in facts(record, "rate_as_factor"):
        yield Sight(value=one.value, site=one.site, words={"seen": one.text})


@possible("a momentum of {value:g} hardly forgets a step; 0.9 is usual", "optimizer/momentum_0.9@program")
def heavy_momentum(record: Record) -> Iterator[Sight]:
    """Momentum that remembers hundreds of updates."""
    for made in record.optimizers:
        momentum = made.settings.get("momentum")
        if isinstance(momentum, int | float) and momentum >= HEAVY_MOMENTUM:
            yield Sight(value=float(momentum), site=made.made)


@likely(
    "a weight decay of {value:g} pulls all weights to 0; 0.0001 to 0.01 is usual",
    "optimizer/remove_weight_decay@program",
)
def large_decay(record: Record) -> Iterator[Sight]:
    """A weight decay that outweighs what the rows say."""
    for made in record.optimizers:
        decay = made.settings.get("weight_decay")
        own = made.kind in _DECOUPLED or made.settings.get("decoupled_weight_decay")
        if isinstance(decay, int | float) and decay >= (_LARGE_DECOUPLED if own else _LARGE_DECAY):
            yield Sight(value=float(decay), site=made.made)


@possible("the training makes only {value:.0f} updates in all", "iterations/epochs_*", "iterations/batch_*")
def few_updates(record: Record) -> Iterator[Sight]:
    """A training that ends before it has begun."""
    if any(made.kind == "LBFGS" for made in record.optimizers):  # an update of it is many steps
        return
    if record.ending == "finished" and record.loops and 0 < record.updates < LEAST_UPDATES:
        yield Sight(value=float(record.updates), site=record.loops[0].site)


@possible(
    "the loss is summed over a batch of {value:.0f} rows, so its gradient is as many times larger",
    "loss_function/mean_reduction@program",
)
def summed_loss(record: Record) -> Iterator[Sight]:
    """The loss of a batch is the sum over its rows, and the size of a gradient is that of a step."""
    loss, kinds = record.loss, {made.kind.lower() for made in record.optimizers}
    if loss is None or any(kind.rescales for name, kind in OPTIMIZER_KINDS.items() if name in kinds):
        return
    if loss.settings.get("reduction") == "sum" and loss.output.shape[:1] > (1,):
        yield Sight(value=float(loss.output.shape[0]), site=loss.made or loss.called)


def _steps_alone(record: Record) -> bool:
    """Whether one optimizer steps, and no other."""
    return sum(made.steps > 0 for made in record.optimizers) == 1


def _of_two_modes(record: Record, *kinds: str) -> str:
    """The network's modules of these kinds, in words; empty where there are none."""
    return ", ".join(sorted({kind for kind in record.modules.values() if kind.startswith(kinds)}))

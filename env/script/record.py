"""What is known of a script after it ran for a while under the recorder. Plain data, JSON in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from netmend.env.script.site import Site

Setting: TypeAlias = bool | int | float | str | tuple[float, ...] | None
Framework = Literal["torch", "lightning", "transformers", "keras"]
Ending = Literal["finished", "capped", "crashed", "exited", "timeout", "memory", "killed"]
"""``capped``: the recorder saw enough and ended the run; ``exited``: ``sys.exit`` with a status other than 0;
``killed``: a limit of the operating system, or a crash of the interpreter."""


@dataclass(frozen=True, kw_only=True)
class Array:
    """A tensor that was seen: its shape with the batch axis, its type (``float32``), and what stands in it.

    Attributes:
        low, high, mean, deviation: of the finite values, 0 where there are none.
        missing: how many values are NaN or infinite.
        whole: whether every finite value is a whole number.
        distinct: how many values differ, at most 1,000 counted.
    """

    shape: tuple[int, ...]
    dtype: str
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    missing: int = 0
    whole: bool = False
    distinct: int = 0


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A step of the network's forward pass, in the order of execution.

    Attributes:
        kind: the module's class (``Linear``, ``LSTM``, Keras' ``Dense``) or the function (``relu``, ``cat``,
            ``view``). What happens inside a leaf module is not recorded.
        module: dotted name of the leaf module in the network, None for a function.
        owner: dotted name of the module whose ``forward`` calls it, empty for the network itself;
            ``<script>`` where the script applies it outside of the network, in front of the loss.
        settings: of the module (``in_features``, ``kernel_size``, ``p``), or constant arguments of the call,
            by name where torch has one, else by position (``1``).
        inputs: indices of the operations that it takes, -1 for the rows of the batch.
        received, returned: the first tensor that went in, and the first that came out.
        made: where the module was constructed, or None.
        called: where it is applied: the call in ``forward``, or None where a container applies it.
        trainable: parameters that require gradients; frozen: those that do not.
        weights: mean and deviation of the kernel at the start; None without one.
    """

    kind: str
    module: str | None
    owner: str
    settings: dict[str, Setting]
    inputs: tuple[int, ...]
    received: Array
    returned: Array
    made: Site | None
    called: Site | None
    trainable: int = 0
    frozen: int = 0
    weights: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class LossCall:
    """The call that computes the loss that is trained.

    Attributes:
        kind: name of the functional (``cross_entropy``, ``mse_loss``), or Keras' name; empty for one of the
            script's own.
        settings: ``reduction``, ``weight``, ``pos_weight``, ``label_smoothing``, where not the default;
            ``row_weights``: what the script multiplies the losses of rows by, for each class.
        output, target: what it was given.
        made: where the module was constructed, or None for a functional call.
        called: where it is called.
        attached: whether the loss had a gradient graph.
        behind: names of the autograd nodes from the loss backwards, the first eight.
        weighed: where the script multiplies the losses of rows by weights, or None.
    """

    kind: str
    settings: dict[str, Setting]
    output: Array
    target: Array
    made: Site | None
    called: Site | None
    attached: bool = True
    behind: tuple[str, ...] = ()
    weighed: Site | None = None


@dataclass(frozen=True, kw_only=True)
class OptimizerMade:
    """An optimizer.

    Attributes:
        kind: its class.
        settings: values of its first group (``lr``, ``momentum``, ``weight_decay``); its rate is that of the
            first step, without what a schedule makes of it.
        rates: the lowest and the highest of its steps, with the peak of a schedule; empty without a step.
        made: where.
        given: dotted names of the network's parameters that it was given.
        stepped: where ``step`` is called, or None.
        steps: how often it was called.
    """

    kind: str
    settings: dict[str, Setting]
    made: Site | None
    given: tuple[str, ...]
    stepped: Site | None = None
    steps: int = 0
    rates: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SamplerMade:
    """A ``WeightedRandomSampler``.

    Attributes:
        weights: how many it has.
        listed: whether they were given as a list or tuple, which takes no list of indices.
        made: where.
    """

    weights: int
    listed: bool
    made: Site | None


@dataclass(frozen=True, kw_only=True)
class LoaderMade:
    """A ``DataLoader``, or Keras' ``fit`` of arrays.

    Attributes:
        batch_size: None where it has none.
        shuffle: whether the order of the rows changes.
        rows: of its dataset, None where it does not say.
        made: where.
        trains: whether a backward pass took one of its batches.
        dataset: class of its dataset, empty where that is not known.
        sampler: that draws its rows by weights, None where none does.
    """

    batch_size: int | None
    shuffle: bool
    rows: int | None
    made: Site | None
    trains: bool
    dataset: str = ""
    sampler: SamplerMade | None = None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop around the backward pass.

    Attributes:
        kind: ``range``, ``loader``, ``while``, or ``other``; ``epochs`` where a framework holds the loop.
        rounds: how many, None where that is not known.
        step: of a ``range``: the rows of a batch where batches are slices.
        site: of what is looped over (the call of ``range``), or of the call that holds the loop.
    """

    kind: Literal["range", "loader", "while", "other", "epochs"]
    rounds: int | None
    step: int
    site: Site


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """How the script crashed.

    Attributes:
        error: class of the exception.
        message: its first 300 characters.
        site: innermost place in the script's own files.
        operation: function or module class that failed, empty where it was none of torch's.
        module: dotted name of the innermost module, or None.
        made: where that module was constructed.
        applied: where the network was applied that it stands in, None outside of one.
        operands: tensors that it was given.
        frozen: whether no parameter of the newest optimizer was trained then.
    """

    error: str
    message: str
    site: Site | None
    operation: str = ""
    module: str | None = None
    made: Site | None = None
    applied: Site | None = None
    operands: tuple[Array, ...] = ()
    frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something the recorder saw for sure.

    Attributes:
        name: ``no_zero_grad``, ``step_before_backward``, ``detached_loss``, ``not_optimized``,
            ``network_not_optimized``, ``unregistered``, ``no_gradient``, ``evaluated_in_training_mode``,
            ``trained_in_evaluation_mode``, ``broadcast_loss``, ``schedule_per_update``, ``minimized_score``,
            ``maximized_loss``, ``optimizer_in_front``, ``made_late``, ``input_missing``,
            ``input_constant``, ``labels_out_of_range``, ...
        value: the number that was seen.
        text: what was seen, in words: shapes, names of parameters, columns.
        site: where it is mended, or where it was seen.
    """

    name: str
    value: float
    text: str
    site: Site | None


@dataclass(frozen=True, kw_only=True)
class Score:
    """How good the script's network is, by one measure.

    Attributes:
        kind: ``accuracy``, ``balanced accuracy`` where rows are drawn by weights, ``r2``, or the name of a
            printed metric.
        value: higher is better, but of an error as it is printed.
        rows: that it was measured on, 0 for a printed one.
        source: ``own`` (the script's own evaluation), ``withheld`` (rows kept from training), ``prequential``
            (each batch before its update, over the last fifth) or ``printed``.
        figure: what was printed, where the value was made of it; else None.
    """

    kind: str
    value: float
    rows: int
    source: Literal["own", "withheld", "prequential", "printed"]
    figure: float | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """A run of a script.

    Attributes:
        framework: who holds the training loop.
        ending: how the run ended; message: why, in words, empty where there is nothing to say.
        crash: what crashed it.
        operations: the network's first training forward pass.
        modules: dotted names of the network's modules and their classes, containers included.
        made: where the network, the first module with parameters that was applied from outside, was
            constructed.
        network: its class, empty where no network was seen.
        inputs: the rows of the first batch; targets: what the loss was given with them.
        loss: the loss that is trained.
        fitting: where losses are called whose output and target are always of one shape.
        optimizers, loaders: in the order in which they were made.
        loops: around the backward pass, the outermost first.
        zeroed: where gradients are set to zero, or None.
        backward: where the backward pass is called, or None.
        forward: where the training forward pass is called, or None; evaluated: that of an evaluation.
        modes: where ``train()`` and ``eval()`` are called.
        schedules: learning-rate schedules and where they were made; scheduled: where the first one steps.
        fit: numbers of Hugging Face's ``TrainingArguments`` (``max_grad_norm``), or what Keras' ``fit`` was
            given beside rows, batch size and epochs: ``validation_split``,
            ``validation_data``, ``class_weight`` in the order of the classes; ``callback.EarlyStopping`` says
            whether that callback is Keras' own, ``EarlyStopping.patience`` is a number of it.
        facts: see ``Fact``.
        losses: the trained loss of each update.
        updates: how many there were.
        score: see ``Score``; None where none could be had.
        printed: the last lines of the script's output.
        opaque: what a program cannot say, by name: ``two optimizers``, ``own loss``, ``several inputs``.
        seconds: of CPU, in the script alone; imports: before its first module was made.
        data: path of the ``npz`` with the captured ``inputs`` and ``targets`` of training and
            ``holdout_inputs`` and ``holdout_targets`` of the own evaluation, or None.
        files: the script's own files that were imported, the script first.
    """

    framework: Framework = "torch"
    ending: Ending = "finished"
    message: str = ""
    crash: Crashed | None = None
    operations: tuple[Operation, ...] = ()
    modules: dict[str, str] = field(default_factory=dict)
    made: Site | None = None
    network: str = ""
    inputs: Array | None = None
    targets: Array | None = None
    loss: LossCall | None = None
    fitting: tuple[Site, ...] = ()
    optimizers: tuple[OptimizerMade, ...] = ()
    loaders: tuple[LoaderMade, ...] = ()
    loops: tuple[Loop, ...] = ()
    zeroed: Site | None = None
    backward: Site | None = None
    forward: Site | None = None
    evaluated: Site | None = None
    modes: tuple[Site, ...] = ()
    schedules: tuple[tuple[str, Site | None], ...] = ()
    scheduled: Site | None = None
    fit: dict[str, Setting] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    losses: tuple[float, ...] = ()
    updates: int = 0
    score: Score | None = None
    printed: str = ""
    opaque: tuple[str, ...] = ()
    seconds: float = 0.0
    imports: float = 0.0
    data: str | None = None
    files: tuple[str, ...] = ()

"""Programs: what is repaired."""

from netmend.env.program.api import (
    resolved as resolved,
)
from netmend.env.program.checks import (
    check as check,
)
from netmend.env.program.crashes import (
    CRASH_KINDS as CRASH_KINDS,
    PHASES as PHASES,
    Crash as Crash,
    find_crash as find_crash,
)
from netmend.env.program.kinds import (
    ACTIVATION_KINDS as ACTIVATION_KINDS,
    BOUNDS as BOUNDS,
    DEFAULT_LR as DEFAULT_LR,
    LOGIT_LOSSES as LOGIT_LOSSES,
    LOSS_KINDS as LOSS_KINDS,
    OPTIMIZER_KINDS as OPTIMIZER_KINDS,
    PREP_KINDS as PREP_KINDS,
)
from netmend.env.program.layers import (
    LAYER_KINDS as LAYER_KINDS,
    Activation as Activation,
    Attention as Attention,
    BatchNorm as BatchNorm,
    Conv1d as Conv1d,
    Conv1dTranspose as Conv1dTranspose,
    Conv2d as Conv2d,
    Conv2dTranspose as Conv2dTranspose,
    Conv3d as Conv3d,
    Conv3dTranspose as Conv3dTranspose,
    Convolution as Convolution,
    Crop as Crop,
    Dense as Dense,
    Detach as Detach,
    Dropout as Dropout,
    Embedding as Embedding,
    Flatten as Flatten,
    GaussianNoise as GaussianNoise,
    GlobalPool as GlobalPool,
    Layer as Layer,
    LayerNorm as LayerNorm,
    Pool as Pool,
    Position as Position,
    Recurrent as Recurrent,
    Rescale as Rescale,
    Reshape as Reshape,
    Shared as Shared,
    Skip as Skip,
    ThresholdedRelu as ThresholdedRelu,
    TransposedConvolution as TransposedConvolution,
    Weighted as Weighted,
    ZeroPad as ZeroPad,
)
from netmend.env.program.misfit import MisfitError as MisfitError
from netmend.env.program.names import (
    ACTIVATIONS as ACTIVATIONS,
    API_LEVELS as API_LEVELS,
    DAMAGES as DAMAGES,
    INITIALISERS as INITIALISERS,
    INPUT_TYPES as INPUT_TYPES,
    LABEL_ENCODINGS as LABEL_ENCODINGS,
    LABEL_TYPES as LABEL_TYPES,
    LOSSES as LOSSES,
    METRICS as METRICS,
    OPTIMIZERS as OPTIMIZERS,
    PREPS as PREPS,
    ActivationName as ActivationName,
    ApiLevel as ApiLevel,
    DamageKind as DamageKind,
    InitialiserName as InitialiserName,
    LabelEncoding as LabelEncoding,
    LossName as LossName,
    MetricName as MetricName,
    OptimizerName as OptimizerName,
    PrepName as PrepName,
)
from netmend.env.program.schema import (
    SCHEMA_VERSION as SCHEMA_VERSION,
    Clip as Clip,
    Damage as Damage,
    Data as Data,
    Loop as Loop,
    Monitor as Monitor,
    Optimizer as Optimizer,
    Prep as Prep,
    Program as Program,
    Schedule as Schedule,
)
from netmend.env.program.shapes import (
    ShapeError as ShapeError,
    infer_shapes as infer_shapes,
    multiply_accumulates as multiply_accumulates,
    parameter_count as parameter_count,
    prepared_task as prepared_task,
)
from netmend.env.program.sites import (
    MAX_SITES as MAX_SITES,
    hidden_layers as hidden_layers,
    layer_activation as layer_activation,
    output_activation as output_activation,
    output_layer as output_layer,
    weighted_layers as weighted_layers,
)
from netmend.env.program.task import (
    Task as Task,
)
from netmend.env.program.yaml import (
    decode as decode,
    decode_program as decode_program,
    digest as digest,
    dump as dump,
    from_plain as from_plain,
    load as load,
    to_plain as to_plain,
    write_yaml as write_yaml,
)

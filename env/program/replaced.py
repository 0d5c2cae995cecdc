"""How much of a program another one replaces: what an edit costs a reader of the code."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from netmend.env.program.changes import align, differing, labels_follow
from netmend.env.program.kinds import preps
from netmend.env.program.layers import Layer
from netmend.env.program.schema import Prep, Program

SETTING, LAYER = 1, 2
"""Price of a setting, however many layers have it, and of a layer that is new, gone or another one."""


def replaced(before: Program, after: Program) -> int:
    """Parts of a program that another one replaces; 0 where nothing differs but what is only measured.

    A setting counts 1, also where several layers get the same new value. A layer that is added, removed or
    exchanged counts 2, so a whole network counts twice its number of layers; so does a preparation step that
    gives the rows another shape. Another kind of optimizer brings its own numbers and counts once. Labels
    that only follow a loss count with it.

    Examples:
        Another batch size is 1, a flatten is 2, and three new layers in the place of two are 6.
    """
    if before is after:
        return 0
    settings = len(differing(before, after, "layers", "data", "optimizer", "loop", "monitor"))
    settings += _of_data(before, after) + len(differing(before.loop, after.loop))
    optimizers = before.optimizer, after.optimizer
    settings += SETTING if optimizers[0].kind != optimizers[1].kind else len(differing(*optimizers))
    return settings + _of_layers(before.layers, after.layers)


def _of_data(before: Program, after: Program) -> int:
    names = differing(before.data, after.data, "prep")
    if before.loss != after.loss and labels_follow(before, after):
        names = [name for name in names if name != "labels"]
    return SETTING * len(names) + _of_steps(before.data.prep, after.data.prep)


def _of_steps(before: tuple[Prep, ...], after: tuple[Prep, ...]) -> int:
    if before == after:
        return 0
    old, new = Counter(before), Counter(after)
    prices = [sum(map(_of_step, steps.elements())) for steps in (old - new, new - old)]
    return max(*prices, SETTING)  # the same steps in another order are a setting


def _of_step(step: Prep) -> int:
    # What follows takes rows of another shape as it takes a layer's outputs.
    return LAYER if step.kind in _SHAPING else SETTING


_SHAPING = preps("inputs", "shape")


@lru_cache(maxsize=16_384)
def _of_layers(before: tuple[Layer, ...], after: tuple[Layer, ...]) -> int:
    if before is after or before == after:
        return 0
    pairs = align(before, after)
    gone = sum(new is None for _, new in pairs)
    added = sum(old is None for old, _ in pairs)
    kept = [(old, new) for old, new in pairs if old is not None and new is not None and old != new]
    settings = {(name, getattr(new, name)) for old, new in kept for name in differing(old, new)}
    # Many new settings of one layer make it another layer.
    return LAYER * max(gone, added) + min(SETTING * len(settings), LAYER * len(kept))

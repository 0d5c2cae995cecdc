"""Searches under observation; worker processes import them by this module's name."""

from __future__ import annotations

from typing import Any

from netmend.agents.peers.searches import bohb, hebo
from netmend.agents.peers.space import Question
from netmend.env.program.hyperparameters import Value

Suggested = tuple[dict[str, Value], bool]


def bohb_by_steps(question: Question) -> Suggested:
    """BOHB as its own master feeds it: a new model after every result."""
    from hpbandster.optimizers.config_generators.bohb import BOHB

    plain = BOHB.new_result
    BOHB.new_result = lambda self, job, update_model=True: plain(self, job, update_model=True)
    try:
        return bohb(question)
    finally:
        BOHB.new_result = plain


def hebo_fits(question: Question) -> Suggested:
    """What HEBO's surrogate is fitted to: how often, whether it warps, mean and deviation of the targets."""
    from hebo.models.gp.gpy_wgp import GPyGP

    fits: list[tuple[bool, float, float]] = []
    plain = GPyGP.fit

    def fit(self: Any, xc: Any, xe: Any, y: Any) -> None:
        fits.append((self.warp, float(y.mean()), float(y.std())))
        self.num_restarts = 1  # of ten, which take most of the time
        plain(self, xc, xe, y)

    GPyGP.fit = fit
    try:
        _, from_model = hebo(question)
    finally:
        GPyGP.fit = plain
    ((warp, mean, deviation),) = fits
    return {"warp": int(warp), "mean": mean, "deviation": deviation}, from_model


def threads(question: Question) -> Suggested:
    """Most threads of any numerical library, of those that came with the search too."""
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    found = [int(library["num_threads"]) for library in threadpool_info()]
    return {"libraries": len(found), "most": max(found), "torch": torch.get_num_threads()}, False

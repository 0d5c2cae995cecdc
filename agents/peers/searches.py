"""The searches themselves. Each imports its library when it is called, in a process of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from netmend.agents.peers.space import Question, Suggester, positions, values_at
from netmend.env.program.hyperparameters import Value

TPE_STARTS = 10
"""Results from which on the model of ``tpe`` is used."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search and what it needs.

    Attributes:
        suggest: what to try next.
        blind: a and b: with less than a + b * parameters results, a suggestion depends on their number alone.
        packages: distributions that must be there; their versions are part of what a suggestion is kept by.
        modules: that it imports, which takes seconds once.
    """

    suggest: Suggester
    blind: tuple[float, float] = (0.0, 0.0)
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


def _generator(question: Question) -> np.random.Generator:
    """A stream of its own for each suggestion, so that it depends on nothing but the question."""
    return np.random.default_rng([question.seed, len(question.seen)])


def random_search(question: Question) -> tuple[dict[str, Value], bool]:
    """Uniform over the study's space."""
    rng = _generator(question)
    return {
        p.name: p.choices[int(rng.integers(len(p.choices)))]
        if p.choices
        else float(rng.uniform(p.low, p.high))
        for p in question.parameters
    }, False


def tpe(question: Question) -> tuple[dict[str, Value], bool]:
    """Optuna's multivariate tree-structured Parzen estimator."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = int(_generator(question).integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=TPE_STARTS, seed=seed)
    space: dict[str, optuna.distributions.BaseDistribution] = {
        p.name: CategoricalDistribution(list(range(len(p.choices))))
        if p.choices
        else FloatDistribution(p.low, p.high)
        for p in question.parameters
    }
    study = optuna.create_study(sampler=sampler)
    for seen in question.seen:
        params = positions(question.parameters, seen.values)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=seen.loss))
    return values_at(question.parameters, study.ask(space).params), len(question.seen) >= TPE_STARTS


def bohb(question: Question) -> tuple[dict[str, Value], bool]:
    """hpbandster's generator of configurations at one budget, as the study has it (max_t = 1).

    Its kernel densities need one good and one bad result for each parameter and one more; a third of the
    suggestions stay random.
    """
    warnings.simplefilter("ignore")  # old names of ConfigSpace and statsmodels, in a process of its own
    import ConfigSpace
    from hpbandster.optimizers.config_generators.bohb import BOHB

    np.random.seed(int(_generator(question).integers(2**31)))
    space = ConfigSpace.ConfigurationSpace(seed=int(np.random.randint(2**31)))
    for p in question.parameters:
        space.add(
            ConfigSpace.CategoricalHyperparameter(p.name, [str(i) for i in range(len(p.choices))])
            if p.choices
            else ConfigSpace.UniformFloatHyperparameter(p.name, p.low, p.high)
        )
    search = BOHB(space)
    for number, seen in enumerate(question.seen):
        told = {
            name: value if isinstance(value, float) else str(value)
            for name, value in positions(question.parameters, seen.values).items()
        }
        last = number == len(question.seen) - 1
        job = SimpleNamespace(
            id=number, kwargs={"config": told, "budget": 1.0}, result={"loss": seen.loss}, exception=None
        )
        search.new_result(job, update_model=last)
    found, about = search.get_config(1.0)
    return values_at(question.parameters, dict(found)), bool(about.get("model_based_pick"))


def hebo(question: Question) -> tuple[dict[str, Value], bool]:
    """HEBO with the surrogate of its paper, a Gaussian process with warped inputs.

    As released it leaves this one (``gpy``) out of its list of models. It begins with a quasi-random
    sequence, and uses the model from as many results on as there are parameters and one more. It goes back
    to the sequence where the model leads to nothing but what was tried: no choice of the model then.
    """
    warnings.simplefilter("ignore")
    import pandas
    import torch
    from hebo.design_space.design_space import DesignSpace
    from hebo.models import model_factory
    from hebo.models.gp.gpy_wgp import GPyGP
    from hebo.optimizers.hebo import HEBO

    model_factory.model_dict["gpy"] = GPyGP
    seed = int(_generator(question).integers(2**31))
    np.random.seed(seed)
    torch.manual_seed(seed)
    space = DesignSpace().parse(
        [
            {"name": p.name, "type": "cat", "categories": list(range(len(p.choices)))}
            if p.choices
            else {"name": p.name, "type": "num", "lb": p.low, "ub": p.high}
            for p in question.parameters
        ]
    )
    search = HEBO(space, model_name="gpy", scramble_seed=question.seed)
    search.sobol.fast_forward(len(question.seen))
    rows = [positions(question.parameters, seen.values) for seen in question.seen]
    losses = np.array([[seen.loss] for seen in question.seen])
    search.observe_new_data(pandas.DataFrame(rows)[list(space.para_names)], losses)
    drawn = search.sobol.num_generated
    found: Mapping[str, object] = search.suggest(1).iloc[0].to_dict()
    return values_at(question.parameters, found), search.sobol.num_generated == drawn


SEARCHES: dict[str, Search] = {
    "random_search": Search(suggest=random_search, blind=(math.inf, 0.0)),
    "hebo": Search(
        suggest=hebo,
        blind=(1, 1),
        packages=("HEBO", "GPy", "pymoo"),
        modules=("hebo.optimizers.hebo", "hebo.models.gp.gpy_wgp"),
    ),
    "bohb": Search(
        suggest=bohb,
        blind=(2, 2),
        packages=("hpbandster", "ConfigSpace", "statsmodels"),
        modules=("hpbandster.optimizers.config_generators.bohb",),
    ),
    "tpe": Search(suggest=tpe, blind=(TPE_STARTS, 0.0), packages=("optuna",), modules=("optuna",)),
}
"""Every search by name."""

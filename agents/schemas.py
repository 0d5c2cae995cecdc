"""The types of every configuration, made known to Hydra."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from netmend.agents.bugs_config import ClaimsConfig, DeepCrimeConfig, MakeBugsConfig, MeasureBugsConfig
from netmend.agents.config import BenchConfig, EvaluateConfig, RepairConfig, TrainConfig


def register_schemas() -> None:
    """Make Hydra know the types of every key. Calling it again is fine."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="repair_schema", node=RepairConfig)
    store.store(name="make_bugs_schema", node=MakeBugsConfig)
    store.store(name="measure_bugs_schema", node=MeasureBugsConfig)
    store.store(name="claims_schema", node=ClaimsConfig)
    store.store(name="deepcrime_schema", node=DeepCrimeConfig)
    store.store(name="bench_schema", node=BenchConfig)

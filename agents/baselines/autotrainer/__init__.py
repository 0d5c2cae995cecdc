"""AutoTrainer (Zhang et al., ICSE 2021), the published tool for bad trainings, as a repair method."""

from netmend.agents.baselines.autotrainer.issues import Issue, diagnose
from netmend.agents.baselines.autotrainer.repair import AutoTrainer

__all__ = ["AutoTrainer", "Issue", "diagnose"]

"""Repair actions: concrete edits of a program, by fix pattern of the ICSE 2020 study."""

from netmend.repair_actions.action import RepairAction
from netmend.repair_actions.catalogue import CATALOGUE, PATTERNS, select
from netmend.repair_actions.legality import Successors, edited, successors

__all__ = ["CATALOGUE", "PATTERNS", "RepairAction", "Successors", "edited", "select", "successors"]

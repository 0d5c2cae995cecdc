"""DeepCrime (Humbatova et al., ISSTA 2021): its 24 operators, their searches and its killing rule."""

from netmend.env.bugs.deepcrime.kill import Test, is_killed_deepcrime
from netmend.env.bugs.deepcrime.search import Found, Searched, Tested, search
from netmend.env.bugs.deepcrime.table import DEEPCRIME, DeepCrimeOperator

__all__ = [
    "DEEPCRIME",
    "DeepCrimeOperator",
    "Found",
    "Searched",
    "Test",
    "Tested",
    "is_killed_deepcrime",
    "search",
]

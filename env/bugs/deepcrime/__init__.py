"""DeepCrime (Humbatova et al., ISSTA 2021): its 24 operators and their searches."""

from netmend.env.bugs.deepcrime.search import Found, Searched, Tested, search
from netmend.env.bugs.deepcrime.table import DEEPCRIME, DeepCrimeOperator

__all__ = [
    "DEEPCRIME",
    "DeepCrimeOperator",
    "Found",
    "Searched",
    "Tested",
    "search",
]

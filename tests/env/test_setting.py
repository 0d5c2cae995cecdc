from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.bugs import load_suite
from netmend.env.errors import NetmendError
from netmend.env.reward import LIMITS, Rules
from netmend.env.setting import make_setting


def test_trials_or_rules() -> None:
    suite = load_suite("tiny")
    assert make_setting("tiny").rules == Rules(budget=suite.budget, open_limits=LIMITS)
    three = make_setting("tiny", trials=3).rules
    assert three == Rules(trials=3, budget=suite.budget, open_limits=LIMITS)
    assert make_setting("tiny", rules=Rules(trials=7)).rules == Rules(trials=7)
    with pytest.raises(NetmendError, match="both given"):
        make_setting("tiny", trials=3, rules=Rules())


def test_an_empty_split_names_the_suite_and_the_way_out() -> None:
    suite = load_suite("tiny")
    held_out = replace(suite, name="mine", bugs=tuple(replace(bug, split="held-out") for bug in suite.bugs))
    with pytest.raises(NetmendError, match=r"suite 'mine' has no bugs in split 'train'.*`split: train`"):
        make_setting(held_out)
    with pytest.raises(NetmendError, match="no bugs are given"):
        make_setting([])

"""Records and plans as JSON and back."""

from __future__ import annotations

import math

import pytest

from netmend.env.script.codec import decode, encode
from netmend.env.script.plan import Plan
from netmend.env.script.record import Array, Crashed, Fact, Loop, Operation, Record, Score
from netmend.env.script.site import Site

_SITE = Site("train.py", 3, 4, 3, 20, "forward")
_RECORD = Record(
    ending="crashed",
    crash=Crashed(
        error="ValueError", message="ä", site=_SITE, operands=(Array(shape=(2, 3), dtype="float32"),)
    ),
    operations=(
        Operation(
            kind="Conv2d",
            module="conv",
            owner="",
            settings={
                "kernel_size": (3, 3),
                "bias": True,
                "p": 0.5,
                "padding_mode": "zeros",
                "n": None,
                "k": 3,
            },
            inputs=(-1, 0),
            received=Array(shape=(), dtype="int64", low=0.1),
            returned=Array(shape=(1,), dtype="float32"),
            made=_SITE,
            called=None,
            weights=(0.0, 1 / 3),
        ),
    ),
    modules={"": "Net"},
    loops=(Loop(kind="range", rounds=None, step=16, site=_SITE),),
    facts=(Fact(name="imbalance", value=math.inf, text="", site=None),),
    losses=(0.1, math.inf),
    schedules=(("StepLR", _SITE), ("OneCycleLR", None)),
    score=Score(kind="r2", value=-1e300, rows=3, source="own"),
)


def test_round_trip() -> None:
    assert decode(Record, encode(_RECORD)) == _RECORD
    assert decode(Record, encode(Record())) == Record()
    assert encode(Record()) == "{}"
    plan = Plan(withhold=_SITE, metric="a=b", seed=None, updates=3)
    assert decode(Plan, encode(plan)) == plan


def test_not_a_number_stays_one() -> None:
    found = decode(Record, encode(Record(losses=(math.nan,))))
    assert math.isnan(found.losses[0])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"ending": "late"}',
        '{"losses": 3}',
        '{"losses": ["x"]}',
        '{"nothing": 1}',
        '{"updates": 1.5}',
    ],
)
def test_no_record(text: str) -> None:
    with pytest.raises((ValueError, TypeError, LookupError)):
        decode(Record, text)

"""The scaling of the training rows, for other rows of the table."""

from __future__ import annotations

import pytest

from netmend.env.script.source import EditRefused

TWICE = """\
from sklearn.preprocessing import StandardScaler
train, test = table[:50], table[50:]
scaler = StandardScaler()
train = scaler.fit_transform(train)  # fits
test = {scaler}.fit_transform(test)
"""


@pytest.mark.parametrize("scaler", ["scaler", "StandardScaler()"])
def test_rows_are_scaled_by_the_first_fit(script, scaler):
    text = TWICE.format(scaler=scaler)
    assert script(text).edited("input.same_scale") == text.replace(
        f"{scaler}.fit_transform(test)", "scaler.transform(test)"
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("scaler = StandardScaler()\ntrain = scaler", "train = StandardScaler()", "has no name"),
        ("{scaler}", "other", "fits other, which is used elsewhere"),
    ],
)
def test_a_scaler_that_cannot_be_shared(script, old, new, why):
    text = "other = StandardScaler()\n" + TWICE.replace(old, new).format(scaler="StandardScaler()")
    with pytest.raises(EditRefused, match=why):
        script(text + "print(other.mean_)\n").edited("input.same_scale")

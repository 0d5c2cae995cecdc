"""A sampler of rows that was given weights of classes."""

from __future__ import annotations

import pytest

from netmend.env.script.record import Array, SamplerMade
from netmend.env.script.source import EditRefused

TEXT = """\
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler
class Rows(Dataset):
    def __init__(self, x, labels):
        self.x, self.labels = x, torch.tensor(labels)
    def __getitem__(self, i):
        label = self.labels[i]
        return self.x[i], label.long()
def main():
    x, y = load()
    weights = 1.0 / torch.bincount(torch.tensor(y))
    rows = {rows}
    sampler = WeightedRandomSampler({weights}, {draws})
    loader = DataLoader(rows, 16, sampler=sampler)
    for x, y in loader:
        loss(net(x), y)
"""
PLAIN = {"rows": "TensorDataset(x, torch.from_numpy(y))", "weights": "weights", "draws": "len(rows)"}


def _case(script, *, dtype="int64", shape=(16,), whole=True, classes=3, number=3, known=None, **parts):
    parts = {**PLAIN, **parts}
    case = script(TEXT.format(**parts))
    made = f"WeightedRandomSampler({parts['weights']}, {parts['draws']})"
    sampler = SamplerMade(weights=number, listed=parts["weights"].startswith("["), made=case.site(made))
    target = Array(shape=shape, dtype=dtype, high=classes - 1, whole=whole)
    case.loss("cross_entropy", "loss(net(x), y)", None, (16, classes) if classes > 2 else (16, 1), target)
    loader = {"rows": 400, "sampler": sampler, **(known or {})}
    return case.loader("DataLoader(rows, 16, sampler=sampler)", **loader)


@pytest.mark.parametrize(
    ("parts", "weights", "draws"),
    [
        ({}, "weights[y]", "len(rows)"),
        ({"rows": "TensorDataset(x, y)"}, "weights[y]", "len(rows)"),
        ({"rows": "TensorDataset(x, y.to(device))"}, "weights[y]", "len(rows)"),
        ({"rows": "TensorDataset(x, torch.tensor(y))"}, "weights[torch.tensor(y)]", "len(rows)"),
        ({"rows": "TensorDataset(x[:80], y[:80])"}, "weights[y[:80]]", "len(rows)"),
        ({"rows": "Rows(x, y)"}, "weights[y]", "len(rows)"),
        ({"rows": "Unknown()"}, "weights[torch.tensor(y)]", "len(rows)"),  # of which weights are counted
        ({"weights": "1 / weights"}, "(1 / weights)[y]", "len(rows)"),
        ({"weights": "[0.1, 2, 3]"}, "[([0.1, 2, 3])[label_2] for label_2 in y]", "len(rows)"),
        ({"draws": "len(weights)"}, "weights[y]", "len(y)"),
        ({"draws": "1000"}, "weights[y]", "1000"),
        ({"classes": 2, "number": 2}, "weights[y]", "len(rows)"),
        ({"dtype": "float32"}, "weights[torch.as_tensor(y).long().flatten()]", "len(rows)"),
        ({"shape": (16, 1)}, "weights[torch.as_tensor(y).long().flatten()]", "len(rows)"),
    ],
)
def test_each_row_gets_the_weight_of_its_class(script, parts, weights, draws):
    given = {**PLAIN, **{name: text for name, text in parts.items() if name in PLAIN}}
    after = _case(script, **parts).edited("loop.row_weights")
    assert after == TEXT.format(**{**given, "weights": weights, "draws": draws})


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"number": 5}, "5 weights"),
        ({"shape": (16, 3)}, "not one for each class"),
        ({"whole": False}, "not one for each class"),
        ({"rows": "TensorDataset(x, noise(y))"}, "no name"),
        ({"rows": "TensorDataset(*load())"}, "no name"),
        ({"rows": "Unknown()", "weights": "given"}, "no name"),
        ({"known": {"dataset": "Subset"}}, "a Subset"),
        ({"known": {"rows": 3}}, "no sampler"),
        ({"known": {"sampler": None}}, "no sampler"),
    ],
)
def test_where_the_class_of_a_row_is_not_known_it_is_refused(script, parts, why):
    with pytest.raises(EditRefused, match=why):
        _case(script, **parts).edited("loop.row_weights")


def test_ids_of_another_function_or_of_later_rows_are_not_taken(script):
    for old, new in (
        ("    rows = {rows}\n", "    rows = {rows}\n    y = y[::2]\n"),
        ("    rows = {rows}\n", "    rows = make()\n"),
    ):
        text = TEXT.replace(old, new) + "def make():\n    y = read()\n    return TensorDataset(x, y)\n"
        case = _case(script)
        case.texts["train.py"] = text.format(**PLAIN)
        made, loader = "WeightedRandomSampler(weights, len(rows))", "DataLoader(rows, 16, sampler=sampler)"
        sampler = SamplerMade(weights=3, listed=False, made=case.site(made))
        case.knows(loaders=()).loader(loader, rows=400, sampler=sampler)
        with pytest.raises(EditRefused, match="no name"):
            case.edited("loop.row_weights")


@pytest.mark.parametrize(
    "counted",
    [
        "_, counts = np.unique(rows.targets, return_counts=True)\n    weights = 1 / counts",
        "counts = Counter(rows.targets)\n    weights = torch.tensor([1 / counts[c] for c in range(3)])",
        "weights = max(counts := torch.bincount(rows.targets)) / counts",
    ],
)
def test_ids_of_a_dataset_that_is_not_the_scripts_own(script, counted):
    lines = TEXT.splitlines(keepends=True)
    parts = [line for line in lines if "bincount" not in line]
    place = next(i for i, line in enumerate(parts) if "rows = " in line) + 1
    text = "import numpy as np\nfrom collections import Counter\n"
    text += "".join([*parts[:place], f"    {counted}\n", *parts[place:]])
    given = {**PLAIN, "rows": "Unknown()"}
    case = _case(script, rows="Unknown()")
    case.texts["train.py"] = text.format(**given)
    made = case.site("WeightedRandomSampler(weights, len(rows))")
    sampler = SamplerMade(weights=3, listed=False, made=made)
    loader = "DataLoader(rows, 16, sampler=sampler)"
    case.knows(loaders=()).loader(loader, rows=400, sampler=sampler)
    assert case.edited("loop.row_weights") == text.format(**{**given, "weights": "weights[rows.targets]"})

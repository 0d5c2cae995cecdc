"""Scripts in the styles that people write: what the recorder says of each, and that every site is exact."""

from __future__ import annotations

import numpy as np
import pytest

from netmend.env.script.record import Record
from netmend.env.script.rules import findings
from tests.env.script.conftest import Run, source

_DATA = """\
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset
torch.manual_seed(0)
X = torch.randn(120, 4)
y = (X[:, 0] > 0).long()
"""

_SLICES = (
    _DATA
    + """\
model = nn.Sequential(
    nn.Linear(4, 8),  # ä: two bytes
    nn.ReLU(), nn.Linear(8, 2),
)
loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
for epoch in range(3):
    model.train()
    for i in range(0, 96, 16):
        optimizer.zero_grad()
        loss = loss_function(model(X[i:i + 16]), y[i:i + 16])
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    right = (model(X[96:]).argmax(1) == y[96:]).float().mean().item()
print("accuracy", right)
"""
)

_SUBCLASS = (
    _DATA
    + """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args()


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x):
        return x + F.dropout(torch.relu(self.inner(x)), 0.2, self.training)


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.stem, self.block = nn.Linear(4, 8), Block(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.block(self.stem(x)))


def train(net, loader, optimizer):
    net.train()
    for xb, yb in loader:
        loss = F.cross_entropy(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train_loader = DataLoader(TensorDataset(X[:96], y[:96]), batch_size=16, shuffle=True, num_workers=2)
test_loader = DataLoader(TensorDataset(X[96:], y[96:]), batch_size=10)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=args.lr)
for epoch in range(2):
    train(net, train_loader, optimizer)
net.eval()
hits = 0
with torch.no_grad():
    for xb, yb in test_loader:
        hits += (net(xb).max(1)[1] == yb).sum().item()
print("accuracy", hits / 24)
"""
)


def printed(record: Record) -> float:
    """The figure that the script prints last."""
    return float(record.printed.split()[-1])


def test_sequential_with_slices(run: Run) -> None:
    record = run(_SLICES)
    assert (record.ending, record.framework, record.network) == ("finished", "torch", "Sequential")
    assert [one.kind for one in record.operations] == ["Linear", "ReLU", "Linear"]
    assert [one.inputs for one in record.operations] == [(-1,), (0,), (1,)]
    assert [source(_SLICES, one.made) for one in record.operations] == [
        "nn.Linear(4, 8)",
        "nn.ReLU()",
        "nn.Linear(8, 2)",
    ]
    assert [one.called for one in record.operations] == [None] * 3
    assert record.operations[0].settings == {"in_features": 4, "out_features": 8, "bias": True}
    assert (record.operations[0].trainable, record.operations[0].returned.shape) == (40, (16, 8))
    assert source(_SLICES, record.made).startswith("nn.Sequential(")
    [optimizer] = record.optimizers
    assert (optimizer.kind, optimizer.settings["lr"], optimizer.settings["momentum"]) == ("SGD", 0.5, 0.9)
    assert optimizer.given == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert source(_SLICES, optimizer.made).startswith("torch.optim.SGD(")
    assert source(_SLICES, optimizer.stepped) == "optimizer.step()"
    assert [(loop.kind, loop.rounds, loop.step) for loop in record.loops] == [
        ("range", 3, 1),
        ("range", 6, 16),
    ]
    assert [source(_SLICES, loop.site) for loop in record.loops] == ["range(3)", "range(0, 96, 16)"]
    assert record.loss is not None
    assert (record.loss.kind, record.loss.settings) == ("cross_entropy", {"label_smoothing": 0.1})
    assert source(_SLICES, record.loss.made) == "nn.CrossEntropyLoss(label_smoothing=0.1)"
    assert source(_SLICES, record.loss.called) == "loss_function(model(X[i:i + 16]), y[i:i + 16])"
    assert source(_SLICES, record.forward) == "model(X[i:i + 16])"
    assert source(_SLICES, record.evaluated) == "model(X[96:])"
    assert source(_SLICES, record.zeroed) == "optimizer.zero_grad()"
    assert source(_SLICES, record.backward) == "loss.backward()"
    assert [source(_SLICES, site) for site in record.modes] == ["model.train()", "model.eval()"]
    assert (record.updates, len(record.losses)) == (18, 18)
    assert record.score is not None
    assert (record.score.kind, record.score.source, record.score.rows) == ("accuracy", "own", 24)
    assert record.score.value == pytest.approx(printed(record))
    assert record.facts == ()
    assert record.opaque == ()


def test_subclass_with_functional_calls(run: Run) -> None:
    record = run(_SUBCLASS, "--lr", "0.02")
    steps = [(one.kind, one.module, one.owner, one.inputs) for one in record.operations]
    assert steps == [
        ("Linear", "stem", "", (-1,)),
        ("Linear", "block.inner", "block", (0,)),
        ("relu", None, "block", (1,)),
        ("dropout", None, "block", (2,)),
        ("add", None, "block", (0, 3)),
        ("Linear", "head", "", (4,)),
    ]
    assert record.operations[3].settings == {"p": 0.2, "training": True, "inplace": False}
    assert [source(_SUBCLASS, one.called) for one in record.operations[2:5]] == [
        "torch.relu(self.inner(x))",
        "F.dropout(torch.relu(self.inner(x)), 0.2, self.training)",
        "x + F.dropout(torch.relu(self.inner(x)), 0.2, self.training)",
    ]
    assert source(_SUBCLASS, record.operations[1].made) == "nn.Linear(width, width)"
    assert source(_SUBCLASS, record.made) == "Net()"
    assert record.modules["block"] == "Block"
    training, testing = record.loaders
    assert (training.batch_size, training.shuffle, training.rows, training.trains) == (16, True, 96, True)
    assert (testing.shuffle, testing.trains) == (False, False)
    assert source(_SUBCLASS, training.made).startswith("DataLoader(TensorDataset(X[:96]")
    assert [(loop.kind, loop.rounds) for loop in record.loops] == [("range", 2), ("loader", 6)]
    assert record.optimizers[0].settings["lr"] == 0.02
    assert record.score is not None
    assert record.score.value == pytest.approx(printed(record))
    assert record.facts == ()


_SAMPLED = (
    _DATA.replace("TensorDataset", "TensorDataset, WeightedRandomSampler")
    + """\
weights = 1 / torch.bincount(y)
class Own(WeightedRandomSampler):
    def __iter__(self):
        return iter(range(120))
sampler = {sampler}
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
loader = DataLoader(TensorDataset(X, y), {given})
for epoch in range(3):
    for x, t in loader:
        optimizer.zero_grad()
        F.cross_entropy(net(x), t).backward()
        optimizer.step()
right = 0
with torch.no_grad():
    for rows, labels in ((X[:70] + 1, y[:70]), (X[70:] + 1, y[70:])):
        right = right + (net(rows).argmax(1) == labels).sum()
hits = net(X + 1).argmax(1) == y
print("accuracy", (hits[y == 0].float().mean() / 2 + hits[y == 1].float().mean() / 2).item())
"""
)
_BATCHES = "batch_sampler=torch.utils.data.BatchSampler(sampler, 10, False)"


@pytest.mark.parametrize(
    ("sampler", "given", "weights", "listed"),
    [
        ("WeightedRandomSampler(weights, len(y))", "sampler=sampler", 2, False),
        ("WeightedRandomSampler(num_samples=9, weights=weights.tolist())", _BATCHES, 2, True),
        ("WeightedRandomSampler(weights[y], 10)", "10, sampler=sampler", 120, False),
        ("Own(weights, 120)", "sampler=sampler", None, False),
        ("weights", "shuffle=True", None, False),
    ],
)
def test_weights_of_a_sampler(run: Run, sampler: str, given: str, weights: int | None, listed: bool) -> None:
    text = _SAMPLED.format(sampler=sampler, given=given)
    record = run(text)
    assert record.ending == "finished", record.message
    (loader,) = record.loaders
    assert (loader.rows, loader.dataset) == (120, "TensorDataset")
    assert (loader.sampler and loader.sampler.weights) == weights
    if loader.sampler is not None:
        assert loader.sampler.listed == listed
        assert source(text, loader.sampler.made) == sampler
    assert record.score is not None
    assert record.score.kind == ("accuracy" if weights is None else "balanced accuracy")
    assert weights is None or record.score.value == pytest.approx(printed(record))
    found = [one.name for one in findings(record) if one.name == "undrawn_rows"]
    assert found == ["undrawn_rows"] * (weights == 2)


def test_rows_of_the_first_epoch_and_of_the_evaluation(run: Run, tmp_path) -> None:
    text = (
        _SUBCLASS
        + "import numpy\nnumpy.savez('/'.join(__file__.split('/')[:-2]) + '/out/true.npz', X=X, y=y)\n"
    )
    record = run(text)
    assert record.data is not None
    found, true = np.load(record.data), np.load(record.data.replace("data.npz", "true.npz"))
    order = np.argsort(found["inputs"][:, 0])
    expected = np.argsort(true["X"][:96, 0])
    np.testing.assert_array_equal(found["inputs"][order], true["X"][:96][expected])
    np.testing.assert_array_equal(found["targets"][order], true["y"][:96][expected])
    np.testing.assert_array_equal(found["holdout_inputs"], true["X"][96:])
    np.testing.assert_array_equal(found["holdout_targets"], true["y"][96:])


def test_several_files_and_a_dataset_of_its_own(run: Run) -> None:
    parts = """\
from torch import nn
from torch.utils.data import Dataset
class Rows(Dataset):
    def __init__(self, X, y): self.X, self.y = X, y
    def __len__(self): return len(self.X)
    def __getitem__(self, i): return self.X[i], self.y[i]
def make(width):
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))
"""
    text = (
        _DATA
        + """\
from parts import Rows, make
net = make(5)
optimizer = torch.optim.Adam(net.parameters())
for x, t in DataLoader(Rows(X, X[:, 0] * 3), batch_size=20):
    optimizer.zero_grad()
    F.mse_loss(net(x).squeeze(1), t).backward()
    optimizer.step()
"""
    )
    record = run(text, files={"parts.py": parts})
    assert record.files == ("train.py", "parts.py")
    assert record.operations[0].made is not None
    assert record.operations[0].made.file == "parts.py"
    assert source(parts, record.operations[0].made) == "nn.Linear(4, width)"
    assert record.operations[-1].kind == "squeeze"
    assert record.operations[-1].owner == "<script>"
    assert record.score is not None
    assert (record.score.kind, record.score.source) == ("r2", "prequential")


_RECURRENT = (
    _DATA
    + """\
rnn, head = nn.LSTM(1, 6, batch_first=True), nn.Linear(6, 2)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = rnn, head

    def forward(self, x):
        states, _ = self.rnn(x.unsqueeze(2))
        return self.head(states[:, -1])


net = Tagger()
optimizer = torch.optim.Adam(net.parameters(), 0.01)
for step in range(8):
    loss = F.cross_entropy(net(X), y) / 2
    loss.backward()
    {step}
"""
)


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("optimizer.step()", "no_zero_grad"),
        ("if step % 2: optimizer.step(); optimizer.zero_grad()", None),  # gradients are accumulated
        ("optimizer.step(); [setattr(p, 'grad', None) for p in net.parameters()]", None),
        ("optimizer.zero_grad(); optimizer.step()", "zeroed_before_step"),
    ],
)
def test_order_of_the_calls(run: Run, step: str, name: str | None) -> None:
    record = run(_RECURRENT.replace("{step}", step))
    assert [fact.name for fact in record.facts] == ([name] if name else [])
    assert [one.kind for one in record.operations] == ["unsqueeze", "LSTM", "getitem", "Linear"]
    assert record.operations[1].settings["batch_first"] is True


_FULL = (
    _DATA
    + """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = [nn.Linear(4, 4)] if {hide} else nn.ModuleList([nn.Linear(4, 4)])
        self.norm, self.drop, self.head = nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Linear(4, {outputs})

    def forward(self, x):
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        return {output}


net = Net()
optimizer = torch.optim.SGD({given}, lr=0.1)
for epoch in range(4):
    {mode}
    optimizer.zero_grad()
    loss = {loss}
    loss.backward()
    optimizer.step()
{evaluate}
with torch.no_grad():
    print((net(X + 0.1).argmax(1) == y).sum())
"""
)
_CLEAN = {
    "hide": "False",
    "outputs": "2",
    "output": "self.head(self.drop(self.norm(x)))",
    "given": "net.parameters()",
    "mode": "net.train()",
    "loss": "F.cross_entropy(net(X), y)",
    "evaluate": "net.eval()",
}


@pytest.mark.parametrize(
    ("change", "name", "at"),
    [
        ({}, None, ""),
        ({"hide": "True"}, "unregistered", "nn.Linear(4, 4)"),
        (
            {"given": "net.head.parameters()"},
            "not_optimized",
            "torch.optim.SGD(net.head.parameters(), lr=0.1)",
        ),
        (
            {"output": "F.softmax(self.head(self.norm(x)), 1)"},
            "double_softmax",
            "F.softmax(self.head(self.norm(x)), 1)",
        ),
        (
            {"output": "torch.relu(self.head(self.norm(x)))"},
            "relu_on_output",
            "torch.relu(self.head(self.norm(x)))",
        ),
        ({"output": "F.log_softmax(self.head(self.norm(x)), 1)"}, None, ""),
        ({"loss": "F.nll_loss(net(X), y)"}, "nll_without_log", None),
        ({"loss": "F.nll_loss(F.log_softmax(net(X), 1), y)"}, None, ""),
        (
            {"loss": "F.mse_loss(net(X)[:, :1], y.float())"},
            "broadcast_loss",
            "F.mse_loss(net(X)[:, :1], y.float())",
        ),
        (
            {"loss": "F.binary_cross_entropy_with_logits(torch.sigmoid(net(X)[:, 0]), y.float())"},
            "double_sigmoid",
            "torch.sigmoid(net(X)[:, 0])",
        ),
        ({"mode": "net.eval()"}, "trained_in_evaluation_mode", None),
        ({"evaluate": ""}, "evaluated_in_training_mode", "net(X + 0.1)"),
        (
            {
                "outputs": "1",
                "output": "torch.softmax(self.head(x), 1)",
                "loss": "F.binary_cross_entropy(net(X)[:, 0], y.float())",
            },
            "softmax_of_one",
            "torch.softmax(self.head(x), 1)",
        ),
        ({"output": "self.head(x)"}, "no_gradient", "loss.backward()"),
    ],
)
def test_facts(run: Run, change: dict[str, str], name: str | None, at: str | None) -> None:
    text = _FULL
    for key, value in {**_CLEAN, **change}.items():
        text = text.replace("{" + key + "}", value)
    record = run(text)
    assert record.ending == "finished", record.message
    found = {fact.name: fact for fact in record.facts}
    expected = {name} if name else set()
    if change.get("outputs") == "1":
        expected.add("chosen_from_one")
    assert set(found) - {"loss_constant"} == expected | (
        {"no_gradient"} if "norm" not in text.split("return")[1] else set()
    )
    if name and at is not None:
        assert source(text, found[name].site) == at


def test_detached_loss(run: Run) -> None:
    text = _SLICES.replace(
        "loss = loss_function(model(X[i:i + 16])", "loss = loss_function(model(X[i:i + 16]).detach()"
    )
    record = run(text)
    assert record.ending == "crashed"
    assert [fact.name for fact in record.facts] == ["detached_loss"]
    assert record.crash is not None
    assert source(text, record.crash.site) == "loss.backward()"


def test_crash_in_the_network(run: Run) -> None:
    text = _SUBCLASS.replace("self.head = nn.Linear(8, 2)", "self.head = nn.Linear(9, 2)")
    record = run(text)
    crash = record.crash
    assert (record.ending, crash is not None) == ("crashed", True)
    assert crash is not None
    assert (crash.error, crash.operation, crash.module) == ("RuntimeError", "Linear", "head")
    assert source(text, crash.made) == "nn.Linear(9, 2)"
    assert source(text, crash.site) == "self.head(self.block(self.stem(x)))"
    assert [operand.shape for operand in crash.operands[:2]] == [(16, 8), (2, 9)]
    assert len(record.operations) == 5
    assert [loop.kind for loop in record.loops] == ["range", "loader"]


def test_crash_in_the_loss(run: Run) -> None:
    text = _SLICES.replace("y = (X[:, 0] > 0).long()", "y = (X[:, 0] > 0).float()")
    record = run(text)
    assert record.loss is not None
    assert (record.loss.kind, record.loss.target.dtype) == ("cross_entropy", "float32")
    assert [fact.name for fact in record.facts] == ["float_labels"]


def test_data(run: Run) -> None:
    spoil = "X[3, 1] = float('nan'); X[:, 2] = 7; X[:, 3] *= 1000; y[:90] = 0\n"
    record = run(_SLICES.replace("model = nn.Seq", spoil + "model = nn.Seq"))
    found = {fact.name: fact for fact in record.facts}
    assert set(found) == {"input_missing", "input_constant", "input_unscaled", "imbalance", "loss_not_finite"}
    assert found["input_missing"].value == 1
    assert "columns 2 " in found["input_constant"].text


def test_stop_at_the_cap(run: Run) -> None:
    record = run(_SLICES, updates=5, cap="stop")
    assert (record.ending, record.updates, record.printed) == ("capped", 5, "")
    assert record.score is not None
    assert record.score.source == "prequential"


def test_dry_loader_lets_the_evaluation_come(run: Run) -> None:
    record = run(_SUBCLASS, updates=5, cap="dry")
    assert (record.ending, record.updates) == ("capped", 5)
    assert record.score is not None
    assert record.score.source == "own"
    assert record.score.value == pytest.approx(printed(record))
    assert run(_SUBCLASS, rows=40, cap="dry").updates == 3


def test_withheld_rows(run: Run) -> None:
    text = _SUBCLASS.split("net.eval()")[0]
    loader = run(text).loaders[0].made
    record = run(text, withhold=loader)
    assert record.score is not None
    assert (record.score.source, record.score.rows) == ("withheld", 19)
    assert record.loaders[0].rows == 77
    sampled = text.replace("shuffle=True", "sampler=torch.utils.data.SubsetRandomSampler(range(96))")
    loader = run(sampled).loaders[0].made
    record = run(sampled, withhold=loader)
    assert (record.ending, record.loaders[0].rows) == ("finished", 96)


def test_printed_metric(run: Run) -> None:
    record = run(_SLICES + "print('f1: 0.5'); print('f1: 0.75')\n", metric=r"f1=f1: ([\d.]+)")
    assert record.score is not None
    assert (record.score.kind, record.score.value, record.score.source) == ("f1", 0.75, "printed")
    record = run("print('accuracy: 87.5 %')\n", metric=r"acc=accuracy: ([\d.]+)")
    assert record.score is not None
    assert record.score.value == 0.875
    assert run("print('accuracy: ')\n", metric=r"acc=accuracy: ([\d.]+)?").score is None


@pytest.mark.parametrize(
    ("evaluation", "kind"),
    [
        ("p = model(X[96:]).argmax(1).numpy(); print((p == y[96:].numpy()).mean())", "accuracy"),
        (
            "p = [model(x[None]).argmax().item() for x in X[96:]]\n"
            "from sklearn.metrics import f1_score; print(f1_score(y[96:].numpy(), p))",
            "f1",
        ),
        (
            "p = torch.cat([model(X[96:108]), model(X[108:])]).argmax(1)\n"
            "print((p == y[96:]).float().mean().item())",
            "accuracy",
        ),
        (
            "p = model(X[96:])[:, 1]; t = X[96:, 0]\n"
            "print((1 - ((p - t) ** 2).sum() / ((t - t.mean()) ** 2).sum()).item())",
            "r2",
        ),
    ],
)
def test_own_evaluations(run: Run, evaluation: str, kind: str) -> None:
    record = run(_SLICES.split("with torch.no_grad")[0] + "torch.set_grad_enabled(False)\n" + evaluation)
    assert record.score is not None, record.message
    assert (record.score.kind, record.score.source) == (kind, "own")
    assert record.score.value == pytest.approx(printed(record), rel=1e-6, abs=1e-6)


def test_two_optimizers_and_two_networks_are_named(run: Run) -> None:
    text = _DATA + (
        "a, b = nn.Linear(4, 4), nn.Linear(4, 2)\n"
        "one, two = torch.optim.SGD(a.parameters(), 0.1), torch.optim.SGD(b.parameters(), 0.1)\n"
        "for _ in range(3):\n"
        "    one.zero_grad(); two.zero_grad()\n"
        "    ((b(a(X))[:, 0] - y) ** 2).mean().backward()\n"
        "    one.step(); two.step()\n"
    )
    record = run(text)
    assert set(record.opaque) == {"two optimizers", "several networks", "own loss"}


def test_same_seed_gives_the_same_run(run: Run) -> None:
    text = _SLICES.replace("torch.manual_seed(0)\n", "")
    assert run(text, seed=3).losses == run(text, seed=3).losses != run(text, seed=4).losses


def test_sources_patch_the_copy_alone(runner, run: Run, tmp_path) -> None:
    run(_SLICES)
    record = runner.run(tmp_path / "train.py", sources={"train.py": _SLICES.replace("lr=0.5", "lr=0.25")})
    assert record.optimizers[0].settings["lr"] == 0.25
    assert (tmp_path / "train.py").read_text() == _SLICES


def test_where_a_loss_gets_an_output_and_a_target_of_one_shape(run: Run) -> None:
    text = (
        _DATA
        + """\
net = nn.Linear(4, 1)
f = nn.MSELoss()
opt = torch.optim.SGD(net.parameters(), lr=0.01)
z = y.float()
for _ in range(2):
    f(net(X), z).backward()
    opt.step()
    opt.zero_grad()
print(f(net(X).flatten(), z).item(), F.l1_loss(net(X)[:, 0], z).item())
"""
    )
    record = run(text)
    assert [source(text, site) for site in record.fitting] == [
        "f(net(X).flatten(), z)",
        "F.l1_loss(net(X)[:, 0], z)",
    ]

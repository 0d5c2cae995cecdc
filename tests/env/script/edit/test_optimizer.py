"""Changes of the optimizer in many styles."""

from __future__ import annotations

import pytest

from netmend.env.errors import UnknownNameError
from netmend.env.script.changes import SourceChange
from netmend.env.script.source import EditRefused


@pytest.mark.parametrize(
    ("text", "made", "after"),
    [
        ("opt = SGD(w, lr=0.1)  # fast\n", "SGD(w, lr=0.1)", "opt = SGD(w, lr=0.01)  # fast\n"),
        ("opt = SGD(w, 0.1,)\n", "SGD(w, 0.1,)", "opt = SGD(w, 0.01,)\n"),
        (
            "opt = SGD(\n    w,\n    lr = 0.1, # x\n)\n",
            "SGD(\n    w,\n    lr = 0.1, # x\n)",
            "opt = SGD(\n    w,\n    lr = 0.01, # x\n)\n",
        ),
        ("LR = 1e-1\nopt = SGD(w, lr=LR)\n", "SGD(w, lr=LR)", "LR = 0.01\nopt = SGD(w, lr=LR)\n"),
        (
            "c = {'lr': 0.1}\nopt = SGD(w, lr=c['lr'])\n",
            "SGD(w, lr=c['lr'])",
            "c = {'lr': 0.01}\nopt = SGD(w, lr=c['lr'])\n",
        ),
        ("def f(lr=0.1):\n    SGD(w, lr)\nf()\n", "SGD(w, lr)", "def f(lr=0.01):\n    SGD(w, lr)\nf()\n"),
    ],
)
def test_the_rate_is_changed_where_it_is_written(script, text, made, after):
    assert script(text).optimizer(made, lr=0.1).edited("optimizer.lr", 0.01) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("LR = 0.1\nopt = SGD(w, lr=LR)\nother(LR)\n", "LR = 0.1\nopt = SGD(w, lr=0.01)\nother(LR)\n"),
        (
            "LR = 0.1\nopt = SGD(w, lr=LR)\nprint('lr', LR)\n",
            "LR = 0.01\nopt = SGD(w, lr=LR)\nprint('lr', LR)\n",
        ),
        ("LR = 0.5\nopt = SGD(w, lr=LR)\n", "LR = 0.5\nopt = SGD(w, lr=0.01)\n"),  # the run had another value
        ("LR = base / 2\nopt = SGD(w, lr=LR)\n", "LR = 0.01\nopt = SGD(w, lr=LR)\n"),
    ],
)
def test_a_literal_that_feeds_something_else_stays(script, text, after):
    assert script(text).optimizer("SGD(w, lr=LR)", lr=0.1).edited("optimizer.lr", 0.01) == after


def test_a_rate_of_another_file(script):
    case = script("import settings\nopt = SGD(w, lr=settings.LR)\n", settings="LR = 0.1  # rate\n")
    patch = case.optimizer("SGD(w, lr=settings.LR)", lr=0.1).patch(
        SourceChange(what="optimizer.lr", value=0.01)
    )
    assert dict(patch.texts) == {"settings.py": "LR = 0.01  # rate\n"}


def test_a_rate_that_is_left_out_is_written_behind_the_rest(script):
    case = script("opt = Adam(\n    w,\n    eps=1e-8\n)\n").optimizer(
        "Adam(\n    w,\n    eps=1e-8\n)", "Adam"
    )
    assert case.edited("optimizer.lr", 0.01) == "opt = Adam(\n    w,\n    eps=1e-8,\n    lr=0.01\n)\n"


def _kind(kind, **more):
    return [
        SourceChange(what=f"optimizer.{name}", value=value) for name, value in {"kind": kind, **more}.items()
    ]


@pytest.mark.parametrize(
    ("text", "made", "after"),
    [
        (
            "import torch\nopt = torch.optim.SGD(w, lr=0.1, momentum=0.9, nesterov=True)\n",
            "torch.optim.SGD(w, lr=0.1, momentum=0.9, nesterov=True)",
            "import torch\nopt = torch.optim.Adam(w, lr=0.001)\n",
        ),
        (
            "from torch.optim import SGD\nopt = SGD(w, lr=0.1)\n",
            "SGD(w, lr=0.1)",
            "from torch.optim import SGD\nimport torch\nopt = torch.optim.Adam(w, lr=0.001)\n",
        ),
        (
            "NAME = 'SGD'\nopt = getattr(torch.optim, NAME)(w, lr=0.1)\n",
            "getattr(torch.optim, NAME)(w, lr=0.1)",
            'NAME = "Adam"\nopt = getattr(torch.optim, NAME)(w, lr=0.001)\n',
        ),
        (
            "import torch\nopt = torch.optim.SGD(w, momentum=0.9,\n                      lr=0.1)\n",
            "torch.optim.SGD(w, momentum=0.9,\n                      lr=0.1)",
            "import torch\nopt = torch.optim.Adam(w,\n                      lr=0.001)\n",
        ),
    ],
)
def test_another_kind_takes_its_rate_and_leaves_what_it_does_not_take(script, text, made, after):
    case = script(text).optimizer(made, lr=0.1)
    assert case.patch(*_kind("adam", lr=0.001)).texts["train.py"] == after


def test_another_kind_keeps_the_rate_that_the_old_one_had_by_default(script):
    case = script("import torch\nopt = torch.optim.Adam(w)\n").optimizer(
        "torch.optim.Adam(w)", "Adam", lr=0.001
    )
    assert "torch.optim.NAdam(w, lr=0.001)" in case.patch(*_kind("nadam")).texts["train.py"]


def test_momentum_with_nesterov_is_added_and_zero_goes(script):
    case = script("opt = SGD(w, lr=0.1)\n").optimizer("SGD(w, lr=0.1)", lr=0.1)
    both = [
        SourceChange(what="optimizer.momentum", value=0.9),
        SourceChange(what="optimizer.nesterov", value=True),
    ]
    assert case.patch(*both).texts["train.py"] == "opt = SGD(w, lr=0.1, momentum=0.9, nesterov=True)\n"
    text = "opt = SGD(w, momentum=0.9, lr=0.1, weight_decay=1e-4)\n"
    case = script(text).optimizer(text[6:-1], lr=0.1)
    gone = [
        SourceChange(what="optimizer.momentum", value=0.0),
        SourceChange(what="optimizer.weight_decay", value=0.0),
    ]
    assert case.patch(*gone).texts["train.py"] == "opt = SGD(w, lr=0.1)\n"


@pytest.mark.parametrize(
    ("text", "made", "after"),
    [
        (
            "import keras\nm.compile(optimizer='sgd', loss='mse')\nm.fit(x, y)\n",
            "m.compile(optimizer='sgd', loss='mse')",
            "import keras\nm.compile(optimizer=\"adam\", loss='mse')\nm.fit(x, y)\n",
        ),
        (
            "import keras\no = keras.optimizers.SGD(learning_rate=5.0)\nm.compile(o)\nm.fit(x, y)\n",
            "keras.optimizers.SGD(learning_rate=5.0)",
            'import keras\no = "adam"\nm.compile(o)\nm.fit(x, y)\n',
        ),
    ],
)
def test_keras_takes_a_word_or_a_class(script, text, made, after):
    case = script(text).knows(framework="keras").optimizer(made, learning_rate=5.0)
    assert case.patch(*_kind("adam", lr=0.001)).texts["train.py"] == after


def test_keras_word_becomes_a_class_for_another_rate(script):
    text = "import keras\nm.compile(optimizer='sgd', loss='mse')\nm.fit(x, y)\n"
    case = script(text).knows(framework="keras").optimizer("m.compile(optimizer='sgd', loss='mse')")
    assert "optimizer=keras.optimizers.SGD(learning_rate=0.5)" in case.edited("optimizer.lr", 0.5)


def test_training_arguments_take_rate_and_kind(script):
    text = "args = TrainingArguments(output_dir='o', learning_rate=1.0)\n"
    patch = script(text).knows(framework="transformers").patch(*_kind("sgd", lr=0.01))
    assert (
        patch.texts["train.py"]
        == "args = TrainingArguments(output_dir='o', learning_rate=0.01, optim=\"sgd\")\n"
    )


@pytest.mark.parametrize(
    ("text", "made", "reason"),
    [
        (
            "opt = SGD([{'params': a, 'lr': 1}], lr=0.1)\n",
            "SGD([{'params': a, 'lr': 1}], lr=0.1)",
            "parameter groups",
        ),
        ("opt = SGD(w, **config)\n", "SGD(w, **config)", "spreads a dictionary"),
        ("opt = make(w)\n", "make(w", "no expression stands"),
    ],
)
def test_what_cannot_be_written_is_refused(script, text, made, reason):
    with pytest.raises(EditRefused, match=reason):
        script(text).optimizer(made, lr=0.1).edited("optimizer.lr", 0.01)


def test_two_optimizers_are_refused(script):
    case = script("a = SGD(w)\nb = SGD(v)\n").optimizer("SGD(w)").optimizer("SGD(v)")
    with pytest.raises(EditRefused, match="two optimizers"):
        case.edited("optimizer.lr", 0.01)


def test_an_unknown_word_lists_near_ones(script):
    with pytest.raises(UnknownNameError, match=r"did you mean 'optimizer\.lr'"):
        script("x = 1\n").edited("optimizer.rl", 1)

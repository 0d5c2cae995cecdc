"""Changes of a loop's settings in many styles."""

from __future__ import annotations

import pytest

from netmend.env.script.source import EditRefused


@pytest.mark.parametrize(
    ("text", "over", "rounds", "after"),
    [
        ("for e in range(5):\n    b()\n", "range(5)", 5, "for e in range(20):\n    b()\n"),
        ("for e in range(1, 6):\n    b()\n", "range(1, 6)", 5, "for e in range(1, 21):\n    b()\n"),
        ("for e in range( 0, 5 ): b()\n", "range( 0, 5 )", 5, "for e in range( 0, 20 ): b()\n"),
        (
            "N = 5\nfor e in tqdm(range(N)):\n    print(N)\n",
            "range(N)",
            5,
            "N = 20\nfor e in tqdm(range(N)):\n    print(N)\n",
        ),
        (
            "N = 5\nfor e in range(1, N + 1):\n    b()\n",
            "range(1, N + 1)",
            5,
            "N = 20\nfor e in range(1, N + 1):\n    b()\n",
        ),
        (
            "N = 5\nfor e in range(int(N)):\n    b()\n",
            "range(int(N))",
            5,
            "N = 20\nfor e in range(int(N)):\n    b()\n",
        ),
        (
            "def fit(n=5):\n    for e in range(n):\n        b()\nfit()\n",
            "range(n)",
            5,
            "def fit(n=20):\n    for e in range(n):\n        b()\nfit()\n",
        ),
    ],
)
def test_epochs(script, text, over, rounds, after):
    assert script(text).loop(over, rounds).edited("loop.epochs", 20) == after


@pytest.mark.parametrize(
    ("text", "over", "kind", "reason"),
    [
        ("while go:\n    b()\n", "go", "while", "not a for loop"),
        ("for e in count():\n    b()\n", "count()", "other", "counts no range"),
        ("for e in range(a, 6):\n    b()\n", "range(a, 6)", "range", "start or a step that is computed"),
    ],
)
def test_epochs_that_are_not_counted_are_refused(script, text, over, kind, reason):
    with pytest.raises(EditRefused, match=reason):
        script(text).loop(over, 5, kind=kind).edited("loop.epochs", 20)


@pytest.mark.parametrize(
    ("framework", "text", "name"),
    [
        ("lightning", "t = L.Trainer(max_epochs=5)\n", "max_epochs=20"),
        ("transformers", "a = TrainingArguments('o')\n", "num_train_epochs=20"),
        ("keras", "m.fit(x, y, epochs=5)\n", "epochs=20"),
    ],
)
def test_epochs_of_a_framework(script, framework, text, name):
    case = script(text).knows(framework=framework)
    assert name in case.loop(
        text[text.find("=") + 2 : -1] if framework != "keras" else text[:-1], kind="epochs"
    ).edited("loop.epochs", 20)


@pytest.mark.parametrize(
    ("text", "made", "after"),
    [
        (
            "t = DataLoader(d, batch_size=32)\n",
            "DataLoader(d, batch_size=32)",
            "t = DataLoader(d, batch_size=8)\n",
        ),
        ("t = DataLoader(d, 32, True)\n", "DataLoader(d, 32, True)", "t = DataLoader(d, 8, True)\n"),
        ("t = DataLoader(d)\n", "DataLoader(d)", "t = DataLoader(d, batch_size=8)\n"),
        (
            "B = 32\nt = DataLoader(d, batch_size=B)\nv = DataLoader(e, batch_size=B)\n",
            "DataLoader(d, batch_size=B)",
            "B = 8\nt = DataLoader(d, batch_size=B)\nv = DataLoader(e, batch_size=B)\n",
        ),
    ],
)
def test_rows_of_a_loader(script, text, made, after):
    assert script(text).loader(made).edited("loop.batch_size", 8) == after


SLICES = "for e in range(5):\n    for i in {over}:\n        a, b = X[{cut}], y[{cut}]\n        f(32)\n"


@pytest.mark.parametrize(
    ("over", "cut", "after_over", "after_cut"),
    [
        ("range(0, n, 32)", "i:i + 32", "range(0, n, 8)", "i:i + 8"),
        ("range(0, len(X), 32)", "i : min(i + 32, n)", "range(0, len(X), 8)", "i : min(i + 8, n)"),
    ],
)
def test_rows_of_slices(script, over, cut, after_over, after_cut):
    case = script(SLICES.format(over=over, cut=cut)).loop("range(5)").loop(over, None, 32)
    assert case.edited("loop.batch_size", 8) == SLICES.format(over=after_over, cut=after_cut)


def test_rows_of_slices_by_name(script):
    text = "B = 32\n" + SLICES.format(over="range(n // B)", cut="i * B:(i + 1) * B")
    case = script(text).loop("range(5)").loop("range(n // B)", 3)
    assert case.edited("loop.batch_size", 8) == text.replace("B = 32", "B = 8")


def test_a_full_batch_has_no_rows_to_change(script):
    with pytest.raises(EditRefused, match="takes all rows"):
        script("for e in range(5):\n    b()\n").loop("range(5)").edited("loop.batch_size", 8)


def test_shuffling_of_a_loader(script):
    text = "t = DataLoader(d, batch_size=4, shuffle=False)\n"
    assert script(text).loader(text[4:-1]).edited("loop.shuffle", True) == text.replace("False", "True")


def test_a_sampler_is_not_shuffled(script):
    text = "t = DataLoader(d, sampler=s)\n"
    with pytest.raises(EditRefused, match="sampler"):
        script(text).loader(text[4:-1]).edited("loop.shuffle", True)


def test_shuffling_of_slices(script):
    text = "import torch\n" + SLICES.format(over="range(0, n, 32)", cut="i:i+32")
    after = script(text).loop("range(5)").loop("range(0, n, 32)", None, 32).edited("loop.shuffle", True)
    assert after.splitlines()[1:4] == [
        "for e in range(5):",
        "    order = torch.randperm(len(X))",
        "    X, y = X[order], y[order]",
    ]


LOOP = """\
import torch
opt = SGD(net.parameters())
for e in range(5):
    loss = f(net(x))
    loss.backward()  # b
    opt.step()
"""


def _loop(script, text=LOOP):
    case = script(text).optimizer("SGD(net.parameters())").loop("range(5)")
    return case.knows(backward=case.site("loss.backward()"), forward=case.site("net(x)"))


def test_the_gradient_is_clipped_behind_the_backward_pass(script):
    new = "    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n"
    assert _loop(script).edited("loop.clip", 1.0) == LOOP.replace("# b\n", "# b\n" + new)


def test_the_gradient_is_no_longer_clipped(script):
    clip = "    torch.nn.utils.clip_grad_norm_(net.parameters(), 5)\n"
    text = LOOP.replace("# b\n", "# b\n" + clip)
    assert _loop(script, text).edited("loop.clip", None) == LOOP
    assert _loop(script, text).edited("loop.clip", 1.0) == text.replace("5)\n", "1.0)\n")


def test_a_schedule_steps_behind_every_epoch_and_goes_again(script):
    after = _loop(script).edited("loop.schedule", 0.95)
    made = "torch.optim.lr_scheduler.ExponentialLR(opt, gamma=0.95)"
    assert after.splitlines()[2] == f"scheduler = {made}"
    assert after.endswith("    opt.step()\n    scheduler.step()\n")
    case = _loop(script, after)
    assert case.knows(schedules=(("ExponentialLR", case.site(made)),)).edited("loop.schedule", None) == LOOP


SCHEDULED = """\
s = StepLR(opt)
for e in range(5):
    for x in data:
        opt.step()
        s.step()
    print(e)
"""
IN_A_FUNCTION = """\
def fit(loader, scheduler=None):
    for x in loader:
        opt.step()
        if scheduler is not None:
            scheduler.step()
    return 1
for e in range(5):
    fit(data, StepLR(opt))
"""


@pytest.mark.parametrize(
    ("text", "step", "old", "new"),
    [
        (SCHEDULED, "s.step()", "        s.step()\n    print(e)\n", "    print(e)\n    s.step()\n"),
        (
            IN_A_FUNCTION,
            "scheduler.step()",
            "        if scheduler is not None:\n            scheduler.step()\n",
            "    if scheduler is not None:\n        scheduler.step()\n",
        ),
    ],
)
def test_a_schedule_is_moved_out_of_the_loop_over_batches(script, text, step, old, new):
    case = script(text).loop("range(5)").knows(scheduled=script(text).site(step))
    assert case.edited("loop.schedule_per_epoch") == text.replace(old, new)


FIT = "import keras\nm.fit(x, y, callbacks=[keras.callbacks.EarlyStopping(patience=3), log])\n"


@pytest.mark.parametrize(
    ("text", "patience", "after"),
    [
        (FIT, 10, FIT.replace("=3", "=10")),
        (FIT, None, FIT.replace("keras.callbacks.EarlyStopping(patience=3), ", "")),
        (
            "import keras\nm.fit(x, y, validation_split=0.1)\n",
            10,
            "import keras\n"
            "m.fit(x, y, validation_split=0.1, callbacks=[keras.callbacks.EarlyStopping(patience=10)])\n",
        ),
    ],
)
def test_early_stopping_of_keras(script, text, patience, after):
    case = script(text).knows(framework="keras").loop(text.splitlines()[1], kind="epochs")
    assert case.edited("loop.patience", patience) == after


def test_early_stopping_of_a_loop_is_refused(script):
    with pytest.raises(EditRefused, match="no early stopping"):
        _loop(script).edited("loop.patience", 10)

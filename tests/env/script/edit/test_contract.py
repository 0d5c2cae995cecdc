"""What a training loop calls, and when."""

from __future__ import annotations

import pytest

from netmend.env.program import Dropout
from netmend.env.script.changes import SourceChange
from netmend.env.script.source import EditRefused

LOOP = """\
opt = SGD(net.parameters())
for e in range(5):
    for x, y in data:
        out = net(x)
        loss = f(out, y)
        loss.backward()
        opt.step()
    with torch.no_grad():
        for a, b in held:
            print(net(a))
"""


def _loop(script, text=LOOP, **known):
    case = script(text).optimizer("SGD(net.parameters())").loop("range(5)").loop("data", kind="loader")
    sites = {
        "backward": "loss.backward()",
        "forward": "net(x)",
        "evaluated": "net(a)",
        "zeroed": "opt.zero_grad()",
    }
    found = {name: case.site(part) for name, part in sites.items() if part in text}
    return case.knows(**found, **known)


def test_gradients_are_set_to_zero_in_front_of_the_backward_pass(script):
    new = "        opt.zero_grad()\n        loss.backward()\n"
    assert _loop(script).edited("loop.zero_grad") == LOOP.replace("        loss.backward()\n", new)


def test_gradients_are_set_to_zero_behind_a_step_that_is_rarer(script):
    text = LOOP.replace("        opt.step()\n", "        if last:\n            opt.step()\n")
    assert _loop(script, text).edited("loop.zero_grad") == text.replace(
        "opt.step()\n", "opt.step()\n            opt.zero_grad()\n"
    )


def test_a_framework_needs_no_zero_grad(script):
    with pytest.raises(EditRefused, match="lightning holds the training loop"):
        _loop(script, framework="lightning").edited("loop.zero_grad")


@pytest.mark.parametrize(
    "wrong",
    [
        "opt.step()  # s\n        loss.backward()\n",
        "loss.backward()\n        opt.zero_grad()\n        opt.step()\n",
    ],
)
def test_the_step_follows_the_backward_pass(script, wrong):
    right = "loss.backward()\n        opt.step()\n"
    after = _loop(script, LOOP.replace(right, wrong)).edited("loop.order")
    lines = [line.strip() for line in after.splitlines()]
    assert lines.index("loss.backward()") < lines.index("opt.step()")
    if "zero_grad" in wrong:
        assert lines.index("opt.zero_grad()") < lines.index("loss.backward()")
    assert sorted(after.split()) == sorted(LOOP.replace(right, wrong).replace("  # s", "").split())


def test_evaluation_mode_goes_in_front_of_the_evaluation_and_training_mode_back(script):
    after = _loop(script).edited("loop.evaluation_mode")
    expected = LOOP.replace("    with torch", "    net.eval()\n    with torch")
    assert after == expected.replace("    for x, y", "    net.train()\n    for x, y")


def test_evaluation_mode_of_a_function_and_behind_the_training(script):
    text = LOOP.split("    with")[0] + 'def check(m, a):\n    """Look."""\n    return m(a)\ncheck(net, z)\n'
    case = _loop(script, text)
    after = case.knows(evaluated=case.site("m(a)")).edited("loop.evaluation_mode")
    assert after == text.replace("    return m(a)", "    m.eval()\n    return m(a)")


def test_training_mode_at_the_start_of_every_epoch(script):
    assert _loop(script).edited("loop.training_mode") == LOOP.replace(
        "    for x, y", "    net.train()\n    for x, y"
    )


def test_all_parameters_are_optimized(script):
    text = LOOP.replace("SGD(net.parameters())", "SGD(net.head.parameters(), lr=1)")
    case = script(text).optimizer("SGD(net.head.parameters(), lr=1)")
    assert case.knows(forward=case.site("net(x)")).edited("loop.optimized") == text.replace(
        "net.head.p", "net.p"
    )


def test_the_first_layer_with_modes_brings_them_to_the_evaluation(script):
    text = LOOP.replace("opt = SGD", "from torch import nn\nnet = nn.Sequential(nn.Linear(4, 3))\nopt = SGD")
    case = _loop(script, text).operation("Linear", "nn.Linear(4, 3)")
    change = SourceChange(what="layer.insert", at=0, layers=(Dropout(rate=0.5),), shape=(3,))
    after = case.patch(change).texts["train.py"]
    assert "    net.eval()\n    with torch.no_grad" in after
    assert "    net.train()\n    for x, y" in after
    case.knows(modes=(case.site("net(x)"),))
    assert "eval()" not in case.patch(change).texts["train.py"]

"""What cuts the loss off the network is taken out, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netmend.env.script.record import Fact
from netmend.env.script.source import EditRefused

LOOP = """\
opt = SGD(net.parameters())
for e in range(5):
    for x, y in data:
        out = net(x)
        loss = f(out, y)
        loss.backward()
        opt.step()
"""


def _loop(script, text=LOOP, **known):
    case = script(text).optimizer("SGD(net.parameters())").loop("range(5)").loop("data", kind="loader")
    sites = {"backward": "loss.backward()", "evaluated": "net(x)"}
    found = {name: case.site(part) for name, part in sites.items() if part in text}
    return case.operation("Linear", module="fc").knows(**found, **known)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("net(x)\n", "net(x).detach()\n"),
        ("f(out, y)", "f(out.data, y)"),
        ("f(out, y)", "torch.tensor(f(out, y), requires_grad=True)"),
        ("f(out, y)", "f(out, y).item()"),
        ("loss.backward()", "loss.detach().backward()"),
    ],
)
def test_the_loss_keeps_its_graph(script, right, wrong):
    text = LOOP.replace(right, wrong)
    case = _loop(script, "import torch\n" + text)
    backward = case.site(wrong if "backward" in wrong else "loss.backward()")
    assert case.knows(backward=backward).edited("loop.loss_graph") == "import torch\n" + LOOP


def test_targets_may_stay_detached(script):
    text = LOOP.replace("net(x)\n", "net(x).detach()\n").replace("f(out, y)", "f(out, y.detach())")
    assert _loop(script, text).edited("loop.loss_graph") == LOOP.replace("f(out, y)", "f(out, y.detach())")


def test_what_the_run_saw_detach_is_unwrapped(script):
    text = LOOP.replace("net(x)\n", "cut(net(x)).detach()\n")
    case = _loop(script, text)
    fact = Fact(name="detached_loss", value=1, text="", site=case.site("cut(net(x)).detach()"))
    assert case.knows(facts=(fact,)).edited("loop.loss_graph") == text.replace(".detach()", "")


def test_a_graph_that_nothing_cuts_is_left(script):
    with pytest.raises(EditRefused, match="nothing that cuts"):
        _loop(script).edited("loop.loss_graph")


BLOCK = '''\
import torch
for x, y in data:
    HEAD
        # the forward pass
        out = net(
            x,
        )
        text = """one
        two"""

        loss = f(out, y)  # trained
    loss.backward()
    if done:
        with torch.no_grad():
            print(net(x))
'''
FREE = '''\
import torch
for x, y in data:
    # the forward pass
    out = net(
        x,
    )
    text = """one
        two"""

    loss = f(out, y)  # trained
    loss.backward()
    if done:
        with torch.no_grad():
            print(net(x))
'''


@pytest.mark.parametrize(
    "head",
    [
        "with torch.no_grad():  # saves memory",
        "with torch.inference_mode(True):",
        "with (\n        torch.set_grad_enabled(False),  # a: b\n    ):",
    ],
)
def test_the_head_of_a_block_without_gradients_goes_and_its_lines_move_to_the_left(script, head):
    case = script(BLOCK.replace("HEAD", head))
    passed = case.site("net(\n            x,\n        )")
    assert (
        case.knows(backward=case.site("loss.backward()"), evaluated=passed).edited("loop.loss_graph") == FREE
    )


def test_a_block_on_one_line_keeps_its_statement(script):
    text = LOOP.replace("out = net(x)", "with torch.no_grad(): out = net(x)")
    assert _loop(script, text).edited("loop.loss_graph") == LOOP


def test_a_block_with_more_than_no_grad_is_refused(script):
    text = LOOP.replace("out = net(x)", "with torch.no_grad(), autocast(): out = net(x)")
    with pytest.raises(EditRefused, match="is more than a no_grad"):
        _loop(script, text).edited("loop.loss_graph")


def test_a_decorator_goes_with_its_line(script):
    text = "@log\n@torch.no_grad()\ndef train(x):\n    loss = net(x).sum()\n    loss.backward()\ntrain(x)\n"
    case = script(text)
    case.knows(backward=case.site("loss.backward()"), evaluated=case.site("net(x)"))
    assert case.edited("loop.loss_graph") == text.replace("@torch.no_grad()\n", "")


LOOPED = "for p in net.parameters():\n    n += 1\n"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("for p in net.parameters():\n    p.requires_grad = False\n", ""),
        (f"{LOOPED}    p.requires_grad_(False)\n", LOOPED),
        ("net.requires_grad_(False)\n", ""),
        ("net = Net().requires_grad_(False)\n", "net = Net()\n"),
        ("torch.set_grad_enabled(mode=False)\n", ""),
    ],
)
def test_what_lets_nothing_learn_goes(script, wrong, right):
    case = _loop(script, wrong + LOOP)
    frozen = tuple(replace(one, trainable=0, frozen=5) for one in case.known["operations"])
    assert case.knows(operations=frozen).edited("loop.loss_graph") == right + LOOP


def test_a_part_that_is_frozen_stays_so(script):
    with pytest.raises(EditRefused, match="nothing that cuts"):
        _loop(script, "net.base.requires_grad_(False)\n" + LOOP).edited("loop.loss_graph")

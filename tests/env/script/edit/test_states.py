"""A state that is handed from one update to the next."""

from __future__ import annotations

import pytest

from netmend.env.script.source import EditRefused

LOOP = """\
for e in range(5):
    state = None
    for x, y in data:
        x = scale(x)
        out, state = net(x, state)
        loss = f(out, y)
        loss.backward()
        opt.step()
"""


def _edited(script, text, kind="GRU"):
    return (
        script(text)
        .knows(backward=script(text).site("loss.backward()"))
        .operation(kind)
        .edited("loop.carried_state")
    )


@pytest.mark.parametrize(
    ("kind", "line"),
    [("GRU", "state = state.detach()"), ("LSTM", "state = tuple(part.detach() for part in state)")],
)
def test_a_state_is_detached_behind_the_backward_pass(script, kind, line):
    old = "        loss.backward()\n"
    assert _edited(script, LOOP, kind) == LOOP.replace(old, f"{old}        {line}\n")


def test_both_parts_of_a_pair_are_detached(script):
    text = LOOP.replace("out, state = net(x, state)", "out, (h, c) = net(x, hx=(h, c))")
    assert "        h = h.detach()\n        c = c.detach()\n" in _edited(script, text, "LSTM")


def test_a_state_that_a_module_keeps_is_detached_where_it_is_taken_up(script):
    kept = """\
class Net(Module):
    def forward(self, x):
        out, self.h = self.rnn(x, self.h)
        return out
"""
    text = kept + LOOP.replace("out, state = net(x, state)", "out = net(x)")
    new = "        if self.h is not None:\n            self.h = self.h.detach()\n        out, self.h"
    assert _edited(script, text) == text.replace("        out, self.h", new)


def test_what_is_made_anew_in_every_round_is_no_state(script):
    with pytest.raises(EditRefused, match="no state"):
        _edited(script, LOOP.replace("out, state = net(x, state)", "out = net(x)"))


@pytest.mark.parametrize("line", ["least = min(least, loss.item())", "mean = smooth(mean, loss.item())"])
def test_a_figure_that_goes_along_is_no_state(script, line):
    text = "def smooth(a, b):\n    return a + b\n" + LOOP.replace("opt.step()", f"opt.step()\n        {line}")
    old = "        loss.backward()\n"
    assert _edited(script, text) == text.replace(old, f"{old}        state = state.detach()\n")


STEP = """\
def step(x, y, state):
    opt.zero_grad()
    out, state = net(x, state)
    loss = f(out, y)
    loss.backward()
    opt.step()
    return loss.item(), state
state = None
for x, y in data:
    value, state = step(x, y, state)
"""


def test_a_state_of_an_update_in_a_function_of_its_own(script):
    old = "    loss.backward()\n"
    assert _edited(script, STEP) == STEP.replace(old, f"{old}    state = state.detach()\n")


def test_a_state_that_a_function_gives_back_under_another_name(script):
    text = STEP.replace("out, state = net", "out, new = net").replace("item(), state", "item(), new")
    old = "    value, state = step(x, y, state)\n"
    assert _edited(script, text) == text.replace(old, f"{old}    state = state.detach()\n")


def test_a_state_that_a_function_makes_anew(script):
    text = STEP.replace("    opt.zero_grad()", "    state = start(x)").replace("value, state = step", "step")
    with pytest.raises(EditRefused, match="no state"):
        _edited(script, text)


def test_a_state_that_goes_through_a_function_in_front_of_the_loss(script):
    text = """\
def loss_of(x, y, state):
    out, state = net(x, state)
    return f(out, y), state
state = None
for x, y in data:
    loss, state = loss_of(x, y, state)
    loss.backward()
    opt.step()
"""
    old = "    loss.backward()\n"
    assert _edited(script, text) == text.replace(old, f"{old}    state = state.detach()\n")

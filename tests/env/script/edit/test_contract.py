"""What a training loop calls, and when."""

from __future__ import annotations

import pytest

from netmend.env.program import Dropout
from netmend.env.script.changes import SourceChange
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


def test_gradients_that_add_up_are_set_to_zero_behind_the_step_in_its_own_block(script):
    right = "        if last:\n            clip(net)\n            opt.step()\n            opt.zero_grad()\n"
    wrong = "        if last:\n            opt.zero_grad()\n            clip(net)\n            opt.step()\n"
    text = LOOP.replace("        opt.step()\n", wrong)
    assert _loop(script, text).edited("loop.order") == text.replace(wrong, right)


def test_a_step_in_another_block_stays_where_no_gradient_is_lost_in_front_of_it(script):
    text = LOOP.replace("        opt.step()\n", "        if last:\n            opt.step()\n")
    with pytest.raises(EditRefused, match="another block"):
        _loop(script, text).edited("loop.order")


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


def test_all_parameters_are_optimized_where_a_comprehension_left_some_out(script):
    some = "[p for name, p in model.named_parameters() if not name.startswith('6.')]"
    text = LOOP.replace("SGD(net.parameters())", f"SGD({some}, lr=1)")
    case = script(text).optimizer(f"SGD({some}, lr=1)")
    assert case.edited("loop.optimized") == text.replace(some, "model.parameters()")


NET = "from torch import nn\nnet = nn.Sequential(nn.Linear(4, 3))\n"
DROPOUT = SourceChange(what="layer.insert", at=0, layers=(Dropout(rate=0.5),), shape=(3,))
SLICES = (
    NET
    + """\
opt = SGD(net.parameters())
print(net(x[:2]).shape)
for e in range(5):
    for i in range(0, 90, 9):
        loss = f(net(x[i : i + 9]), y[i : i + 9])
        loss.backward()
        opt.step()
    if e % 2:
        print(score(net(held)))
print(score(net(test)))
"""
)


def _with_dropout(script, text, forward, *loops):
    case = script(text).operation("Linear", "nn.Linear(4, 3)").optimizer("SGD(net.parameters())")
    for loop in loops:
        case.loop(loop)
    case.knows(forward=case.site(forward), backward=case.site("loss.backward()"))
    return case.patch(DROPOUT).texts["train.py"].replace(", nn.Dropout(0.5)", "")


def test_the_first_layer_with_modes_brings_them_to_the_evaluation(script):
    case = _loop(script, NET + LOOP).operation("Linear", "nn.Linear(4, 3)")
    after = case.patch(DROPOUT).texts["train.py"]
    assert "    net.eval()\n    with torch.no_grad" in after
    assert "    net.train()\n    for x, y" in after
    assert after.count("train()") == after.count("eval()") == 1


def test_modes_come_to_evaluations_that_the_run_did_not_reach(script):
    after = _with_dropout(script, SLICES, "net(x[i : i + 9])", "range(5)", "range(0, 90, 9)")
    expected = SLICES.replace("    for i", "    net.train()\n    for i")
    for line in ("print(net(x[:2])", "        print(score(net(held", "print(score(net(test"):
        indent = " " * (len(line) - len(line.lstrip()))
        expected = expected.replace(f"\n{line}", f"\n{indent}net.eval()\n{line}")
    assert after == expected


def test_training_goes_on_behind_an_evaluation_in_front_of_the_next_update(script):
    text = SLICES.replace("    for i in range(0, 90, 9):\n", "").replace("        ", "    ")
    text = text.replace("    if e % 2:\n    print", "    if e % 2:\n        print").replace("i : i + 9", ":")
    after = _with_dropout(script, text, "net(x[:])", "range(5)")
    assert "for e in range(5):\n    net.train()\n    loss" in after
    assert "    if e % 2:\n        net.eval()\n        print" in after


def test_modes_that_the_script_sets_are_left_as_they_are(script):
    own = SLICES.replace("    for i", "    net.train()\n    for i")
    own = own.replace("        print(score", "        net.eval()\n        print(score")
    assert _with_dropout(script, own, "net(x[i : i + 9])", "range(5)", "range(0, 90, 9)") == own
    once = own.replace("    net.train()\n", "").replace("for e", "net.train()\nfor e")
    after = _with_dropout(script, once, "net(x[i : i + 9])", "range(5)", "range(0, 90, 9)")
    assert after == once.replace("    for i", "    net.train()\n    for i")
    last = SLICES.replace("    if e % 2:\n        print(score(net(held)))\n", "net.eval()\n")
    assert _with_dropout(script, last, "net(x[i : i + 9])", "range(5)", "range(0, 90, 9)") == last


def test_modes_go_into_functions_and_a_training_behind_none_needs_them(script):
    text = (
        NET
        + """\
opt = SGD(net.parameters())
def train(model):
    for e in range(5):
        loss = f(model(x), y)
        loss.backward()
        opt.step()
def score(model):
    return model(test)
train(net)
print(score(net))
"""
    )
    after = _with_dropout(script, text, "model(x)", "range(5)")
    assert after == text.replace("    return", "    model.eval()\n    return")


def test_layers_with_modes_are_refused_where_one_call_trains_and_evaluates(script):
    text = (
        NET
        + """\
opt = SGD(net.parameters())
def run(part, learn):
    out = net(part)
    if learn:
        loss = f(out)
        loss.backward()
        opt.step()
for e in range(5):
    run(x, True)
    run(held, False)
"""
    )
    case = script(text).operation("Linear", "nn.Linear(4, 3)").optimizer("SGD(net.parameters())")
    case.loop("range(5)").knows(backward=case.site("loss.backward()"), forward=case.site("net(part)"))
    with pytest.raises(EditRefused, match="one call of the network both trains and evaluates"):
        case.knows(evaluated=case.site("net(part)")).patch(DROPOUT)


LATE = """\
net = Net()
opt = SGD(
    net.parameters(),
)
scheduler = StepLR(opt, 3)
print(net)
net.fc = Linear(4, 2)
train(net, opt)
"""


def _late(script, text):
    case = script(text).optimizer("SGD(")
    end = text.index(")\n", text.index("SGD("))
    sites = {"optimizer_in_front": case.site(text[text.index("SGD(") : end + 1])}
    sites["made_late"] = case.site("Linear(4, 2)")
    return case.knows(facts=tuple(Fact(name=name, value=2, text="", site=at) for name, at in sites.items()))


def test_the_optimizer_moves_behind_the_layer_that_it_should_have(script):
    moved = "opt = SGD(\n    net.parameters(),\n)\nscheduler = StepLR(opt, 3)\n"
    new = LATE.replace(moved, "").replace("4, 2)\n", "4, 2)\n" + moved)
    assert _late(script, LATE).edited("loop.optimizer_behind") == new


def test_the_optimizer_moves_into_the_loop_that_makes_the_network_anew(script):
    text = "opt = SGD(net)\nfor fold in folds:\n    net = Linear(4, 2)\n    train(net, opt)\n"
    new = "for fold in folds:\n    net = Linear(4, 2)\n    opt = SGD(net)\n    train(net, opt)\n"
    assert _late(script, text).edited("loop.optimizer_behind") == new


def test_the_optimizer_moves_behind_a_condition_that_may_make_no_layer(script):
    moved = "opt = SGD(\n    net.parameters(),\n)\nscheduler = StepLR(opt, 3)\n"
    made = "if classes != 5:\n    net.fc = Linear(4, 2)\n"
    text = LATE.replace("net.fc = Linear(4, 2)\n", made)
    assert _late(script, text).edited("loop.optimizer_behind") == text.replace(moved, "").replace(
        made, made + moved
    )


def test_the_optimizer_moves_behind_the_network_that_a_function_makes_anew(script):
    made = "def make():\n    return Linear(4, 2)\nnet = make()\n"
    text = made + "opt = SGD(net)\nnet = make()\ntrain(net, opt)\n"
    new = made + "net = make()\nopt = SGD(net)\ntrain(net, opt)\n"
    assert _late(script, text).edited("loop.optimizer_behind") == new


@pytest.mark.parametrize(
    "text",
    [
        LATE.replace("print(net)", "train(net, opt)"),
        "opt = SGD(net)\nfor fold in folds:\n    train(net, opt)\n    net = Linear(4, 2)\n",
        "opt = SGD(net)\ndef change(net):\n    net.fc = Linear(4, 2)\n",
    ],
)
def test_an_optimizer_that_is_used_before_stays_where_it_is(script, text):
    with pytest.raises(EditRefused):
        _late(script, text).edited("loop.optimizer_behind")

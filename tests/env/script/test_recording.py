"""Findings of a loop that runs in this process; PyTorch is as before at the end."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.optimizer import (
    Optimizer,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)
from torch.utils.data import DataLoader

import netmend
from netmend.env.errors import NetmendError

PATCHED = (
    *((nn.Module, name) for name in ("__init__", "__call__", "train", "zero_grad", "load_state_dict")),
    *((Optimizer, name) for name in ("__init__", "zero_grad")),
    *((DataLoader, name) for name in ("__init__", "__iter__")),
    *((torch.autograd, "backward"), (torch, "compile")),
)


def patched() -> list[object]:
    return [vars(home)[name] for home, name in PATCHED]


def network(*end: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3), *end)


def train(net: nn.Module, optimizer: Optimizer, *, zero: bool = True) -> None:
    rows = torch.randn(64, 4)
    labels = (rows[:, 0] > 0).long()
    for _ in range(5):
        if zero:
            optimizer.zero_grad()
        nn.functional.cross_entropy(net(rows), labels).backward()
        optimizer.step()


def adam(net: nn.Module) -> Optimizer:
    return torch.optim.Adam(net.parameters(), lr=0.01)


def test_a_loop_in_a_block_with_what_was_made_before_it() -> None:
    net = network(nn.Softmax(dim=1))
    optimizer = adam(net)
    with netmend.recording() as run:
        train(net, optimizer, zero=False)
    assert [one.name for one in run.findings if one.severity == "fault"] == [
        "gradients_add_up",
        "logits_squashed",
    ]
    assert run.record is not None
    assert run.record.updates == 5
    assert run.record.optimizers[0].kind == "Adam"
    assert all(one.site is not None and one.site.file == "test_recording.py" for one in run.findings)
    assert "test_recording.py:" in str(run.findings[0])


def test_a_good_loop_has_no_fault() -> None:
    def loop() -> None:
        net = network()
        train(net, adam(net))

    assert [one.name for one in netmend.check(loop) if one.severity == "fault"] == []


def test_what_other_cells_have_left_does_not_matter() -> None:
    left = [torch.optim.Adam(network().parameters()) for _ in range(2)]
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with netmend.recording() as seen:
        train(net, optimizer, zero=False)
    assert [one.name for one in seen.findings if one.severity == "fault"] == ["gradients_add_up"]
    assert seen.record is not None
    assert [one.kind for one in seen.record.optimizers] == ["SGD"]
    assert len(left) == 2


def test_an_optimizer_that_has_the_head_alone() -> None:
    with netmend.recording() as run:
        net = network()
        train(net, torch.optim.Adam(net[2].parameters()))  # type: ignore[index]
    assert run.findings[0].name == "not_all_optimized"


def test_torch_is_as_before_and_errors_pass_through() -> None:
    before = patched()
    during: list[object] = []

    def fails() -> None:
        during.extend(patched())
        raise ValueError("the block's own")

    with pytest.raises(ValueError, match="the block's own"):
        netmend.check(fails)
    assert all(now is not then for now, then in zip(during, before, strict=True))
    assert patched() == before
    assert not _global_optimizer_pre_hooks
    assert not _global_optimizer_post_hooks


def test_a_crash_is_a_finding_and_passes_through() -> None:
    net = network()
    with pytest.raises(RuntimeError, match="shapes"), netmend.recording() as run:
        net(torch.randn(3, 7))
    assert [one.name for one in run.findings] == ["crash"]
    assert run.findings[0].value == 7


def test_a_function_that_trains_nothing_is_refused() -> None:
    with pytest.raises(NetmendError, match="no training was seen"):
        netmend.check(lambda: None)

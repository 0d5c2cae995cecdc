"""Steps that a CUDA device repeats by itself: launching them one by one would take longer than they do.

Not yet run on a GPU: there are no figures for what it gains.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from netmend.env.training.batched.bound import Step


def captured(steps: Sequence[Step], device: str) -> list[Step]:
    """The same steps, each captured as a CUDA graph when it is called for the second time.

    The first call of each runs as usual, which makes libraries allocate what they need; the second one is
    captured, which runs nothing, and replayed, as are all others. So each call is one run. A step must read
    and write tensors only, the same ones each time, and must not wait for the device. If the device cannot
    capture one, that step and all that are not yet captured go on as usual.

    Args:
        steps: to be called in any order, on one thread, on the device's current stream.
        device: ``cuda`` or ``cuda:N``.
    """
    graphs = _Graphs(device)
    return [_Captured(graphs, step) for step in steps]


class _Graphs:
    """What the graphs of a group share: one memory, of which nothing outlives a step, and one stream."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._failed = False

    def run(self, step: Step) -> None:
        """Run on the stream of the captures, for which libraries then have their memory already."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def capture(self, step: Step) -> Step:
        """A step that replays; the step itself where it can't be captured."""
        if self._failed:
            return step
        graph = torch.cuda.CUDAGraph()
        try:
            # The outer one puts the current stream back where a capture that fails does not.
            with (
                torch.cuda.stream(torch.cuda.current_stream(self._device)),
                torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
                ),
            ):
                step()
        except RuntimeError:
            self._failed = True
            return step
        return graph.replay


class _Captured:
    """One step: run, then captured, then replayed."""

    def __init__(self, graphs: _Graphs, step: Step) -> None:
        self._graphs, self._step, self._calls = graphs, step, 0

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == 1:
            self._graphs.run(self._step)
            return
        if self._calls == 2:
            self._step = self._graphs.capture(self._step)
        self._step()

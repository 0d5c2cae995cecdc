"""The script's loaders: what they are, which of them trains, and the batch in flight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
    default_collate,
)

from netmend.env.script.measure import tensors_in
from netmend.env.script.plan import Plan
from netmend.env.script.record import LoaderMade, SamplerMade
from netmend.env.script.site import Site

_NESTED = 5  # samplers of batches in each other, at most
_SHARE = 5  # one row of so many is withheld


class Loaders:
    """The loaders that the script has made.

    Attributes:
        dry: the training loader yields nothing more.
        withheld: rows that are kept from training, None where there are none.
    """

    def __init__(self, plan: Plan) -> None:
        self.dry = False
        self.withheld: Dataset[Any] | None = None
        self._made: dict[int, tuple[DataLoader[Any], Site | None]] = {}
        self._samplers: dict[int, tuple[WeightedRandomSampler, SamplerMade]] = {}
        self._training: set[int] = set()
        self._batch: tuple[int, list[Tensor]] | None = None
        self._seed = plan.seed or 0

    def has(self, value: object) -> bool:
        """Whether it is one of them."""
        return id(value) in self._made

    def add(self, loader: DataLoader[Any], site: Site | None) -> None:
        """A loader is made; those that libraries make for themselves are kept too, without a site."""
        self._made[id(loader)] = loader, site

    def made(self, loader: int | None) -> Site | None:
        """Where the script makes a loader, by id."""
        return self._made[loader][1] if loader in self._made else None

    def add_sampler(self, sampler: WeightedRandomSampler, given: object, site: Site | None) -> None:
        """A sampler is made of the weights that it is given."""
        listed = isinstance(given, list | tuple)
        made = SamplerMade(weights=len(sampler.weights), listed=listed, made=site)
        self._samplers[id(sampler)] = sampler, made

    def watch(self, loader: DataLoader[Any], batches: Iterator[Any]) -> Iterator[Any]:
        """The loader's batches; from a dry one none."""
        while not (self.dry and id(loader) in self._training):
            with (
                torch._C.DisableTorchFunction()
            ):  # nothing of the network runs there, and each row has its calls
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                self._batch = id(loader), tensors_in(batch)
            yield batch

    def truth(self, given: Sequence[Tensor]) -> Tensor | None:
        """Last tensor of the batch in flight, where the network is given another of its tensors."""
        if self._batch is None or len(self._batch[1]) < 2:
            return None
        *others, last = self._batch[1]
        same = any(
            tensor is other or (tensor.data_ptr() == other.data_ptr() and tensor.numel() == other.numel())
            for tensor in given
            for other in others
        )
        return last if same else None

    def in_flight(self) -> tuple[int, bool]:
        """Rows of the batch in flight, 0 where they may not stand first, and whether its loader shuffles."""
        if self._batch is None or not self._batch[1] or not self._batch[1][0].dim():
            return 0, False
        loader = self._made[self._batch[0]][0]
        first = loader.collate_fn is default_collate
        return len(self._batch[1][0]) if first else 0, _shuffles(loader)

    def batch(self) -> tuple[int | None, Sequence[Tensor], int]:
        """Id of the loader whose batch is in flight, the batch, and the loader's rows where it shuffles."""
        if self._batch is None:
            return None, (), 0
        key, tensors = self._batch
        loader = self._made[key][0]
        return key, tensors, (_rows(loader) or 0) if _shuffles(loader) else 0

    @property
    def flying(self) -> int | None:
        """Id of the loader whose batch is in flight."""
        return None if self._batch is None else self._batch[0]

    def trained(self, loader: int | None) -> None:
        """A backward pass takes a batch of a loader, by id."""
        if loader is not None:
            self._training.add(loader)

    @property
    def weighted(self) -> bool:
        """Whether rows that are trained on are drawn by weights."""
        trainers = [loader for key, (loader, _) in self._made.items() if key in self._training]
        return any(self._weighted(loader) is not None for loader in trainers)

    def withhold(self, dataset: Dataset[Any]) -> Dataset[Any]:
        """Keep one row of five from training, once."""
        if self.withheld is not None:
            return dataset
        rows = len(dataset)  # type: ignore[arg-type]  # a stranger's dataset may have none: the caller catches it
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(self._seed)).tolist()
        self.withheld = Subset(dataset, order[: rows // _SHARE])
        return Subset(dataset, sorted(order[rows // _SHARE :]))

    def withheld_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The rows that were kept from training: first and last tensor of each batch."""
        trainers = [loader for key, (loader, _) in self._made.items() if key in self._training]
        if self.withheld is None or not trainers:
            return
        for batch in DataLoader(
            self.withheld, trainers[0].batch_size or 1, collate_fn=trainers[0].collate_fn
        ):
            tensors = tensors_in(batch)
            yield tensors[0], tensors[-1]

    def records(self) -> tuple[LoaderMade, ...]:
        """Those that the script itself has made, in order."""
        return tuple(
            LoaderMade(
                batch_size=loader.batch_size,
                shuffle=_shuffles(loader),
                rows=_rows(loader),
                made=site,
                trains=key in self._training,
                dataset=type(loader.dataset).__name__,
                sampler=self._weighted(loader),
            )
            for key, (loader, site) in self._made.items()
        )

    def _weighted(self, loader: DataLoader[Any]) -> SamplerMade | None:
        sampler = _sampler(loader)
        own = type(sampler) is WeightedRandomSampler  # another class may draw in another way
        return self._samplers.get(id(sampler), (None, None))[1] if own else None


def _sampler(loader: DataLoader[Any]) -> object:
    """What orders the rows; it may stand in samplers of batches, as those of Hugging Face's trainer do."""
    batches: object = loader.batch_sampler
    for _ in range(_NESTED):
        batches = getattr(batches, "batch_sampler", batches)
    return getattr(batches, "sampler", loader.sampler)


def _shuffles(loader: DataLoader[Any]) -> bool:
    return not isinstance(_sampler(loader), SequentialSampler)


def _rows(loader: DataLoader[Any]) -> int | None:
    try:
        return len(loader.dataset)  # type: ignore[arg-type]
    except Exception:  # a stranger's dataset may raise anything
        return None

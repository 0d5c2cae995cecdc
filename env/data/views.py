"""Datasets that are a data pack seen in another way: all of its rows, smaller pictures, or bags of words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Raw: TypeAlias = NDArray[np.generic]
Transform: TypeAlias = Callable[[Raw], Raw]

PACK_TRAIN, PACK_HELD = 2000, 500
"""Rows of a pack that are used by default: a trial is short, and every worker holds its own copy."""
ALL = 10**9


def as_it_is(x: Raw) -> Raw:
    """The rows of the pack."""
    return x


def halved(x: Raw) -> Raw:
    """Pictures of half the height and width: means of two by two pixels, of the pictures' own type.

    Args:
        x: shape (n, H, W) or (n, H, W, C); an odd last row or column is cut off.
    """
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    corners = [x[:, i::2, j::2].astype(np.float32) for i in (0, 1) for j in (0, 1)]
    return np.round(sum(corners[1:], corners[0]) / 4).astype(x.dtype)


def centre(size: int) -> Transform:
    """The middle of each picture: ``size`` by ``size`` pixels."""

    def cut(x: Raw) -> Raw:
        top, left = (x.shape[1] - size) // 2, (x.shape[2] - size) // 2
        return x[:, top : top + size, left : left + size]

    return cut


def quartered(x: Raw) -> Raw:
    """Pictures of a quarter of the height and width."""
    return halved(halved(x))


def first_words(words: int) -> Transform:
    """The beginning of each text: so many of its words."""
    return lambda x: x[:, :words]


def bag_of_words(words: int) -> Transform:
    """Which of the ``words`` commonest words a text holds: 0 or 1, as Keras's tokenizer in binary mode.

    Token ids are those of the text packs: 0 is padding and 1 an unknown word, which count as no word.
    """

    def bags(x: Raw) -> Raw:
        bag = np.zeros((len(x), words + 2), np.float32)
        ids = x.astype(np.int64)
        ids[ids >= words + 2] = 0
        bag[np.arange(len(x))[:, None], ids] = 1
        return bag[:, 2:]

    return bags


@dataclass(frozen=True, kw_only=True)
class View:
    """A pack seen in another way.

    Attributes:
        pack: name of the data pack.
        train, held: most training rows; most rows of the validation and of the hold-out part, each.
        transform: of the inputs, as they are in the file.
        bags: whether the transform makes numbers of token ids.
        decoded: whether the targets are the pixels of the pictures, from 0 to 1, as an autoencoder has them.
    """

    pack: str
    train: int = PACK_TRAIN
    held: int = PACK_HELD
    transform: Transform = as_it_is
    bags: bool = False
    decoded: bool = False


VIEWS: dict[str, View] = {
    "mnist_small": View(pack="mnist", held=400, transform=halved),
    "mnist_full": View(pack="mnist", train=ALL, held=10_000),
    "cifar10_small": View(pack="cifar10", transform=centre(22), held=400),
    "cifar10_full": View(pack="cifar10", train=ALL, held=10_000),
    "eyes_small": View(pack="eyes", held=400, transform=halved),
    "eyes_full": View(pack="eyes", train=ALL, held=2000),
    "reuters_bags_small": View(pack="reuters_r52", held=400, transform=bag_of_words(1000), bags=True),
    "reuters_bags": View(pack="reuters_r52", train=ALL, held=1500, transform=bag_of_words(10_000), bags=True),
    "cifar10_half": View(pack="cifar10", train=2000, held=400, transform=halved),
    "newsgroups20_short": View(pack="newsgroups20", train=3000, held=400, transform=first_words(64)),
    "newsgroups20_full": View(pack="newsgroups20", train=ALL, held=2000),
    "fsdd_digits_full": View(pack="fsdd_digits", train=ALL, held=1000),
    "fsdd_speakers_full": View(pack="fsdd_speakers", train=ALL, held=1000),
    "steering_small": View(pack="steering", train=2000, held=400, transform=quartered),
    "steering_full": View(pack="steering", train=ALL, held=800),
    # the middle alone: a pixel that is dark in nearly all pictures has no spread that could be explained
    "fashion_decoded": View(pack="fashion_mnist", train=1000, held=400, transform=centre(20), decoded=True),
    "fashion_decoded_full": View(
        pack="fashion_mnist", train=ALL, held=5000, transform=centre(20), decoded=True
    ),
}
"""Every view by name. Validation rows are the first of the pack's training part, never of its test part."""


def pack_of(name: str) -> str:
    """The pack behind a view; any other dataset is its own."""
    return VIEWS[name].pack if name in VIEWS else name

"""The picture of the growth: time per trial against the number of programs, both logarithmic."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 960, 640
LEFT, RIGHT, TOP, BOTTOM = 110, 30, 60, 80
BLACK, GREY, BLUE = "#202020", "#d8d8d8", "#1f6fb2"
FONT = 18
DOT = 5

Points = Sequence[tuple[float, ...]]


class LogScale:
    """Places numbers on an axis of pixels by their logarithms; its ends are whole powers of a base."""

    def __init__(self, values: Sequence[float], base: int, begin: int, end: int) -> None:
        logs = [math.log(value, base) for value in values]
        self.base = base
        self.first = math.floor(min(logs) + 1e-9)
        self.last = max(math.ceil(max(logs) - 1e-9), self.first + 1)
        self._begin, self._step = begin, (end - begin) / (self.last - self.first)

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        return self._begin + (math.log(value, self.base) - self.first) * self._step

    def ticks(self) -> list[float]:
        """Every whole power on the axis."""
        return [float(self.base) ** power for power in range(self.first, self.last + 1)]


def plot_growth(points: Points, exponent: float, path: Path) -> None:
    """Write the picture as PNG, completely or not at all.

    Args:
        points: (programs, seconds per trial).
        exponent: of the time of a call against the number of its programs, for the title.
        path: of the file.

    Raises:
        OSError: it cannot be written.
    """
    image = draw_growth(points, exponent)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        image.save(temporary, format="PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def draw_growth(points: Points, exponent: float) -> Image.Image:
    """The picture itself."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT)
    x = LogScale([count for count, _ in points], 2, LEFT, WIDTH - RIGHT)
    y = LogScale([1000 * seconds for _, seconds in points], 10, HEIGHT - BOTTOM, TOP)
    for tick in x.ticks():
        draw.line([(x(tick), TOP), (x(tick), HEIGHT - BOTTOM)], GREY)
        draw.text((x(tick), HEIGHT - BOTTOM + 8), f"{tick:g}", BLACK, font, anchor="ma")
    for tick in y.ticks():
        draw.line([(LEFT, y(tick)), (WIDTH - RIGHT, y(tick))], GREY)
        draw.text((LEFT - 8, y(tick)), f"{tick:g} ms", BLACK, font, anchor="rm")
    curve = [(x(count), y(1000 * seconds)) for count, seconds in points]
    draw.line(curve, BLUE, 3)
    for across, down in curve:
        draw.ellipse([across - DOT, down - DOT, across + DOT, down + DOT], BLUE)
    title = f"time per trial; time of a call ~ programs^{exponent:.2f}"
    draw.text((WIDTH / 2, TOP / 2), title, BLACK, font, anchor="mm")
    draw.text((WIDTH / 2, HEIGHT - 24), "programs in one call", BLACK, font, anchor="mm")
    return image

"""Kinds of copies whose size or aspect has changed (theory §6.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from scoremachines.data.images.placement import Placement
from scoremachines.errors import InputError, real

__all__ = ["Scaled", "Stretched"]

FINEST = 32
"""Sizes between 0 and 1 times the frame's side, at most: larger frames are searched in steps."""
SCALES = (0.25, 4.0)
STRETCHES = (0.5, 2.0)


@dataclass(frozen=True)
class Scaled:
    """Copies shrunk inside the frame, or enlarged and cropped to it.

    Of a shrunk copy, which covers the region M, R is the contrast of what it leaves uncovered:
    `S = 1 − (Σ_{u∈M} ‖x(u) − (g x_i)(u)‖² + R(x)) / Σ_{u∈M} ‖x(u) − x̄_M‖²` (theory §6.4).

    Every whole number of pixels of the longer side is searched, at most 32 sizes from nothing to
    the frame's own.

    Attributes:
        low: smallest size, times the frame's, 0.25 to 4.
        high: largest size.

    Raises:
        InputError: sizes out of range, or none but 1 between them.
    """

    low: float = 0.5
    high: float = 1.5
    name = "scaled"

    def __post_init__(self) -> None:
        _check_range("scale", self.low, self.high, SCALES)

    def placements(self, height: int, width: int) -> list[Placement]:
        longer = max(height, width)
        step = max(1.0, longer / FINEST)
        sides = _sides(longer, self.low, self.high, step, "scale")
        return [self._of(side, height, width) for side in sides]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        sides = _sides(max(height, width), self.low, self.high, 1.0, "scale")
        side = sides[int(torch.randint(len(sides), (), generator=generator))]
        return self._of(side, height, width)

    def _of(self, side: int, height: int, width: int) -> Placement:
        scale = side / max(height, width)
        return Placement(size=(max(1, round(height * scale)), max(1, round(width * scale))))


@dataclass(frozen=True)
class Stretched:
    """Copies with another aspect: height or width alone is resized.

    Attributes:
        low: smallest size of that side, times the frame's, 0.5 to 2.
        high: largest size.

    Raises:
        InputError: sizes out of range, or none but 1 between them.
    """

    low: float = 0.75
    high: float = 1.33
    name = "stretched"

    def __post_init__(self) -> None:
        _check_range("stretch", self.low, self.high, STRETCHES)

    def placements(self, height: int, width: int) -> list[Placement]:
        def sides(side: int) -> list[int]:
            return _sides(side, self.low, self.high, max(1.0, side / FINEST), "stretch")

        tall = [Placement(size=(side, width)) for side in sides(height)]
        return tall + [Placement(size=(height, side)) for side in sides(width)]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        tall = _sides(height, self.low, self.high, 1.0, "stretch")
        wide = _sides(width, self.low, self.high, 1.0, "stretch")
        sizes = [(side, width) for side in tall] + [(height, side) for side in wide]
        return Placement(size=sizes[int(torch.randint(len(sizes), (), generator=generator))])


def _check_range(argument: str, low: float, high: float, bounds: tuple[float, float]) -> None:
    low, high = (real(argument, value, *bounds) for value in (low, high))
    if low > high:
        raise InputError(argument, f"{low:g}:{high:g}", "the smaller size first")
    if low == high == 1:
        raise InputError(argument, f"{low:g}:{high:g}", "sizes other than 1", "nothing changes")


def _sides(side: int, low: float, high: float, step: float, argument: str) -> list[int]:
    """Return sides between two sizes, pixels, the nearest to the frame's first, not itself."""
    first, last = math.ceil(low * side - 1e-9), math.floor(high * side + 1e-9)
    count = max(1, math.ceil((last - first) / step)) + 1
    found = {min(last, first + math.floor(number * step)) for number in range(count)}
    sides = sorted(found - {0, side}, key=lambda each: (abs(each - side), each))
    sides = [each for each in sides if first <= each <= last]
    if not sides:
        reason = f"no other size of {side} pixels is between them"
        raise InputError(argument, f"{low:g}:{high:g}", "sizes further from 1", reason)
    return sides

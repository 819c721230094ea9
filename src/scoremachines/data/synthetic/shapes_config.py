"""The crafted sets' settings and prototypes, in plain Python so that the command line loads fast.

A crafted image holds several features: copies of one *prototype*, at random places, on a plain
background. The set has one prototype per value of the shared attribute; whatever is not shared is
the same in the whole set. Prototypes are compared in *wrong pixels*: the number of pixels in which
two of them differ, at the alignment that suits them best. A set whose prototypes differ in fewer
than three pixels is refused, since one wrong pixel could then turn one value into another.

A window of k pixels sees a whole feature, with some background on every side, from each of the
feature's pixels if k ≥ 2·feature_size + 1. Machines with smaller windows often paint features of a
wrong size or shape, and so images that are not valid. No window sees two features at once if
spacing ≥ k − 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

from scoremachines.data.images.room import check_room
from scoremachines.errors import InputError, real, whole

__all__ = ["PALETTE", "SHAPES", "Prototype", "ShapesConfig", "wrong_pixels"]

Level = tuple[float, float, float]
Mask = frozenset[tuple[int, int]]

PALETTE: dict[str, Level] = {
    "red": (1, -1, -1),
    "green": (-1, 1, -1),
    "blue": (-1, -1, 1),
    "yellow": (1, 1, -1),
    "magenta": (1, -1, 1),
    "cyan": (-1, 1, 1),
    "white": (1, 1, 1),
    "black": (-1, -1, -1),
}
"""Colours in the order in which sets use them; two of them are never closer than 2."""

CONTRAST = 1.6
"""Smallest distance of a colour from the background; seven colours have it on any grey."""

SHAPES: dict[str, dict[str | None, Callable[[int, int, int], bool]]] = {
    "square": {None: lambda row, column, last: True},
    "disc": {
        None: lambda row, column, last: (
            (2 * row - last) ** 2 + (2 * column - last) ** 2 < (last + 1) ** 2 - 1
        )
    },
    "triangle": {
        "lower-left": lambda row, column, last: column <= row,
        "upper-right": lambda row, column, last: column >= row,
        "upper-left": lambda row, column, last: row + column <= last,
        "lower-right": lambda row, column, last: row + column >= last,
    },
    "stripes": {
        "horizontal": lambda row, column, last: row % 2 == 0,
        "vertical": lambda row, column, last: column % 2 == 0,
        "falling": lambda row, column, last: _on_diagonal(row - column, last),
        "rising": lambda row, column, last: _on_diagonal(row + column - last, last),
    },
}
"""For each shape its orientations, and for each the pixels inside: rule(row, column, last)."""

LARGEST = 1024
"""Longest side of an image, pixels."""
BOUNDS = {
    **{"n": (1, 10**7), "features": (2, 100), "feature_size": (2, 64)},
    **{"values": (2, 7), "spacing": (1, LARGEST), "seed": (0, 2**128)},
}
"""The least and the most of each whole number; more features take hours to place."""


@dataclass(frozen=True)
class Prototype:
    """What all features of one attribute value look like.

    Attributes:
        shape: a key of `SHAPES`.
        colour: a key of `PALETTE`.
        orientation: a key of `SHAPES[shape]`; None for shapes that have none.
        mask: the (row, column) of its pixels inside a box that starts at (0, 0).
    """

    shape: str
    colour: str
    orientation: str | None
    mask: Mask


@dataclass(frozen=True)
class ShapesConfig:
    """Settings of a crafted set; impossible combinations are refused.

    Raises:
        InputError: if a setting is out of range, the features do not fit, or the prototypes of two
            attribute values cannot be distinguished.
    """

    size: int | tuple[int, int] = 16
    """Side of the images in pixels, or height and width."""
    n: int = 100
    """Number of images."""
    features: int = 3
    """Number of features in each image, at least 2."""
    feature_size: int = 4
    """Side of a feature's box in pixels, at least 2.
    A window of 2 * feature_size + 1 pixels sees all of a feature from each of its pixels."""
    feature: str = "square"
    """Shape of the features, unless shape is shared: square, disc, triangle or stripes."""
    shared: str = "colour"
    """What the features of one image have in common: colour, shape or orientation."""
    values: int = 3
    """Number of values of the shared attribute: up to 7 colours, 4 shapes or 4 orientations."""
    spacing: int = 2
    """Smallest gap between the boxes of two features, in pixels (half of it to the border).
    A window of k pixels never sees two features at once if this is at least k - 1."""
    background: float = -1.0
    """Grey level of the background, from -1 (black) to 1 (white)."""
    seed: int = 0
    """Seed; image i depends on it and on i alone, so that a larger set begins with a smaller."""

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, list | tuple) else (self.size,) * 2
        if len(sides) != 2:
            raise InputError("size", self.size, "a side, or height and width, in whole pixels")
        height, width = (whole("size", side, 1, LARGEST) for side in sides)
        size = (height, width) if isinstance(self.size, list | tuple) else height
        object.__setattr__(self, "size", size)
        self._check_ranges()
        self._check_attribute()
        self._check_places()
        self._check_prototypes()

    @property
    def height(self) -> int:
        """Rows of an image."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width(self) -> int:
        """Columns of an image."""
        return self.size if isinstance(self.size, int) else self.size[1]

    @property
    def border(self) -> int:
        """Smallest gap between a feature and the border: half the spacing, rounded up.

        So the gap between two features is kept across the border too, when the image is wrapped.
        """
        return (self.spacing + 1) // 2

    @property
    def colours(self) -> tuple[str, ...]:
        """Names of the palette's colours that stand out against the background, in order."""
        background = (self.background,) * 3
        return tuple(
            name for name, level in PALETTE.items() if math.dist(level, background) >= CONTRAST
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each value of the shared attribute: red, square, horizontal, …."""
        return self._choices[: self.values]

    @cached_property
    def prototypes(self) -> tuple[Prototype, ...]:
        """One prototype per attribute value, in the order of `classes`."""
        fixed = {"shape": self.feature, "colour": self.colours[0]}
        return tuple(
            _prototype(**(fixed | {self.shared: name}), size=self.feature_size)
            for name in self.classes
        )

    @property
    def reach(self) -> int:
        """How far apart two pixels of one feature may be, in rows and columns: 2 with stripes."""
        return 2 if any(prototype.shape == "stripes" for prototype in self.prototypes) else 1

    @cached_property
    def separation(self) -> int:
        """Wrong pixels between the two prototypes that are most alike."""
        return min(wrong_pixels(*pair) for pair in combinations(self.prototypes, 2))

    @property
    def speck(self) -> int:
        """Pixels up to which a component is ignored: an eighth of the smallest prototype, or 1."""
        return max(1, min(len(prototype.mask) for prototype in self.prototypes) // 8)

    @property
    def _choices(self) -> tuple[str, ...]:
        if self.shared == "colour":
            return self.colours
        if self.shared == "shape":
            return tuple(SHAPES)
        return tuple(name for name in SHAPES[self.feature] if name is not None)

    def _check_ranges(self) -> None:
        for name, (least, most) in BOUNDS.items():
            object.__setattr__(self, name, whole(name, getattr(self, name), least, most))
        object.__setattr__(self, "background", real("background", self.background, -1, 1))
        for argument, count in (("size", 1), ("n", self.n)):
            value = getattr(self, argument)
            check_room(argument, value, count, 12, self.height, self.width)  # bytes of a pixel

    def _check_attribute(self) -> None:
        if self.shared not in ("colour", "shape", "orientation"):
            raise InputError("shared", self.shared, "colour, shape or orientation")
        if self.feature not in SHAPES:
            raise InputError("feature", self.feature, ", ".join(SHAPES))
        if self.shared == "orientation" and not self._choices:
            raise InputError(
                "feature", self.feature, "triangle or stripes", "it looks the same at every angle"
            )
        if self.values > len(self._choices):
            raise InputError(
                "values",
                self.values,
                f"2 to {len(self._choices)}",
                f"no more {self.shared}s exist",
            )

    def _check_places(self) -> None:
        # Equal squares on a grid: each covers exactly one of the cells that lie at the end of a
        # step in both directions, so no layout beats rows × columns of the regular one.
        step = self.feature_size + self.spacing
        rows, columns = (
            (side - 2 * self.border + self.spacing) // step for side in (self.height, self.width)
        )
        fit = max(rows, 0) * max(columns, 0)
        if self.features > fit:
            raise InputError(
                "features",
                self.features,
                "fewer features, a smaller feature_size or spacing, or a larger size",
                f"at most {fit} of feature_size={self.feature_size} with spacing={self.spacing} "
                f"fit into {self.height}x{self.width} pixels",
            )

    def _check_prototypes(self) -> None:
        if self.spacing < self.reach:
            raise InputError(
                "spacing", self.spacing, f"at least {self.reach}", "stripes have gaps themselves"
            )
        if self.separation < 3:
            raise InputError(
                "feature_size",
                self.feature_size,
                "at least 3",
                f"two {self.shared}s of this size differ in {self.separation} pixels only",
            )


def wrong_pixels(first: Prototype, second: Prototype) -> int:
    """Count the pixels in which two prototypes differ, at their best alignment.

    Alignments are shifts by up to two pixels along each axis. A pixel is right where both
    prototypes show the background, or both the same colour.

    Args:
        first: one prototype.
        second: the other.

    Returns:
        The number of wrong pixels.
    """
    if first.colour != second.colour:
        combine: Callable[[Mask, Mask], Mask] = Mask.union
    else:
        combine = Mask.symmetric_difference
    return min(
        len(combine(first.mask, frozenset((r + down, c + right) for r, c in second.mask)))
        for down, right in product(range(-2, 3), repeat=2)
    )


def _prototype(size: int, shape: str, colour: str, orientation: str | None = None) -> Prototype:
    orientation = orientation or next(iter(SHAPES[shape]))
    inside = SHAPES[shape][orientation]
    mask = frozenset(
        (row, column)
        for row, column in product(range(size), repeat=2)
        if inside(row, column, size - 1)
    )
    return Prototype(shape, colour, orientation, mask)


def _on_diagonal(offset: int, last: int) -> bool:
    return offset % 3 == 0 and abs(offset) < last

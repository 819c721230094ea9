"""Kinds of copies: families of placements that a person still calls a copy (theory §6.4).

Each kind is one class with three members: its name, its placements for a frame, and a random one
to try a test on. The next kind is one more class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from scoremachines.data.images.placement import Placement
from scoremachines.errors import InputError
from scoremachines.metrics.resized import Scaled, Stretched

__all__ = [
    "Copy",
    "Kind",
    "Mirrored",
    "Pair",
    "Recoloured",
    "Scaled",
    "Stretched",
    "Turned",
    "check_kinds",
    "copy_kinds",
    "pairs",
    "rigid_placements",
]

MEMBERS = ("name", "placements", "draw")
AXES = ("horizontal", "vertical", "both")


class Kind(Protocol):
    """A family of placements, searched and calibrated together.

    Its share of an image is `S_k(x) = max_{i, g∈k} S_{i,g}(x)` (theory §6.4).
    """

    @property
    def name(self) -> str:
        """What the copies are, such as `mirrored`; no two kinds of a search have the same."""
        ...

    def placements(self, height: int, width: int) -> list[Placement]:
        """Return the placements to search, those that come first winning ties.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.

        Returns:
            At least one.
        """
        ...

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        """Return a random placement of the kind, which need not be one of those searched.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.
            generator: source of randomness.

        Returns:
            The placement.
        """
        ...


def _one(choices: Sequence[Placement], generator: torch.Generator) -> Placement:
    return choices[int(torch.randint(len(choices), (), generator=generator))]


@dataclass(frozen=True)
class Copy:
    """The image as it is: `S_i(x) = 1 − ‖x − x_i‖² / ‖x − x̄‖²` (theory §6.4)."""

    name = "as it is"

    def placements(self, height: int, width: int) -> list[Placement]:
        return [Placement()]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        return Placement()


@dataclass(frozen=True)
class Mirrored:
    """Mirrored copies.

    Attributes:
        axis: `horizontal` exchanges left and right, `vertical` top and bottom; `both` searches
            for either.

    Raises:
        InputError: another axis.
    """

    axis: str = "horizontal"
    name = "mirrored"

    def __post_init__(self) -> None:
        if self.axis not in AXES:
            raise InputError("flip", self.axis, ", ".join(AXES))

    def placements(self, height: int, width: int) -> list[Placement]:
        ways = [Placement(mirrored=True), Placement(mirrored=True, turns=2)]
        return {"horizontal": ways[:1], "vertical": ways[1:], "both": ways}[self.axis]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        return _one(self.placements(height, width), generator)


@dataclass(frozen=True)
class Turned:
    """Copies turned by quarter turns; images that are not square by half a turn alone.

    `(g x)(u) = x(R⁻¹ u)` with R a turn by 90°, 180° or 270° about the centre (theory §6.4).
    """

    name = "turned"

    def placements(self, height: int, width: int) -> list[Placement]:
        return [Placement(turns=turns) for turns in ((1, 3, 2) if height == width else (2,))]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        return _one(self.placements(height, width), generator)


@dataclass(frozen=True)
class Recoloured:
    """Copies of other contrast and brightness, found by least squares for each image.

    `a g x_i + b` with `a = ⟨x − x̄, g x_i − m⟩ / ‖g x_i − m‖²`, held in [½, 2] (theory §6.4).
    """

    name = "recoloured"

    def placements(self, height: int, width: int) -> list[Placement]:
        return [Placement(recoloured=True)]

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        return Placement(recoloured=True)


@dataclass(frozen=True)
class Pair:
    """Copies made by two kinds, one after the other.

    Attributes:
        first: what is done first.
        second: what is done then; not both may resize.

    Raises:
        InputError: one of them is no kind of copy.
    """

    first: Kind
    second: Kind

    def __post_init__(self) -> None:
        check_kinds((self.first, self.second))

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first.name} and {self.second.name}"

    def placements(self, height: int, width: int) -> list[Placement]:
        seconds = self.second.placements(height, width)
        both = [a.then(b) for a in self.first.placements(height, width) for b in seconds]
        return list(dict.fromkeys(both))

    def draw(self, height: int, width: int, generator: torch.Generator) -> Placement:
        first = self.first.draw(height, width, generator)
        return first.then(self.second.draw(height, width, generator))


def pairs(kinds: Sequence[Kind]) -> list[Kind]:
    """Return the pairs of kinds that can follow one another; scaled and stretched do not.

    Args:
        kinds: kinds, in the order in which they are applied.

    Returns:
        The pairs.

    Raises:
        InputError: one of them is no kind of copy.
    """
    check_kinds(kinds)
    chosen = [kind for kind in kinds if not isinstance(kind, Copy)]
    resizing = (Scaled, Stretched)
    return [
        Pair(first, second)
        for place, first in enumerate(chosen)
        for second in chosen[place + 1 :]
        if not (isinstance(first, resizing) and isinstance(second, resizing))
    ]


def copy_kinds(
    flip: str | None = None,
    turn: bool = False,
    scale: tuple[float, float] | None = None,
    stretch: tuple[float, float] | None = None,
    recolour: bool = False,
    pair: bool = False,
) -> list[Kind]:
    """Return the kinds of copies of some options, the image as it is before all others.

    Args:
        flip: mirrored copies: `horizontal`, `vertical` or `both`.
        turn: copies turned by quarter turns.
        scale: smallest and largest size of shrunk and enlarged copies.
        stretch: smallest and largest size of the side that is resized alone.
        recolour: copies of other contrast and brightness.
        pair: pairs of these too, such as mirrored and scaled.

    Returns:
        The kinds.

    Raises:
        InputError: an option cannot be used.
    """
    turn, recolour, pair = (
        _flag(name, value)
        for name, value in (("turn", turn), ("recolour", recolour), ("pair", pair))
    )
    kinds: list[Kind] = [Copy()]
    kinds += [Mirrored(flip)] if flip is not None else []
    kinds += [Turned()] if turn else []
    kinds += [Scaled(*_two("scale", scale))] if scale is not None else []
    kinds += [Stretched(*_two("stretch", stretch))] if stretch is not None else []
    kinds += [Recoloured()] if recolour else []
    return kinds + (pairs(kinds) if pair else [])


def check_kinds(kinds: Sequence[Kind]) -> None:
    """Refuse what is no kind of copy.

    Args:
        kinds: kinds of copies.

    Raises:
        InputError: one of them lacks what a kind has.
    """
    try:
        found = list(kinds)
    except TypeError:
        raise InputError("kinds", kinds, "a list of kinds of copies") from None
    for kind in found:
        if isinstance(kind, type) or not all(hasattr(kind, name) for name in MEMBERS):
            raise InputError("kinds", kind, "kinds of copies, such as Mirrored() or Scaled()")


def _flag(name: str, value: object) -> bool:
    try:
        return bool(value)
    except (ValueError, RuntimeError):
        raise InputError(name, value, "True or False") from None


def rigid_placements(kinds: Sequence[Kind], height: int, width: int) -> list[Placement]:
    """Return the mirrors and turns among kinds, the identity first, each once.

    Args:
        kinds: kinds of copies.
        height: of the frame, pixels.
        width: of the frame, pixels.

    Returns:
        Placements that neither resize nor recolour.

    Raises:
        InputError: one of them is no kind of copy.
    """
    check_kinds(kinds)
    found = [each.rigid for kind in kinds for each in kind.placements(height, width)]
    return list(dict.fromkeys([Placement(), *found]))


def _two(argument: str, values: tuple[float, float]) -> tuple[float, float]:
    try:
        low, high = values
    except (TypeError, ValueError):
        raise InputError(argument, values, "two numbers: smallest and largest size") from None
    return low, high

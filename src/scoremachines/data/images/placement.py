"""One way to copy an image: mirrored, turned, resized and laid into the frame (theory §6.4).

A copy g x_i of a training image covers a rectangle M of the frame. What it leaves free is a plain
surround if the copy is smaller than the frame, and unknown if it was moved over the edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from scoremachines.errors import InputError, whole

__all__ = ["Placement"]

MOST = 2**16
"""Largest side of a copy, and largest move, pixels."""

TURNS = {1: "a quarter turn to the left", 2: "half a turn", 3: "a quarter turn to the right"}


@dataclass(frozen=True)
class Placement:
    """One map g of images onto a frame of the same size; by default the identity.

    The image is mirrored, then turned, then resized (bilinear, antialiased), laid into the middle
    of the frame, and moved.

    Attributes:
        mirrored: whether left and right are exchanged.
        turns: quarter turns to the left, 0 to 3; odd ones need square images.
        size: rows and columns after resizing, pixels; None for those of the frame.
        move: rows down and columns right, pixels.
        recoloured: whether contrast and brightness may differ: one gain for the image, an offset
            for each channel.

    Raises:
        InputError: turns, a size or a move that are no whole numbers, or out of bounds.
    """

    mirrored: bool = False
    turns: int = 0
    size: tuple[int, int] | None = None
    move: tuple[int, int] = (0, 0)
    recoloured: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", whole("turns", self.turns, 0, 3))
        object.__setattr__(self, "move", _two("move", self.move, -MOST))
        if self.size is not None:
            object.__setattr__(self, "size", _two("size", self.size, 1))

    def then(self, other: Placement) -> Placement:
        """Return this map followed by another, of which at most one resizes.

        Args:
            other: the map that follows.

        Returns:
            Their composition.
        """
        turns = -self.turns if other.mirrored else self.turns
        down, right = (a + b for a, b in zip(self.move, other.move, strict=True))
        return Placement(
            self.mirrored != other.mirrored,
            (other.turns + turns) % 4,
            other.size or self.size,
            (down, right),
            self.recoloured or other.recoloured,
        )

    def moved(self, down: int, right: int) -> Placement:
        """Return this map, moved further."""
        return replace(self, move=(self.move[0] + down, self.move[1] + right))

    @property
    def rigid(self) -> Placement:
        """Mirror and turns alone."""
        return Placement(self.mirrored, self.turns)

    @property
    def fills(self) -> bool:
        """Whether the copy fills the frame exactly: each pixel of it is one of the image's."""
        return self.size is None and self.move == (0, 0)

    def shrinks(self, height: int, width: int) -> bool:
        """Whether the copy is smaller than the frame along some side."""
        return self.size is not None and (self.size[0] < height or self.size[1] < width)

    def region(self, height: int, width: int) -> tuple[slice, slice]:
        """Return rows and columns of the frame that the copy covers.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.

        Returns:
            Slices of rows and columns; empty ones where the copy lies outside.
        """
        size, frame = self.size or (height, width), (height, width)
        rows, columns = (
            slice(max(0, start), max(0, min(side, start + own)))
            for side, own, start in zip(frame, size, self._corner(height, width), strict=True)
        )
        return rows, columns

    def turned(self, images: Tensor) -> Tensor:
        """Return images mirrored and turned, `[n, C, H, W]`."""
        flipped = images.flip(-1) if self.mirrored else images
        return flipped.rot90(self.turns, (-2, -1)) if self.turns else flipped

    def turned_back(self, images: Tensor) -> Tensor:
        """Return images whose mirror and turns are undone, `[n, C, H, W]`."""
        back = images.rot90(-self.turns, (-2, -1)) if self.turns else images
        return back.flip(-1) if self.mirrored else back

    def seen(self, images: Tensor) -> Tensor:
        """Return the part of the copies that lies in the frame: `g x_i` on M.

        Args:
            images: of the frame's size, `[n, C, H, W]`.

        Returns:
            `[n, C, rows, columns]` of the region; may share the images' memory.
        """
        height, width = images.shape[-2:]
        copies = self.turned(images)
        if self.size is not None and self.size != (height, width):
            copies = functional.interpolate(
                copies, size=self.size, mode="bilinear", antialias=True
            )
        cut = [
            slice(place.start - start, place.stop - start)
            for place, start in zip(
                self.region(height, width), self._corner(height, width), strict=True
            )
        ]
        return copies[..., cut[0], cut[1]]

    def lay(self, images: Tensor, surround: Tensor) -> Tensor:
        """Return the copies in their frames.

        Args:
            images: of the frame's size, `[n, C, H, W]`.
            surround: what is seen where a copy leaves the frame free, `[n, C, H, W]` or a shape
                that broadcasts to it.

        Returns:
            `[n, C, H, W]`.
        """
        rows, columns = self.region(*images.shape[-2:])
        frame = surround.expand_as(images).clone()
        frame[..., rows, columns] = self.seen(images)
        return frame

    def describe(self, height: int, width: int) -> str:
        """Return the map in words, such as `mirrored left to right, scaled to 75 %`.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.

        Returns:
            The words; none for the identity.
        """
        words = []
        if self.mirrored and self.turns == 2:
            words.append("mirrored top to bottom")
        else:
            words += ["mirrored left to right"] if self.mirrored else []
            words += [TURNS[self.turns]] if self.turns else []
        if self.size is not None:
            tall, wide = self.size[0] / height, self.size[1] / width
            if wide == 1:
                words.append(f"stretched to {100 * tall:.0f} % of its height")
            elif tall == 1:
                words.append(f"stretched to {100 * wide:.0f} % of its width")
            else:
                words.append(f"scaled to {100 * max(tall, wide):.0f} %")
        if self.move != (0, 0):
            down, right = self.move
            pieces = [f"{abs(down)} {'down' if down > 0 else 'up'}"] if down else []
            pieces += [f"{abs(right)} {'right' if right > 0 else 'left'}"] if right else []
            words.append(f"moved {' and '.join(pieces)}")
        return ", ".join(words + ["recoloured"] * self.recoloured)

    def about(self, height: int, width: int) -> dict[str, Any]:
        """Return the map's parameters for a JSON file.

        Args:
            height: of the frame, pixels.
            width: of the frame, pixels.

        Returns:
            Words and numbers.
        """
        return {
            "words": self.describe(height, width),
            "mirrored": self.mirrored,
            "quarter_turns": self.turns,
            "size": list(self.size or (height, width)),
            "move": list(self.move),
            "recoloured": self.recoloured,
        }

    def _corner(self, height: int, width: int) -> tuple[int, int]:
        """Return row and column of the frame at which the resized image begins."""
        size = self.size or (height, width)
        down, right = (
            (side - own) // 2 if own <= side else -((own - side) // 2)
            for side, own in zip((height, width), size, strict=True)
        )
        return down + self.move[0], right + self.move[1]


def _two(argument: str, values: Any, least: int) -> tuple[int, int]:
    try:
        first, second = values
    except (TypeError, ValueError):
        raise InputError(argument, values, "two whole numbers: of rows, of columns") from None
    return whole(argument, first, least, MOST), whole(argument, second, least, MOST)

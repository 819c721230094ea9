"""From a picture of any size to training images: resizing, cropping, channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

import numpy as np
from PIL import Image, ImageOps

from scoremachines.data.images.room import check_room
from scoremachines.errors import InputError, whole
from scoremachines.io.advice import Advice

__all__ = ["CHANNELS", "CROPS", "Framing", "widen"]

CROPS = ("centre", "stretch", "tiles")
CHANNELS = (1, 3, 4)
MOST_PIXELS = 2**24
"""Pixels that a training image may have: 4096 × 4096."""
FILTER = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class Framing:
    """How a picture becomes training images.

    Resizing filters with the right width for the scale, so that it does not alias, and weighs
    colours by their alpha.

    Args:
        size: height and width to reach, in pixels; None leaves every picture as it is.
        crop: "centre" scales a picture until it just covers `size` and keeps the middle; "stretch"
            scales each side by itself; "tiles" does not scale, but cuts a picture into as many
            tiles of `size` as fit side by side, from the top left corner on.
        channels: 1 for grey, 3 for colour, 4 for colour with alpha, None for what the picture has.
            Where alpha is given up, the picture is laid on white.

    Raises:
        InputError: if one of them is not as described, or tiles are requested without a size.
    """

    size: tuple[int, int] | None = None
    crop: str = "centre"
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise InputError("crop", self.crop, ", ".join(CROPS))
        if self.channels not in (None, *CHANNELS):
            raise InputError("channels", self.channels, "1, 3, 4 or None")
        if self.size is None and self.crop == "tiles":
            accepted = Advice("a size in pixels, such as {}", ("size", 32))
            raise InputError("size", None, accepted, "tiles need one")
        if self.size is not None and prod(self.size) > MOST_PIXELS:
            raise InputError("size", self.size, f"at most {MOST_PIXELS} pixels in one image")

    def check_room(self, count: int) -> None:
        """Refuse a size at which so many images would not fit into memory.

        Args:
            count: number of pictures, or of their channels; tiles are not counted.

        Raises:
            InputError: if they would not.
        """
        if self.size is not None and self.crop != "tiles":
            check_room("size", self.size, count, *self.size, self.channels or 1)

    @classmethod
    def of(
        cls,
        size: int | Sequence[int] | None = None,
        crop: str = "centre",
        channels: int | None = None,
    ) -> Framing:
        """Return the framing for a size given as one side of a square, or as (H, W).

        Args:
            size: the size.
            crop: as in the class.
            channels: as in the class.

        Returns:
            The framing.

        Raises:
            InputError: if the size is not as described.
        """
        if size is None:
            return cls(None, crop, channels)
        if isinstance(size, np.ndarray):
            size = cast(int | Sequence[int], size.tolist())
        sides = list(size) if isinstance(size, Sequence) else [size, size]
        if isinstance(size, str) or len(sides) != 2:
            raise InputError("size", size, "a side, or height and width, in whole pixels")
        height, width = (whole("size", side, 1) for side in sides)
        return cls((height, width), crop, channels)

    @property
    def enough(self) -> int | None:
        """Side of a picture above which further detail cannot be seen afterwards."""
        return None if self.size is None or self.crop == "tiles" else 2 * max(self.size)

    def frame(self, picture: Image.Image, name: str) -> Iterator[tuple[str, np.ndarray]]:
        """Cut a picture of mode L, LA, RGB or RGBA.

        Args:
            picture: the picture.
            name: its name.

        Yields:
            The name and the values `[C, H, W]`, uint8, of each training image.

        Raises:
            InputError: if a tile does not fit into the picture.
        """
        for place, image in self._cut(picture, name):
            values = np.asarray(_with_channels(image, self.channels))
            yield name + place, values[None] if values.ndim == 2 else values.transpose(2, 0, 1)

    def frame_array(self, image: np.ndarray, name: str) -> Iterator[tuple[str, np.ndarray]]:
        """Cut an array, channel by channel; values stay within the array's own range.

        Args:
            image: the values `[C, H, W]`, uint8 or real.
            name: its name.

        Yields:
            The name and the values `[C, H', W']` of each training image, uint8 or float32.

        Raises:
            InputError: if a tile does not fit into the image.
        """
        kind = np.uint8 if image.dtype == np.uint8 else np.float32
        planes = [Image.fromarray(np.ascontiguousarray(plane, kind)) for plane in image]
        for cuts in zip(*(self._cut(plane, name) for plane in planes), strict=True):
            values = np.stack([np.asarray(cut) for _, cut in cuts])
            yield name + cuts[0][0], values.clip(image.min(), image.max()).astype(kind)

    def _cut(self, image: Image.Image, name: str) -> Iterator[tuple[str, Image.Image]]:
        """Yield each training image with its place inside the picture, where it has several."""
        if self.size is None:
            yield "", image
            return
        height, width = self.size
        if self.crop == "centre":
            yield "", ImageOps.fit(image, (width, height), FILTER)
        elif self.crop == "stretch":
            yield "", image.resize((width, height), FILTER)
        elif image.height < height or image.width < width:
            found = f"this image has {image.height}x{image.width} pixels: {name}"
            raise InputError("size", self.size, "tiles no larger than the images", found)
        else:
            for top in range(0, image.height - height + 1, height):
                for left in range(0, image.width - width + 1, width):
                    box = (left, top, left + width, top + height)
                    yield f"@{top},{left}", image.crop(box)


def _with_channels(image: Image.Image, channels: int | None) -> Image.Image:
    """Convert L, LA, RGB or RGBA to L, RGB or RGBA: as requested, or as the image has it."""
    if channels is None:
        return image.convert("RGBA") if image.mode == "LA" else image
    if channels < 4 and image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])


def widen(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Give images `[..., C, H, W]` of uint8 more channels: grey as equal colours, opaque alpha."""
    *rest, present, height, width = pixels.shape
    if present == 1 and channels > 1:
        pixels, present = np.broadcast_to(pixels, (*rest, 3, height, width)), 3
    if present == 3 and channels > 3:
        opaque = np.full((*rest, 1, height, width), 255, np.uint8)
        pixels = np.concatenate([pixels, opaque], axis=-3)
    return pixels

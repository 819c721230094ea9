"""Images that arrive one by one, stacked into one array that grows as it must."""

from __future__ import annotations

import numpy as np

from scoremachines.data.images.resize import CHANNELS, widen
from scoremachines.data.images.room import check_room
from scoremachines.errors import InputError
from scoremachines.io.advice import Advice

__all__ = ["Stack"]


class Stack:
    """A growing array `[N, C, H, W]` of images of one size.

    The array is as wide as its widest image: when colour joins grey, or alpha joins colour, the
    images so far are widened.

    Args:
        capacity: how many images to make room for; more make the array grow.
    """

    def __init__(self, capacity: int = 1) -> None:
        self.names: list[str] = []
        self._capacity = max(capacity, 1)
        self._array = np.empty((0, 0, 0, 0), np.uint8)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def array(self) -> np.ndarray:
        """The images so far `[N, C, H, W]`."""
        return self._array[: len(self)]

    def add(self, name: str, image: np.ndarray) -> None:
        """Add one image.

        Args:
            name: its name.
            image: its values `[C, H, W]`.

        Raises:
            InputError: if its size or kind of values differs from those before it.
        """
        if not self.names:
            self._array = self._room(self._capacity, *image.shape, kind=image.dtype)
        image = self._match(name, image)
        if len(self) == len(self._array):
            self._make_room(2 * len(self), len(self._array[0]))
        self._array[len(self)] = image
        self.names.append(name)

    def _match(self, name: str, image: np.ndarray) -> np.ndarray:
        """Widen the image or the array, so that the one fits into the other."""
        wanted, given = self._array.shape[1:], image.shape
        if image.dtype != self._array.dtype:
            kinds = f"{self.names[0]!r} is {self._array.dtype} and {name!r} is {image.dtype}"
            raise InputError("images", len(self) + 1, "values of one kind", kinds)
        if given[1:] != wanted[1:]:
            sizes = (
                f"{self.names[0]!r} has {wanted[1]}x{wanted[2]} pixels "
                f"and {name!r} has {given[1]}x{given[2]}"
            )
            accepted = Advice("a size for all, such as {}", ("size", 32))
            raise InputError("size", None, accepted, sizes)
        if given[0] == wanted[0]:
            return image
        if image.dtype != np.uint8 or not {given[0], wanted[0]} <= set(CHANNELS):
            found = f"{self.names[0]!r} has {wanted[0]} and {name!r} has {given[0]}"
            raise InputError("channels", given[0], "as many channels in each image", found)
        if given[0] > wanted[0]:
            self._make_room(len(self._array), given[0])
        return widen(image, wanted[0])

    def _make_room(self, capacity: int, channels: int) -> None:
        """Move the images so far to an array with room for more images or channels."""
        height, width = self._array.shape[2:]
        room = self._room(capacity, channels, height, width, kind=self._array.dtype)
        room[: len(self)] = widen(self.array, channels)
        self._array = room

    @staticmethod
    def _room(*shape: int, kind: np.dtype) -> np.ndarray:
        check_room("images", list(shape), *shape, kind.itemsize)
        return np.empty(shape, kind)

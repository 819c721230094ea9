"""The training set `x_i`, `i = 1..N`, that all machines draw from (theory §1).

Pixels are kept as they came, in bytes or in floating point, in memory or on a memory map, and are
converted to values in [-1, 1] block by block: a byte `b` stands for `b / 127.5 − 1`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.images.buffer import Stack
from scoremachines.data.images.resize import Framing
from scoremachines.data.sharded.pixels import ShardedNames, ShardedPixels
from scoremachines.data.validate import CHUNK, check_pixels, checked_labels, one_number, positions
from scoremachines.errors import InputError

__all__ = ["TrainingSet", "pixel_values"]


class TrainingSet:
    """N images of one size, with labels, names and a judge where they are known.

    Args:
        pixels: the images `[N, C, H, W]`, uint8 in 0..255, or float32 or float64 in [-1, 1]; not
            copied, and not to be changed afterwards. May lie on a memory map, or in shards.
        labels: number of each image's class `[N]`, whole numbers from 0.
        classes: the name of each class, by number.
        name: what to call the set.
        judge: decides of a new image whether it is valid, consistent and novel (theory §6).
        location: the file, folder or address that the images come from.
        names: the name of each image, for provenance.
        left_out: how many pictures of the folder or file were not read, by the reason.

    Raises:
        InputError: if shapes, kinds or ranges are not as described, or there is no image.
    """

    def __init__(
        self,
        pixels: Tensor | ShardedPixels,
        labels: Tensor | None = None,
        classes: Sequence[str] = (),
        *,
        name: str = "array",
        judge: Any | None = None,
        location: Path | str | None = None,
        names: Sequence[str] | None = None,
        left_out: Mapping[str, int] | None = None,
    ) -> None:
        if not isinstance(pixels, ShardedPixels):  # which were checked when they were written
            check_pixels(pixels)
        self.pixels = pixels
        self.labels = checked_labels(labels, len(pixels), len(classes))
        self.classes = tuple(classes)
        self.name, self.judge, self.location = name, judge, location
        self.names: Sequence[str] | None = names if isinstance(names, ShardedNames) else None
        if names is not None and self.names is None:
            self.names = tuple(names)
        self.left_out = dict(left_out or {})
        self._fingerprint: str | None = None
        self._members: dict[int, Tensor] = {}
        if self.names is not None and len(self.names) != len(pixels):
            accepted = f"{len(pixels)} names, one for each image"
            raise InputError("names", names, accepted, f"there are {len(self.names)}")
        if self.classes and self.labels is None:
            raise InputError("classes", classes, "classes together with labels")

    @classmethod
    def open(cls, source: str | Path, **options: Any) -> TrainingSet:
        """Open a training set by path, address or name.

        Args:
            source: a folder of images, a set in shards (also behind an address such as
                `s3://bucket/photos.shards`), a file, or a name, as `open_source` takes it.
            **options: as of `open_source`.

        Returns:
            The training set.

        Raises:
            InputError: there is none, or it cannot be read with these options.
        """
        from scoremachines.data.open import open_source

        return open_source(source, **options)

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        kind = str(self.pixels.dtype).removeprefix("torch.")
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"TrainingSet({self.name!r}, N={len(self)}, {size}, {kind}{classes})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def images(self) -> Tensor:
        """All images, float32 `[N, C, H, W]` in [-1, 1]."""
        return self.block(slice(None))

    def block(
        self,
        index: slice | Tensor,
        dtype: torch.dtype | None = torch.float32,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return some of the images, converted after they were moved to the device.

        Args:
            index: which images: a slice, their positions or a mask.
            dtype: floating-point type of the result; None for images as they are stored, in which
                a byte b stands for b/127.5 − 1.
            device: where to put them; None for where the pixels are.

        Returns:
            The images `[n, C, H, W]` in [-1, 1]; may share the set's memory, so not to be changed.

        Raises:
            InputError: there are no such images, or there is no such device.
        """
        try:
            place = torch.device(device or self.pixels.device)
        except RuntimeError as error:
            raise InputError("device", device, "a device of torch", str(error)) from error
        where = index if isinstance(index, slice) else positions(index, len(self))
        chosen = self.pixels[where.to(self.pixels.device) if isinstance(where, Tensor) else where]
        chosen = chosen.to(place)
        return chosen.contiguous() if dtype is None else pixel_values(chosen, dtype)

    def subset(self, index: slice | Tensor | Sequence[int]) -> TrainingSet:
        """Return the set of some of the images, with their labels and names.

        Args:
            index: which images: a slice, their positions or a mask.

        Returns:
            The smaller set; it keeps classes, judge and location.

        Raises:
            InputError: if an image is chosen that is not there, or none at all.
        """
        where = positions(index, len(self))
        names: Sequence[str] | None = None
        if isinstance(self.names, ShardedNames):
            names = self.names.chosen(where)
        elif self.names is not None:
            names = [self.names[position] for position in where.tolist()]
        chosen = index if isinstance(index, slice) else where
        return TrainingSet(
            self.pixels.chosen(chosen)
            if isinstance(self.pixels, ShardedPixels)
            else self.pixels[chosen],
            None if self.labels is None else self.labels[where],
            self.classes,
            name=self.name,
            judge=self.judge,
            location=self.location,
            names=names,
            left_out=self.left_out,
        )

    def resized(self, size: int | Sequence[int], crop: str = "centre") -> TrainingSet:
        """Return the set at another size; real values become float32.

        Args:
            size: side of a square, or height and width, in pixels.
            crop: "centre", "stretch" or "tiles", as in `from_folder`.

        Returns:
            The resized set; it keeps labels and names, but no judge.

        Raises:
            InputError: if size or crop is not as described, or tiles do not fit.
        """
        framing = Framing.of(size, crop)
        framing.check_room(len(self) * self.shape[0])
        stack, origin = Stack(len(self)), []
        names = self.names or [str(position) for position in range(len(self))]
        for position in tqdm(range(len(self)), "resizing", leave=False, delay=2, disable=None):
            image = self.pixels[position : position + 1][0].cpu().numpy()
            for name, frame in framing.frame_array(image, names[position]):
                stack.add(name, frame)
                origin.append(position)
        return TrainingSet(
            torch.from_numpy(stack.array),
            None if self.labels is None else self.labels[origin],
            self.classes,
            name=self.name,
            location=self.location,
            names=stack.names if self.names or crop == "tiles" else None,
            left_out=self.left_out,
        )

    def label(self, which: int | str) -> int:
        """Return the number of a class given by its name or number.

        Args:
            which: the name, or the number: a whole number of any library, or written as a text.

        Returns:
            The number.

        Raises:
            InputError: if there is no such class.
        """
        if self.labels is None:
            raise InputError("label", which, "a set with labels", f"{self.name!r} has none")
        if isinstance(which, str) and which in self.classes:
            return self.classes.index(which)
        count = max(len(self.classes), int(self.labels.max()) + 1)
        digits = isinstance(which, str) and which.isascii() and which.isdigit()
        with suppress(InputError):
            number = int(which) if digits and len(str(which)) < 20 else one_number("label", which)
            if number < count:
                return number
        names = f"{', '.join(self.classes)}; or " if self.classes else ""
        raise InputError("label", which, f"{names}0 to {count - 1}", "there is no such class")

    def of_class(self, label: int | str) -> Tensor:
        """Return the positions of a class's images.

        Args:
            label: name or number of the class.

        Returns:
            Positions, int64 `[n]`, in increasing order, at least one.

        Raises:
            InputError: if there is no such class, no image of it, or no labels at all.
        """
        number = self.label(label)
        assert self.labels is not None  # label() refuses a set without labels
        if number not in self._members:
            self._members[number] = torch.eq(self.labels, number).nonzero()[:, 0]
        positions = self._members[number]
        if not len(positions):
            raise InputError("label", label, "a class with images", "no image is of this class")
        return positions

    def fingerprint(self) -> str:
        """Return a SHA-256 over shape, kind and values of the pixels, and the labels.

        Returns:
            64 hexadecimal digits, the same wherever the same images are stored.
        """
        if self._fingerprint is None and isinstance(self.pixels, ShardedPixels):
            self._fingerprint = self.pixels.fingerprint
        if self._fingerprint is None:
            digest = hashlib.sha256(repr((tuple(self.pixels.shape), self.pixels.dtype)).encode())
            for part in self.pixels.split(CHUNK):
                digest.update(part.cpu().contiguous().numpy().data)
            if self.labels is not None:
                digest.update(b"labels")
                digest.update(self.labels.contiguous().numpy().data)
            self._fingerprint = digest.hexdigest()
        return self._fingerprint


def pixel_values(stored: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images in [-1, 1] from images as they are stored.

    Args:
        stored: uint8, where a byte b stands for b/127.5 − 1, or values in [-1, 1]; any shape.
        dtype: floating-point type of the result.

    Returns:
        The values, contiguous; may share memory with what is stored, so not to be changed.
    """
    values = stored.contiguous().to(dtype)
    return values.div_(127.5).sub_(1) if stored.dtype == torch.uint8 else values

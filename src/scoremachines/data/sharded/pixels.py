"""Pixels of a set in shards, read from memory maps when they are needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.sharded.files import ShardFiles
from scoremachines.io.files import reading

__all__ = ["ShardedNames", "ShardedPixels"]


class ShardedPixels:
    """Pixels `[N, C, H, W]` that stay on disk, with as much of a tensor as a training set needs.

    Args:
        shards: where they are.
        index: places of the images that these are, int64 `[N]`; None for all.
        device: where to put what is read.
        dtype: kind of what is read; None as it is stored.
    """

    def __init__(
        self,
        shards: ShardFiles,
        index: Tensor | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        self.shards, self.index, self.device = shards, index, torch.device(device)
        self.dtype = dtype or getattr(torch, shards.manifest.dtype)

    def __len__(self) -> int:
        return len(self.shards.manifest) if self.index is None else len(self.index)

    @property
    def shape(self) -> torch.Size:
        """N, C, H and W."""
        return torch.Size((len(self), *self.shards.manifest.shape))

    @property
    def ndim(self) -> int:
        """4."""
        return 4

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return prod(self.shape) * self.element_size()

    @property
    def fingerprint(self) -> str | None:
        """That of the whole set as it was written; None for a part, or other numbers."""
        whole = self.index is None and str(self.dtype) == f"torch.{self.shards.manifest.dtype}"
        return self.shards.manifest.fingerprint if whole else None

    def element_size(self) -> int:
        """Return the bytes of a value."""
        return torch.empty(0, dtype=self.dtype).element_size()

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        if isinstance(index, slice) and self.index is None:
            start, stop, step = index.indices(len(self))
            if step == 1:
                return self._moved(self._span(start, max(start, stop)))
        places = torch.arange(len(self))[index if isinstance(index, slice) else index.cpu()]
        return self._moved(self._gathered(places if self.index is None else self.index[places]))

    def chosen(self, index: slice | Tensor) -> ShardedPixels:
        """Return some of the images, without reading them.

        Args:
            index: a slice, or their positions, int64.

        Returns:
            Their pixels.
        """
        places = torch.arange(len(self)) if self.index is None else self.index
        return ShardedPixels(self.shards, places[index], self.device, self.dtype)

    def split(self, count: int) -> Iterator[Tensor]:
        """Yield all pixels, so many images at a time.

        Args:
            count: of images.

        Yields:
            The next pixels `[n, C, H, W]`.
        """
        for start in range(0, len(self), count):
            yield self[start : start + count]

    def expect(self, start: int, stop: int) -> None:
        """Say that successive images are going to be read, as `ShardFiles.expect` takes it.

        Args:
            start: the first.
            stop: that after the last.
        """
        if self.index is None:
            self.shards.expect(start, stop)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> ShardedPixels:
        """Return the same pixels, to be read elsewhere or as other numbers.

        Args:
            device: where to put what is read.
            dtype: kind of what is read; None as it is.

        Returns:
            The pixels.
        """
        return ShardedPixels(self.shards, self.index, device, dtype or self.dtype)

    def _moved(self, values: Tensor) -> Tensor:
        return values.to(self.device, self.dtype)

    def _span(self, start: int, stop: int) -> Tensor:
        """Return successive images; those of a single shard are not copied."""
        ends, parts = self.shards.ends, []
        first = int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            pixels, before = self.shards.pixels(first), self.shards.starts[first]
            part = pixels[start - before : min(stop, ends[first]) - before]
            if len(part):
                parts.append(torch.from_numpy(part))
            start, first = max(start, ends[first]), first + 1
        if not parts:
            manifest = self.shards.manifest
            return torch.empty((0, *manifest.shape), dtype=getattr(torch, manifest.dtype))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _gathered(self, places: Tensor) -> Tensor:
        """Return images by their places, shard by shard."""
        manifest, ends = self.shards.manifest, torch.tensor(self.shards.ends)
        found = torch.empty((len(places), *manifest.shape), dtype=getattr(torch, manifest.dtype))
        numbers = torch.bucketize(places.contiguous(), ends, right=True)
        for number in numbers.unique().tolist():
            here = (numbers == number).nonzero()[:, 0]
            inside = (places[here] - self.shards.starts[number]).numpy()
            found[here] = torch.from_numpy(self.shards.pixels(number)[inside])
        return found


class ShardedNames(Sequence[str]):
    """Names of images, read shard by shard when one is asked for.

    Args:
        shards: where they are; each shard has a file of names.
        index: places of the images, int64 `[N]`; None for all.
    """

    def __init__(self, shards: ShardFiles, index: Tensor | None = None) -> None:
        self.shards, self._places = shards, index
        self._read: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return len(self.shards.manifest) if self._places is None else len(self._places)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        place = place if self._places is None else int(self._places[place])
        number = int(np.searchsorted(self.shards.ends, place, side="right"))
        return self._of(number)[place - self.shards.starts[number]]

    def _of(self, number: int) -> list[str]:
        if number not in self._read:
            shard = self.shards.manifest.shards[number]
            assert shard.names is not None  # the reader makes names of sets alone that have them
            accepted = f"names of {shard.images} images"
            with reading("source", shard.names.name, accepted):
                names = json.loads(self.shards.path(shard.names).read_bytes())
            if len(names) != shard.images:
                raise self.shards.place.damaged(shard.names, f"it holds {len(names)} names")
            self._read[number] = list(map(str, names))
        return self._read[number]

    def chosen(self, index: Tensor) -> ShardedNames:
        """Return the names of some of the images.

        Args:
            index: their positions, int64.

        Returns:
            The names.
        """
        return ShardedNames(self.shards, index if self._places is None else self._places[index])

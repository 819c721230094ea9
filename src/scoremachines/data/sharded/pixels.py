"""Pixels of a set in shards, read from memory maps when they are needed."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.sharded.manifest import Manifest, StoredFile, checksum
from scoremachines.data.sharded.place import Place
from scoremachines.io.files import reading

__all__ = ["ShardFiles", "ShardedNames", "ShardedPixels"]

OPEN = 64
"""Memory maps that are open at a time."""


class ShardFiles:
    """The files of a set, opened when they are first read, each checked once.

    It is sent to other processes as its address and manifest, so they share the pages of the maps.

    Args:
        place: where the files lie.
        manifest: what they hold.

    `starts` and `ends` count the images before each shard, and before the next.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.place, self.manifest = place, manifest
        self._begin()

    def _begin(self) -> None:
        self.ends = self.manifest.ends
        self.starts = [0, *self.ends[:-1]]
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._checked: set[str] = set()
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[Place, Manifest]:
        return self.place, self.manifest

    def __setstate__(self, state: tuple[Place, Manifest]) -> None:
        self.place, self.manifest = state
        self._begin()

    def path(self, file: StoredFile) -> Path:
        """Return the path of a file that is as it was written.

        Its length is looked at each time, its checksum once.

        Args:
            file: the file.

        Returns:
            Its path on this machine.

        Raises:
            InputError: it is missing or damaged.
        """
        path = self.place.path(file, self.manifest.fingerprint or "")
        if file.name not in self._checked:
            if checksum(path) != file.crc32:
                raise self.place.damaged(file, "its checksum is another one")
            self._checked.add(file.name)
        return path

    def array(self, file: StoredFile, length: int, shape: Sequence[int], dtype: str) -> np.ndarray:
        """Return an array of `length` rows on a memory map.

        Args:
            file: its file.
            length: how many rows it should have.
            shape: of a row.
            dtype: kind of its numbers.

        Returns:
            The array, copied where it is written to.

        Raises:
            InputError: it is missing or damaged.
        """
        if not length:
            return np.empty((0, *shape), dtype)
        with self._lock:
            path = self.path(file)
            found = self._maps.pop(file.name, None)
            if found is None:
                with reading("source", path, "an array as it was written"):
                    found = np.load(path, mmap_mode="c", allow_pickle=False)
                if found.shape != (length, *shape) or found.dtype != np.dtype(dtype):
                    raise self.place.damaged(file, f"it holds {found.dtype} {list(found.shape)}")
            self._maps[file.name] = found
            while len(self._maps) > OPEN:
                self._maps.popitem(last=False)
        return found

    def pixels(self, number: int) -> np.ndarray:
        """Return the pixels of one shard, `[n, C, H, W]`."""
        shard, manifest = self.manifest.shards[number], self.manifest
        return self.array(shard.pixels, shard.images, manifest.shape, manifest.dtype)

    def labels(self) -> Tensor:
        """Return the labels of all images, int64 `[N]`."""
        read = [np.empty(0, np.int64)]
        for part in self.manifest.shards[: self.manifest.sealed]:
            assert part.labels is not None  # the manifest has a file of labels for all, or none
            read.append(self.array(part.labels, part.images, (), "int64"))
        return torch.from_numpy(np.concatenate(read))


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

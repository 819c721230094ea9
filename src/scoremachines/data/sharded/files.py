"""The files of a set in shards, on memory maps, each checked when it is first read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.sharded.manifest import Manifest, StoredFile, checksum
from scoremachines.data.sharded.place import Place
from scoremachines.io.files import reading

__all__ = ["ShardFiles"]

OPEN, MAPPED = 64, 2**30
"""Memory maps that are open at a time, and their bytes; the one in use may have more."""


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
        self._coming: dict[str, threading.Thread] = {}
        self._expected = range(0)
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
        coming = self._coming.pop(file.name, None)
        if coming is not None:
            coming.join()
        return self._path(file)

    def _path(self, file: StoredFile) -> Path:
        path = self.place.path(file, self.manifest.fingerprint or "")
        if file.name not in self._checked:
            if checksum(path) != file.crc32:
                raise self.place.damaged(file, "its checksum is another one")
            self._checked.add(file.name)
        return path

    def expect(self, start: int, stop: int) -> None:
        """Let shards be fetched and checked ahead of their turn, each while that before is read.

        Args:
            start: the first of the successive images that will be read.
            stop: that after the last.
        """
        bounds = np.searchsorted(self.ends, (start, stop - 1), side="right").tolist()
        self._expected = range(bounds[0], bounds[1] + 1)

    def _look_ahead(self, number: int) -> None:
        """Begin to fetch and check a shard that is expected; what is wrong shows in its turn."""
        if number not in self._expected:
            return
        file = self.manifest.shards[number].pixels
        if file.name in self._checked or file.name in self._coming:
            return

        def attempt() -> None:
            with suppress(Exception):
                self._path(file)

        # A local file is read before the process ends: its thread must not come back to an
        # interpreter that is gone. One that waits for a server is let go.
        daemon = not self.place.is_local
        self._coming[file.name] = threading.Thread(target=attempt, daemon=daemon)
        self._coming[file.name].start()

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
            mapped = sum(each.nbytes for each in self._maps.values())
            while len(self._maps) > 1 and (len(self._maps) > OPEN or mapped > MAPPED):
                mapped -= self._maps.popitem(last=False)[1].nbytes
        return found

    def pixels(self, number: int) -> np.ndarray:
        """Return the pixels of one shard, `[n, C, H, W]`."""
        shard, manifest = self.manifest.shards[number], self.manifest
        found = self.array(shard.pixels, shard.images, manifest.shape, manifest.dtype)
        self._look_ahead(number + 1)
        return found

    def labels(self) -> Tensor:
        """Return the labels of all images, int64 `[N]`."""
        read = [np.empty(0, np.int64)]
        for part in self.manifest.shards[: self.manifest.sealed]:
            assert part.labels is not None  # the manifest has a file of labels for all, or none
            read.append(self.array(part.labels, part.images, (), "int64"))
        return torch.from_numpy(np.concatenate(read))

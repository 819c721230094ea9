"""The manifest of a set in shards: shape, kind, classes, and size and checksum of every file.

A folder holds `manifest.json` and, for each shard, `shard-00000.npy` with pixels `[n, C, H, W]`,
and where they are known `shard-00000.labels.npy` and `shard-00000.names.json`. A set that is being
made or extended lists more shards than are sealed; only sealed ones are read.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from scoremachines.data.images.resize import MOST_PIXELS
from scoremachines.errors import InputError
from scoremachines.io.files import atomic_path, reading

__all__ = [
    "FOLDER",
    "FORMAT",
    "MANIFEST",
    "Manifest",
    "Shard",
    "StoredFile",
    "checksum",
    "stored_file",
]

MANIFEST = "manifest.json"
FORMAT, VERSION = "scoremachines.shards", 1
FOLDER = "a folder that `scoremachines shard` wrote"
DTYPES = ("uint8", "float32", "float64")
FILE = r"shard-\d{5,9}(\.labels)?\.npy|shard-\d{5,9}\.names\.json"
PIECE = 2**20
"""Bytes that are summed up at a time."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a shard.

    Args:
        name: inside the folder.
        bytes: its length.
        crc32: its checksum (CRC-32 of ISO 3309, as zlib computes it).
    """

    name: str
    bytes: int
    crc32: int

    def __post_init__(self) -> None:
        numbers = all(type(each) is int and each >= 0 for each in (self.bytes, self.crc32))
        if not (numbers and re.fullmatch(FILE, self.name)):
            raise ValueError(f"{self.name} is not a file of a shard")


@dataclass(frozen=True)
class Shard:
    """Some images of the set, in files of their own.

    Args:
        images: how many; may be none.
        pixels: the file of their pixels.
        labels: that of their labels, int64 `[n]`.
        names: that of their names.
        after: where the next shard goes on in the source: item, and frame of it.
    """

    images: int
    pixels: StoredFile
    labels: StoredFile | None = None
    names: StoredFile | None = None
    after: tuple[int, int] = (0, 0)

    @property
    def files(self) -> list[StoredFile]:
        """All its files."""
        return [each for each in (self.pixels, self.labels, self.names) if each is not None]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Shard:
        """Return a shard by its entry in the manifest."""
        files = {
            kind: None if entry[kind] is None else StoredFile(**entry[kind])
            for kind in ("pixels", "labels", "names")
        }
        item, frame = entry["after"]
        return cls(int(entry["images"]), after=(int(item), int(frame)), **files)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Manifest:
    """What is known of a set in shards before any of them is opened.

    Args:
        name: of the set.
        shape: channels, height and width of an image.
        dtype: of the pixels: uint8, float32 or float64.
        classes: the name of each class, by number.
        shards: its shards, in order.
        sealed: how many of them are the set; the others are being added.
        fingerprint: `TrainingSet.fingerprint` of the sealed ones.
        left_out: how many pictures were not read, by the reason.
        labelled: whether every image has a label.
        named: whether every image has a name.
        making: settings of the set or the addition that is not finished; None otherwise.
        made: settings of what was added last, and `before`, how many shards there were then.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: str
    classes: tuple[str, ...] = ()
    shards: tuple[Shard, ...] = ()
    sealed: int = 0
    fingerprint: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    labelled: bool = False
    named: bool = False
    making: Mapping[str, Any] | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    before: int = 0

    def __post_init__(self) -> None:
        lengths = all(type(each) is int and each > 0 for each in self.shape)
        if (
            len(self.shape) != 3
            or not lengths
            or self.dtype not in DTYPES
            or prod(self.shape[1:]) > MOST_PIXELS
        ):
            raise ValueError(f"{self.dtype} {list(self.shape)} are no images")
        if not 0 <= self.sealed <= len(self.shards):
            raise ValueError(f"{self.sealed} of {len(self.shards)} shards are sealed")
        least = prod(self.shape) * np.dtype(self.dtype).itemsize
        for shard in self.shards:
            if (shard.labels is None, shard.names is None) != (not self.labelled, not self.named):
                raise ValueError(f"{shard.pixels.name} lacks labels or names")
            if not 0 <= shard.images * least <= shard.pixels.bytes:
                raise ValueError(f"{shard.pixels.name} cannot hold {shard.images} images")

    @property
    def ends(self) -> list[int]:
        """For each sealed shard, how many images it and those before it hold."""
        return list(accumulate(shard.images for shard in self.shards[: self.sealed]))

    def __len__(self) -> int:
        return sum(shard.images for shard in self.shards[: self.sealed])

    def write(self, folder: Path) -> None:
        """Write the manifest, all or nothing.

        Args:
            folder: that of the set.

        Raises:
            InputError: it cannot be written.
        """
        about = {"format": FORMAT, "version": VERSION} | asdict(self)
        with atomic_path(folder / MANIFEST) as path:
            path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def parse(cls, text: bytes, folder: str) -> Manifest:
        """Read a manifest.

        Args:
            text: contents of the file.
            folder: of the set, for error messages.

        Returns:
            The manifest.

        Raises:
            InputError: it is none, or is damaged.
        """
        with reading("source", folder, FOLDER):
            about = json.loads(text)
            if not isinstance(about, dict) or about.pop("format", None) != FORMAT:
                raise InputError("source", folder, FOLDER, "its manifest is of something else")
            if (version := about.pop("version", None)) != VERSION:
                reason = f"its format has version {version}, not {VERSION}"
                raise InputError("source", folder, FOLDER, reason)
            shards = tuple(map(Shard.of, about.pop("shards")))
            shape, classes = tuple(about.pop("shape")), tuple(map(str, about.pop("classes")))
            return cls(shape=shape, classes=classes, shards=shards, **about)


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file."""
    total, room = 0, memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(room):
            total = zlib.crc32(room[:count], total)
    return total


def stored_file(path: Path) -> StoredFile:
    """Return the entry of a file that was just written."""
    return StoredFile(path.name, path.stat().st_size, checksum(path))

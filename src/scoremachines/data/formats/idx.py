"""Images in MNIST's IDX format: a short header, then bytes; often gzipped.

The header is two zeros, the kind of the values (8 for bytes), the number of axes, and the length
of each axis as a big-endian 32-bit number.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from scoremachines.data.formats.arrays import from_array
from scoremachines.data.images.room import check_room
from scoremachines.data.registry import Reader
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.files import is_file, reading

__all__ = ["IDX", "from_idx", "is_idx"]

GZIP = b"\x1f\x8b"
GZIP_RATIO = 1032
"""No gzip file unpacks to more than this times its size."""


def from_idx(
    path: str | Path,
    labels: str | Path | None = None,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
) -> TrainingSet:
    """Read images in MNIST's IDX format, gzipped or not.

    Args:
        path: the file of the images.
        labels: the file of the labels; by default the one beside the images that is called
            labels-idx1 where theirs is called images-idx3.
        limits: the bytes that mean black and white.
        layout: "NHW", "NHWC" or "NCHW".

    Returns:
        The training set, uint8; on a memory map if the file is not compressed.

    Raises:
        InputError: if a file is missing, truncated or of another kind.
    """
    path = Path(path)
    images = _idx_array("path", path)
    if images.ndim not in (3, 4):
        accepted = "an IDX file of images, which has 3 or 4 axes"
        raise InputError("path", path, accepted, f"this one has {images.ndim}")
    beside = _labels_beside(path) if labels is None else Path(labels)
    return from_array(
        images,
        None if beside is None else _idx_array("labels", beside),
        limits=limits,
        layout=layout or ("NHW" if images.ndim == 3 else None),
        name=path.name.split(".")[0],
        location=path,
    )


def is_idx(path: Path) -> bool:
    """Return whether a file begins as an IDX file does, compressed or not."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start.startswith(GZIP):
            with gzip.open(path) as unpacked:
                start = unpacked.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) == 4 and start[:2] == b"\0\0" and 8 <= start[2] <= 14


def _idx_array(argument: str, path: Path) -> np.ndarray:
    """Read the array in an IDX file."""
    accepted = "a complete IDX file of bytes, gzipped or not"
    refused = partial(InputError, argument, path, accepted)
    with reading(argument, path, accepted), path.open("rb") as raw:
        packed = raw.read(2) == GZIP
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw) if packed else raw as file:
            start = file.read(4)
            if len(start) < 4 or start[:3] != b"\0\0\x08" or not 1 <= start[3] <= 4:
                raise refused("this is no such file")
            axes = file.read(4 * start[3])
            shape = struct.unpack(f">{len(axes) // 4}I", axes[: len(axes) // 4 * 4])
            room = path.stat().st_size * (GZIP_RATIO if packed else 1)
            if len(shape) < start[3] or prod(shape) > room:
                raise refused("the file is truncated")
            if packed:
                check_room(argument, path, *shape)
            if not packed and path.stat().st_size == file.tell() + prod(shape):
                return np.memmap(path, np.uint8, "c", file.tell(), shape)
            values = bytearray(file.read(prod(shape) + 1))
        if len(values) != prod(shape):
            raise refused("its length is not that of its header")
        return np.frombuffer(values, np.uint8).reshape(shape)


def _labels_beside(path: Path) -> Path | None:
    """Find the labels of `train-images-idx3-ubyte.gz` in `train-labels-idx1-ubyte.gz`."""
    own = path.stem if path.suffix == ".gz" else path.name
    name = own.replace("images", "labels").replace("idx3", "idx1")
    if name == own:
        return None
    candidates = (path.with_name(name), path.with_name(name + ".gz"))
    return next((each for each in candidates if is_file("labels", each)), None)


IDX = Reader(is_idx, from_idx, frozenset({"limits", "layout"}))

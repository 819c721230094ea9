"""Sources of training images, of every kind that can be written in shards."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

__all__ = ["SMALL", "folder", "idx", "numbers", "picture", "saved", "tarred", "zipped"]

SMALL = 5 * 3 * 8 * 8
"""Bytes of five images."""


def picture(number: int, size: tuple[int, int] = (13, 11), mode: str = "RGB") -> bytes:
    draw = np.random.default_rng(number)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    image = Image.fromarray(draw.integers(0, 256, shape).astype(np.uint8))
    with io.BytesIO() as file:
        image.save(file, "png")
        return file.getvalue()


def folder(path: Path, count: int = 23) -> Path:
    for number in range(count):
        place = path / f"class{number % 3}" / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(number))
    return path


def zipped(path: Path) -> Path:
    with zipfile.ZipFile(path / "set.zip", "w") as archive:
        for number in range(12):
            archive.writestr(f"c{number % 2}/{number}.png", picture(number))
    return path / "set.zip"


def tarred(path: Path, first: int = 0) -> Path:
    with tarfile.open(path, "w") as archive:
        for number in range(first, first + 6):
            for name, held in (
                (f"{number:04d}.png", picture(number)),
                (f"{number:04d}.cls", str(number % 4).encode()),
                (f"{number:04d}.json", b'{"label": 9, "text": "a"}'),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(held)
                archive.addfile(member, io.BytesIO(held))
    return path


def idx(path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (9, 7, 6)).astype(np.uint8)
    for name, array in (("images-idx3", values), ("labels-idx1", np.arange(9, dtype=np.uint8))):
        head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        with gzip.open(path / f"{name}-ubyte.gz", "wb") as file:
            file.write(head + array.tobytes())
    return path / "images-idx3-ubyte.gz"


def numbers(path: Path, kind: str) -> Path:
    values = np.random.default_rng(0).random((9, 7, 6, 3))
    array = (values * 65535).astype(kind) if kind == "uint16" else (values * 2 - 1).astype(kind)
    np.save(path / "x.npy", array)
    return path / "x.npy"


def saved(path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    rows = {
        "image": [Image.open(io.BytesIO(picture(number))) for number in range(11)],
        "label": [number % 2 for number in range(11)],
    }
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"])
    )
    datasets.Dataset.from_dict(rows, features).save_to_disk(str(path / "saved"))
    return path / "saved"

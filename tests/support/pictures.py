"""Eleven pictures of 5×7 pixels, no two of whose axes are equal, in memory and in files."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scoremachines.data import TrainingSet
from scoremachines.data.formats.folder import from_folder

N, C, H, W = 11, 3, 5, 7
COLOUR = np.random.default_rng(0).integers(0, 256, (N, H, W, C), dtype=np.uint8)
GREY = COLOUR[..., 0].copy()
ONE_COLOUR, ONE_GREY = COLOUR[0], GREY[0]


def a_set(dtype: torch.dtype = torch.uint8, **options) -> TrainingSet:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (N, C, H, W), generator=random, dtype=torch.uint8)
    if dtype != torch.uint8:
        pixels = pixels.to(dtype) / 127.5 - 1
    return TrainingSet(pixels, **options)


def fill(folder: Path, names: list[str], images: np.ndarray = COLOUR) -> Path:
    for name, image in zip(names, images, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)
    return folder


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder))
    return path


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def read(folder: Path, **options) -> np.ndarray:
    """Return the only image of a folder, [H, W, C] or [H, W]."""
    (pixels,) = from_folder(folder, **options).pixels
    image = pixels.permute(1, 2, 0).numpy()
    return image[..., 0] if image.shape[2] == 1 else image

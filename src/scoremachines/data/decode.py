"""One image file of any origin, decoded to 8 bits per channel: grey or colour, with or without
alpha.

What has one obvious meaning is read: pictures are turned as their EXIF orientation says, 16-bit
grey is scaled to 8 bits, palettes and CMYK become colour, alpha is kept only where a pixel is not
opaque, and of an animation or a file of several pages the first frame is taken. What is damaged,
or larger than Pillow's limit of pixels, is refused before it is decoded.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from scoremachines.errors import InputError
from scoremachines.files import reading

__all__ = ["decode", "is_hidden", "is_image_name", "is_picture", "normalise"]

FOREIGN = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow recognises but hands to other programs, or cannot decode by itself."""


# What Pillow logs of a damaged file is in the error that follows; do not print it besides.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@cache
def readable_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are read."""
    Image.init()
    return tuple(name for name in Image.ID if name not in FOREIGN)


@cache
def readable_suffixes() -> frozenset[str]:
    """Return the file name suffixes of the formats that are read, in lower case."""
    formats = set(readable_formats())
    suffixes = Image.registered_extensions().items()
    return frozenset(suffix for suffix, format_name in suffixes if format_name in formats)


def is_image_name(name: str) -> bool:
    """Say whether a relative path, with `/` between folders, names a visible image file."""
    return not is_hidden(name) and PurePosixPath(name).suffix.lower() in readable_suffixes()


def is_hidden(name: str) -> bool:
    """Say whether a relative path names a hidden file, or one that only a Mac has use for."""
    parts = [part for part in PurePosixPath(name).parts if part != ".."]
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db") for part in parts)


def is_picture(path: Path) -> bool:
    """Say whether a file is called or begins as a picture that is read."""
    if path.suffix.lower() in readable_suffixes():
        return True
    try:
        with _without_warnings(), Image.open(path, formats=readable_formats()):
            return True
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return False


def decode(file: BinaryIO, name: str, enough: int | None = None) -> tuple[Image.Image, bool]:
    """Read one image from an open file.

    Args:
        file: the file, at its beginning.
        name: what to call it in error messages.
        enough: side in pixels above which detail is not needed: a JPEG much larger than this may
            be read at a half, a quarter or an eighth of its size, which is faster.

    Returns:
        The image in mode L, LA, RGB or RGBA, and whether the file holds further frames.

    Raises:
        InputError: if the file is damaged, too large, or holds values without a known white.
    """
    limit = Image.MAX_IMAGE_PIXELS
    accepted = f"a complete image of at most {limit} pixels" if limit else "a complete image"
    with reading("image", name, accepted), _without_warnings():
        try:
            image = Image.open(file, formats=readable_formats())
        except UnidentifiedImageError:
            raise InputError("image", name, accepted, "this is not an image") from None
        with image:
            several = image.format != "MPO" and getattr(image, "is_animated", False)
            if enough is not None:
                image.draft(None, (enough, enough))
            ImageOps.exif_transpose(image, in_place=True)
            return normalise(image, name), several


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence Pillow's remarks on odd files, but take its warning of too many pixels as final."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def normalise(image: Image.Image, name: str) -> Image.Image:
    """Convert an image of any mode to L, LA, RGB or RGBA.

    Args:
        image: any image of Pillow.
        name: what to call it in error messages.

    Returns:
        The image with 8 bits per channel; alpha is left out if all of it is opaque.

    Raises:
        InputError: if whole numbers exceed 16 bits or other numbers lie outside [0, 1].
    """
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_to_bytes(np.asarray(image), name))
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            return image
    return image.convert("L" if grey else "RGB")


def _to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Scale grey values of 16 bits, or real ones in [0, 1], to 0..255."""
    white = 65535 if values.dtype.kind in "iu" else 1
    if not (values.min() >= 0 and values.max() <= white):
        found = f"its grey values run from {values.min():g} to {values.max():g}"
        accepted = "grey values of 16 bits, 0 to 65535, or real ones from 0 to 1"
        raise InputError("image", name, accepted, found)
    return np.rint(values * (255 / white)).astype(np.uint8)

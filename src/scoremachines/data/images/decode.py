"""One image file of any origin, decoded to 8 bits per channel: grey or colour, with or without
alpha.

What has one obvious meaning is read: pictures are turned by their EXIF orientation, embedded
colour profiles are converted to sRGB, 16-bit grey is scaled to 8 bits (of 16-bit colour, Pillow
keeps the upper 8), palettes and CMYK become colour, alpha is kept only where a pixel is not
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
from PIL.features import check

from scoremachines.data.images.colour import not_applied, to_srgb
from scoremachines.errors import InputError
from scoremachines.io.files import reading

__all__ = ["decode", "is_hidden", "is_image_name", "is_picture", "normalise", "unread_suffixes"]

FOREIGN = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow recognises but hands to other programs, or cannot decode by itself."""
OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}
"""Formats that not every build of Pillow reads, and what it calls them."""
SEVERAL = "hold several frames: only the first is used"
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF files: bits of a value, and whether 0 is black or white."""


# What Pillow logs of a damaged file is in the error that follows; do not print it besides.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@cache
def readable_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are read."""
    Image.init()
    lacking = {name for name in OPTIONAL if name in Image.ID and not check(OPTIONAL[name])}
    return tuple(name for name in Image.ID if name not in FOREIGN | lacking)


@cache
def readable_suffixes() -> frozenset[str]:
    """Return the file name suffixes of the formats that are read, in lower case."""
    formats = {*readable_formats(), "MPO"}  # which is a JPEG file with more behind it
    suffixes = Image.registered_extensions().items()
    return frozenset(suffix for suffix, format_name in suffixes if format_name in formats)


@cache
def unread_suffixes() -> frozenset[str]:
    """Return the suffixes of formats that Pillow knows and that are not read."""
    return frozenset(Image.registered_extensions()) - readable_suffixes()


def is_image_name(name: str) -> bool:
    """Return whether a relative path, with `/` between folders, names a visible image file."""
    return not is_hidden(name) and PurePosixPath(name).suffix.lower() in readable_suffixes()


def is_hidden(name: str) -> bool:
    """Return whether a relative path names a hidden file, or one that only a Mac has use for."""
    parts = [part for part in PurePosixPath(name).parts if part != ".."]
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db") for part in parts)


def is_picture(path: Path) -> bool:
    """Return whether a file is called or begins as a picture that is read."""
    if path.suffix.lower() in readable_suffixes():
        return True
    try:
        with _without_warnings(), Image.open(path, formats=readable_formats()):
            return True
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return False


def decode(
    file: BinaryIO, name: str, enough: int | None = None
) -> tuple[Image.Image, tuple[str, ...]]:
    """Read one image from an open file.

    Args:
        file: the file, at its beginning.
        name: what to call it in error messages.
        enough: side in pixels above which detail is not needed: a JPEG much larger than this may
            be read at a half, a quarter or an eighth of its size, which is faster.

    Returns:
        The image in mode L, LA, RGB or RGBA, in sRGB, and remarks on it: phrases about all
        images that they apply to.

    Raises:
        InputError: if the file is damaged, too large, or holds values without a known white.
    """
    limit = Image.MAX_IMAGE_PIXELS
    accepted = f"a complete image of at most {limit} pixels" if limit else "a complete image"
    with reading("image", name, accepted), _without_warnings():
        try:
            image = Image.open(file, formats=readable_formats())
        except UnidentifiedImageError:
            reason = "this is not an image, or one of a kind that is not read"
            raise InputError("image", name, accepted, reason) from None
        with image:
            several = image.format != "MPO" and getattr(image, "is_animated", False)
            if enough is not None:
                image.draft(None, (enough, enough))
            stated = not_applied(image)
            _scale_transparency(image)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            picture, remark = normalise(image, name)
            return picture, tuple(filter(None, (SEVERAL if several else None, stated, remark)))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence Pillow's remarks on odd files, but take its warning of too many pixels as final."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def normalise(image: Image.Image, name: str) -> tuple[Image.Image, str | None]:
    """Convert an image of any mode to L, LA, RGB or RGBA, in sRGB.

    Args:
        image: any image of Pillow.
        name: what to call it in error messages.

    Returns:
        The image with 8 bits per channel; alpha is left out if all of it is opaque. And what is
        wrong with its colour profile, if anything is.

    Raises:
        InputError: if whole numbers exceed 16 bits or other numbers lie outside [0, 1].
    """
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image, name)
    grey = image.mode in ("1", "L", "LA", "La")
    _scale_transparency(image)
    if image.has_transparency_data:
        image, remark = to_srgb(image.convert("LA" if grey else "RGBA"))
        if image.getchannel("A").getextrema() != (255, 255):
            return image, remark
    else:
        plain = image if image.mode == "CMYK" else image.convert("L" if grey else "RGB")
        image, remark = to_srgb(plain)
    return image.convert("L" if grey else "RGB"), remark


def _scale_transparency(image: Image.Image) -> None:
    """Bring the one transparent colour of a PNG file to the levels that its pixels will have.

    Pillow gives the level as the file has it: of 2, 4 or 16 bits where pixels come in 8.
    """
    level, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    raw = tiles[0][3] if image.format == "PNG" and tiles else None
    if isinstance(level, int) and raw in ("L;2", "L;4"):
        image.info["transparency"] = level * 255 // (2 ** int(raw[-1]) - 1)
    elif isinstance(level, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(each >> 8 for each in level)


def _deep_grey(image: Image.Image, name: str) -> tuple[Image.Image, str | None]:
    """Convert grey of more than 8 bits, or of real numbers in [0, 1]."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})  # of a TIFF file
    bits = tags.get(BITS, (16,))[0]
    white = 1 if values.dtype.kind == "f" else 2 ** min(bits, 16) - 1
    if not (values.min() >= 0 and values.max() <= white):
        found = f"its grey values run from {values.min():g} to {values.max():g}"
        accepted = "grey values of 16 bits, 0 to 65535, or real ones from 0 to 1"
        raise InputError("image", name, accepted, found)
    alpha = None
    if isinstance(level := image.info.get("transparency"), int) and (values == level).any():
        alpha = Image.fromarray(np.where(values == level, 0, 255).astype(np.uint8))
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow inverts up to 8 bits only
        values = white - values
    grey = Image.fromarray(np.rint(values * (65535 / white)).astype(np.uint16))
    grey.info["icc_profile"] = image.info.get("icc_profile")
    grey, remark = to_srgb(grey)
    if grey.mode != "L":
        grey = Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
    return (grey if alpha is None else Image.merge("LA", (grey, alpha))), remark

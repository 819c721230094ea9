"""Colours as their file means them: an embedded ICC profile is converted to sRGB.

A profile that means what sRGB means, up to one level of 256, changes nothing, so pictures that are
sRGB keep their bytes. Pictures without a profile are taken as sRGB, and so are, with a remark,
those whose profile is damaged or made for other kinds of pixels.
"""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms

__all__ = ["not_applied", "to_srgb"]

DAMAGED = "have a damaged colour profile and are taken as sRGB"
UNFIT = "have a colour profile for other kinds of pixels and are taken as sRGB"
USUAL_GAMMA = 1 / 2.2
"""Gamma that PNG files state where their colours are sRGB's, or nearly."""
SPACES = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}
"""Colour spaces of profiles, by the mode of the images that they fit."""
KINDS: dict[str, tuple[Any, Any]] = {"GRAY": ("L", "RGB"), "RGB": ("RGB", "RGB")}
"""What to compare a profile with sRGB in, by its colour space."""
LEVELS = range(0, 256, 15)
"""Levels of red, green and blue at which it is compared."""


class _UnfitError(Exception):
    """A profile that is made for other kinds of pixels."""


def to_srgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    """Return an image in sRGB.

    Args:
        image: of mode L, LA, I;16, RGB, RGBA or CMYK, with its profile, if it has one, as
            `image.info["icc_profile"]`.

    Returns:
        The image in mode L, LA, RGB or RGBA, and what is wrong with its profile, if anything is.
        Without a profile, of mode I;16 or CMYK where it was.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return image, None
    if image.mode == "LA":
        grey, alpha = image.split()
        grey.info["icc_profile"] = profile
        grey, remark = to_srgb(grey)
        return Image.merge("LA", (grey, alpha)), remark
    try:
        transform = _transform(bytes(profile), image.mode)
    except _UnfitError:
        return image, UNFIT
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return image, DAMAGED
    if transform is None:
        return image, None
    grey_levels = image.mode in ("L", "I;16")
    if transform.input_mode == "RGB":
        image = image.convert("RGB")
    image = transform.apply(image)
    return image.convert("L") if grey_levels else image, None


def not_applied(image: Image.Image) -> str | None:
    """Return a remark on colours that a file states otherwise than by a profile.

    Args:
        image: as it was opened.

    Returns:
        The remark, or None.
    """
    info = image.info
    if info.get("icc_profile") or "srgb" in info:
        return None
    if abs(info.get("gamma", USUAL_GAMMA) / USUAL_GAMMA - 1) > 0.05:
        return "state a gamma of their own, which is not applied"
    if "exif" in info and image.getexif().get_ifd(ExifTags.IFD.Interop).get(1) == "R03":
        return "are in Adobe RGB by their EXIF data, without a profile, and are taken as sRGB"
    return None


@lru_cache(maxsize=32)
def _transform(data: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what converts images of a mode to sRGB; None if they are as good as that."""
    profile = ImageCms.ImageCmsProfile(BytesIO(data))
    space = profile.profile.xcolor_space.strip()
    if space == "RGB" and SPACES[mode] == "GRAY":
        mode = "RGB"  # grey levels are equal amounts of red, green and blue
    if space != SPACES[mode]:
        raise _UnfitError
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    if space != "CMYK" and _is_srgb(ImageCms.ImageCmsTransform(profile, srgb, *KINDS[space])):
        return None
    target = "RGBA" if mode == "RGBA" else "RGB"
    # Tables that make it fast are a level and a half off in dark greys, so greys do without.
    flags = ImageCms.Flags.NOOPTIMIZE if space == "GRAY" else ImageCms.Flags.NONE
    return ImageCms.ImageCmsTransform(profile, srgb, mode, target, flags=flags)


def _is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform moves no channel of any colour by more than one level."""
    if transform.input_mode == "L":
        levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        lattice = np.array(list(product(LEVELS, repeat=3)), np.uint8)
        levels = Image.fromarray(lattice[None])
    moved = np.asarray(transform.apply(levels), int) - np.asarray(levels.convert("RGB"), int)
    return bool(np.abs(moved).max() <= 1)

"""Settings of a training set, in plain Python, so that `--help` is instant.

Each field of the dataclass is an option of the command line and a key of `settings.yaml`; the text
below it is the option's help.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.errors import InputError

__all__ = ["DataSettings", "limit_values", "size_pixels"]


@dataclass(frozen=True)
class DataSettings:
    """Everything that decides which training set a run uses; `data.source.open_data` opens it."""

    source: str | None = None
    """images: a folder, zip, .npy, .npz or IDX file, or digits, photographs or shapes"""
    size: str | None = None
    """bring the images to this size: 32, or 24x32 (rows x columns)"""
    crop: str = "centre"
    """how to reach the size: centre, stretch or tiles"""
    channels: int | None = None
    """1 for grey, 3 for colour, 4 with alpha; by default as the images are"""
    limit: int | None = None
    """use so many training images, spread evenly over the source"""
    limits: str | None = None
    """values that mean black and white in a .npy or .npz, such as 0,1 or 0,255 (=-1,1)"""
    layout: str | None = None
    """where the channels stand in a .npy, .npz or IDX file: NHW, NHWC or NCHW"""
    images_key: str | None = None
    """which array of a .npz holds the images; by default images, x, arr_0, x_train, ..."""
    labels_key: str | None = None
    """which array of a .npz holds their labels; by default labels, y, arr_1, y_train, ..."""
    shapes: ShapesConfig = field(default_factory=ShapesConfig)
    """the crafted set, where the source is shapes"""


def size_pixels(text: str | None) -> tuple[int, int] | None:
    """Read a size such as `32` or `24x32`.

    Args:
        text: side of a square, or rows x columns; None for no size.

    Returns:
        Rows and columns, pixels.

    Raises:
        InputError: if it is none.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text.strip().lower())
    if match is None or int(match[1]) == 0 or int(match[2] or 1) == 0:
        raise InputError("size", text, "pixels, such as 32 or 24x32 (rows x columns)")
    return int(match[1]), int(match[2] or match[1])


def limit_values(text: str | None) -> tuple[float, float] | None:
    """Read limits such as `0,1`, written in brackets or not.

    Args:
        text: the values that mean black and white; None for what the images show by themselves.

    Returns:
        The two values.

    Raises:
        InputError: if it is none.
    """
    if text is None:
        return None
    try:
        black, white = map(float, text.strip().strip("()[]").split(","))
    except ValueError:
        accepted = "black and white with a comma between them, such as 0,1 or 0,255"
        raise InputError("limits", text, accepted) from None
    return black, white

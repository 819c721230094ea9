"""Images from arrays and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.images.resize import CHANNELS
from scoremachines.data.images.room import check_room
from scoremachines.data.training_set import TrainingSet
from scoremachines.data.validate import value_range
from scoremachines.errors import InputError
from scoremachines.io.advice import Advice
from scoremachines.io.files import reading

__all__ = ["arranged", "as_tensor", "from_array", "scaled"]

LIKELY_LIMITS = ((0, 1), (-1, 1), (0, 255), (0, 65535))
LAYOUTS = ("NHW", "NHWC", "NCHW")


def from_array(
    array: Any,
    labels: Any | None = None,
    classes: Sequence[str] = (),
    *,
    limits: tuple[float, float] | None = None,
    layout: str | None = None,
    name: str = "array",
    location: Path | None = None,
) -> TrainingSet:
    """Take images from an array or tensor, without a copy where that is possible.

    Bytes mean 0 to 255. Real numbers must lie in [-1, 1]; since numbers that all lie in [0, 1]
    could as well be meant as [0, 1], those need `limits`, and so do whole numbers other than
    bytes.

    Args:
        array: images `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`.
        labels: number of each image's class, `[N]` or `[N, 1]`.
        classes: the name of each class, by number.
        limits: the values that become -1 and 1, such as (0, 1); none may lie outside.
        layout: "NHW", "NHWC" or "NCHW"; needed where the shape fits several, or where the
            channels are not 1, 3 or 4.
        name: what to call the set.
        location: the file that the array comes from.

    Returns:
        The training set.

    Raises:
        InputError: if shape, range, kind or labels are not as described, or a value is NaN.
    """
    pixels = scaled(arranged(as_tensor("images", array), layout), limits)
    if labels is not None:
        labels = as_tensor("labels", labels)
    return TrainingSet(pixels, labels, classes, name=name, location=location)


def as_tensor(argument: str, array: Any) -> Tensor:
    """Return any array or nested list as a tensor, without a copy where that is possible.

    Args:
        argument: name of the argument, for error messages.
        array: the array.

    Returns:
        The tensor, of the array's own kind of numbers.

    Raises:
        InputError: if it holds something else than numbers.
    """
    if isinstance(array, Tensor):
        if array.is_meta or array.layout != torch.strided:
            raise InputError(argument, array, "numbers that are in memory, each of them")
        return array.detach()
    with reading(argument, type(array).__name__, "an array of numbers"):
        array = np.asanyarray(array)
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        if not array.flags.writeable or min(array.strides, default=0) < 0:
            array = array.copy()
        return torch.from_numpy(array)


def arranged(pixels: Tensor, layout: str | None) -> Tensor:
    """Return images `[N, C, H, W]` of a tensor of another layout, without a copy.

    Args:
        pixels: a tensor `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`.
        layout: which of them, as "NHW", "NHWC" or "NCHW"; None to infer from the one axis that can
            be channels, 1, 3 or 4 long.

    Returns:
        The same values as `[N, C, H, W]`.

    Raises:
        InputError: if the shape fits no layout, or more than one.
    """
    shape, accepted = list(pixels.shape), "images [N, H, W], [N, H, W, C] or [N, C, H, W]"
    if layout not in (None, *LAYOUTS):
        raise InputError("layout", layout, ", ".join(LAYOUTS))
    if pixels.ndim not in (3, 4) or not pixels.numel():
        raise InputError("images", shape, accepted)
    if layout is None:
        layout = _guessed_layout(shape)
    if len(layout) != pixels.ndim:
        raise InputError("layout", layout, f"{pixels.ndim} letters for images of shape {shape}")
    if layout == "NHWC":
        return pixels.permute(0, 3, 1, 2)
    return pixels.unsqueeze(1) if layout == "NHW" else pixels


def _guessed_layout(shape: list[int]) -> str:
    """Infer the layout of images from their shape, or refuse to guess."""
    if len(shape) == 3:
        if shape[-1] not in CHANNELS[1:]:
            return "NHW"
        accepted = Advice(
            "{} for grey images, or a fourth axis for a single one in colour", ("layout", "NHW")
        )
        raise InputError("images", shape, accepted, "the last axis looks like channels")
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first != last:
        return "NCHW" if first else "NHWC"
    found = "either axis can be channels" if first else "no axis has 1, 3 or 4 channels"
    accepted = Advice("{} or {}", ("layout", "NCHW"), ("layout", "NHWC"))
    raise InputError("images", shape, accepted, found)


def scaled(pixels: Tensor, limits: tuple[float, float] | None) -> Tensor:
    """Return images as uint8, or as real numbers in [-1, 1].

    Args:
        pixels: images `[N, C, H, W]` of any kind of numbers.
        limits: the values that become -1 and 1; None if pixels are uint8 or real in [-1, 1].

    Returns:
        The images, uint8 or float64 if they came so, otherwise float32.

    Raises:
        InputError: if values lie outside the limits, or the limits must be guessed.
    """
    if pixels.dtype == torch.uint8 and limits in (None, (0, 255)):
        return pixels
    kind = str(pixels.dtype).removeprefix("torch.")
    if pixels.is_complex():
        raise InputError("images", kind, "real or whole numbers")
    check_room("images", list(pixels.shape), pixels.numel(), max(4, pixels.element_size()))
    low, high = value_range(pixels)
    found = f"values run from {low:g} to {high:g}"
    likely = _likely_limits(low, high)
    if limits is None and not pixels.is_floating_point():
        accepted = Advice("uint8, real numbers, or others with {}", ("limits", likely))
        raise InputError("images", kind, accepted, found)
    if limits is None and low >= 0 and high <= 1:
        accepted = Advice("{} if 0 is black, {} if -1 is", ("limits", (0, 1)), ("limits", (-1, 1)))
        raise InputError("limits", None, accepted, found)
    black, white = (-1.0, 1.0) if limits is None else _checked_limits(limits)
    if not (black <= low and high <= white):
        accepted = Advice(
            "black and white, such as {}, that hold all values, none of them NaN",
            ("limits", likely),
        )
        raise InputError("limits", limits, accepted, found)
    real = torch.float64 if pixels.dtype == torch.float64 else torch.float32
    if (black, white) == (-1, 1):
        return pixels.to(real)
    return pixels.double().sub(black).mul_(2 / (white - black)).sub_(1).clamp_(-1, 1).to(real)


def _likely_limits(low: float, high: float) -> tuple[float, float]:
    """Return the usual limits that hold all values, or the outermost values."""
    fitting = (each for each in LIKELY_LIMITS if each[0] <= low and high <= each[1])
    return next(fitting, (low, high) if low < high else (0, 1))


def _checked_limits(limits: Any) -> tuple[float, float]:
    """Return limits as two numbers in rising order, or refuse them."""
    with reading("limits", limits, "two numbers (black, white) in rising order"):
        black, white = map(float, limits)
        if not (isfinite(black) and isfinite(white) and black < white):
            raise ValueError("these are not in rising order")
    return black, white

"""Validation of pixels and labels of a training set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from scoremachines.errors import InputError, whole
from scoremachines.io.files import reading

__all__ = ["CHUNK", "check_pixels", "checked_labels", "one_number", "positions", "value_range"]

DTYPES = (torch.uint8, torch.float32, torch.float64)
CHUNK = 1024
"""Images looked at in one go when all of them must be read."""


def value_range(pixels: Tensor) -> tuple[float, float]:
    """Return the least and the greatest value of a tensor; both are NaN if one of its values is.

    Args:
        pixels: any real tensor that is not empty.

    Returns:
        The two values.
    """
    ranges = [part.double().aminmax() for part in pixels.split(CHUNK)]
    low = torch.stack([each.min for each in ranges]).min()
    high = torch.stack([each.max for each in ranges]).max()
    return low.item(), high.item()


def check_pixels(pixels: Tensor) -> None:
    """Refuse pixels that are not images.

    Args:
        pixels: what should be a tensor `[N, C, H, W]`, uint8, or float32 or float64 in [-1, 1].

    Raises:
        InputError: if it is not.
    """
    accepted = "a tensor [N, C, H, W], uint8, or float32 or float64 in [-1, 1]"
    if not isinstance(pixels, Tensor):
        raise InputError("pixels", type(pixels).__name__, accepted)
    found = f"{str(pixels.dtype).removeprefix('torch.')} {list(pixels.shape)}"
    if pixels.ndim != 4 or pixels.dtype not in DTYPES:
        raise InputError("pixels", found, accepted)
    if not pixels.numel():
        raise InputError("pixels", found, accepted, "there is no image, or none with pixels")
    if pixels.dtype != torch.uint8:
        low, high = value_range(pixels)
        if not (low >= -1 and high <= 1):
            raise InputError("pixels", found, accepted, f"values run from {low:g} to {high:g}")


def checked_labels(labels: Tensor | None, n: int, classes: int) -> Tensor | None:
    """Return labels as they are stored.

    Args:
        labels: what should be a tensor of whole numbers `[N]`, `[N, 1]` or the like, or None.
        n: N, the number of images.
        classes: number of classes with a name; 0 if the number is open.

    Returns:
        The labels as int64 on the CPU, or None.

    Raises:
        InputError: if they are not N numbers within range.
    """
    if labels is None:
        return None
    accepted = f"{n} whole numbers, one for each image, from 0"
    if classes:
        accepted += f" to {classes - 1}"
    if not isinstance(labels, Tensor):
        raise InputError("labels", type(labels).__name__, f"a tensor of {accepted}")
    found = f"{str(labels.dtype).removeprefix('torch.')} {list(labels.shape)}"
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InputError("labels", found, accepted, "these are no whole numbers")
    if labels.shape[:1] != (n,) or labels.numel() != n:
        raise InputError("labels", found, accepted)
    labels = labels.reshape(n).long().cpu()
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or (classes and high >= classes):
        raise InputError("labels", found, accepted, f"they run from {low} to {high}")
    return labels


def positions(index: Any, count: int) -> Tensor:
    """Return which images are chosen, by number.

    Args:
        index: a slice, positions as a list, array or tensor, or a mask.
        count: number of images.

    Returns:
        Their positions, int64 on the CPU.

    Raises:
        InputError: they are no such things, or lie outside.
    """
    accepted = f"a slice, whole numbers from 0 to {count - 1}, or a mask of {count}"
    if isinstance(index, slice):
        return torch.arange(count)[index]
    with reading("index", index, accepted):
        where = torch.as_tensor(index, device="cpu")
    if where.dtype == torch.bool and tuple(where.shape) == (count,):
        return where.nonzero()[:, 0]
    whole_numbers = not (where.is_floating_point() or where.is_complex())
    if where.ndim != 1 or where.dtype == torch.bool or not (whole_numbers or not len(where)):
        raise InputError("index", index, accepted)
    where = where.long()
    if len(where) and not (-count <= int(where.min()) and int(where.max()) < count):
        found = f"they run from {int(where.min())} to {int(where.max())}"
        raise InputError("index", index, accepted, found)
    return where


def one_number(argument: str, value: object) -> int:
    """Return a whole number from 0 that may be wrapped: 3, [3], or an array of one element.

    Args:
        argument: name of the argument, for the error.
        value: a number, or a list, array or tensor that holds one.

    Returns:
        The number.

    Raises:
        InputError: it is no such number.
    """
    inner = value
    while isinstance(inner, list | tuple) and len(inner) == 1:
        inner = inner[0]
    if isinstance(inner, np.ndarray | Tensor) and inner.shape and set(inner.shape) == {1}:
        inner = inner.reshape(-1)[0]
    return whole(argument, inner)

"""Tensors as pictures: samples, grids, and maps coloured by source image."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["grid", "source_map", "to_bytes", "to_picture"]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GOLDEN = (math.sqrt(5) - 1) / 2


def to_bytes(images: Tensor) -> Tensor:
    """Return values in [-1, 1] as bytes, nearest first, clipped where they leave the range."""
    return images.detach().cpu().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_picture(image: Tensor, scale: int = 1) -> Image.Image:
    """Return an image in [-1, 1], `[C, H, W]`, as a picture, each pixel `scale` pixels wide.

    Channel counts other than 1, 3 and 4 show their first channel.
    """
    shown = image if len(image) in MODES else image[:1]
    array = to_bytes(shown).movedim(0, -1).numpy()
    picture = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    return picture.resize(
        (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
    )


def grid(images: Tensor, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """Return images in [-1, 1], `[n, C, H, W]`, side by side on white.

    Args:
        images: at least one.
        columns: how many in a row; a square grid by default.
        scale: width of an image's pixel; by default so that an image is about 64 pixels wide.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    scale = scale or max(1, round(64 / images.shape[-1]))
    pictures = [to_picture(image, scale) for image in images]
    width, height, gap = pictures[0].width, pictures[0].height, 4
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    for number, picture in enumerate(pictures):
        corner = (
            gap + number % columns * (width + gap),
            gap + number // columns * (height + gap),
        )
        rgba = picture.convert("RGBA")
        sheet.paste(rgba, corner, rgba)
    return sheet


def source_map(source_images: Tensor, scale: int = 1) -> Image.Image:
    """Return which training image each pixel came from as colours, one colour an image.

    Args:
        source_images: places in the training set, int64 `[H, W]`; −1 (none) is grey.
        scale: width of a pixel.
    """
    index = source_images.cpu().numpy()
    # Steps of the golden ratio keep the hues of neighbouring numbers apart.
    hue = np.mod(index * GOLDEN, 1) * 255
    value = np.where(index % 2 == 0, 235, 175)
    saturation = np.where(index < 0, 0, 150 + 60 * (index % 3 == 0))
    colours = np.stack([hue, saturation, value], -1).astype(np.uint8)
    picture = Image.fromarray(colours, mode="HSV").convert("RGB")
    return picture.resize(
        (picture.width * scale, picture.height * scale), Image.Resampling.NEAREST
    )

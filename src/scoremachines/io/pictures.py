"""Tensors as pictures: samples, grids, and maps of where the pixels came from (theory §6.3)."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from scoremachines.errors import InputError, whole

__all__ = [
    "figures_html",
    "grid",
    "labelled_rows",
    "mosaic",
    "source_colours",
    "source_map",
    "to_bytes",
    "to_data_uri",
    "to_picture",
]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
GOLDEN = (math.sqrt(5) - 1) / 2
GREY = 128


def to_bytes(images: Tensor) -> Tensor:
    """Return values in [-1, 1] as bytes, nearest first, clipped where they leave the range."""
    return images.detach().cpu().float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def to_picture(image: Tensor, scale: int = 1) -> Image.Image:
    """Return an image in [-1, 1], `[C, H, W]`, as a picture, each pixel `scale` pixels wide.

    Channel counts other than 1, 3 and 4 show their first channel.
    """
    if image.ndim != 3 or not image.numel():
        raise InputError("image", image, "an image [C, H, W]")
    shown = image if len(image) in MODES else image[:1]
    array = to_bytes(shown).movedim(0, -1).numpy()
    return _picture(array[..., 0] if array.shape[-1] == 1 else array, scale)


def grid(images: Tensor, columns: int | None = None, scale: int | None = None) -> Image.Image:
    """Return images in [-1, 1], `[n, C, H, W]`, side by side on white.

    Args:
        images: at least one.
        columns: how many in a row; a square grid by default.
        scale: width of an image's pixel; by default so that an image is about 64 pixels wide.

    Returns:
        The sheet.
    """
    if images.ndim != 4 or not images.numel():
        raise InputError("images", images, "at least one image [n, C, H, W]")
    columns = whole("columns", columns or math.ceil(math.sqrt(len(images))), 1, 10_000)
    scale = whole("scale", scale or max(1, round(64 / images.shape[-1])), 1, 1000)
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


def labelled_rows(rows: Mapping[str, Tensor], scale: int | None = None) -> Image.Image:
    """Return rows of images, each with its name on the left, so that columns can be compared.

    Args:
        rows: images in [-1, 1], `[n, C, H, W]`, at least one, by the name of the row.
        scale: width of an image's pixel; by default so that an image is about 64 pixels wide.

    Returns:
        The sheet.
    """
    if not rows:
        raise InputError("rows", rows, "at least one row of images")
    sheets = {name: grid(images, len(images), scale) for name, images in rows.items()}
    font = ImageFont.load_default(14)
    margin = 16 + math.ceil(max(font.getlength(name) for name in rows))
    width = margin + max(sheet.width for sheet in sheets.values())
    height = sum(sheet.height for sheet in sheets.values())
    whole, top = Image.new("RGB", (width, height), "white"), 0
    draw = ImageDraw.Draw(whole)
    for name, sheet in sheets.items():
        draw.text((8, top + sheet.height // 2), name, "black", font, anchor="lm")
        whole.paste(sheet, (margin, top))
        top += sheet.height
    return whole


def source_map(source_images: Tensor, scale: int = 1) -> Image.Image:
    """Return which training image each pixel came from as colours, one colour an image.

    Args:
        source_images: places in the training set, int64 `[H, W]`; −1 (none) is grey.
        scale: width of a pixel.

    Returns:
        The map.
    """
    if source_images.ndim != 2 or not source_images.numel():
        raise InputError("source_images", source_images, "places in the training set [H, W]")
    return _picture(source_colours(source_images), scale)


def mosaic(images: Tensor, positions: Tensor, weights: Tensor, scale: int = 1) -> Image.Image:
    """Return which training image each pixel came from, where the pieces join, and how surely.

    The colour is that of the best source's image, as in `source_map`. Its shade is that of the
    displacement from the source to the pixel: a piece that was copied as a whole has one shade.
    It fades to grey where the sources kept from that image have a small share of the posterior.

    Args:
        images: places in the training set, best source first, int64 `[K, H, W]`; −1 is none.
        positions: centres of the source patches as `row · W + column`, int64 `[K, H, W]`.
        weights: shares of the sources in the posterior, in [0, 1], `[K, H, W]`.
        scale: width of a pixel.

    Returns:
        The map.
    """
    if images.ndim != 3 or not images.numel():
        raise InputError("images", images, "places of sources [K, H, W]")
    for name, other in (("positions", positions), ("weights", weights)):
        if other.shape != images.shape:
            raise InputError(name, other, f"as many as images, {list(images.shape)}")
    height, width = images.shape[-2:]
    row, column = np.divmod(np.arange(height * width).reshape(height, width), width)
    source_row, source_column = np.divmod(positions[0].cpu().numpy(), width)
    down, right = (row - source_row) % height, (column - source_column) % width
    # Two incommensurable steps, so that neighbouring displacements differ visibly.
    shade = np.mod(down * math.sqrt(2) + right * GOLDEN, 1) - 0.5
    share = (weights * (images == images[0])).sum(0).clamp(0, 1).cpu().numpy()
    colours = source_colours(images[0], 0.16 * shade * weights[0].cpu().numpy())
    strength = np.sqrt(share)[..., None]
    return _picture((strength * colours + (1 - strength) * GREY).astype(np.uint8), scale)


def source_colours(
    source_images: Tensor, shade: float | NDArray[np.floating] = 0.0
) -> NDArray[np.uint8]:
    """Return a colour for each training image, the same wherever it appears.

    Hues are steps of the golden ratio around the circle of Oklab at one chroma, in three
    lightnesses, so that neighbouring numbers look different and none shouts.

    Args:
        source_images: places in the training set, int64 `[...]`; −1 (none) is grey.
        shade: added to the lightness, about −0.1 to 0.1.

    Returns:
        Red, green and blue bytes, `[..., 3]`.
    """
    index = source_images.cpu().numpy()
    lighter = np.asarray(shade)
    if lighter.dtype.kind not in "fiu" or lighter.shape not in ((), index.shape):
        raise InputError("shade", shade, f"a number, or one for each of {list(index.shape)}")
    hue = 2 * np.pi * np.mod(index * GOLDEN, 1)
    lightness = 0.7 + 0.1 * (index % 3 - 1) + lighter
    a, b = 0.115 * np.cos(hue), 0.115 * np.sin(hue)
    cone = np.stack([lightness, a, b], -1) @ OKLAB_TO_CONES.T
    linear = np.clip(cone**3 @ CONES_TO_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours = np.round(255 * encoded).astype(np.uint8)
    return np.where(index[..., None] < 0, np.uint8(GREY), colours)


OKLAB_TO_CONES = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
CONES_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def figures_html(head: str, pictures: Sequence[tuple[str, Image.Image]], note: str = "") -> str:
    """Return pictures with their captions as a piece of HTML, for notebooks.

    Args:
        head: a headline.
        pictures: captions and pictures.
        note: a line below.

    Returns:
        HTML that loads nothing.
    """
    figures = "".join(
        f'<figure style="margin:0 1em 0 0;display:inline-block;vertical-align:top">'
        f'<img src="{to_data_uri(picture)}" alt="{escape(caption)}" '
        'style="image-rendering:pixelated">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, picture in pictures
    )
    below = f"<p>{escape(note)}</p>" if note else ""
    return f"<div><p>{escape(head)}</p>{figures}{below}</div>"


def to_data_uri(picture: Image.Image) -> str:
    """Return a picture as the `data:` address of a PNG, with all its pixels as they are."""
    candidates = [_png(picture)]
    if picture.mode in ("L", "RGB"):
        candidates += [_png(indexed) for indexed in _indexed(picture)]
    return "data:image/png;base64," + base64.b64encode(min(candidates, key=len)).decode()


def _indexed(picture: Image.Image) -> list[Image.Image]:
    """Return the picture with a palette, if it has at most 256 colours."""
    pixels = np.asarray(picture.convert("RGBX")).view("<u4")
    colours, index = np.unique(pixels, return_inverse=True)
    if len(colours) > 256:
        return []
    indexed = Image.frombytes("P", picture.size, index.astype(np.uint8).tobytes())
    indexed.putpalette(colours.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return [indexed]


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _picture(array: NDArray[np.uint8], scale: int) -> Image.Image:
    """Return bytes `[H, W]` or `[H, W, C]` as a picture, each pixel `scale` pixels wide."""
    scale, picture = whole("scale", scale, 1, 1000), Image.fromarray(array)
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)

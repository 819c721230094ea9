"""What a run is asked to do, in plain Python, so that `--help` is instant.

Each field of the dataclass is an option of the command line and a key of `settings.yaml`; the text
below it is the option's help.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, field

from scoremachines.data.shapes_config import ShapesConfig
from scoremachines.errors import InputError

__all__ = ["GenerateSettings", "field_help", "memory_bytes", "size_pixels"]


@dataclass(frozen=True)
class GenerateSettings:
    """Everything that decides which images a run paints."""

    source: str | None = None
    """images: a folder, zip, .npy, .npz or IDX file, or digits, photographs or shapes"""
    machine: str = "els"
    """ideal, equivariant, local, els or bbels"""
    window: str = "7"
    """pixels a side (odd), 'image', or k(t) such as 0:3,0.5:7,1:11"""
    sources: str | None = None
    """same, inside, wrapped or broken; by default what the machine stands for"""
    attention: str = "none"
    """none, identity, top1, tiled, full, multiscale, or a matrix in an .npy file"""
    steps: int = 20
    """steps from noise to image"""
    scheduler: str = "kg"
    """kg, or the name of a diffusers scheduler such as DDPM or HeunDiscrete"""
    n: int = 16
    """number of samples"""
    seed: int = 0
    """seed of the starting noise"""
    label: str | None = None
    """paint one class only, by name or number"""
    size: str | None = None
    """bring the images to this size: 32, or 24x32 (rows x columns)"""
    crop: str = "centre"
    """how to reach the size: centre, stretch or tiles"""
    channels: int | None = None
    """1 for grey, 3 for colour, 4 with alpha; by default as the images are"""
    limit: int | None = None
    """use so many training images, spread evenly over the source"""
    shapes: ShapesConfig = field(default_factory=ShapesConfig)
    """the crafted set, where the source is shapes"""
    best: int = 4
    """how many sources to name for every pixel"""
    engine: str = "auto"
    """auto, torch or reference"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    memory: str = "1GiB"
    """memory that the engine may use above the training set"""
    batch: int = 16
    """samples at a time; changes no result"""


def field_help(settings: type) -> dict[str, str]:
    """Return the text below each field of a dataclass, by the field's name."""
    body = ast.parse(inspect.getsource(settings).strip()).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for line, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            value = getattr(following, "value", None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                texts[line.target.id] = " ".join(value.value.split())
    return texts


def memory_bytes(text: str) -> int:
    """Read a memory budget such as `512MiB`, `2GB` or `1000000`.

    Args:
        text: a number and, if it does not count bytes, a unit.

    Returns:
        Bytes.

    Raises:
        InputError: if it is none, or not positive.
    """
    units = {"": 1, "b": 1} | {f"{p}ib": 2 ** (10 * i) for i, p in enumerate("kmgt", 1)}
    units |= {f"{p}b": 10 ** (3 * i) for i, p in enumerate("kmgt", 1)}
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)", text.strip().lower())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise InputError("memory", text, "a positive number with a unit, such as 512MiB or 2GiB")
    return int(float(match[1]) * units[match[2]])


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

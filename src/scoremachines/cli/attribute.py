"""`scoremachines attribute`: the share of any image that a training set explains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scoremachines.data.settings import DataSettings
from scoremachines.errors import InputError
from scoremachines.experiments.in_folder.attribute import MARKER, attribute_in_folder
from scoremachines.metrics.copies import Kind, Pair, copy_kinds

__all__ = ["attribute", "kinds_of"]


def attribute(
    image: str, data: str, output: str, settings: DataSettings, kinds: list[Kind], **testing: Any
) -> None:
    """Carry out `attribute_in_folder`, and print what was found."""
    print(attribute_in_folder(image, data, output, settings, kinds, **testing).text())
    if len(kinds) > 2 and not any(isinstance(kind, Pair) for kind in kinds):
        print("Each kind of copy was looked for by itself; --pairs looks for two at once too.")
    print(f"in {Path(output)}: {MARKER}, attribution.parquet, attribution.png")


def kinds_of(
    flip: str | None = None,
    turn: bool = False,
    scale: str | None = None,
    stretch: str | None = None,
    recolour: bool = False,
    pairs: bool = False,
) -> list[Kind]:
    """Return the kinds of copies that the options of the command ask for.

    Args:
        flip: mirrored copies: horizontal, vertical or both.
        turn: copies turned by quarter turns.
        scale: shrunk and enlarged copies: a size, or smallest and largest with a colon between.
        stretch: copies with one side resized, likewise.
        recolour: copies of other contrast and brightness.
        pairs: pairs of these too.

    Returns:
        The kinds, the image as it is before all others.

    Raises:
        InputError: an option cannot be used.
    """
    sizes = _sizes("scale", scale), _sizes("stretch", stretch)
    return copy_kinds(flip, turn, *sizes, recolour, pairs)


def _sizes(argument: str, text: str | None) -> tuple[float, float] | None:
    """Return smallest and largest size from `0.75` or `0.5:1.5`."""
    if text is None:
        return None
    try:
        low, _, high = text.partition(":")
        return float(low), float(high or low)
    except ValueError:
        accepted = "a size such as 0.75, or smallest and largest such as 0.5:1.5"
        raise InputError(argument, text, accepted) from None

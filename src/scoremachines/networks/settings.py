"""Settings of a network, in plain Python, so that `--help` is instant (theory §5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from scoremachines.errors import InputError, whole
from scoremachines.theory.specs.attention import SYNONYMS, read_name

__all__ = ["HEADS", "PADDINGS", "TRUNKS", "NetworkSettings", "read_scales"]

TRUNKS = ("cnn", "kg-resnet", "kg-unet")
HEADS = {
    "none": "no attention",
    "soft": "soft attention",
    "top1": "top-1 attention",
    "identity": "identity attention",
    "multiscale": "multi-scale attention",
}
"""Final layers, with their titles."""
PADDINGS = {"zeros": "boundary", "circular": "valid"}
"""Padding of the convolutions, and the sources of the machine whose theory it is (theory §5)."""
WHOLE = {"width": 1, "key_width": 1, "pointwise": 0, "receptive_field": 3}
"""Settings that are whole numbers, and the least that each may be."""


@dataclass(frozen=True)
class NetworkSettings:
    """Everything that decides a network's shape.

    Raises:
        InputError: if a setting is out of range.
    """

    trunk: str = "cnn"
    """cnn: residual 3x3 convolutions; kg-resnet, kg-unet: the networks of Kamb & Ganguli"""
    attention: str = "none"
    """final layer: none, soft, top1, identity or multiscale"""
    padding: str = "zeros"
    """zeros, whose theory is boundary-broken, or circular"""
    width: int = 64
    """channels of the trunk"""
    receptive_field: int = 7
    """what an output pixel sees through the trunk, odd, pixels a side (cnn only)"""
    pointwise: int = 2
    """blocks of 1x1 convolutions after those of 3x3, which see no further (cnn only)"""
    key_width: int = 64
    """numbers in a query, a key and a value (soft, top1 and multiscale)"""
    scales: str = "1,2,4"
    """sides of the cells whose features multi-scale attention averages, pixels"""
    prediction_type: str = "v_prediction"
    """what the network answers and is trained on: v_prediction, epsilon or sample"""
    conditional: bool = False
    """the class of the image is an input of the network"""

    def __post_init__(self) -> None:
        if isinstance(self.attention, str):
            head = read_name(self.attention, HEADS, SYNONYMS) or self.attention
            object.__setattr__(self, "attention", head)
        choices = {"trunk": TRUNKS, "attention": tuple(HEADS), "padding": tuple(PADDINGS)}
        choices["prediction_type"] = ("v_prediction", "epsilon", "sample")
        for name, accepted in choices.items():
            value = getattr(self, name)
            if not isinstance(value, str) or value not in accepted:
                raise InputError(name, value, ", ".join(accepted))
        for name, least in WHOLE.items():
            odd = name == "receptive_field"
            object.__setattr__(self, name, whole(name, getattr(self, name), least, odd=odd))
        read_scales(self.scales)
        if not isinstance(self.conditional, bool):
            raise InputError("conditional", self.conditional, "true or false")


def read_scales(text: str) -> tuple[int, ...]:
    """Read the cells of multi-scale attention, such as `1,2,4`.

    Args:
        text: sides in pixels, rising.

    Returns:
        The sides.

    Raises:
        InputError: if it is no such list.
    """
    accepted = "rising whole numbers from 1, such as 1,2,4"
    if not isinstance(text, str):
        raise InputError("scales", text, accepted)
    try:
        scales = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError("scales", text, accepted) from None
    if scales[0] < 1 or any(a >= b for a, b in pairwise(scales)):
        raise InputError("scales", text, accepted)
    return scales

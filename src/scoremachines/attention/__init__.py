"""Attention: what pixels tell each other about the image they draw from (theory §4)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from scoremachines.attention.agreed import AGREED
from scoremachines.attention.agreed import Agreed as Agreed
from scoremachines.attention.base import Attention as Attention
from scoremachines.attention.base import Scene as Scene
from scoremachines.attention.closed_form import Full as Full
from scoremachines.attention.closed_form import Identity as Identity
from scoremachines.attention.closed_form import MultiScale as MultiScale
from scoremachines.attention.closed_form import NoAttention as NoAttention
from scoremachines.attention.closed_form import Tiled as Tiled
from scoremachines.attention.measured import Measured as Measured
from scoremachines.attention.measured import Soft as Soft
from scoremachines.attention.scaled import Scaled as Scaled
from scoremachines.attention.scaled import StrengthSchedule as StrengthSchedule
from scoremachines.attention.shared import BY_CLASS
from scoremachines.attention.shared import Shared as Shared
from scoremachines.attention.spread import SPREAD as SPREAD
from scoremachines.attention.spread import Spread as Spread
from scoremachines.attention.top1 import Top1 as Top1
from scoremachines.errors import InputError
from scoremachines.names import attention_names as attention_names
from scoremachines.names import known_name

__all__ = [
    "ATTENTIONS",
    "SPREAD",
    "TOLD",
    "Agreed",
    "Attention",
    "Full",
    "Identity",
    "Measured",
    "MultiScale",
    "NoAttention",
    "Scaled",
    "Scene",
    "Shared",
    "Soft",
    "Spread",
    "StrengthSchedule",
    "Tiled",
    "Top1",
    "attention_names",
    "make_attention",
]

ATTENTIONS: dict[str, Callable[[], Attention]] = {
    kind.name: kind for kind in (NoAttention, Identity, Top1, Tiled, Full, MultiScale)
}

TOLD = {BY_CLASS: Shared, AGREED: Agreed}
"""What the endings of names make of an attention."""


def make_attention(
    attention: str | Tensor | Callable[[Tensor, Tensor], Tensor] | Attention,
) -> Attention:
    """Return the attention meant by a name, a matrix or a function.

    Args:
        attention: a name of `attention_names`; a matrix (see `Soft`); a function of (φ, t) that
            returns one (see `Measured`); or an attention, returned as it is.

    Returns:
        The attention.

    Raises:
        InputError: none of these.
    """
    if isinstance(attention, str):
        attention = known_name(attention)
        if attention not in attention_names():
            names = ", ".join(attention_names())
            raise InputError("attention", attention, f"{names}, or a matrix")
        for ending, kind in TOLD.items():
            if attention.endswith(ending):
                return kind(ATTENTIONS[attention.removesuffix(ending)]())
        return ATTENTIONS[attention]()
    if isinstance(attention, Tensor):
        return Soft(attention)
    if isinstance(attention, Attention):
        return attention
    if callable(attention):
        return Measured(attention)
    raise InputError("attention", attention, f"{', '.join(ATTENTIONS)}, a matrix or a function")

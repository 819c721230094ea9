"""Attention: what pixels tell each other about the image they draw from (theory §4)."""

from __future__ import annotations

from scoremachines.attention.base import Attention as Attention
from scoremachines.attention.base import Scene as Scene
from scoremachines.attention.base import spec_of as spec_of
from scoremachines.attention.building import build_attention as build_attention
from scoremachines.attention.building import make_attention as make_attention
from scoremachines.attention.closed_form import Full as Full
from scoremachines.attention.closed_form import Identity as Identity
from scoremachines.attention.closed_form import MultiScale as MultiScale
from scoremachines.attention.closed_form import NoAttention as NoAttention
from scoremachines.attention.closed_form import Tiled as Tiled
from scoremachines.attention.consensus import Agreed as Agreed
from scoremachines.attention.gain import Scaled as Scaled
from scoremachines.attention.groups import Shared as Shared
from scoremachines.attention.learned import Maps as Maps
from scoremachines.attention.learned import Measured as Measured
from scoremachines.attention.learned import Soft as Soft
from scoremachines.attention.perplexity import Spread as Spread
from scoremachines.attention.top1 import Top1 as Top1

__all__ = [
    "Agreed",
    "Attention",
    "Full",
    "Identity",
    "Maps",
    "Measured",
    "MultiScale",
    "NoAttention",
    "Scaled",
    "Scene",
    "Shared",
    "Soft",
    "Spread",
    "Tiled",
    "Top1",
    "build_attention",
    "make_attention",
    "spec_of",
]

"""Attention: evidence about the training image, shared between pixels (theory §4)."""

from __future__ import annotations

from scoremachines.attention.base import Attention as Attention
from scoremachines.attention.base import AttentionContext as AttentionContext
from scoremachines.attention.base import spec_of as spec_of
from scoremachines.attention.building import build_attention as build_attention
from scoremachines.attention.building import make_attention as make_attention
from scoremachines.attention.closed_form import Full as Full
from scoremachines.attention.closed_form import Identity as Identity
from scoremachines.attention.closed_form import MultiScale as MultiScale
from scoremachines.attention.closed_form import NoAttention as NoAttention
from scoremachines.attention.closed_form import Tiled as Tiled
from scoremachines.attention.consensus import GroupConsensus as GroupConsensus
from scoremachines.attention.gain import Scaled as Scaled
from scoremachines.attention.groups import ByGroup as ByGroup
from scoremachines.attention.learned import Maps as Maps
from scoremachines.attention.learned import Measured as Measured
from scoremachines.attention.learned import Soft as Soft
from scoremachines.attention.perplexity import PerplexityGain as PerplexityGain
from scoremachines.attention.top1 import Top1 as Top1

__all__ = [
    "Attention",
    "AttentionContext",
    "ByGroup",
    "Full",
    "GroupConsensus",
    "Identity",
    "Maps",
    "Measured",
    "MultiScale",
    "NoAttention",
    "PerplexityGain",
    "Scaled",
    "Soft",
    "Tiled",
    "Top1",
    "build_attention",
    "make_attention",
    "spec_of",
]

"""The attention that a spec, a matrix or a function stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from scoremachines.attention.base import Attention
from scoremachines.attention.closed_form import Full, Identity, MultiScale, NoAttention, Tiled
from scoremachines.attention.consensus import GroupConsensus
from scoremachines.attention.gain import Scaled
from scoremachines.attention.groups import ByGroup
from scoremachines.attention.learned import Maps, Measured, Soft
from scoremachines.attention.perplexity import PerplexityGain
from scoremachines.attention.top1 import Top1
from scoremachines.errors import InputError
from scoremachines.io.files import reading
from scoremachines.io.plugins import ATTENTIONS, plugin
from scoremachines.theory.specs.attention import AttentionSpec
from scoremachines.theory.specs.gain import CALIBRATED, PERPLEXITY, GainSchedule

__all__ = ["build_attention", "make_attention"]

MAPS: dict[str, Callable[[], Attention]] = {
    "none": NoAttention,
    "identity": Identity,
    "top1": Top1,
    "tiled": Tiled,
    "full": Full,
}


def build_attention(
    spec: AttentionSpec,
    *,
    maps: Maps | None = None,
    matrix: Tensor | None = None,
    groups: Tensor | None = None,
    calibrated: GainSchedule | None = None,
) -> Attention:
    """Return the attention that a spec describes (theory §4.2, §4.6–§4.8).

    `A_uy = λ a_uy`, with λ a number, λ(t) or `λ_u = max(1, e^{H_u}/κ²)`; over images or groups.

    Args:
        spec: the attention.
        maps: of a network, for the map `"measured"`: from φ `[B, C, H, W]` and t `[B]` to
            `[H·W, H·W]` or `[B, H·W, H·W]`.
        matrix: a, `[H·W, H·W]`, for the map `"matrix"`; by default what its file holds.
        groups: the group of each training image, int64 `[N]`; by default its class.
        calibrated: λ(t), for the gain `"calibrated"`.

    Returns:
        The attention.

    Raises:
        InputError: what the spec needs is missing.
    """
    attention = _with_gain(_map(spec, maps, matrix), spec, calibrated)
    if spec.over == "image":
        return attention
    return (ByGroup if spec.over == "group" else GroupConsensus)(attention, groups)


def make_attention(
    attention: str | AttentionSpec | Tensor | Maps | Attention,
) -> Attention:
    """Return the attention meant by a name, a spec, a matrix or a function.

    Args:
        attention: a name or spec (see `AttentionSpec`); a matrix (see `Soft`); a function of
            (φ, t) that returns one (see `Measured`); or an attention, returned as it is.

    Returns:
        The attention.

    Raises:
        InputError: none of these, or one that needs a network.
    """
    if isinstance(attention, str | AttentionSpec):
        return build_attention(AttentionSpec.parse(attention))
    if isinstance(attention, Tensor):
        return Soft(attention)
    if isinstance(attention, Attention):
        return attention
    if callable(attention):
        return Measured(attention)
    raise InputError("attention", attention, f"{', '.join(MAPS)}, a matrix or a function")


def _map(spec: AttentionSpec, maps: Maps | None, matrix: Tensor | None) -> Attention:
    if spec.map == "multiscale":
        return MultiScale(spec.windows)
    if spec.map == "matrix":
        return Soft(_read(spec) if matrix is None else matrix, spec.path)
    if spec.map == "measured":
        if maps is None:
            accepted = "one of the other attentions, or a network that shows its attention maps"
            raise InputError("attention", str(spec), accepted, "no network shows any maps here")
        return Measured(maps)
    return MAPS[spec.map]() if spec.map in MAPS else _of_others(spec)


def _of_others(spec: AttentionSpec) -> Attention:
    """Return an attention that another package brings along."""
    made = plugin(ATTENTIONS, spec.map)()
    if not isinstance(made, Attention):
        raise InputError(ATTENTIONS, made, "scoremachines.attention.Attention")
    if getattr(made, "spec", None) is None:
        made.spec = spec.plain  # type: ignore[attr-defined]
    return made


def _read(spec: AttentionSpec) -> Tensor:
    """Return the matrix in a spec's file."""
    accepted = "an .npy file with a matrix [H·W, H·W]"
    if spec.path is None:
        raise InputError("attention", str(spec), f"{accepted}, or the matrix itself")
    import numpy as np

    with reading("attention", spec.path, accepted):
        return torch.from_numpy(np.load(spec.path, allow_pickle=False)).double()


def _with_gain(
    attention: Attention, spec: AttentionSpec, calibrated: GainSchedule | None
) -> Attention:
    gain = spec.gain
    if gain == PERPLEXITY:
        return PerplexityGain(attention)
    if gain == CALIBRATED:
        if calibrated is None:
            accepted = "a network whose gain was calibrated, or a number: "
            accepted += str(replace(spec, gain=1.3))
            raise InputError("attention", str(spec), accepted)
        gain = calibrated
    assert not isinstance(gain, str)  # there are no other rules
    return attention if gain == 1 else Scaled(attention, gain)

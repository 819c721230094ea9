"""KG's five machines by name (theory §3): rows of one table, not classes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scoremachines.data.training_set import TrainingSet
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.theory.locality import Window
from scoremachines.theory.specs.machine import MachineSpec, kg_machine

__all__ = ["bbels", "els", "equivariant", "ideal", "local", "named_machine"]


def ideal(data: TrainingSet, **options: Any) -> ScoreMachine:
    """IS, the ideal score: the exact posterior mean over the training images (theory §2.3).

    `x̂0 = Σ_i softmax_i( −‖φ − √ᾱ x_i‖² / (2(1−ᾱ)) ) x_i`.
    """
    return ScoreMachine(data, None, "aligned", **options)


def equivariant(data: TrainingSet, **options: Any) -> ScoreMachine:
    """ES: the ideal score of the training set and all its cyclic shifts T_d (theory §2.3).

    `x̂0 = Σ_{i,d} softmax_{i,d}( −‖φ − √ᾱ T_d x_i‖² / (2(1−ᾱ)) ) T_d x_i`, `(T_d x)(u) = x(u+d)`.
    """
    return ScoreMachine(data, None, "circular", **options)


def local(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """LS: k×k windows, sources at the same place of the training images (theory §3).

    `x̂0(u) = Σ_i softmax_i( −‖φ[Ω_u] − √ᾱ x_i[Ω_u]‖² / (2(1−ᾱ)) ) x_i(u)`.
    """
    return ScoreMachine(data, window, "aligned", **options)


def els(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """ELS: k×k windows, sources at every place of the training images (theory §3).

        x̂0(u) = Σ_{i,v} softmax_{i,v}( −‖φ[Ω_u] − √ᾱ x_i[Ω_v]‖² / (2(1−ᾱ)) ) x_i(v)

    over all v whose window lies inside the image.
    """
    return ScoreMachine(data, window, "valid", **options)


def bbels(
    data: TrainingSet, window: Window | Mapping[float, int] = 7, **options: Any
) -> ScoreMachine:
    """Boundary-broken ELS: as ELS, but aware of the border (theory §2.2, §3).

        x̂0(u) = Σ_{i, v∈V(u)} softmax_{i,v}( −‖φ[Ω_u] − √ᾱ x_i[Ω_v]‖² / (2(1−ᾱ)) ) x_i(v)

    V(u) are the places whose window overhangs every border as far as u's; zeros beyond it.
    """
    return ScoreMachine(data, window, "boundary", **options)


def named_machine(
    name: str | MachineSpec,
    data: TrainingSet,
    window: Window | Mapping[float, int] = 7,
    **options: Any,
) -> ScoreMachine:
    """Return one of KG's machines by name.

    `x̂0(u) = Σ_{i,v} ω_u(i,v) x_i(v)` with `ω_u = softmax_{i,v} ℓ_u(i,v)`, `v ∈ V(u)` (theory §3).

    Args:
        name: a key of `KG_MACHINES`, or another name of the same, such as `"LS"`.
        data: the training set.
        window: k or k(t); not used by `"ideal"` and `"equivariant"`.
        **options: as in `ScoreMachine`, `attention` among them.

    Returns:
        The machine.

    Raises:
        InputError: unknown name.
    """
    spec = kg_machine(name)
    window = None if spec.sees_whole_image else window
    return ScoreMachine(
        data,
        window,
        spec.sources,
        **({"smooth": spec.smooth, "response": spec.response} | options),
    )

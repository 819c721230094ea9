"""The interface of attentions: the evidence of all other pixels for image i (theory §4).

    Π_u(i) = Σ_κ Σ_{y≠u} A^κ_uy E^κ_y(i)

From one `AttentionContext` per batch an attention makes `AttentionWeights` for every window κ
whose evidence it needs; the machine applies them to the evidence of each block. What it must know
of all images first it declares as a `Statistic`, which merges over any division of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from scoremachines.attention.weights import WeightsByWindow
from scoremachines.theory.specs.attention import AttentionSpec

__all__ = [
    "Attention",
    "AttentionContext",
    "Specified",
    "Statistic",
    "evidence_windows",
    "follows_noisy",
    "needs_all_evidence",
    "reduce_here",
    "spec_of",
]


Value = TypeVar("Value")


class Statistic(Protocol[Value]):
    """A statistic of the evidence of images that merges (theory §4.3, §4.6).

        s(A ∪ B) = merge( s(A), s(B) )    for disjoint parts A, B of the training set

    It may be computed in other processes, so it holds what can be pickled.
    """

    @property
    def window(self) -> int | None:
        """k, at which evidence is wanted, pixels; None for the whole image."""
        ...

    def of(self, evidence: Tensor, index: Tensor) -> Value:
        """Return s of some images: `E_y(i)` `[B, n, H, W]`, nats, and their places `[n]`."""
        ...

    def merge(self, one: Value, other: Value) -> Value:
        """Return s of a union, the first part of which comes first; both may be overwritten."""
        ...


def reduce_here(*blocks: Tensor) -> Callable[[Statistic[Any]], Any]:
    """Return what reduces a statistic over given evidence, whatever its window.

    Args:
        *blocks: `E_y(i)` of some images each, in their order, `[B, n, H, W]`.

    Returns:
        For an `AttentionContext`.
    """

    def reduced(statistic: Statistic[Any]) -> Any:
        values, stop = [], 0
        for evidence in blocks:
            start, stop = stop, stop + evidence.shape[1]
            index = torch.arange(start, stop, device=evidence.device)
            values.append(statistic.of(evidence, index))
        return reduce(statistic.merge, values)

    return reduced


@dataclass(frozen=True)
class AttentionContext:
    """The input of an attention.

    Args:
        noisy: φ, `[B, C, H, W]`.
        alpha_bar: ᾱ of each noisy image, float64 on the CPU, `[B]`.
        time: t of each noisy image on the machine's schedule, float64 on the CPU, `[B]`.
        window: k, the window of the machine at this time; None for the whole image.
        periodic: whether φ continues on the other side of its border.
        reduce: returns the value of a `Statistic` of the evidence of all training images,
            `E_y(i) = log mean_{v∈V(y)} exp ℓ_y(i,v)`. Each call is a pass over the training set.
    """

    noisy: Tensor
    alpha_bar: Tensor
    time: Tensor
    window: int | None
    periodic: bool
    reduce: Callable[[Statistic[Any]], Any]


@runtime_checkable
class Attention(Protocol):
    """One choice of A (theory §4). New ones pass `scoremachines.testing.check_attention`.

    The evidence of other pixels enters the posterior by `Π_u(i) = Σ_κ Σ_{y≠u} A^κ_uy E^κ_y(i)`.

    Where gradients are wanted, φ requires grad while `attention_weights` runs. A choice that is
    piecewise constant in φ, such as that of a partner, is made under `torch.no_grad()`.
    """

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    dense: bool
    """Whether it holds a matrix over all pairs of pixels, which the memory must have room for."""

    def attention_weights(self, context: AttentionContext) -> WeightsByWindow:
        """Return `A^κ` for each window κ whose evidence is needed; `[]` for Π = 0."""
        ...


class Specified:
    """An attention that a spec describes, unless it is None; its name is that of the spec."""

    spec: AttentionSpec | None = None

    @property
    def name(self) -> str:
        """The spec as text."""
        return type(self).__name__.lower() if self.spec is None else str(self.spec)


def spec_of(attention: object) -> AttentionSpec | None:
    """Return the spec that describes an attention; None where there is none."""
    spec = getattr(attention, "spec", None)
    return spec if isinstance(spec, AttentionSpec) else None


def needs_all_evidence(attention: object) -> bool:
    """Return whether A depends on the evidence of all images.

    As top-1 does: `y*(u) = argmin_{y≠u} H(softmax_i(E_u(i) + E_y(i)))` (theory §4.3).

    Args:
        attention: however deep it is wrapped; it has a true attribute `needs_all_evidence` then.

    Returns:
        Whether.
    """
    return _holds(attention, "needs_all_evidence")


def follows_noisy(attention: object) -> bool:
    """Return whether `A_uy` depends on φ, so that gradients pass through it (theory §4.9).

    Args:
        attention: however deep it is wrapped; it has a true attribute `follows_noisy` then.

    Returns:
        Whether.
    """
    return _holds(attention, "follows_noisy")


def _holds(attention: object, name: str) -> bool:
    while not getattr(attention, name, False):
        attention = getattr(attention, "attention", None)
        if attention is None:
            return False
    return True


def evidence_windows(
    attention: object, window: int | None, size: tuple[int, ...]
) -> tuple[int | None, ...]:
    """Return the windows at which evidence is needed.

    All κ ∈ K of `Π_u(i) = Σ_{κ∈K} Σ_{y≠u} A^κ_uy E^κ_y(i)`, and the machine's own k (theory §4.4).

    Args:
        attention: however deep it is wrapped.
        window: k, pixels; None for the whole image.
        size: (H, W), pixels.

    Returns:
        Each once.
    """
    while not hasattr(attention, "scales"):
        attention = getattr(attention, "attention", None)
        if attention is None:
            return (window,)
    return tuple(dict.fromkeys([window, *attention.scales(window, size)]))

"""The engine interface: evidence and posteriors of a block of training images (theory §2).

A machine reads the training set block by block and needs two things of each block from its engine:
`evidence`, E_u(i) of every image for every pixel, which attention reweighs; and `posterior`, the
block's contribution to x̂0, which merges with that of every other block (theory §2). A new engine
implements `Engine` and passes `scoremachines.testing.check_engine`. With the two methods of
`Differentiable` its answers have gradients in φ (theory §2.8).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from scoremachines.theory.posterior import Posterior
from scoremachines.theory.schedule import CLOSEST
from scoremachines.theory.smooth import Smooth

__all__ = ["Differentiable", "Engine", "Held", "Plan", "Pull", "Query"]


@dataclass(frozen=True)
class Query:
    """Noisy images `φ = √ᾱ x + √(1−ᾱ) ε`, and the window and sources of a machine (theory §2.2).

    Args:
        noisy: φ, `[B, C, H, W]`; its dtype and device are those of the computation.
        alpha_bar: ᾱ of each noisy image, in [0, 1], float64 on the CPU, `[B]`.
        window: k, odd, pixels; None for the whole image.
        sources: V(u), where a patch may come from: `"aligned"`, `"valid"`, `"circular"` or
            `"boundary"` (theory §2.2).
        smooth: the width of sources (theory §2.9); None for h = 0.
        pixels: the u whose answers are wanted, int64; None for all. An engine may give the others
            no answer.
        patches: whether each u is answered with the whole patch around it, `[C·k²]`, in the place
            of its centre (theory §2.10); sources have a width then.
    """

    noisy: Tensor
    alpha_bar: Tensor
    window: int | None
    sources: str
    smooth: Smooth | None = None
    pixels: Tensor | None = None
    patches: bool = False

    @property
    def answered(self) -> int:
        """How many numbers each pixel is answered with."""
        channels = self.noisy.shape[1]
        return channels * self.window**2 if self.patches and self.window else channels

    @property
    def signal(self) -> Tensor:
        """√ᾱ, float64 `[B]`."""
        return self.alpha_bar.clamp(CLOSEST, 1 - CLOSEST).sqrt()

    @property
    def variance(self) -> Tensor:
        """1 − ᾱ, float64 `[B]`."""
        return 1 - self.alpha_bar.clamp(CLOSEST, 1 - CLOSEST)

    def part(self, index: slice) -> Query:
        """Return the query for some of the noisy images."""
        return replace(self, noisy=self.noisy[index], alpha_bar=self.alpha_bar[index])


@dataclass(frozen=True)
class Pull:
    """How much each source pulls at the noisy image, in a gradient (theory §2.8).

        c_u(i,v) = exp( ℓ_u(i,v) − log|V(u)| − level_u(i) )
                   · ( gain_u(i) ⟨g(u), x_i(v)⟩ + offset_u(i) )

    Args:
        direction: g, `[B, C, H, W]` in the query's dtype.
        level: nats, float64, `[B, n, H, W]`, or `[B, 1, H, W]` for all images alike; where the
            window is the whole image, the same for all u.
        gain: float64, of the same shape as `level`.
        offset: likewise.
    """

    direction: Tensor
    level: Tensor
    gain: Tensor
    offset: Tensor

    def part(self, index: slice) -> Pull:
        """Return the pull at some of the noisy images."""
        fields = (self.direction, self.level, self.gain, self.offset)
        return Pull(*(field[index] for field in fields))

    def to(self, dtype: torch.dtype) -> Pull:
        """Return the same with its direction in another dtype."""
        return Pull(self.direction.to(dtype), self.level, self.gain, self.offset)


@dataclass(frozen=True)
class Plan:
    """How much an engine takes at once: noisy images, and training images."""

    batch: int
    block: int


@dataclass(frozen=True)
class Held:
    """Bytes that the caller of an engine holds while a plan is carried out (theory §2.1, §4).

    Args:
        always: whatever the plan, such as the answer.
        noisy: for each noisy image of a batch, such as the evidence of groups.
        image: for each training image of a block, such as a copy of it.
    """

    always: int = 0
    noisy: int = 0
    image: int = 0

    def bytes(self, plan: Plan) -> int:
        """Return them all, for a plan."""
        return self.always + plan.batch * self.noisy + plan.block * self.image


class Engine(Protocol):
    """Evidence and posterior of a block of the training set (theory §2).

        E_u(i) = log mean_{v∈V(u)} exp ℓ_u(i,v)     x̂0(u) = Σ_{i,v} softmax_{i,v}(L_u(i,v)) x_i(v)

    An engine with a true attribute `accepts_uint8` is also given images as they are stored: uint8,
    where a byte b stands for b/127.5 − 1. One with a true attribute `threaded` shares its work
    among as many threads as torch has. One with a true attribute `smooths` answers queries whose
    sources have a width. One with a true attribute `reads_once` has `moments`, at
    less cost than evidence and posterior together: with attention, x̂0 is then made of them.
    """

    name: str

    def plan(
        self,
        query: Query,
        count: int,
        *,
        evidence: bool,
        dense: bool,
        best: int,
        held: Held | None = None,
    ) -> Plan:
        """Choose how much to take at once so that the engine stays within its memory.

        Args:
            query: all the noisy images.
            count: number of training images.
            evidence: whether per-image evidence will be requested.
            dense: whether the attention holds a matrix over pairs of pixels.
            best: how many sources will be requested.
            held: what the caller holds besides; None for nothing.

        Returns:
            The plan.

        Raises:
            InputError: one noisy image and one training image do not fit.
        """
        ...

    def evidence(self, query: Query, images: Tensor) -> Tensor:
        """Return `E_u(i) = log mean_{v∈V(u)} exp ℓ_u(i,v)`, nats (theory §2).

        Args:
            query: `B` noisy images.
            images: training images in [-1, 1], `[n, C, H, W]`, dtype and device of the query.

        Returns:
            `[B, n, H, W]` in the query's dtype.
        """
        ...

    def posterior(
        self, query: Query, images: Tensor, index: Tensor, bias: Tensor | None, best: int
    ) -> Posterior:
        """Return the posterior of these training images at every pixel (theory §2).

        Args:
            query: `B` noisy images.
            images: training images in [-1, 1], `[n, C, H, W]`, dtype and device of the query.
            index: their places in the training set, rising, int64 `[n]`.
            bias: Π_u(i), nats, `[B, n, H, W]` in the query's dtype; None for 0.
            best: how many sources to keep for every pixel; 0 leaves out sources and entropy.

        Returns:
            The posterior of every noisy image, log-weights and sources as theory §2.1 has them.
        """
        ...


@runtime_checkable
class Differentiable(Protocol):
    """The methods of an engine for a gradient of x̂0 in φ (theory §2.8).

    `m_u(i) = Σ_{v∈V(u)} softmax_v(ℓ_u(i,·)) x_i(v)` and the gradient `Σ c_u(i,v) ∂ℓ_u/∂φ`.
    """

    def moments(self, query: Query, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return `E_u(i)` and `m_u(i)`, the mean of u's colour within each image (theory §2).

        Args:
            query: `B` noisy images.
            images: as in `Engine.evidence`.

        Returns:
            `E_u(i)`, nats, float64 `[B, n, H, W]`, and `m_u(i)`, `[B, n, C, H, W]` in the query's
            dtype.
        """
        ...

    def gradient(self, query: Query, images: Tensor, pull: Pull) -> Tensor:
        """Return `Σ_u Σ_{i,v} c_u(i,v) ∂ℓ_u(i,v)/∂φ`.

        Args:
            query: `B` noisy images.
            images: as in `Engine.evidence`.
            pull: c.

        Returns:
            `[B, C, H, W]` in the query's dtype.
        """
        ...

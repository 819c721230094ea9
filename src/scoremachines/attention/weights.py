"""Rows of A in the forms that are cheap to apply (theory §4.2): `Π_u(i) = Σ_{y≠u} A_uy E_y(i)`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "AttentionWeights",
    "DenseWeights",
    "OneHotWeights",
    "UniformWeights",
    "WeightsByWindow",
    "differentiable_parts",
    "with_parts",
]


class AttentionWeights(Protocol):
    """Rows of A in the form that is cheapest to apply: `Π_u(i) = Σ_{y≠u} A_uy E_y(i)`."""

    def apply(self, evidence: Tensor) -> Tensor:
        """Return `Σ_{y≠u} A_uy E_y(i)`, nats, float64, from `E_y(i)`, both `[B, n, H, W]`."""
        ...

    def largest(self) -> Tensor:
        """Return `max_{y≠u} A_uy`, float64, `[B or 1, 1, H·W or 1]`."""
        ...


WeightsByWindow: TypeAlias = list[tuple[int | None, AttentionWeights]]
"""`A^κ` for each window κ whose evidence is needed; None is the whole image."""


def differentiable_parts(rows: object) -> list[Tensor]:
    """Return the tensors of A, however deep, that have a graph, which leads to φ."""
    if isinstance(rows, Tensor):
        return [rows] if rows.requires_grad else []
    if isinstance(rows, dict):
        inside = list(rows.values())
    elif isinstance(rows, list | tuple):
        inside = list(rows)
    else:
        inside = list(getattr(rows, "__dict__", {}).values())
    return [tensor for part in inside for tensor in differentiable_parts(part)]


def with_parts(rows: Any, parts: dict[int, Tensor]) -> Any:
    """Return A with others in the place of its `differentiable_parts`, given by their `id`."""
    if isinstance(rows, Tensor):
        return parts.get(id(rows), rows)
    if not differentiable_parts(rows):
        return rows
    if isinstance(rows, dict):
        return {name: with_parts(part, parts) for name, part in rows.items()}
    if isinstance(rows, list | tuple):
        return [with_parts(part, parts) for part in rows]
    twin = copy(rows)
    twin.__dict__.update(with_parts(vars(rows), parts))
    return twin


@dataclass(frozen=True)
class UniformWeights:
    """The same weight for every other pixel: `A_uy = weight`."""

    weight: float

    def apply(self, evidence: Tensor) -> Tensor:
        wide = evidence.double().contiguous()
        total = wide.sum((-2, -1), keepdim=True) * self.weight
        if wide.dtype == evidence.dtype or wide.requires_grad:
            return total.sub(wide, alpha=self.weight)
        return wide.mul_(-self.weight).add_(total)  # in place, where it is a copy of ours

    def largest(self) -> Tensor:
        return torch.full((1, 1, 1), self.weight, dtype=torch.float64)


@dataclass(frozen=True)
class OneHotWeights:
    """`A_uy = 1` at one partner y = y*(u), else 0: `partner` is int64 `[B, H·W]` (theory §4.3)."""

    partner: Tensor

    def apply(self, evidence: Tensor) -> Tensor:
        index = self.partner[:, None].expand(-1, evidence.shape[1], -1)
        return evidence.double().flatten(2).gather(-1, index).view(evidence.shape)

    def largest(self) -> Tensor:
        return torch.ones(1, 1, 1, dtype=torch.float64)


class DenseWeights:
    """Any `A`, `[B or 1, H·W, H·W]`: `Π_u(i) = Σ_{y≠u} A_uy E_y(i)`, without the diagonal.

    In float32 only what differs between images is, for that decides:
    `Π_u(i) = Σ_{y≠u} A_uy (E_y(i) − e_y) + Σ_{y≠u} A_uy e_y`, `e_y = max_i E_y(i)`.

    Args:
        matrix: A; it is copied.
        dtype: float64, or float32 where evidence is no more exact than that of noisy images in
            float32, whose rounding is that of sums of `C k²` squares.
    """

    def __init__(self, matrix: Tensor, dtype: torch.dtype = torch.float64) -> None:
        if matrix.detach().max() > LARGEST:
            dtype = torch.float64
        self.matrix = matrix.to(dtype, copy=True)
        self.matrix.diagonal(dim1=-2, dim2=-1).zero_()

    def apply(self, evidence: Tensor) -> Tensor:
        flat = evidence.double().flatten(2)
        weights = self.matrix.expand(len(flat), -1, -1)
        rows = [_product(*pair) for pair in zip(weights, flat, strict=True)]
        return torch.stack(rows).view(evidence.shape)

    def largest(self) -> Tensor:
        return self.matrix.amax(-1).double()[:, None]


LARGEST = 1e30
"""Weight above which Π would leave the range of float32; such matrices stay in float64."""
LINES = 64
"""Rows of A that are widened at once."""


def _product(weights: Tensor, field: Tensor) -> Tensor:
    """Return `Σ_y A_uy E_y(i)`, float64 `[n, P]`, of one sample.

    Copied, for alignment changes how a product is rounded: a sample's bits must not depend on the
    others in the batch.
    """
    if weights.data_ptr() % 64:
        weights = weights.clone()
    if weights.dtype == torch.float64:
        return field.clone() @ weights.T
    most = field.detach().amax(0)
    same = torch.cat([some.double() @ most for some in weights.split(LINES)])
    return ((field - most).to(weights.dtype) @ weights.T).double().add_(same)

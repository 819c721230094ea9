"""Rows of A: in float32 as in float64, sample by sample, and cut from their graph."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scoremachines.attention.weights import (
    AttentionWeights,
    DenseWeights,
    OneHotWeights,
    UniformWeights,
    differentiable_parts,
    with_parts,
)

PIXELS = 12


def matrices(batch: int, seed: int) -> Tensor:
    """Return rows that add up to 1, float64 `[B, P, P]`."""
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(batch, PIXELS, PIXELS, generator=draw, dtype=torch.float64).softmax(-1)


def fields(batch: int, count: int, spread: float, seed: int = 0) -> Tensor:
    """Return evidence far from 0, float64 `[B, n, 3, 4]`."""
    draw = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, count, 3, 4, generator=draw, dtype=torch.float64)
    return spread * noise - 1e5


def by_definition(matrix: Tensor, evidence: Tensor) -> Tensor:
    """Return `Σ_{y≠u} A_uy E_y(i)`, pixel by pixel."""
    flat, found = evidence.flatten(2), torch.zeros_like(evidence).flatten(2)
    for u in range(PIXELS):
        for y in range(PIXELS):
            if y != u:
                found[..., u] += matrix.expand(len(flat), -1, -1)[:, u, y, None] * flat[..., y]
    return found.view(evidence.shape)


@given(st.integers(1, 3), st.integers(1, 5), st.sampled_from([0.1, 10, 1000]), st.integers(0, 99))
def test_dense_rows_in_both_precisions(batch: int, count: int, spread: float, seed: int) -> None:
    """In float32 what differs between images is rounded, not the 10⁵ nats that they share."""
    matrix, evidence = matrices(batch, seed), fields(batch, count, spread, seed)
    known = by_definition(matrix, evidence)
    torch.testing.assert_close(DenseWeights(matrix).apply(evidence), known, rtol=1e-14, atol=1e-9)
    found = DenseWeights(matrix, torch.float32).apply(evidence)
    assert found.dtype == torch.float64
    apart, known_apart = found - found[:, :1], known - known[:, :1]
    torch.testing.assert_close(apart, known_apart, rtol=0, atol=2e-6 * spread)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_has_the_same_bits_in_any_batch(dtype: torch.dtype) -> None:
    matrix, evidence = matrices(3, 1), fields(3, 7, 30)
    found = DenseWeights(matrix, dtype).apply(evidence)
    for b in range(3):
        alone = DenseWeights(matrix[b : b + 1], dtype).apply(evidence[b : b + 1])
        assert torch.equal(found[b], alone[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blocks_of_images_agree(dtype: torch.dtype) -> None:
    """Each has a reference of its own, which A meets in float64."""
    weights, evidence = DenseWeights(matrices(1, 2), dtype), fields(2, 9, 100)
    parts = torch.cat([weights.apply(some) for some in evidence.split([2, 1, 6], 1)], 1)
    apart = parts - weights.apply(evidence)
    assert float((apart - apart[:, :1]).abs().max()) < (5e-4 if dtype == torch.float32 else 1e-9)


def test_the_other_forms_are_dense_rows() -> None:
    evidence, even = fields(2, 3, 5), torch.full((1, PIXELS, PIXELS), 0.25).double()
    partner = (torch.arange(PIXELS).roll(1)).expand(2, -1)
    chosen = torch.nn.functional.one_hot(partner, PIXELS).double()
    forms: list[tuple[AttentionWeights, Tensor]] = [
        (UniformWeights(0.25), even),
        (OneHotWeights(partner), chosen),
    ]
    for weights, matrix in forms:
        known = DenseWeights(matrix)
        torch.testing.assert_close(weights.apply(evidence), known.apply(evidence))
        assert float(weights.largest().max()) == float(known.largest().max())


@dataclass(frozen=True)
class Twice:
    """Other rows and a gain of theirs, as attentions of other packages may nest them."""

    rows: DenseWeights
    gain: Tensor

    def apply(self, evidence: Tensor) -> Tensor:
        return self.rows.apply(evidence) * self.gain

    def largest(self) -> Tensor:
        return self.rows.largest() * self.gain


def test_parts_with_a_graph_are_found_and_replaced_however_deep() -> None:
    matrix = matrices(1, 3).requires_grad_()
    rows = DenseWeights(matrix)
    weights, evidence = Twice(rows, rows.largest().max()), fields(1, 2, 1)
    links = differentiable_parts(weights)
    assert [id(link) for link in links] == [id(rows.matrix), id(weights.gain)]
    parts = {id(link): link.detach().requires_grad_() for link in links}
    cut = with_parts(weights, parts)
    assert torch.equal(cut.apply(evidence), weights.apply(evidence))
    pulls = torch.autograd.grad(cut.apply(evidence).sum(), list(parts.values()))
    through = torch.autograd.grad(links, matrix, pulls)[0]
    whole = torch.autograd.grad(
        Twice(DenseWeights(matrix), DenseWeights(matrix).largest().max()).apply(evidence).sum(),
        matrix,
    )[0]
    torch.testing.assert_close(through, whole)
    assert with_parts(UniformWeights(0.5), parts) == UniformWeights(0.5)
    assert differentiable_parts(DenseWeights(matrix.detach())) == []


def test_parts_in_lists_and_dictionaries_are_found_too() -> None:
    a, b = (torch.ones(2).requires_grad_() * 2 for _ in range(2))
    held = {"rows": [a, (b, 3)], "name": "mine"}
    assert [id(part) for part in differentiable_parts(held)] == [id(a), id(b)]
    leaf = torch.zeros(2)
    assert with_parts(held, {id(b): leaf}) == {"rows": [a, [leaf, 3]], "name": "mine"}


@pytest.mark.parametrize("size", [1e29, 1e31, 1e300])
def test_weights_of_any_size_give_numbers(size: float) -> None:
    matrix, evidence = size * matrices(1, 4), fields(1, 3, 1000)
    assert DenseWeights(matrix, torch.float32).apply(evidence).isfinite().all()

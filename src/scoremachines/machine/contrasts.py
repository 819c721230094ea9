"""Scales of contrast, fitted to the training patches themselves (theory §2.9)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.theory.smooth import Contrasts, PatchLaws

__all__ = ["fitted_contrasts"]

IMAGES, PLACES = 512, 64
"""Images and places whose patches are looked at, evenly spaced."""
NOISE = 0.05
"""σ, of pixels in [0, 1], of noise that is added, since Σ may be singular."""
GRID = 2.0 ** torch.arange(-6, 3.25, 0.25, dtype=torch.float64)
"""Scales of the fine mixture."""
SCALES, ROUNDS = 5, 200


def fitted_contrasts(data: TrainingSet, laws: PatchLaws) -> Contrasts:
    """Return scales of contrast, and their weights.

    Weights of many scales maximise the likelihood of noised training patches under a Gaussian
    scale mixture (Portilla et al. 2003), by expectation maximisation,

        π_s ← mean_p  π_s N(y_p; 0, ᾱ s² Σ + (1−ᾱ) I) / Σ_s' π_s' N(y_p; 0, ᾱ s'² Σ + (1−ᾱ) I)

    with `y = √ᾱ (x_i[Ω_v] − μ) + √(1−ᾱ) ε`. Successive ones that have a fifth of the weight
    together become one, with their mean square; and all are scaled so that `Σ_s π_s s² = 1`, which
    leaves the second moments of the whole those of the data.

    Args:
        data: the training set.
        laws: of its patches.

    Returns:
        The scales.
    """
    with torch.inference_mode(False), torch.no_grad():
        log_likelihood = _log_likelihood(data, laws)
        weights = torch.full_like(GRID, 1 / len(GRID))
        for _ in range(ROUNDS):
            weights = (log_likelihood + weights.log()).softmax(1).mean(0)
        group = ((weights.cumsum(0) - weights / 2) * SCALES).long().clamp(max=SCALES - 1)
        shares = torch.zeros(SCALES, dtype=torch.float64).index_add(0, group, weights)
        squares = torch.zeros_like(shares).index_add(0, group, weights * GRID.square())
        met = shares > 0
        scales = (squares[met] / shares[met] / squares.sum()).sqrt()
        return Contrasts(tuple(scales.tolist()), tuple(shares[met].tolist()))


def _log_likelihood(data: TrainingSet, laws: PatchLaws) -> Tensor:
    """Return `log N(y_p; 0, ᾱ s² Σ + (1−ᾱ) I)` of some patches and all scales, `[P, G]`."""
    some = torch.linspace(0, len(data) - 1, min(IMAGES, len(data))).round().long()
    images = data.block(some, torch.float64, "cpu").flatten(1)
    numbers = torch.nn.functional.pad(images, (0, 1))
    alpha_bar, draw = 1 / (1 + 4 * NOISE**2), torch.Generator().manual_seed(0)
    pairs = [(kind, int(v)) for kind, every in enumerate(laws.sources) for v in every]
    step = max(1, len(pairs) // PLACES)
    found = []
    for kind, place in pairs[step // 2 :: step]:
        mean, axes, variances = laws.axes(kind)
        seen = (numbers[:, laws.places[place]] - mean) @ axes
        noise = torch.randn(seen.shape, generator=draw, dtype=torch.float64)
        seen = alpha_bar**0.5 * seen + (1 - alpha_bar) ** 0.5 * noise
        spread = alpha_bar * GRID.square()[:, None] * variances + 1 - alpha_bar  # [G, d]
        distance = seen.square() @ (1 / spread).T
        found.append(-(distance + spread.log().sum(1)) / 2)
    return torch.cat(found)

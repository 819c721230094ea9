"""The information of a noisy patch about its training image (theory §3, Prediction).

    I_k(t) = log N − E[ H( softmax_i E_u(i) ) ]

the mutual information of image and patch: the image drawn uniformly from the training set, u from
the places that patches may come from, noise added at level ᾱ(t). The expectation is estimated by
Monte Carlo, H is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Query
from scoremachines.sampling.reverse_process import noise_generator
from scoremachines.theory.posterior import Posterior

__all__ = ["image_information", "noised_images"]


def noised_images(data: TrainingSet, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw training images and noise; draw `d` depends on the set, `seed` and `d` alone.

    The noised images are `φ = √ᾱ x_i + √(1−ᾱ) ε` with i uniform (theory §3, Prediction).

    Args:
        data: the training set.
        draws: how many.
        seed: of the draws, at least 0.

    Returns:
        The images' places in the set, int64 `[draws]`, and standard normal noise, float64
        `[draws, C, H, W]`, both on the CPU.
    """
    places, noise = [], []
    for draw in range(draws):
        generator = noise_generator(seed, draw)
        places.append(torch.randint(len(data), (), generator=generator))
        noise.append(torch.randn(tuple(data.shape), generator=generator, dtype=torch.float64))
    return torch.stack(places), torch.stack(noise)


def image_information(
    data: TrainingSet, engine: Engine, noisy: Tensor, alpha_bar: Tensor, window: int, sources: str
) -> Tensor:
    """Return the information about the image in each noisy image's patches, nats.

        I = log N − mean_u H(softmax_i E_u(i))

    Args:
        data: the training set, N images.
        engine: what computes the evidence.
        noisy: noised training images φ, `[B, C, H, W]`.
        alpha_bar: ᾱ of each, float64 on the CPU, `[B]`.
        window: k, odd, pixels.
        sources: V(u) (theory §2.2).

    Returns:
        `log N − H`, averaged over the places u from which the machine draws patches, in
        [0, log N] up to rounding, float64 `[B]`.
    """
    query = Query(noisy, alpha_bar, window, sources)
    plan = engine.plan(query, len(data), evidence=True, dense=False, best=0)
    entropies = []
    for start in range(0, len(noisy), plan.batch):
        part = query.part(slice(start, start + plan.batch))
        blocks = Pass(data, plan.block, noisy.dtype, noisy.device)
        entropies.append(reduce(ImageEntropy(engine, part), blocks).entropy)
    entropy = torch.cat([each for each in entropies if each is not None])
    if sources == "valid":  # no training patch crosses the border
        radius = window // 2
        height, width = entropy.shape[1:]
        entropy = entropy[:, radius : height - radius, radius : width - radius]
    return log(len(data)) - entropy.mean((1, 2))


@dataclass(frozen=True)
class ImageEntropy:
    """Entropy of the posterior over images, `H_u = −Σ_i w_u(i) log w_u(i)`, `w_u ∝ e^{E_u(i)}`.

    Args:
        engine: what computes the evidence.
        query: the noisy images.
    """

    engine: Engine
    query: Query

    def of(self, block: Block) -> Posterior:
        """Return a block's log total weight and entropy."""
        evidence = self.engine.evidence(self.query, block.images).double()
        entropy = torch.special.entr(evidence.softmax(1)).sum(1)
        return Posterior(evidence.logsumexp(1), torch.zeros_like(evidence[:, :1]), entropy)

    def merge(self, one: Posterior, other: Posterior) -> Posterior:
        """Return those of both (theory §2.1)."""
        return one.merge(other)

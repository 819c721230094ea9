"""The information of a noisy patch about its training image (theory §3, Prediction).

    I_k(t) = log N − E[ H( softmax_i E_u(i) ) ]

the mutual information of image and patch: the image drawn uniformly from the training set, u from
the places that patches may come from, noise added at level ᾱ(t). The expectation is estimated by
Monte Carlo, H is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import NamedTuple

import torch
from torch import Tensor

from scoremachines.data.reduction import Block, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.engines import Engine, Query
from scoremachines.errors import InputError
from scoremachines.sampling.reverse_process import noise_generator
from scoremachines.theory.posterior import Posterior

__all__ = ["Recall", "image_information", "noised_images", "recall"]


class Recall(NamedTuple):
    """How well noisy patches know their training image, a mean over places (theory §6.6).

        I = log N − H(softmax_i E_u(i))     Λ = E_u(j) − log mean_{i≠j} exp E_u(i)
        w = softmax_i E_u(i) at i = j       for a patch of image j

    Each is float64 `[B]`: I and Λ in nats, w in [0, 1]. `w > ½` is `Λ > log(N−1)`.
    """

    information: Tensor
    gap: Tensor
    weight: Tensor


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
    nobody = torch.full((len(noisy),), -1)
    entropies = [each.entropy for each in _known(data, engine, query, nobody)]
    return log(len(data)) - _at_sources(torch.cat(entropies), window, sources)


def recall(
    data: TrainingSet,
    engine: Engine,
    noisy: Tensor,
    alpha_bar: Tensor,
    window: int,
    sources: str,
    own: Tensor,
) -> Recall:
    """Return how well each noisy image's patches know the image that they come from.

        I = log N − H(softmax_i E_u(i))     Λ = E_u(j) − log mean_{i≠j} exp E_u(i)

    Args:
        data: the training set, N images.
        engine: what computes the evidence.
        noisy: noised training images φ, `[B, C, H, W]`.
        alpha_bar: ᾱ of each, float64 on the CPU, `[B]`.
        window: k, odd, pixels.
        sources: V(u) (theory §2.2).
        own: j, which training image each is, int64 `[B]`.

    Returns:
        The means over places u from which the machine draws patches.

    Raises:
        InputError: there is only one image.
    """
    if len(data) < 2:
        raise InputError("data", data, "at least two images")
    known = list(_known(data, engine, Query(noisy, alpha_bar, window, sources), own))
    entropy, mine, others = (torch.cat(each) for each in zip(*known, strict=True))
    odds = mine - others
    fields = log(len(data)) - entropy, odds + log(len(data) - 1), odds.sigmoid()
    return Recall(*(_at_sources(each, window, sources) for each in fields))


def _at_sources(field: Tensor, window: int, sources: str) -> Tensor:
    """Return the mean over the places that patches come from, `[B]`, of `[B, H, W]`."""
    if sources == "valid":  # no training patch crosses the border
        radius = window // 2
        height, width = field.shape[1:]
        field = field[:, radius : height - radius, radius : width - radius]
    return field.mean((1, 2))


class Known(NamedTuple):
    """Of a patch of image j: `H(softmax_i E_u(i))`, `E_u(j)`, and `log Σ_{i≠j} exp E_u(i)`."""

    entropy: Tensor
    mine: Tensor
    others: Tensor


def _known(data: TrainingSet, engine: Engine, query: Query, own: Tensor) -> Iterator[Known]:
    """Yield what is known of some noisy images after the other, `[b, H, W]`."""
    plan = engine.plan(query, len(data), evidence=True, dense=False, best=0)
    for start in range(0, len(query.noisy), plan.batch):
        some = slice(start, start + plan.batch)
        blocks = Pass(data, plan.block, query.noisy.dtype, query.noisy.device)
        every, mine, others = reduce(ImageEntropy(engine, query.part(some), own[some]), blocks)
        assert every.entropy is not None  # it was asked for
        yield Known(every.entropy, mine, others)


@dataclass(frozen=True)
class ImageEntropy:
    """Entropy of the posterior over images, `H_u = −Σ_i w_u(i) log w_u(i)`, `w_u ∝ e^{E_u(i)}`.

    Beside it stand `E_u(j)` of one image j, and `log Σ_{i≠j} exp E_u(i)` of all others.

    Args:
        engine: what computes the evidence.
        query: the noisy images.
        own: j of each; −1 for none.
    """

    engine: Engine
    query: Query
    own: Tensor

    def of(self, block: Block) -> tuple[Posterior, Tensor, Tensor]:
        """Return a block's log total weight and entropy, and both parts of the former."""
        evidence = self.engine.evidence(self.query, block.images).double()
        entropy = torch.special.entr(evidence.softmax(1)).sum(1)
        every = Posterior(evidence.logsumexp(1), torch.zeros_like(evidence[:, :1]), entropy)
        mine = (block.index == self.own.to(block.index)[:, None])[..., None, None]  # [B, n, 1, 1]
        own = evidence.masked_fill(~mine, -torch.inf).logsumexp(1)
        return every, own, evidence.masked_fill(mine, -torch.inf).logsumexp(1)

    def merge(
        self, one: tuple[Posterior, Tensor, Tensor], other: tuple[Posterior, Tensor, Tensor]
    ) -> tuple[Posterior, Tensor, Tensor]:
        """Return those of both (theory §2.1)."""
        own, others = torch.logaddexp(one[1], other[1]), torch.logaddexp(one[2], other[2])
        return one[0].merge(other[0]), own, others

"""A closed form of the training images that are nearest, and of no others (theory §3)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from scoremachines.data.reduction import Block
from scoremachines.machine.closed_forms import PCALocality
from scoremachines.machine.inputs import check_levels, check_noisy
from scoremachines.machine.samples import classes
from scoremachines.theory.schedule import CLOSEST

__all__ = ["GoldenSubset"]


class GoldenSubset(PCALocality):
    """PCA-locality of the images that are nearest to the noisy one (theory §3).

        x̂0(u) = Σ_{i∈G} softmax_{i∈G}( −‖m_u ⊙ (φ − √ᾱ x_i)‖² / (2(1−ᾱ)) ) x_i(u)
        G = the m images nearest to φ/√ᾱ, of the M nearest once all are averaged down
        m = ⌈N (s + (S − s)(1−ᾱ))⌉,  s, S = `FEWEST`, `MOST_OF`;   M = ⌈N · `CANDIDATES`⌉

    All images are read once for their distances, and x̂0 is made of few of them. What the others
    would have added is lost: `error` says how much that is.

    Reference: X. Shang, P. Sun, J. Lin & Z. Shen, *Fast and Scalable Analytical Diffusion*, 2026,
    arXiv:2602.16498 (GoldDiff). The numbers of images that are kept are ours.

    Args:
        data: the training set.
        schedule: ᾱ(t) on which it is sampled: `"cosine"` (KG), `"linear"` (DDPM) or a table.
        **options: as in `Baseline`.

    Raises:
        InputError: a choice that does not exist, or images too large for the filter's matrix.
    """

    FEWEST, MOST_OF, CANDIDATES = 0.05, 0.1, 0.25
    SIDE = 4
    """How many pixels along a side are averaged into one."""

    def members(self, noisy: Tensor, alpha_bar: float, label: int | None = None) -> Tensor:
        """Return G, the places of the images that one noisy image is answered with.

        Args:
            noisy: φ, `[C, H, W]`.
            alpha_bar: ᾱ in [0, 1].
            label: of the images among which they are; None for all.

        Returns:
            int64 `[m]`, rising.

        Raises:
            InputError: the image has another shape, ᾱ is out of range, or there is no such class.
        """
        check_noisy(noisy[None], self.shape)
        level = float(check_levels(alpha_bar, 1)[0].clamp(CLOSEST, 1 - CLOSEST))
        return self._members(noisy, level, classes(self.data, label, 1)[0])

    def _members(self, noisy: Tensor, alpha_bar: float, label: int | None) -> Tensor:
        count = len(self.data) if label is None else len(self.data.of_class(label))
        share = self.FEWEST + (self.MOST_OF - self.FEWEST) * (1 - alpha_bar)
        near = noisy.detach() / alpha_bar**0.5
        small = (ceil(near.shape[1] / self.SIDE), ceil(near.shape[2] / self.SIDE))
        coarse = Closest(near, ceil(count * max(share, self.CANDIDATES)), small)
        _, some = self._sum(coarse, noisy, label)
        _, found = self._sum(Closest(near, ceil(count * share)), noisy, label, some.sort().values)
        return torch.as_tensor(found.sort().values)

    def error(
        self, noisy: Tensor, alpha_bar: Tensor | float, labels: Tensor | int | None = None
    ) -> Tensor:
        """Return how far its answers are from those of all images.

        `‖x̂0_G − x̂0‖ / √(C·H·W)`, with x̂0 that of PCA-locality.

        Args:
            noisy: φ, `[B, C, H, W]`.
            alpha_bar: ᾱ in [0, 1], one value or `[B]`.
            labels: go by the images of this class, one label or `[B]`.

        Returns:
            Root mean square over the pixels, in units of [-1, 1], float64 `[B]`.

        Raises:
            InputError: the images have another shape, or there is no such class.
        """
        mine = self.denoise(noisy, alpha_bar, labels).double()
        every = PCALocality(self.data, self.schedule).denoise(noisy, alpha_bar, labels)
        return (mine - every.double()).square().mean((1, 2, 3)).sqrt()


@dataclass(frozen=True)
class Closest:
    """The training images nearest to one image, of equally near ones the first.

    Args:
        image: in units of training images, `[C, H, W]`.
        count: how many, at most.
        size: height and width that images are averaged down to; None for as they are.
    """

    image: Tensor
    count: int
    size: tuple[int, int] | None = None

    def of(self, block: Block) -> tuple[Tensor, Tensor]:
        """Return squared distances, rising, and places of those of a block."""
        apart = block.images - self.image
        if self.size is not None:
            apart = adaptive_avg_pool2d(apart, self.size)
        return self._first(apart.square().sum((1, 2, 3)).double(), block.index)

    def merge(
        self, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return those of both parts."""
        distance, index = (torch.cat(each) for each in zip(one, other, strict=True))
        return self._first(distance, index)

    def _first(self, distance: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        order = distance.argsort(stable=True)[: self.count]
        return distance[order], index[order]

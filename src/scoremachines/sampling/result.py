"""The result of sampling: images, and the sources of every pixel (theory §6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.nearest import nearest_training_image
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import whole
from scoremachines.io.files import folder_path
from scoremachines.io.pictures import figures_html, grid, mosaic
from scoremachines.sampling.saving import sample_contributions, save_picture, save_samples
from scoremachines.theory.posterior import Posterior

__all__ = ["Result", "save_picture"]

SHOWN = 16
"""How many samples a notebook shows."""


@dataclass(frozen=True, repr=False)
class Result:
    """Samples and their provenance.

    Args:
        images: in [-1, 1], float32 on the CPU, `[n, C, H, W]`.
        data: the training set.
        posterior: best sources and entropy of every pixel at the last step; its `weights` are the
            sources' shares.
        labels: class of every sample, int64 `[n]`, if they were chosen.
        bound: largest error that the engine may have made in x̂0, over all steps, samples and
            pixels; 0 for exact engines. Where sources are drawn it fails with a probability of at
            most 10⁻⁵ a step and sample (theory §2.7).
    """

    images: Tensor
    data: TrainingSet
    posterior: Posterior | None = None
    labels: Tensor | None = None
    bound: float = 0.0

    @property
    def source_images(self) -> Tensor | None:
        """Which training image weighs most in every pixel, int64 `[n, H, W]`."""
        if self.posterior is None or self.posterior.sources is None:
            return None
        return self.posterior.sources.image[:, 0].cpu()

    def nearest(self) -> tuple[Tensor, Tensor]:
        """Return for each sample its nearest training image, and how far it is.

        Returns:
            Places in the training set, int64 `[n]`, and root-mean-square differences, `[n]`.
        """
        return nearest_training_image(self.images, self.data)

    def save(self, folder: str | Path) -> None:
        """Write PNGs, a grid and the provenance into a folder, each file whole or not at all.

        Args:
            folder: made if it is missing.

        Raises:
            InputError: it cannot be written.
        """
        parts = [(self.images, self.posterior)]
        save_samples(lambda: parts, self.data, folder_path("folder", folder), self.bound)

    def contributions(self, most: int = 8) -> list[dict[str, object]]:
        """Return the training images that contribute most to each sample.

        A training image's share is the mean over pixels of its weight among the sources kept.

        Args:
            most: how many training images to name for each sample.

        Returns:
            One entry a sample: nearest training image, distance, and the sources by share.
        """
        most = whole("most", most, 1)
        return sample_contributions(self.images, self.posterior, self.data, most)

    def __repr__(self) -> str:
        sources = "" if self.posterior is None else ", with sources"
        return f"Result({len(self.images)} samples from {self.data!r}{sources})"

    def _repr_html_(self) -> str:
        """Return the samples and their source maps, for notebooks."""
        shown = self.images[:SHOWN]
        pictures = [("samples", grid(shown, columns=8))]
        posterior = self.posterior
        if posterior is not None and posterior.sources is not None:
            maps = []
            for number in range(len(shown)):
                one = posterior.at(slice(number, number + 1))
                assert one.sources is not None
                picture = mosaic(one.sources.image[0], one.sources.position[0], one.weights[0])
                maps.append(torch.from_numpy(np.array(picture)).movedim(-1, 0) / 127.5 - 1)
            title = "which training image each pixel came from; grey: undecided"
            pictures.append((title, grid(torch.stack(maps), columns=8)))
        count = len(self.images)
        more = f", the first {SHOWN} shown" if count > SHOWN else ""
        head = f"{count} sample{'s' * (count != 1)} from {self.data!r}{more}"
        return figures_html(head, pictures)

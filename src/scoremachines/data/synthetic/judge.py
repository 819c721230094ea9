"""The judge of a crafted set: is an image valid, consistent, novel, and so creative (theory §6)?

Its verdicts rest on the features that `FeatureFinder` finds in an image. An image is

- *valid* if at least two features are found and every component is recognised as one;
- *consistent* if it is valid and all its features have the same value of the shared attribute;
- *novel* if it is no near-copy of a training image up to the set's symmetries. These are the
  shifts of the whole image, wrapped around its borders: they turn a training image into one that
  the generator could as well have made. A near-copy has the same features at the same places
  relative to each other, painted well enough to be recognised. Moving one feature by one pixel,
  adding or leaving one out makes a new arrangement. An image with a component that is not
  recognised, or with none at all, is never a near-copy, so novelty means little alone. Small
  images have few arrangements: with many training images the generator itself repeats some;
- *creative* if it is all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from scoremachines.data.synthetic.features import Feature, FeatureFinder
from scoremachines.data.synthetic.shapes_config import ShapesConfig
from scoremachines.errors import InputError, whole
from scoremachines.theory.proportion import Proportion

if TYPE_CHECKING:
    from scoremachines.data.training_set import TrainingSet

__all__ = ["Judge", "Verdicts"]

Arrangement = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Verdicts:
    """Judgements of n images.

    Attributes:
        valid: bool [n].
        consistent: bool [n].
        novel: bool [n].
        found: number of recognised features, int64 [n].
        values: number of values that the shared attribute can take.
    """

    valid: Tensor
    consistent: Tensor
    novel: Tensor
    found: Tensor
    values: int

    @classmethod
    def cat(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Put the verdicts on different images one after the other."""
        names = ("valid", "consistent", "novel", "found")
        fields = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(**fields, values=parts[0].values)

    @property
    def creative(self) -> Tensor:
        """Valid, consistent and novel: bool [n]."""
        return self.valid & self.consistent & self.novel

    def rates(self) -> dict[str, Proportion]:
        """Count each verdict.

        Returns:
            The proportion of all images that are `valid`, `consistent`, `novel` and `creative`,
            and, as `consistent_of_valid`, that of consistent images among the valid ones.
        """
        n, valid = len(self.valid), int(self.valid.sum())
        consistent = int(self.consistent.sum())
        return {
            "valid": Proportion(valid, n),
            "consistent": Proportion(consistent, n),
            "consistent_of_valid": Proportion(consistent, valid),
            "novel": Proportion(int(self.novel.sum()), n),
            "creative": Proportion(int(self.creative.sum()), n),
        }

    def chance(self, of_all: bool = False) -> float:
        """Return the consistency expected if every feature drew its value independently.

        An image with m features is then consistent with probability values^(1 − m).

        Args:
            of_all: take the mean over all images, where those not valid count 0, instead of the
                mean over the valid ones.

        Returns:
            A rate from 0 to 1; NaN if there is no image to take the mean over.
        """
        expected = float(self.values) ** (1 - self.found[self.valid].double())
        n = len(self.valid) if of_all else len(expected)
        return float(expected.sum()) / n if n else float("nan")


class Judge:
    """Finds the features of any image and judges them against a crafted training set.

    Args:
        training_set: the crafted set, which novelty is measured against.
        config: the settings that it was made with.
    """

    def __init__(self, training_set: TrainingSet, config: ShapesConfig) -> None:
        self.training_set, self.config = training_set, config
        self._finder = FeatureFinder(config)

    def features(self, image: Tensor) -> list[Feature]:
        """Find the features of one image.

        Args:
            image: image [3, H, W] in [-1, 1].

        Returns:
            Its components, recognised or not, in the order of their first pixel.
        """
        return self._finder.find(image.unsqueeze(0))[0]

    def __call__(self, images: Tensor) -> Verdicts:
        """Judge images; each verdict depends on its own image only.

        Args:
            images: images [n, 3, H, W] in [-1, 1].

        Returns:
            The verdicts, n of each.
        """
        found = self._finder.find(images)
        values = [
            [each.value for each in features if each.value is not None] for features in found
        ]
        pairs = list(zip(found, values, strict=True))
        valid = [len(features) == len(known) >= 2 for features, known in pairs]
        agree = [len(set(known)) == 1 for known in values]
        novel = [self._arrangement(features) not in self._known for features in found]
        return Verdicts(
            valid=torch.tensor(valid, dtype=torch.bool),
            consistent=torch.tensor(valid, dtype=torch.bool)
            & torch.tensor(agree, dtype=torch.bool),
            novel=torch.tensor(novel, dtype=torch.bool),
            found=torch.tensor([len(known) for known in values], dtype=torch.int64),
            values=self.config.values,
        )

    def shuffled(self, images: Tensor | None = None, n: int = 100, seed: int = 0) -> Tensor:
        """Paint images whose features drew their attribute values independently of each other.

        A training image's m features, painted so, are consistent at the rate values^(1 − m).

        Args:
            images: images [·, 3, H, W] in [-1, 1] that lend the places of their features, in turn;
                the training images by default.
            n: number of images to paint.
            seed: image i depends on it, on i and on the places.

        Returns:
            n images [n, 3, H, W] in [-1, 1].

        Raises:
            InputError: if there are no images to take places from.
        """
        n, seed = whole("n", n), whole("seed", seed)
        places = self._training_features if images is None else self._finder.find(images)
        if not places:
            raise InputError("images", "no image", "at least one image")
        painted = [torch.empty(0, 3, self.config.height, self.config.width)]
        for index in range(n):
            random = np.random.default_rng((seed, index, 1))
            corners = [feature.box[:2] for feature in places[index % len(places)]]
            drawn = random.integers(self.config.values, size=len(corners)).tolist()
            image = self._finder.paint(
                (value, *corner) for value, corner in zip(drawn, corners, strict=True)
            )
            painted.append(image.unsqueeze(0))
        return torch.cat(painted)

    @cached_property
    def _training_features(self) -> list[list[Feature]]:
        return self._finder.find(self.training_set.images)

    @cached_property
    def _known(self) -> set[Arrangement | None]:
        return {self._arrangement(features) for features in self._training_features} - {None}

    def _arrangement(self, features: list[Feature]) -> Arrangement | None:
        """Name an arrangement of features so that all its shifts have the same name.

        Seen from one of its features, an arrangement does not change when it is shifted. The name
        is the first, in sorted order, of what its features see.
        """
        placed = [(each.value, *each.box[:2]) for each in features if each.value is not None]
        if not placed or len(placed) < len(features):
            return None
        height, width = self.config.height, self.config.width
        views = (
            tuple(
                sorted(
                    (value, (row - top) % height, (column - left) % width)
                    for value, row, column in placed
                )
            )
            for _, top, left in placed
        )
        return min(views)

"""The features of a crafted image: painting them, and finding them again in any image.

An image is read in three steps.

1. Every pixel takes the nearest *level*: the background or one of the set's colours. A pixel that
   is far from all of them is *foreign*.
2. The pixels off the background fall into connected components, diagonal neighbours included.
   Components too small to be part of a feature are specks and are left out.
3. Each component is compared with every prototype at every alignment. The distance counts the
   *wrong pixels*: those of either, where the two differ in level,

       |component| + |prototype| − |both| − |both, same level|.

   The component is recognised if the nearest prototype is less than half as far as the next one.

The rule of step 3 is relative to the distance between prototypes, so it needs the details that
distinguish one value from another and forgives the others: a square one row short still counts
where squares differ in colour, but not where squares and discs are to be distinguished. Half a
feature, two that have merged, and two colours in one component are not recognised. Noise whose
standard deviation is a tenth of the contrast (0.2 on black or white) moves hardly any pixel to
another level, and so leaves the verdict as it was.

The image is read as a torus, as the machines with circular padding see it: a component that leaves
at one border and enters at the opposite one is whole, and a shift changes no verdict. Crafted
images keep half the spacing free along the border, so no two of their features touch across it.
A feature that is cut off at the border and does not go on across it is what is left of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import dist, inf

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import conv2d

from scoremachines.data.synthetic.shapes_config import PALETTE, ShapesConfig
from scoremachines.errors import InputError

__all__ = ["Feature", "FeatureFinder"]

FOREIGN = -1
FOREIGN_BEYOND = 0.6
"""A pixel is foreign beyond this fraction of the smallest distance between two levels."""
CLEARLY_NEARER = 0.5
"""The nearest prototype must be nearer than this fraction of the distance of the next."""
PIXELS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Feature:
    """One component of an image, with what was recognised in it.

    Rows and columns count in pixels from the top left pixel's centre, modulo the image's size.

    Attributes:
        centre: row and column of the middle of the box.
        box: top row, left column, height and width: the prototype's box if the component was
            recognised, otherwise the smallest that holds it.
        value: index of the shared attribute's value; None if the component was not recognised.
        shape: the prototype's shape, None if not recognised.
        colour: the prototype's colour, None if not recognised.
        orientation: the prototype's orientation, None if it has none or was not recognised.
        distance: wrong pixels between the component and the nearest prototype; infinite for a
            component with a side of more than twice a feature's, which is not compared.
    """

    centre: tuple[float, float]
    box: tuple[int, int, int, int]
    value: int | None
    shape: str | None
    colour: str | None
    orientation: str | None
    distance: float


class FeatureFinder:
    """Paints features on images and finds them in images.

    Args:
        config: the settings of the crafted set.
    """

    def __init__(self, config: ShapesConfig) -> None:
        self.config = config
        names = dict.fromkeys(prototype.colour for prototype in config.prototypes)
        colours = [PALETTE[name] for name in names]
        self._level_of = {name: 1 + index for index, name in enumerate(names)}
        levels = [(config.background,) * 3, *colours]
        self.levels = torch.tensor(levels, dtype=torch.float32)
        closest = min(dist(one, other) for one, other in combinations(levels, 2))
        self._foreign_beyond = FOREIGN_BEYOND * closest
        self._weight, self._area = self._matched_filters()

    def paint(self, placements: Iterable[tuple[int, int, int]]) -> Tensor:
        """Paint prototypes on a plain background.

        Args:
            placements: for each feature its attribute value and its box's top row and left column,
                modulo the image's size.

        Returns:
            An image [3, H, W] in [-1, 1].
        """
        height, width = self.config.height, self.config.width
        picture = np.zeros((height, width), dtype=int)
        for value, top, left in placements:
            rows, columns = np.array(sorted(self.config.prototypes[value].mask)).T
            level = self._level_of[self.config.prototypes[value].colour]
            picture[(top + rows) % height, (left + columns) % width] = level
        return self.levels[torch.from_numpy(picture)].movedim(-1, 0).contiguous()

    def read(self, images: Tensor) -> Tensor:
        """Take every pixel's nearest level.

        Args:
            images: images [n, 3, H, W] in [-1, 1].

        Returns:
            [n, H, W]: 0 for the background, 1, 2, … for the set's colours, -1 for foreign pixels.

        Raises:
            InputError: if the images are not of the set's size or not floating point.
        """
        expected = (3, self.config.height, self.config.width)
        if images.ndim != 4 or images.shape[1:] != expected or not images.is_floating_point():
            raise InputError(
                "images",
                f"{images.dtype} {list(images.shape)}",
                f"floating point images [n, {', '.join(map(str, expected))}] in [-1, 1]",
            )
        pixels = images.detach().to("cpu", torch.float32).movedim(1, -1)
        distance, nearest = (pixels.unsqueeze(-2) - self.levels).norm(dim=-1).min(-1)
        return nearest.where(distance <= self._foreign_beyond, FOREIGN)

    def find(self, images: Tensor) -> list[list[Feature]]:
        """Find the features of images.

        Args:
            images: images [n, 3, H, W] in [-1, 1].

        Returns:
            For each image its components, recognised or not, in the order of their first pixel.

        Raises:
            InputError: if the images are not of the set's size or not floating point.
        """
        if images.ndim != 4:
            raise InputError("images", images, "images [n, 3, H, W] in [-1, 1]")
        blocks = images.split(max(1, PIXELS_AT_ONCE // (self.config.height * self.config.width)))
        return [features for block in blocks for features in self._find(self.read(block).numpy())]

    def _find(self, picture: np.ndarray) -> list[list[Feature]]:
        side = 2 * self.config.feature_size
        boxes, crops = [], []
        for image, rows, columns in _components(picture != 0, self.config.reach):
            if len(rows) <= self.config.speck:
                continue
            top, height = _span(rows, self.config.height)
            left, width = _span(columns, self.config.width)
            crop = np.zeros((side, side), dtype=int)
            if max(height, width) <= side:
                down, right = (
                    (rows - top) % self.config.height,
                    (columns - left) % self.config.width,
                )
                crop[down, right] = picture[image, rows, columns]
            boxes.append((image, top, left, height, width))
            crops.append(crop)
        found: list[list[Feature]] = [[] for _ in picture]
        if crops:
            distance, shift = self._compare(torch.from_numpy(np.stack(crops)))
            for (image, *box), *measured in zip(boxes, distance, shift, strict=True):
                found[image].append(self._recognise(box, *measured))
        return found

    def _compare(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Measure the distance of components from every prototype, at the best alignment.

        Args:
            crops: levels of components [M, 2s, 2s], each in the top left corner; empty for those
                that are too large to be compared.

        Returns:
            Wrong pixels [M, values], infinite for empty crops, and rows and columns from the
            component's box to the prototype's [M, values, 2].
        """
        levels = torch.tensor([FOREIGN, *range(1, len(self.levels))])
        layers = (crops.unsqueeze(1) == levels[:, None, None]).float()
        padding = self.config.feature_size - 1
        shared = conv2d(layers, self._weight, padding=padding)
        best, place = shared.flatten(2).max(-1)
        area = layers.sum((1, 2, 3)).unsqueeze(1)
        distance = (area + self._area - best).round().masked_fill(area == 0, inf)
        across = shared.shape[-1]
        return distance, torch.stack([place // across, place % across], -1) - padding

    def _recognise(self, box: list[int], distance: Tensor, shift: Tensor) -> Feature:
        nearest, next_nearest = distance.sort().values[:2].tolist()
        top, left, height, width = box
        if nearest == inf or nearest >= CLEARLY_NEARER * next_nearest:
            centre = self._centre(top, left, height, width)
            return Feature(centre, (top, left, height, width), None, None, None, None, nearest)
        value, side = int(distance.argmin()), self.config.feature_size
        down, right = shift[value].tolist()
        top, left = (top + down) % self.config.height, (left + right) % self.config.width
        prototype = self.config.prototypes[value]
        return Feature(
            self._centre(top, left, side, side),
            (top, left, side, side),
            value,
            prototype.shape,
            prototype.colour,
            prototype.orientation,
            nearest,
        )

    def _centre(self, top: int, left: int, height: int, width: int) -> tuple[float, float]:
        row, column = top + (height - 1) / 2, left + (width - 1) / 2
        return row % self.config.height, column % self.config.width

    def _matched_filters(self) -> tuple[Tensor, Tensor]:
        """Return the prototypes as filters over layers of levels, foreign first, and their areas.

        A filter's response counts each shared pixel once, and again if it has the same level.
        """
        side = self.config.feature_size
        weight = torch.zeros(len(self.config.prototypes), len(self.levels), side, side)
        for value, prototype in enumerate(self.config.prototypes):
            rows, columns = zip(*prototype.mask, strict=True)
            weight[value, :, rows, columns] = 1
            weight[value, self._level_of[prototype.colour], rows, columns] += 1
        return weight, weight[:, 0].sum((1, 2))


def _components(
    foreground: np.ndarray, reach: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield image, rows and columns of each connected component of [n, H, W] on the torus.

    Two pixels are neighbours if they lie at most `reach` rows and `reach` columns apart.
    """
    image, row, column = np.nonzero(foreground)
    number = np.full(foreground.shape, -1)
    number[foreground] = np.arange(len(image))
    ends = []
    for down, right in product(range(-reach, reach + 1), repeat=2):
        if (down, right) > (0, 0):
            across = (row + down) % foreground.shape[1], (column + right) % foreground.shape[2]
            neighbour = number[image, across[0], across[1]]
            pixel = np.flatnonzero(neighbour >= 0)
            ends.append((pixel, neighbour[pixel]))
    start, end = (np.concatenate(side) for side in zip(*ends, strict=True))
    graph = coo_matrix((np.ones(len(start)), (start, end)), shape=(len(image), len(image)))
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component, kind="stable")
    for pixels in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(pixels):
            yield int(image[pixels[0]]), row[pixels], column[pixels]


def _span(positions: np.ndarray, period: int) -> tuple[int, int]:
    """Return start and length of the shortest arc that holds positions on a circle."""
    places = np.unique(positions)
    gaps = np.diff(places, append=places[0] + period)
    widest = int(gaps.argmax())
    return int(places[(widest + 1) % len(places)]), period + 1 - int(gaps[widest])

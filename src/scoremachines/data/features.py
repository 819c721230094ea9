"""The features of a crafted image: painting them, and finding them again in any image.

An image is read in three steps. (1) Every pixel takes the nearest *level*: the background or one
of the set's colours; a pixel far from all of them is *foreign*. (2) The pixels off the background
fall into connected components, diagonal neighbours included. (3) A component is compared with
every prototype at every alignment, and is recognised if it has few wrong pixels, where wrong means
another level than the prototype has there, on the component, on the prototype or beside both.

The image is read as a torus, as the machines with circular padding see it: a component that leaves
at one border and enters at the opposite one is whole, and a shift changes no verdict. Crafted
images keep half the spacing free along the border, so no two of their features touch across it.
A feature that is cut off at the border and does not go on across it is not recognised.
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

from scoremachines.data.shapes_config import PALETTE, Prototype, ShapesConfig
from scoremachines.errors import InputError

__all__ = ["Feature", "FeatureFinder"]

FOREIGN = -1
FOREIGN_BEYOND = 0.6
"""A pixel is foreign beyond this fraction of the smallest distance between two levels."""


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
            component that is too large to be compared.
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
        self._templates = np.stack([self._aligned(each) for each in config.prototypes])

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

        A component with no more pixels than may be wrong in a feature is a speck and left out.

        Args:
            images: images [n, 3, H, W] in [-1, 1].

        Returns:
            For each image its components, recognised or not, in the order of their first pixel.
        """
        picture = self.read(images).numpy()
        found: list[list[Feature]] = [[] for _ in picture]
        for index, rows, columns in _components(picture != 0, self.config.reach):
            if len(rows) > self.config.tolerance:
                levels = picture[index, rows, columns]
                found[index].append(self._recognise(rows, columns, levels))
        return found

    def _recognise(self, rows: np.ndarray, columns: np.ndarray, levels: np.ndarray) -> Feature:
        config, margin = self.config, self.config.reach
        top, height = _span(rows, config.height)
        left, width = _span(columns, config.width)
        wrong = inf
        if max(height, width) <= config.feature_size + 2 * margin:
            template_side = self._templates.shape[-1]
            component = np.zeros((template_side, template_side), dtype=int)
            inside = (rows - top) % config.height, (columns - left) % config.width
            component[margin + inside[0], margin + inside[1]] = levels
            count = (self._templates != component).sum((-2, -1))
            value, down, right = np.unravel_index(count.argmin(), count.shape)
            wrong = float(count[value, down, right])
        if wrong > config.tolerance:
            centre = self._centre(top, left, height, width)
            return Feature(centre, (top, left, height, width), None, None, None, None, wrong)
        side = config.feature_size
        top = int(top + down - margin) % config.height
        left = int(left + right - margin) % config.width
        prototype = config.prototypes[value]
        return Feature(
            self._centre(top, left, side, side),
            (top, left, side, side),
            int(value),
            prototype.shape,
            prototype.colour,
            prototype.orientation,
            wrong,
        )

    def _centre(self, top: int, left: int, height: int, width: int) -> tuple[float, float]:
        row, column = top + (height - 1) / 2, left + (width - 1) / 2
        return row % self.config.height, column % self.config.width

    def _aligned(self, prototype: Prototype) -> np.ndarray:
        """Return the prototype's levels at all alignments with a component.

        A component's own box starts at (margin, margin). The prototype's starts there too, or up
        to `margin` pixels before or after it: [2·margin+1, 2·margin+1, side, side].
        """
        margin = self.config.reach
        side = self.config.feature_size + 3 * margin
        aligned = np.zeros((2 * margin + 1, 2 * margin + 1, side, side), dtype=int)
        for down, right in product(range(2 * margin + 1), repeat=2):
            for row, column in prototype.mask:
                level = self._level_of[prototype.colour]
                aligned[down, right, down + row, right + column] = level
        return aligned


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

"""The training image that explains an image best, over families of copies (theory §6.4).

A placement g lays training image i over the region M of the frame. It explains x to the share

    S_{i,g}(x) = 1 − (Σ_{u∈M} ‖x(u) − (g x_i)(u)‖² + R_g) / Σ_{u∈M} ‖x(u) − x̄_M‖²

with x̄_M the mean colour of x on M. Where the copy is smaller than the frame, R_g is what remains
of the other pixels beside their own mean colour: a shrunk copy has a plain surround. Where it was
only moved, R_g = 0, but what a move hides may be no more than a fifth of x's contrast. S is 1 for
a copy and negative where a plain colour would be nearer; an image without contrast is explained
by nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from scoremachines.data.images.placement import Placement
from scoremachines.data.nearest import Found, nearer
from scoremachines.data.reduction import Block, Pass, reduce
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.metrics.copies import Copy, Kind, check_kinds

__all__ = ["KindMatch", "WholeMatch", "placement_families", "whole_match"]

BLOCK = 2**24
"""Numbers of a block of training images, or of scores."""
LEAST = 0.8
"""A move must leave as much of the image's contrast in sight."""
FLAT = 1e-9
"""An image whose contrast is below this has none."""
GAIN = 2.0
"""Largest gain of a recoloured copy; the smallest is its inverse."""


@dataclass(frozen=True)
class KindMatch:
    """The best match of each image as one kind of copy, `S_k(x) = max_{i, g∈k} S_{i,g}(x)`.

    Args:
        kind: name of the kind.
        share: the largest S, at most 1, float64 `[n]`; −∞ for an image without contrast.
        image: place in the training set, int64 `[n]`.
        placement: how that training image was copied, one for each image.
    """

    kind: str
    share: Tensor
    image: Tensor
    placement: list[Placement]


@dataclass(frozen=True)
class WholeMatch:
    """The best match of each image over all kinds, `S(x) = max_k max_{i, g∈k} S_{i,g}(x)`.

    Args:
        kinds: the best of each kind.
    """

    kinds: tuple[KindMatch, ...]

    @property
    def best(self) -> Tensor:
        """Number of the kind that explains most, int64 `[n]`; of equals, the first."""
        return torch.stack([each.share for each in self.kinds]).argmax(0)

    @property
    def share(self) -> Tensor:
        """S(x), the largest of all kinds, float64 `[n]`."""
        return torch.stack([each.share for each in self.kinds]).amax(0)

    @property
    def image(self) -> Tensor:
        """Place in the training set, int64 `[n]`."""
        images = torch.stack([each.image for each in self.kinds])
        return images.gather(0, self.best[None])[0]

    @property
    def placement(self) -> list[Placement]:
        """How that training image was copied, one for each image."""
        return [self.kinds[kind].placement[place] for place, kind in enumerate(self.best.tolist())]

    @property
    def move(self) -> Tensor:
        """By how many rows and columns it was moved, int64 `[n, 2]`."""
        return torch.tensor([each.move for each in self.placement], dtype=torch.int64)


def whole_match(
    images: Tensor,
    data: TrainingSet,
    shift: int = 0,
    own: Tensor | None = None,
    kinds: Sequence[Kind] = (Copy(),),
) -> WholeMatch:
    """Find the training image that explains each image whole, `(i, g) = argmax S_{i,g}(x)` (§6.4).

    The nearest training image of every placement is found by matrix products in float32, block by
    block, and its share is then computed from differences in float64.

    Args:
        images: `[n, C, H, W]` in [-1, 1].
        data: the training set.
        shift: the largest move, pixels; 0 for none. It applies to every kind.
        own: place in the training set of each image itself, which is passed over, int64 `[n]`.
        kinds: kinds of copies to look for.

    Returns:
        The matches.

    Raises:
        InputError: images of another shape or type, `own` that is no places of images, no kinds
            or one twice, or a shift that does not fit.
    """
    if images.shape[1:] != data.shape or not images.is_floating_point():
        expected = f"floating point images [n, {', '.join(map(str, data.shape))}] in [-1, 1]"
        raise InputError("images", f"{images.dtype} {list(images.shape)}", expected)
    if not torch.isfinite(images).all():
        raise InputError("images", "NaN or infinity", "finite images")
    if own is not None and (own.shape != images.shape[:1] or own.dtype != torch.int64):
        expected = f"places of {len(images)} images in the training set, int64"
        raise InputError("own", f"{own.dtype} {list(own.shape)}", expected)
    families = placement_families(kinds, shift, *data.shape[1:])
    every = [placement for family in families for placement in family]
    length = max(1, BLOCK // math.prod(data.shape))
    count = -(-len(images) // length) * -(-len(data) // length) * len(every)
    shares, places = [], []
    with tqdm(total=count, desc="looking for copies", leave=False, delay=2, disable=None) as bar:
        for start in range(0, max(1, len(images)), length):
            some = slice(start, start + length)
            queries = images[some].detach().cpu()
            index = _search(queries.float(), data, every, None if own is None else own[some], bar)
            exact = [
                _share(queries.double(), data, placement, found)
                for placement, found in zip(every, index, strict=True)
            ]
            shares.append(torch.stack(exact))
            places.append(index)
    share, image = torch.cat(shares, 1), torch.cat(places, 1)
    matches, first = [], 0
    for kind, family in zip(kinds, families, strict=True):
        span = slice(first, first + len(family))
        first += len(family)
        best, which = share[span].max(0)
        chosen = image[span].gather(0, which[None])[0]
        placements = [family[number] for number in which.tolist()]
        matches.append(KindMatch(kind.name, best.clamp(max=1), chosen, placements))
    return WholeMatch(tuple(matches))


def placement_families(
    kinds: Sequence[Kind], shift: int, height: int, width: int
) -> list[list[Placement]]:
    """Return the placements of every kind with every move, the smallest move first.

    Args:
        kinds: kinds of copies.
        shift: the largest move, pixels.
        height: of the frame, pixels.
        width: of the frame, pixels.

    Returns:
        For each kind its placements that lie in the frame.

    Raises:
        InputError: no kinds or one twice, or a shift that does not fit.
    """
    height, width = whole("height", height, 1), whole("width", width, 1)
    shift = whole("shift", shift, 0, min(height, width) - 1)
    check_kinds(kinds)
    names = [kind.name for kind in kinds]
    if not names or len({*names}) < len(names):
        raise InputError("kinds", names, "at least one kind of copy, each once")
    line = sorted(range(-shift, shift + 1), key=abs)
    moves = sorted(((down, right) for down in line for right in line), key=_length)
    families = []
    for kind in kinds:
        placed = [each.moved(*move) for each in kind.placements(height, width) for move in moves]
        families.append([each for each in placed if _area(each, height, width)])
    return families


def _length(move: tuple[int, int]) -> int:
    return move[0] ** 2 + move[1] ** 2


def _area(placement: Placement, height: int, width: int) -> int:
    rows, columns = placement.region(height, width)
    return (rows.stop - rows.start) * (columns.stop - columns.start)


@dataclass(frozen=True)
class NearestAtPlacements:
    """The training image nearest to each query at every placement: score and place, `[P, n]`.

    `own` `[n]` are places in the training set that are passed over; `bar` counts placements.
    """

    queries: Tensor
    placements: Sequence[Placement]
    own: Tensor | None
    bar: tqdm | None = None

    def of(self, block: Block) -> Found:
        """Return score and place of the nearest image of a block."""
        found = []
        for placement in self.placements:
            scores = _scores(self.queries, block.images, placement)
            if self.own is not None:
                scores[self.own[:, None] == block.index] = torch.inf
            found.append(scores.min(1))
            if self.bar is not None:
                self.bar.update()
        lowest, nearest = (torch.stack(fields) for fields in zip(*found, strict=True))
        return lowest, block.index[nearest]

    def merge(self, one: Found, other: Found) -> Found:
        """Return the nearer of both; of equals the first."""
        return nearer(one, other)


def _search(
    queries: Tensor,
    data: TrainingSet,
    placements: Sequence[Placement],
    own: Tensor | None,
    bar: tqdm,
) -> Tensor:
    """Return each query's nearest training image at every placement, int64 `[P, n]`."""
    length = max(1, BLOCK // max(len(queries), math.prod(data.shape)))
    blocks = Pass(data, length, torch.float32, "cpu")
    lowest, index = reduce(NearestAtPlacements(queries, placements, own, bar), blocks)
    return torch.where(torch.isfinite(lowest), index, 0)


def _scores(queries: Tensor, block: Tensor, placement: Placement) -> Tensor:
    """Return squared distances of all pairs on M but for the queries' own squares, `[n, N]`."""
    if placement.fills:
        # Mirrors and turns are isometries: undone on the few queries, not done on the block.
        here, there = placement.turned_back(queries), block
    else:
        rows, columns = placement.region(*queries.shape[-2:])
        here, there = queries[..., rows, columns], placement.seen(block)
    if placement.recoloured:
        here, there = _centred(here), _centred(there)
    one, other = here.flatten(1), there.flatten(1)
    squares = torch.linalg.vecdot(other, other)
    if not placement.recoloured:
        return torch.addmm(squares, one, other.T, alpha=-2)
    products = one @ other.T
    gain = (products / squares.clamp(min=FLAT)).clamp(1 / GAIN, GAIN)
    return gain * (gain * squares - 2 * products)


def _share(images: Tensor, data: TrainingSet, placement: Placement, index: Tensor) -> Tensor:
    """Return S of each image and one training image, copied so, float64 `[n]`."""
    height, width = data.shape[1:]
    rows, columns = placement.region(height, width)
    here = images[..., rows, columns]
    there = placement.seen(data.block(index, torch.float64, "cpu"))
    contrast = _squares(_centred(here))
    whole_contrast = _squares(_centred(images))
    if placement.recoloured:
        own, other = _centred(here), _centred(there)
        gain = (own * other).sum((1, 2, 3)) / _squares(other).clamp(min=FLAT)
        apart = _squares(own - gain.clamp(1 / GAIN, GAIN)[:, None, None, None] * other)
    else:
        apart = _squares(here - there)
    usable = (contrast > FLAT) & (whole_contrast > FLAT)
    if placement.shrinks(height, width):
        apart = apart + _surround(images, rows, columns)
    else:
        usable &= contrast >= LEAST * whole_contrast
    return torch.where(usable, 1 - apart / contrast.clamp(min=FLAT), -torch.inf)


def _surround(images: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return squared differences of the pixels outside a region from their mean colour, `[n]`."""
    outside = torch.ones(images.shape[-2:], dtype=torch.bool)
    outside[rows, columns] = False
    around = images[..., outside]
    if not around.shape[-1]:
        return images.new_zeros(len(images))
    return (around - around.mean(-1, keepdim=True)).square().sum((1, 2))


def _centred(images: Tensor) -> Tensor:
    return images - images.mean((2, 3), keepdim=True)


def _squares(images: Tensor) -> Tensor:
    return images.square().sum((1, 2, 3))

"""The share of an image that a training set explains, at each window (theory §6.4).

For each pixel u of an image x, made by whomever, the *nearest admissible patch* is the source
`(i, v)` whose patch is nearest to that of x around u: where the machine of that window goes as
t → 0. The share explained at window k is

    E(k) = 1 − Σ_u ‖x[Ω_u] − x_i[Ω_v]‖² / Σ_u ‖x[Ω_u] − x̄‖²

with x̄ the mean colour of x. An image all of whose windows of side k are training
patches has E(k) = 1; where E falls is how large the pieces are, and where it is negative, a plain
colour would be nearer. At the whole image, E is the share that the nearest training image explains
by itself. Training images may be mirrored and turned: their patches are then admissible too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.images.placement import Placement
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError, whole
from scoremachines.machine.score_machine import ScoreMachine
from scoremachines.metrics.copies import Copy, Kind, rigid_placements
from scoremachines.theory.locality import check_window
from scoremachines.theory.positions import PERIODIC, patches, read_sources

__all__ = ["Explained", "attribute", "usual_windows"]

USUAL = (3, 5, 7, 9, 13, 17, 25, 33, 49, 65)
LEVEL = 0.5
"""ᾱ at which the machine is evaluated; the order of patches is the same at every one."""


@dataclass(frozen=True)
class Explained:
    """The share of one image that a training set explains at one window (theory §6.4).

        E(k) = 1 − Σ_u ‖x[Ω_u] − x_i[Ω_v]‖² / Σ_u ‖x[Ω_u] − x̄‖²

    Args:
        window: k, odd, pixels; None for the whole image.
        share: E(k), at most 1; negative where its mean colour would be nearer.
        image: the nearest patch's training image, int64 `[H, W]`.
        position: its centre as `row · W + column` of that image as it is, int64 `[H, W]`.
        distance: root mean square difference of the two patches, `[H, W]`.
        way: how the training image was mirrored and turned, a number of `ways`, int64 `[H, W]`.
        ways: the mirrors and turns that were searched; the first is the identity.
    """

    window: int | None
    share: float
    image: Tensor
    position: Tensor
    distance: Tensor
    way: Tensor
    ways: tuple[Placement, ...] = (Placement(),)

    @property
    def turned(self) -> float:
        """Share of the pixels whose nearest patch is mirrored or turned."""
        return float((self.way > 0).double().mean())

    @property
    def ways_words(self) -> str:
        """How training images may differ from what they are: mirrored, turned, or both."""
        kinds = {"mirrored" if way.mirrored else "turned" for way in self.ways[1:]}
        return " or ".join(sorted(kinds))

    @property
    def largest(self) -> tuple[int, float]:
        """The training image that most nearest patches lie in, and its share of the pixels."""
        images, counts = self.image.unique(return_counts=True)
        best = int(counts.argmax())
        return int(images[best]), float(counts[best]) / self.image.numel()


def usual_windows(height: int, width: int) -> tuple[int | None, ...]:
    """Return windows that a curve is well drawn through: some that fit, and the whole image."""
    least = min(whole("height", height, 1), whole("width", width, 1))
    return (*(window for window in USUAL if window <= least), None)


def attribute(
    image: Tensor,
    data: TrainingSet,
    windows: Sequence[int | None] | None = None,
    sources: str = "boundary",
    memory: int = 2**30,
    kinds: Sequence[Kind] = (Copy(),),
) -> list[Explained]:
    """Find the nearest admissible patches of an image, and the share that they explain.

    For every pixel u the source `(i, v) = argmin_{i, v∈V(u)} ‖x[Ω_u] − x_i[Ω_v]‖²` (theory §6.4).

    Args:
        image: `[C, H, W]` in [-1, 1].
        data: the training set.
        windows: odd, pixels, None for the whole image; by default `usual_windows`.
        sources: V(u), where a patch may come from (theory §2.2); at the whole image, the same
            place.
        memory: bytes that the engine may use above the training set.
        kinds: kinds of copies, such as `[Mirrored()]`: patches may lie in training images that are
            mirrored and turned like them. Resized and recoloured patches are not looked for.

    Returns:
        One entry for each window.

    Raises:
        InputError: an image of another shape, or a window or sources that cannot be used.
    """
    if image.shape != data.shape or not torch.isfinite(image).all():
        expected = f"a finite tensor [{', '.join(map(str, data.shape))}]"
        raise InputError("image", f"tensor of shape {tuple(image.shape)}", expected)
    sources = read_sources(sources)
    height, width = data.shape[1:]
    chosen = usual_windows(height, width) if windows is None else tuple(windows)
    for window in chosen:
        if window is not None:
            check_window(window, (height, width))
    ways = rigid_placements(kinds, height, width)
    image = image.detach().float().cpu()
    return [_explained(image, data, window, sources, memory, ways) for window in chosen]


def _explained(
    image: Tensor,
    data: TrainingSet,
    window: int | None,
    sources: str,
    memory: int,
    ways: Sequence[Placement],
) -> Explained:
    where = "aligned" if window is None else sources
    machine = ScoreMachine(data, window, where, memory=memory)
    # The patch of the mirrored training image nearest to x is that of the image as it is nearest
    # to x mirrored back: the few queries are turned, not the training set.
    queries = torch.cat([way.turned_back(image[None]) for way in ways])
    best = machine.posterior((LEVEL**0.5 * queries).to(machine.device), LEVEL, best=1).sources
    assert best is not None
    periodic = PERIODIC[where]
    pixels = slice(1) if window is None else slice(None)  # whole, all pixels have one patch
    # What lies beyond the border is part of no patch.
    inside = patches(torch.ones(1, *image.shape), window, periodic)[0, pixels].double()
    maps = []
    for number, turn in enumerate(ways):
        index, position = best.image[number, 0].cpu(), best.position[number, 0].cpu()
        own = patches(queries[number][None], window, periodic)[0, pixels].double()
        flat = index.flatten()[pixels], position.flatten()[pixels]
        apart = (own - _found(data, *flat, window, periodic)).square().mul(inside).sum(1)
        squares = apart.expand(index.numel()).view_as(index)
        maps.append(turn.turned(torch.stack([squares, index.double(), position.double()])[None]))
    layers = torch.cat(maps)
    squares, way = layers[:, 0].min(0)
    index, position = (layers[:, place].gather(0, way[None])[0].long() for place in (1, 2))
    contrast = image.double() - image.double().mean((1, 2), keepdim=True)
    total = patches(contrast[None], window, periodic)[0, pixels].mul(inside).square().sum(1)
    apart, whole = squares.sum(), total.expand(squares.numel()).sum()
    share = 1 - float(apart / whole) if whole else float(apart == 0)
    distance = (squares / inside.sum(1).expand(squares.numel()).view_as(squares)).sqrt()
    return Explained(window, share, index, position, distance, way, tuple(ways))


def _found(
    data: TrainingSet, index: Tensor, position: Tensor, window: int | None, periodic: bool
) -> Tensor:
    """Return the patches at given places of given training images, float64 `[n, C·k²]`."""
    found: Tensor | None = None
    for place in index.unique():
        chosen = index == place
        here = patches(data.block(place[None]).cpu(), window, periodic)[0]
        if found is None:
            found = torch.empty(len(index), here.shape[1], dtype=torch.float64)
        found[chosen] = here[position[chosen]].double()
    assert found is not None  # an image has pixels
    return found

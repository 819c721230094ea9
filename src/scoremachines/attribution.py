"""How much of any image a training set explains, at each window (theory §6.4).

For each pixel u of an image x, made by whomever, the *nearest admissible patch* is the source
`(i, v)` whose patch is nearest to that of x around u: where the machine of that window goes as
t → 0. The share explained at window k is

    E(k) = 1 − Σ_u ‖x[Ω_u] − x_i[Ω_v]‖² / Σ_u ‖x[Ω_u] − x̄‖²

with x̄ the mean colour of x. An image all of whose windows of side k are training
patches has E(k) = 1; where E falls is how large the pieces are. At the whole image, E is the share
that the nearest training image explains by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.locality import check_window
from scoremachines.machine import ScoreMachine
from scoremachines.patches import PERIODIC, SOURCES, patches

__all__ = ["Explained", "attribute", "usual_windows"]

USUAL = (3, 5, 7, 9, 13, 17, 25, 33, 49, 65)
LEVEL = 0.5
"""ᾱ at which the machine is asked; the order of patches is the same at every one."""


@dataclass(frozen=True)
class Explained:
    """What a training set says of one image, at one window.

    Args:
        window: k, odd, pixels; None for the whole image.
        share: E(k), at most 1; negative where its mean colour would be nearer.
        image: the nearest patch's training image, int64 `[H, W]`.
        position: its centre as `row · W + column`, int64 `[H, W]`.
        distance: root mean square difference of the two patches, `[H, W]`.
    """

    window: int | None
    share: float
    image: Tensor
    position: Tensor
    distance: Tensor

    @property
    def largest(self) -> tuple[int, float]:
        """The training image that most nearest patches lie in, and its share of the pixels."""
        images, counts = self.image.unique(return_counts=True)
        best = int(counts.argmax())
        return int(images[best]), float(counts[best]) / self.image.numel()


def usual_windows(height: int, width: int) -> tuple[int | None, ...]:
    """Return windows that a curve is well drawn through: some that fit, and the whole image."""
    return (*(window for window in USUAL if window <= min(height, width)), None)


def attribute(
    image: Tensor,
    data: TrainingSet,
    windows: Sequence[int | None] | None = None,
    sources: str = "broken",
    memory: int = 2**30,
) -> list[Explained]:
    """Find the nearest admissible patches of an image, and how much they explain.

    Args:
        image: `[C, H, W]` in [-1, 1].
        data: the training set.
        windows: the windows to ask at, odd, pixels, None for the whole image; by default
            `usual_windows`.
        sources: V(u), where a patch may come from (theory §2.2); at the whole image, the same
            place.
        memory: bytes that the engine may use above the training set.

    Returns:
        One entry for each window.

    Raises:
        InputError: an image of another shape, or a window or sources that cannot be used.
    """
    if image.shape != data.shape or not torch.isfinite(image).all():
        expected = f"a finite tensor [{', '.join(map(str, data.shape))}]"
        raise InputError("image", f"tensor of shape {tuple(image.shape)}", expected)
    if sources not in SOURCES:
        raise InputError("sources", sources, ", ".join(SOURCES))
    height, width = data.shape[1:]
    chosen = usual_windows(height, width) if windows is None else tuple(windows)
    for window in chosen:
        if window is not None:
            check_window(window, (height, width))
    return [_explained(image.float().cpu(), data, window, sources, memory) for window in chosen]


def _explained(
    image: Tensor, data: TrainingSet, window: int | None, sources: str, memory: int
) -> Explained:
    where = "same" if window is None else sources
    machine = ScoreMachine(data, window, where, memory=memory)
    noisy = (LEVEL**0.5 * image)[None].to(machine.device)
    best = machine.posterior(noisy, LEVEL, best=1).sources
    assert best is not None
    index, position = best.image[0, 0].cpu(), best.position[0, 0].cpu()
    periodic = PERIODIC[where]
    own = patches(image[None], window, periodic)[0].double()
    apart = (own - _found(data, index, position, window, periodic)).square()
    # What lies beyond the border is part of no patch.
    inside = patches(torch.ones(1, *image.shape), window, periodic)[0].double()
    mean = image.double().mean((1, 2), keepdim=True).expand_as(image)
    centre = patches(mean[None], window, periodic)[0]
    squares = (apart * inside).sum(1)
    total = float(((own - centre) * inside).square().sum())
    share = 1 - float(squares.sum()) / total if total else float(squares.sum() == 0)
    distance = (squares / inside.sum(1)).sqrt().view(image.shape[1:])
    return Explained(window, share, index, position, distance)


def _found(
    data: TrainingSet, index: Tensor, position: Tensor, window: int | None, periodic: bool
) -> Tensor:
    """Return the patches at given places of given training images, float64 `[H·W, C·k²]`."""
    flat, where = index.flatten(), position.flatten()
    found: Tensor | None = None
    for place in flat.unique():
        chosen = flat == place
        here = patches(data.block(place[None]).cpu(), window, periodic)[0].double()
        if found is None:
            found = here.new_empty(len(flat), here.shape[1])
        found[chosen] = here[where[chosen]]
    assert found is not None  # an image has pixels
    return found

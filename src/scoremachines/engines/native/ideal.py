"""The ideal score, natively: whole images at their own place (theory §3)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.data.training_set import pixel_values
from scoremachines.engines.base import Query
from scoremachines.engines.full_image import NOTHING, Whole
from scoremachines.engines.native.layout import stored_images

try:
    from scoremachines.engines.native import _native  # type: ignore[attr-defined]
except ImportError:  # built without a compiler
    _native = None

__all__ = ["Ideal"]


class Ideal(Whole):
    """The whole image at its own place: distances and means without a conversion of the bytes."""

    def __init__(self, query: Query, images: Tensor, running: dict[str, object]) -> None:
        self.query, self.wrapped, self.running = query, False, running
        self.flat = stored_images(images, query).flatten(1)
        signal = query.signal[:, None, None, None]
        noisy = (query.noisy.double() / signal).to(query.noisy.dtype).flatten(1)
        found = _native.distances(noisy.numpy(), self.flat.numpy(), **running)
        scale = query.signal**2 / (2 * query.variance)
        self.log_weights = -torch.from_numpy(found) * scale[:, None]

    @property
    def images(self) -> Tensor:  # type: ignore[override]
        return pixel_values(self.flat, torch.float64).view(-1, *self.query.noisy.shape[1:])

    def log_weight(self, sample: int) -> Tensor:
        return self.log_weights[sample][:, None, None]

    def mean(self, share: Tensor, within: Tensor) -> Tensor:
        if share[0].numel() > 1:
            return super().mean(share, within)
        return self._moved(share)

    def _along(self, direction: Tensor, gain: Tensor, weight: Tensor) -> Tensor:
        if len(gain) > 1:
            return super()._along(direction, gain, weight)
        kind = self.query.noisy.dtype
        pulled = (direction.double() * gain.double()).flatten().to(kind)
        found = torch.zeros(len(self.flat), dtype=torch.float64)
        for some in (weight.flatten() > NOTHING).nonzero()[:, 0].split(64):
            found[some] = (pixel_values(self.flat[some], kind) @ pulled).double()
        return found[:, None, None]

    def _moved(self, weight: Tensor) -> Tensor:
        weights = weight.reshape(1, -1).to(self.query.noisy.dtype)
        found = _native.average(weights.numpy(), self.flat.numpy(), **self.running)
        return torch.from_numpy(found).view(self.query.noisy.shape[1:])

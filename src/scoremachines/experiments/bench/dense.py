"""The straightforward way to compute ELS, as a baseline.

It is what a convolution library invites, and what Kamb & Ganguli's release does: the training
patches are the filters, their responses give the patch distances in expanded form, and a softmax
over batches of images, with a running maximum, gives the posterior mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad
from torch.nn.functional import unfold as windows

from scoremachines.engines import Query

__all__ = ["BATCH", "dense"]

BATCH = 8
"""Images in one batch of filters."""


def dense(query: Query, images: Tensor) -> Tensor:
    """Return x̂0 of ELS, with sources inside the training images (theory §2).

    Args:
        query: one noisy image, `[1, C, H, W]`, and its window.
        images: training images, `[N, C, H, W]`, bytes or values in [-1, 1].

    Returns:
        `[1, C, H, W]`.
    """
    window, channels = query.window or 1, query.noisy.shape[1]
    radius, signal, variance = window // 2, float(query.signal[0]), float(query.variance[0])
    padded = pad(query.noisy, (radius,) * 4, mode="circular")
    norm = conv2d(padded.square().sum(1, keepdim=True), padded.new_ones(1, 1, window, window))
    best = torch.full_like(norm, -torch.inf)
    total, mean = torch.zeros_like(norm), torch.zeros_like(query.noisy)
    for block in images.split(BATCH):
        values = block.to(query.noisy.dtype)
        values = values / 127.5 - 1 if block.dtype == torch.uint8 else values
        rows = windows(values, window).transpose(1, 2).reshape(-1, channels, window, window)
        centres = rows[:, :, radius, radius]
        distance = norm - 2 * signal * conv2d(padded, rows)
        distance = distance + signal**2 * rows.square().sum((1, 2, 3))[:, None, None]
        log_weight = -distance / (2 * variance)
        largest = torch.maximum(best, log_weight.amax(1, keepdim=True))
        weight, kept = (log_weight - largest).exp(), (best - largest).exp()
        total = total * kept + weight.sum(1, keepdim=True)
        mean = mean * kept + torch.einsum("bphw,pc->bchw", weight, centres)
        best = largest
    return mean / total

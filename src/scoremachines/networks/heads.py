"""Final layers: attention heads over the pixels of the trunk (theory §5).

A head turns features `h` into a message `a(u) = Σ_y A_uy V h(y)`, which the network reads beside
the pixel's own features. `maps` returns `A`, the matrix that a `Measured` attention plugs into a
machine (theory §4.2). Own features reach the output anyway, so a pixel attends to others only:
`A_uu = 0`, as in theory §4.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, one_hot, scaled_dot_product_attention

from scoremachines.networks.settings import NetworkSettings, read_scales

__all__ = ["Head", "IdentityHead", "MultiScaleHead", "NoHead", "SoftHead", "Top1Head", "make_head"]

HOT, COLD = 1.0, 0.1
"""Temperature of top-1's Gumbel-softmax when training starts, and when it ends."""


class NoHead(nn.Module):
    """No attention: the CNN alone, A = 0."""

    message_width = 0

    def forward(self, features: Tensor) -> Tensor:
        """Return the message, of no channels."""
        return features[:, :0]

    def maps(self, features: Tensor) -> Tensor:
        """Return A, all zeros, `[B, H·W, H·W]`."""
        pixels = features.shape[-2] * features.shape[-1]
        return features.new_zeros(len(features), pixels, pixels)


class IdentityHead(nn.Module):
    """W_Q = W_K = W_V = I: like attends to like, `A = softmax ⟨h(u), h(y)⟩/√d`; no parameters."""

    scales: tuple[int, ...] = (1,)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message_width = width

    def _projected(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, `[B, H·W, d]` each."""
        flat = features.flatten(2).transpose(1, 2)
        return flat, flat, flat

    def forward(self, features: Tensor) -> Tensor:
        """Return the message, `[B, d, H, W]`, of features `[B, width, H, W]`."""
        query, key, value = self._projected(features)
        others = _others(features, self.scales)
        message = scaled_dot_product_attention(query, key, value, attn_mask=others)
        return message.transpose(1, 2).unflatten(2, features.shape[-2:])

    def maps(self, features: Tensor) -> Tensor:
        """Return A, rows that add up to 1, `[B, H·W, H·W]`."""
        return self._logits(features, *self._projected(features)[:2]).softmax(-1)

    def _logits(self, features: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Return `⟨q(u), k(y)⟩/√d`, −∞ where y is u or a cell around it, float32."""
        logits = (query @ key.transpose(1, 2)).float() / math.sqrt(query.shape[-1])
        return logits.masked_fill(~_others(features, self.scales), -torch.inf)


class SoftHead(IdentityHead):
    """Learned W_Q, W_K, W_V: `A = softmax ⟨Q h(u), K h(y)⟩/√d`."""

    def __init__(self, width: int, key_width: int) -> None:
        super().__init__(key_width)
        self.query, self.key, self.value = (nn.Conv2d(width, key_width, 1) for _ in range(3))

    def _projected(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (
            each(features).flatten(2).transpose(1, 2)
            for each in (self.query, self.key, self.value)
        )
        return query, key, value


class Top1Head(SoftHead):
    """Hard attention: each pixel attends to one other (theory §4.2).

    While training, the one is drawn from `softmax(logits/τ)` by Gumbel-softmax, and the gradient
    goes straight through it to the softmax (Jang et al. 2017). The temperature τ falls from `HOT`
    to `COLD`, so that what is drawn comes to be the arg-max, which it is when the network is used.
    """

    def __init__(self, width: int, key_width: int) -> None:
        super().__init__(width, key_width)
        self.temperature = HOT
        self.generator: torch.Generator | None = None

    def anneal(self, progress: float) -> None:
        """Set the temperature for a point of training: progress from 0 to 1."""
        self.temperature = HOT * (COLD / HOT) ** min(1.0, progress)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self._projected(features)
        message = self._choice(self._logits(features, query, key)).to(value.dtype) @ value
        return message.transpose(1, 2).unflatten(2, features.shape[-2:])

    def maps(self, features: Tensor) -> Tensor:
        """Return A, one 1 a row, `[B, H·W, H·W]`."""
        return _hard(self._logits(features, *self._projected(features)[:2]))

    def _choice(self, logits: Tensor) -> Tensor:
        if not (self.training and torch.is_grad_enabled()):
            return _hard(logits)
        drawn = torch.empty(logits.shape).exponential_(generator=self.generator)
        gumbel = -drawn.clamp_(min=1e-30).log_().to(logits.device)
        soft = (logits / self.temperature + gumbel).softmax(-1)
        return _hard(soft) + soft - soft.detach()


class MultiScaleHead(SoftHead):
    """Soft attention to cells of several sizes: pixels, and averages over squares of them.

    A pixel attends to no cell that it lies in itself, at any scale, so that `A_uu = 0` here too.
    FKTB's summary names hierarchical attention as future work; this form is ours.

    Args:
        width: of the features.
        key_width: d.
        scales: sides of the cells, pixels.
    """

    def __init__(self, width: int, key_width: int, scales: tuple[int, ...]) -> None:
        super().__init__(width, key_width)
        self.scales = scales

    def _cells(self, features: Tensor) -> Tensor:
        """Return the averages over all cells, `[B, cells, width]`, as features of one column."""
        rows = [
            avg_pool2d(features, scale, ceil_mode=True, count_include_pad=False).flatten(2)
            for scale in self.scales
        ]
        return torch.cat(rows, 2)[..., None]

    def _projected(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        cells = self._cells(features)
        query = self.query(features).flatten(2).transpose(1, 2)
        key, value = (each(cells)[..., 0].transpose(1, 2) for each in (self.key, self.value))
        return query, key, value

    def maps(self, features: Tensor) -> Tensor:
        """Return A, each cell's weight spread evenly over its pixels, `[B, H·W, H·W]`."""
        weights = super().maps(features)
        size, total = features.shape[-2:], weights.new_zeros(())
        for scale in self.scales:
            rows, columns = (math.ceil(side / scale) for side in size)
            here, weights = weights[..., : rows * columns], weights[..., rows * columns :]
            cells = here.unflatten(-1, (rows, columns))
            area = avg_pool2d(torch.ones(1, *size), scale, ceil_mode=True, divisor_override=1)
            shares = (cells / area.to(cells)).repeat_interleave(scale, -2)
            total = total + shares.repeat_interleave(scale, -1)[..., : size[0], : size[1]]
        return total.flatten(2)


Head = NoHead | IdentityHead


def make_head(settings: NetworkSettings, width: int) -> Head:
    """Return the final layer that the settings name, for features of that width."""
    if settings.attention == "none":
        return NoHead()
    if settings.attention == "identity":
        return IdentityHead(width)
    if settings.attention == "multiscale":
        return MultiScaleHead(width, settings.key_width, read_scales(settings.scales))
    kind = {"soft": SoftHead, "top1": Top1Head}[settings.attention]
    return kind(width, settings.key_width)


def _others(features: Tensor, scales: tuple[int, ...]) -> Tensor:
    """Return a mask that leaves each pixel the cells that it does not lie in, `[H·W, cells]`."""
    height, width = features.shape[-2:]
    row = torch.arange(height, device=features.device)[:, None]
    column = torch.arange(width, device=features.device)
    masks = []
    for scale in scales:
        across = math.ceil(width / scale)
        own = (row // scale * across + column // scale).flatten()
        cells = torch.arange(math.ceil(height / scale) * across, device=features.device)
        masks.append(own[:, None] != cells)
    return torch.cat(masks, 1)


def _hard(weights: Tensor) -> Tensor:
    """Return 1 at the largest entry of each row, 0 elsewhere."""
    return one_hot(weights.argmax(-1), weights.shape[-1]).to(weights.dtype)

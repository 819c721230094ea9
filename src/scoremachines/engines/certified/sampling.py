"""Threshold sampling: the posterior from some of the pairs, and its bound (theory §2.7).

Every distance is computed, but exponentials and sums are paid only for pairs drawn with
probability p = min(1, w/T), where w is a pair's weight and T its pixel's threshold; those drawn
count 1/p times. Sums keep their expectation, no term exceeds T, and Bernstein's inequality bounds
what chance may do to them. How many are drawn does not grow with the training set.

T comes from a pilot, which only decides how well the work is spent: the bound holds for any T that
is fixed before the draw.
"""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from scoremachines.engines.base import Query
from scoremachines.engines.native import engine as native
from scoremachines.engines.native.engine import NativeEngine, needs_float64
from scoremachines.theory.bounds import Bounds
from scoremachines.theory.posterior import Moments, Posterior
from scoremachines.theory.runs import log_counts

__all__ = [
    "CERTAIN",
    "can_sample",
    "chance",
    "moments",
    "threshold_sampled",
    "threshold_sampled_bytes",
    "thresholds",
]

CERTAIN = 1e-5
"""Probability, at most, that any bound on the answer for one noisy image is wrong."""
PILOT, GROUPS = 32, 8
"""Images of the pilot in each group, and the number of groups."""
CAUTION = 1.0
"""Standard deviations of the groups' log-weights that are taken from what the pilot found."""
AIM = 0.88
"""Share of the tolerance that the threshold aims at."""
ATTEMPTS = 3
"""Draws for pixels whose bound fails, before the exact engine answers."""
WORTH = 0.02
"""Share of the pairs drawn up to which threshold sampling pays."""
FEW = 0.25
"""Share of the rows of an image that may be drawn for again."""
ROUNDS = 5
"""Times that a bound on the error is put into the formula that it comes from."""


def moments(
    engine: NativeEngine,
    query: Query,
    images: Tensor,
    index: Tensor,
    log_threshold: Tensor,
    seed: int,
) -> Moments:
    """Return the moments of the posterior from pairs that are drawn (theory §2.7).

        p = min(1, w/T),    Ŵ = Σ_drawn w/p,    μ̂ = Σ_drawn (w/p) x / Ŵ

    Rows of pixels that draw nothing cost nothing.

    Args:
        engine: computes them.
        query: noisy images, with a window.
        images: training images, `[n, C, H, W]`.
        index: their places in the training set, int64 `[n]`.
        log_threshold: log T, on the scale of a posterior's `log_weight`, nats, float64
            `[B, H, W]`; −∞ to draw all pairs, ∞ to draw none: Σ w is then 0.
        seed: of the draw, from 0 to 2⁶⁴ − 1.

    Returns:
        Sums in expectation: over all pairs.
    """
    size, window = tuple(query.noisy.shape[-2:]), query.window or 1
    counts = log_counts(size, window, query.sources, query.noisy.device)
    arguments = engine.arguments(query, images)
    drawing = (log_threshold != torch.inf).any(2).any(0)
    if not drawing.any():
        nothing = torch.zeros_like(query.noisy)
        return Moments(log_threshold.neg(), nothing, nothing)
    if not drawing.all():
        arguments["rows"] = _of_some(np.asarray(arguments["rows"]), drawing.numpy())
    log_weight, means = native._native.sampled(
        **arguments,
        index=index.contiguous().numpy(),
        threshold=(log_threshold + counts).contiguous().numpy(),
        seed=seed,
    )
    mean, square = torch.from_numpy(means).chunk(2, 1)
    return Moments(torch.from_numpy(log_weight) - counts, mean, square)


def chance(found: Moments, log_threshold: Tensor, certain: float) -> Tensor:
    """Return what chance may have done, with some probability at most (theory §2.7).

    With `y = T log(1/δ) / Ŵ` and S_c the root of the variance of x_c, bounded likewise,

        |x̂0 − μ̂_c| ≤ √(2y) S_c + ⅔ (1 + |x̂0|) y

    Args:
        found: moments from the pairs drawn.
        log_threshold: log T, nats, float64 `[B, H, W]`; −∞ where all pairs were drawn.
        certain: probability that one of the bounds is wrong, at most, for each noisy image.

    Returns:
        Bounds on the error of the mean in any channel, and of the log-weight in nats; infinite
        where there is no bound. Float64 `[B, 2, H, W]`.
    """
    y = (log_threshold + _log_terms(found, certain) - found.log_weight).exp()[:, None]
    above = _root(y, 1 + 2 * y / 3, 1).square()
    below = _root(y, (1 - 2 * y / 3).clamp(min=0), -1).square()
    log_error = torch.maximum(above.log(), -below.log())
    mean, variance = found.mean.abs().double(), found.variance
    error = torch.full_like(mean, 2.0)
    for _ in range(ROUNDS):  # the error is below a function of any bound on it
        far = (1 + mean + error).clamp(max=2)
        reach = far.square() * y
        spread = _root(reach, variance + error.square() + 2 * reach / 3, 1)
        error = torch.minimum(error, (2 * y).sqrt() * spread + 2 / 3 * far * y)
    error = torch.where(y > 0, error, 0.0).amax(1, keepdim=True)
    error = torch.where(y.isfinite(), error, torch.inf)
    return torch.cat([error, torch.where(y.isfinite(), log_error, torch.inf)], 1)


def thresholds(known: Moments, error: float, certain: float) -> Tensor:
    """Return the largest log T at which the bound on `|x̂0 − μ̂|` is `error` (theory §2.7).

    With `y = T log(1/δ)/Ŵ` the bound is `√(2y) S + ⅔ (1 + |x̂0|) y` in every channel.

    Args:
        known: moments, nearly those that the draw will find.
        error: in units of the images' [-1, 1].
        certain: as for `chance`.

    Returns:
        Float64 `[B, H, W]`, nats.
    """
    scale = known.log_weight - _log_terms(known, certain)
    low, high = torch.full_like(scale, -30.0), torch.full_like(scale, 0.0)
    for _ in range(14):
        middle = (low + high) / 2
        fits = chance(known, scale + middle, certain)[:, 0] <= error
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return scale + low


def can_sample(query: Query) -> Tensor:
    """Return where threshold sampling applies, `[B]`: many sources, accurate log-weights."""
    if query.window is None or query.sources == "aligned":
        return torch.zeros(len(query.noisy), dtype=torch.bool)
    return ~needs_float64(query)


def threshold_sampled_bytes(query: Query, count: int, threads: int) -> int:
    """Return the memory that threshold sampling adds to the exact engine's, bytes per noisy image.

    Args:
        query: the noisy images.
        count: number of training images.
        threads: how many work at once.

    Returns:
        An upper estimate.
    """
    channels, height, width = query.noisy.shape[1:]
    parts = max(16, count // 512 + 1) * 16 * (channels + 2)
    each = 64 * query.noisy.element_size() * (channels + 8)
    return height * width * (parts + threads * each)


def threshold_sampled(
    engine: NativeEngine,
    query: Query,
    images: Tensor,
    index: Tensor,
    tolerance: float,
    worth: float = WORTH,
) -> Posterior | None:
    """Return the posterior of one noisy image within a tolerance, if that is worth it.

    A source of log-weight L is drawn with probability `p = min(1, e^{L − log T})` (theory §2.7).

    Args:
        engine: computes it.
        query: one noisy image.
        images: training images, `[n, C, H, W]`.
        index: their places in the training set, `[n]`.
        tolerance: largest error of x̂0, in units of the images' [-1, 1].
        worth: share of the pairs drawn up to which this is worth it.

    Returns:
        The posterior; None if nearly all pairs would be drawn, or some pixel's bound fails.
    """
    certain = CERTAIN / ATTEMPTS
    known = _pilot(engine, query, images, index)
    if known is None:
        return None
    level = thresholds(known, AIM * tolerance, certain)
    size, window = tuple(query.noisy.shape[-2:]), query.window or 1
    counts = log_counts(size, window, query.sources, query.noisy.device).exp()
    pairs = len(images) * counts
    drawn = ((known.log_weight - level).exp() / pairs).clamp(max=1).mean()
    if drawn > worth:
        return None
    found, doubt = known, torch.full((1, 2, *size), torch.inf, dtype=torch.float64)
    open_rows = torch.ones_like(level, dtype=torch.bool)
    for attempt in range(ATTEMPTS):
        target = torch.where(open_rows, level, torch.inf)
        now = moments(engine, query, images, index, target, _seed(query, attempt))
        found = _where(open_rows, now, found)
        doubt = torch.where(open_rows[:, None], chance(now, level, certain), doubt)
        open_rows = ~(doubt[:, 0] <= tolerance)
        if not open_rows.any():
            bounds = replace(Bounds.none(found.log_weight), chance=doubt)
            return Posterior(found.log_weight, found.mean, bounds=bounds)
        # Where many fail, or few that lie apart, another draw costs as much as the exact engine.
        if open_rows[0].any(1).float().mean() > FEW:
            return None
        level = torch.where(open_rows, thresholds(found, AIM / 2 * tolerance, certain), level)
    return None


def _pilot(engine: NativeEngine, query: Query, images: Tensor, index: Tensor) -> Moments | None:
    """Return moments from some of the images, cautious where these differ."""
    step = len(images) // (PILOT * GROUPS)
    if step < 4:
        return None
    all_pairs = torch.full(query.noisy[:, 0].shape, -torch.inf, dtype=torch.float64)

    def of_group(group: int) -> Moments:
        some = torch.arange(0, len(images), step)[group::GROUPS][:PILOT]
        found = moments(engine, query, images[some].contiguous(), index[some], all_pairs, 0)
        log_share = math.log(len(images) / len(some))
        return replace(found, log_weight=found.log_weight + log_share)

    with ThreadPoolExecutor(engine.thread_count) as pool:  # a group is too small for two threads
        parts = list(pool.map(of_group, range(GROUPS)))
    log_weights = torch.stack([part.log_weight for part in parts])
    shares = log_weights.softmax(0)[:, :, None]
    mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
    square = sum(share * part.square for share, part in zip(shares, parts, strict=True))
    assert isinstance(mean, Tensor)
    assert isinstance(square, Tensor)
    # Where groups differ few sources carry the posterior, and others may be seen only later.
    cautious = log_weights.kthvalue(2, 0).values - CAUTION * log_weights.std(0)
    return Moments(cautious, mean, square)


def _of_some(table: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the parts of an axis' runs whose pixels are wanted, `[runs, 3]`."""
    parts = []
    for query, source, length in table.tolist():
        here = wanted[np.arange(query, query + length) % len(wanted)]
        edges = np.flatnonzero(np.diff(here, prepend=False, append=False))
        parts += [(query + a, source + a, b - a) for a, b in edges.reshape(-1, 2).tolist()]
    return np.array(parts, dtype=np.int32)


def _where(here: Tensor, first: Moments, second: Moments) -> Moments:
    return Moments(
        torch.where(here, first.log_weight, second.log_weight),
        torch.where(here[:, None], first.mean, second.mean),
        torch.where(here[:, None], first.square, second.square),
    )


def _log_terms(found: Moments, certain: float) -> float:
    """Return log of log(1/δ), with δ the share of each bound in what may go wrong."""
    channels, height, width = found.mean.shape[1:]
    bounds = (2 + 3 * channels) * height * width
    return math.log(math.log(bounds / certain))


def _root(y: Tensor, rest: Tensor, sign: int) -> Tensor:
    """Return the larger root s of `s² − sign · √(2y) s = rest`."""
    linear = (2 * y).sqrt()
    return (sign * linear + (2 * y + 4 * rest).sqrt()) / 2


def _seed(query: Query, attempt: int) -> int:
    """Return a seed of the query's own: draws must not depend on what else is computed."""
    text = hashlib.blake2b(query.noisy.contiguous().numpy().tobytes(), digest_size=8)
    text.update(f"{query.alpha_bar.tolist()} {query.window} {query.sources} {attempt}".encode())
    return int.from_bytes(text.digest(), "little")

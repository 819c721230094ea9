"""Agreement of two images started from the same noise, and what is typical of many (theory §6.2).

Three measures that are easily confused, each a function of its own: Pearson's r, its square, and
the coefficient of determination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scoremachines.errors import InputError, whole

__all__ = [
    "Summary",
    "paired_difference",
    "pearson_r",
    "pearson_r2",
    "r2_determination",
    "summarise",
]

LEVEL = 0.95
SPREAD = 1e-5
"""An image whose values differ by less than this share of the largest has a single value: what it
shows is the rounding of float32."""


def pearson_r(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation of two images, over all pixels and channels (theory §6.2).

    With a and b the images less their means, `r = ⟨a, b⟩ / (‖a‖ ‖b‖)`. It does not change when an
    image is brightened or stretched, `x → c x + d` with c > 0. This is what KG's released
    evaluation script computes where their paper writes r².

    Args:
        first: images, `[B, C, H, W]`, floating point.
        second: images to compare them with, one by one, of the same shape.

    Returns:
        r in [-1, 1], float64 `[B]`; exactly 1 for an image and itself, NaN where an image has a
        single value (but for rounding: `SPREAD`) or one that is not finite.

    Raises:
        InputError: the shapes differ, or are not those of images.
    """
    a, b = _vectors(first, second)
    constant = _constant(a) | _constant(b)
    a, b = _centred(a), _centred(b)
    r = (a * b).sum(1) / ((a * a).sum(1) * (b * b).sum(1)).sqrt()
    return torch.where(constant, torch.nan, r.clamp(-1, 1))


def pearson_r2(first: Tensor, second: Tensor) -> Tensor:
    """Return the square of Pearson's correlation (theory §6.2).

    `r² = ⟨a − ā, b − b̄⟩² / (‖a − ā‖² ‖b − b̄‖²)` over all pixels and channels.

    Args:
        first: images, `[B, C, H, W]`, floating point.
        second: images to compare them with, one by one, of the same shape.

    Returns:
        r2 in [0, 1], float64 `[B]`; NaN where `pearson_r` is.

    Raises:
        InputError: the shapes differ, or are not those of images.
    """
    return pearson_r(first, second).square()


def r2_determination(prediction: Tensor, truth: Tensor) -> Tensor:
    """Return the coefficient of determination of a prediction (theory §6.2).

    `R² = 1 − Σ (truth − prediction)² / Σ (truth − mean of truth)²` over pixels and channels:
    unlike Pearson's, it needs equal values, and is negative where the mean would predict better.

    Args:
        prediction: images, `[B, C, H, W]`, floating point.
        truth: the images that they predict, one by one, of the same shape.

    Returns:
        At most 1, float64 `[B]`; NaN where the truth has a single value (but for
        rounding: `SPREAD`).

    Raises:
        InputError: the shapes differ, or are not those of images.
    """
    predicted, true = _vectors(prediction, truth)
    spread = (true - true.mean(1, keepdim=True)).square().sum(1)
    missed = (true - predicted).square().sum(1)
    return torch.where(_constant(true), torch.nan, 1 - missed / spread)


def _vectors(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return both batches as float64 `[B, C·H·W]`."""
    if first.ndim != 4 or first.shape != second.shape or not first[:1].numel():
        given = f"shapes {list(first.shape)} and {list(second.shape)}"
        raise InputError("images", given, "two batches [B, C, H, W] of the same shape")
    if not (first.is_floating_point() and second.is_floating_point()):
        raise InputError("images", f"{first.dtype} and {second.dtype}", "floating-point images")
    return first.detach().double().flatten(1), second.detach().double().flatten(1)


def _constant(vectors: Tensor) -> Tensor:
    """Return which vectors have a single value, but for rounding."""
    return vectors.amax(1) - vectors.amin(1) <= SPREAD * vectors.abs().amax(1)


def _centred(vectors: Tensor) -> Tensor:
    """Return vectors less their means, the largest entry of each brought to ±1."""
    away = vectors - vectors.mean(1, keepdim=True)
    return away / away.abs().amax(1, keepdim=True)


@dataclass(frozen=True)
class Summary:
    """A median and its bootstrap interval; `str` gives both and the number of values.

    `[low, high] = [q_{α/2}, q_{1−α/2}]` of the bootstrap medians, α = 0.05 (theory §6.2).

    Attributes:
        median: of the values, NaN without any.
        low: lower end of the 95 % percentile interval.
        high: upper end.
        n: number of values that count.
        missing: number of NaN, which were left out.
    """

    median: float
    low: float
    high: float
    n: int
    missing: int = 0

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low > 0

    def __str__(self) -> str:
        left_out = f", {self.missing} missing" if self.missing else ""
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}] (n={self.n}{left_out})"


Values = Tensor | NDArray[np.floating] | Sequence[float]


def summarise(values: Values, seed: int = 0, draws: int = 10_000) -> Summary:
    """Return the median and its bootstrap 95 % percentile interval.

    Values are drawn again with replacement, `draws` times; `[low, high] = [q_{α/2}, q_{1−α/2}]`
    of their medians, α = 0.05 **[known: Efron 1979]**. The interval of a single value has no width
    and no meaning.

    Args:
        values: one for each seed, `[n]`. NaN, such as the correlation with a constant image, is
            left out and counted as missing.
        seed: of the bootstrap.
        draws: how many times to draw.

    Returns:
        Median, interval and counts; NaN where no value is left.

    Raises:
        InputError: the values do not form a list, or one is infinite.
    """
    seed, draws = whole("seed", seed), whole("draws", draws, 1)
    every = _array(values)
    known = every[~np.isnan(every)]
    missing = len(every) - len(known)
    if not len(known):
        return Summary(np.nan, np.nan, np.nan, 0, missing)
    chosen = np.random.default_rng(seed).integers(len(known), size=(draws, len(known)))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.median(known[chosen], axis=1), [tail, 1 - tail])
    return Summary(float(np.median(known)), float(low), float(high), len(known), missing)


def paired_difference(
    first: Values, second: Values, seed: int = 0, draws: int = 10_000
) -> Summary:
    """Return the median of `first − second`, seed by seed, with its bootstrap interval.

    `[low, high] = [q_{α/2}, q_{1−α/2}]` of the medians of bootstrap differences (theory §6.2).

    Where the interval lies above 0, `first` is above `second` on the same seeds. A median of
    differences is not the difference of the medians.

    Args:
        first: one value for each seed, `[n]`.
        second: a value for each of the same seeds, `[n]`.
        seed: of the bootstrap.
        draws: how many times to draw.

    Returns:
        As `summarise`; a seed counts as missing if either value is NaN.

    Raises:
        InputError: the lists differ in length, or a value is infinite.
    """
    one, other = _array(first), _array(second)
    if len(one) != len(other):
        given = f"{len(one)} and {len(other)} values"
        raise InputError("values", given, "two lists of the same length, paired by seed")
    return summarise(one - other, seed, draws)


def _array(values: Values) -> NDArray[np.float64]:
    try:
        array = np.asarray(torch.as_tensor(values, dtype=torch.float64).cpu())
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        array = np.empty(())  # no numbers
    if array.ndim != 1 or np.isinf(array).any():
        raise InputError("values", values, "a list of numbers, NaN for what is missing")
    return array

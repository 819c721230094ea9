"""The width h of sources, fixed or h(t), and whether they come in contrasts (theory §2.9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from scoremachines.errors import InputError, real
from scoremachines.theory.specs.gain import number_text

__all__ = [
    "Mixture",
    "SmoothSchedule",
    "Smoothness",
    "has_contrasts",
    "parse_smooth",
    "smooth_at",
    "smooth_text",
    "with_width",
]

CONTRASTS = "+contrasts"
ACCEPTED = (
    "a number from 0 to 1, or a schedule such as '0:0.9,1:0.3' (time:width), "
    f"and {CONTRASTS} behind it for a mixture over contrasts"
)


@dataclass(frozen=True)
class SmoothSchedule:
    """h(t), linear between knots and constant beyond them (theory §2.9).

    `h(t) = h_j + (h_{j+1} − h_j) (t − t_j) / (t_{j+1} − t_j)` for `t_j ≤ t ≤ t_{j+1}`.

    Args:
        times: the knots' times in [0, 1], rising.
        widths: h at each knot, in [0, 1].

    Raises:
        InputError: no knots, times that do not rise within [0, 1], or a width out of range.
    """

    times: tuple[float, ...]
    widths: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        inside = all(0 <= each <= 1 for each in (*self.times, *self.widths))
        if not self.times or len(self.times) != len(self.widths) or not (rising and inside):
            reason = "times must rise, and all lie within [0, 1]"
            raise InputError("smooth", str(self), ACCEPTED, reason)

    def __call__(self, t: float) -> float:
        """Return h(t)."""
        knots = [*zip(self.times, self.widths, strict=True)]
        if t <= self.times[0]:
            return self.widths[0]
        for (start, low), (end, high) in pairwise(knots):
            if t <= end:
                return low + (high - low) * (t - start) / (end - start)
        return self.widths[-1]

    def __str__(self) -> str:
        pairs = zip(self.times, self.widths, strict=False)
        return ",".join(f"{number_text(time)}:{number_text(width)}" for time, width in pairs)


@dataclass(frozen=True)
class Mixture:
    """A width, and sources at several contrasts, whose scales are fitted (theory §2.9).

    `patch ~ Σ_s π_s N( μ + s √(1−h²) (x_i[Ω_v] − μ), s² h² Σ )`.

    Args:
        width: h or h(t).
    """

    width: float | SmoothSchedule

    def __str__(self) -> str:
        return f"{smooth_text(self.width)}{CONTRASTS}"


Smoothness = float | SmoothSchedule | Mixture


def parse_smooth(smooth: Smoothness | str | Mapping[float, float]) -> Smoothness:
    """Read a width of sources as the command line and the settings write it.

    Args:
        smooth: `0.8`, `"0.8"`, `"0:0.9,1:0.3"`, `{0.0: 0.9, 1.0: 0.3}`, or a schedule; as a text
            perhaps with contrasts, `"0.8+contrasts"`.

    Returns:
        h, or h(t), perhaps with contrasts.

    Raises:
        InputError: none of these.
    """
    if isinstance(smooth, SmoothSchedule | Mixture):
        return smooth
    if isinstance(smooth, str) and CONTRASTS in smooth:
        width, _, rest = smooth.partition(CONTRASTS)
        if rest or not width:
            raise InputError("smooth", smooth, ACCEPTED)
        return with_width(Mixture(0.0), parse_smooth(width))
    try:
        if isinstance(smooth, str) and ":" in smooth:
            pairs = [pair.split(":") for pair in smooth.split(",")]
            smooth = {float(time): float(width) for time, width in pairs}
        elif isinstance(smooth, str):
            smooth = float(smooth)
    except ValueError:
        raise InputError("smooth", smooth, ACCEPTED) from None
    if isinstance(smooth, Mapping):
        times = sorted(smooth)
        return SmoothSchedule(tuple(map(float, times)), tuple(float(smooth[t]) for t in times))
    return real("smooth", smooth, 0, 1)


def smooth_at(smooth: Smoothness, t: float) -> float:
    """Return h at a time."""
    width = smooth.width if isinstance(smooth, Mixture) else smooth
    return width(t) if isinstance(width, SmoothSchedule) else width


def has_contrasts(smooth: Smoothness) -> bool:
    """Return whether sources come in contrasts."""
    return isinstance(smooth, Mixture)


def with_width(smooth: Smoothness, width: Smoothness) -> Smoothness:
    """Return sources of another width, with contrasts if there were some, or if it has some."""
    if isinstance(width, Mixture) or not isinstance(smooth, Mixture):
        return width
    return Mixture(width)


def smooth_text(smooth: Smoothness) -> str:
    """Return a width as `parse_smooth` reads it."""
    return number_text(smooth) if isinstance(smooth, int | float) else str(smooth)

"""The gain λ of an attention: a number, λ(t), or a rule (theory §4.2, §4.8)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from scoremachines.errors import InputError, real

__all__ = [
    "CALIBRATED",
    "PERPLEXITY",
    "Gain",
    "GainSchedule",
    "checked",
    "gain_text",
    "number_text",
    "read_gain",
]

PERPLEXITY = "perplexity"
"""A gain of each row by its perplexity (theory §4.8)."""
CALIBRATED = "calibrated"
"""λ(t) as it was found for a network."""
RULES = (PERPLEXITY, CALIBRATED)
FORMER = {"spread": PERPLEXITY}
"""How older runs write a rule."""


@dataclass(frozen=True)
class GainSchedule:
    """λ(t): linear between its knots, constant beyond them (theory §4.2).

    Between knots `λ(t) = (1−f) λ_j + f λ_{j+1}` with `t = (1−f) t_j + f t_{j+1}`; the attention is
    `A_uy = λ(t) a_uy`.

    Args:
        times: the knots' times in [0, 1], rising.
        gains: λ ≥ 0 at each.

    Raises:
        InputError: no knots, times that do not rise within [0, 1], or a negative gain.
    """

    times: tuple[float, ...]
    gains: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        inside = all(0 <= time <= 1 for time in self.times)
        if not self.times or len(self.times) != len(self.gains) or not (rising and inside):
            accepted = "a gain for each of some times that rise within [0, 1]"
            raise InputError("gain", (self.times, self.gains), accepted)
        for gain in self.gains:
            real("gain", gain, 0)

    def __call__(self, t: float) -> float:
        """Return λ(t)."""
        after = bisect_right(self.times, t)
        if after in (0, len(self.times)):
            return float(self.gains[max(0, after - 1)])
        (start, end), (low, high) = (
            values[after - 1 : after + 1] for values in (self.times, self.gains)
        )
        return low + (high - low) * (t - start) / (end - start)

    def __str__(self) -> str:
        pairs = zip(self.times, self.gains, strict=True)
        return ",".join(f"{number_text(time)}:{number_text(gain)}" for time, gain in pairs)


Gain = float | str | GainSchedule


def checked(gain: object) -> Gain:
    """Return a gain; refuse what is none.

    Args:
        gain: λ ≥ 0, λ(t), or the name of a rule.

    Returns:
        The gain.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(gain, GainSchedule) or (isinstance(gain, str) and gain in RULES):
        return gain
    if isinstance(gain, str):
        raise InputError("gain", gain, f"λ of at least 0, λ(t), {' or '.join(RULES)}")
    return real("gain", gain, 0)


def read_gain(text: str) -> Gain | None:
    """Return the gain that a text stands for.

    Args:
        text: `1.3`, `0:1,0.5:2` (time:λ), or the name of a rule.

    Returns:
        The gain; None where the text has no such form.

    Raises:
        InputError: a λ is negative, or times do not rise within [0, 1].
    """
    text = text.strip().lower()
    text = FORMER.get(text, text)
    if text in RULES:
        return text
    try:
        if ":" not in text:
            return checked(float(text))
        knots = sorted((float(t), float(gain)) for t, gain in map(_pair, text.split(",")))
    except InputError:
        raise
    except ValueError:
        return None
    times, gains = zip(*knots, strict=True)
    return GainSchedule(times, gains)


def gain_text(gain: Gain) -> str:
    """Return the text that `read_gain` reads back."""
    gain = checked(gain)
    return number_text(gain) if isinstance(gain, float) else str(gain)


def _pair(text: str) -> tuple[str, str]:
    time, gain = text.split(":")
    return time, gain


def number_text(value: float) -> str:
    """Return a number as short as brings it back, whole numbers without a point."""
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)

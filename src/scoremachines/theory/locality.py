"""The locality scale: the window of a machine, fixed or k(t) (theory §3).

`k` is odd and counts pixels. A schedule is a function of the time t in [0, 1], never of a step's
number, so it means the same at every number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scoremachines.errors import InputError, whole
from scoremachines.theory.specs.gain import number_text

__all__ = ["Window", "WindowSchedule", "check_window", "parse_window", "window_at", "windows_of"]

ACCEPTED = (
    "an odd number of pixels no larger than the image, None (or 'image') for the whole image, "
    "or a schedule such as '0:3,0.5:7,1:17' (time:window)"
)


@dataclass(frozen=True)
class WindowSchedule:
    """`k(t) = k_j, j = argmin_j |t − t_j|`; of two knots equally near, the noisier (theory §3).

    Args:
        times: the knots' times in [0, 1], rising.
        windows: the window at each knot, odd, pixels.

    Raises:
        InputError: no knots, times that do not rise within [0, 1], or a window that is not odd.
    """

    times: tuple[float, ...]
    windows: tuple[int, ...]

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        inside = all(0 <= time <= 1 for time in self.times)
        if not self.times or len(self.times) != len(self.windows) or not rising or not inside:
            raise InputError("window", str(self), ACCEPTED, "times must rise within [0, 1]")
        object.__setattr__(self, "windows", tuple(check_window(each) for each in self.windows))

    @classmethod
    def from_mapping(cls, knots: Mapping[float, int]) -> WindowSchedule:
        """Return the schedule through `{time: window}`."""
        times = sorted(knots)
        return cls(tuple(float(t) for t in times), tuple(knots[t] for t in times))

    def __call__(self, t: float) -> int:
        """Return k(t), pixels."""
        nearest = min(range(len(self.times)), key=lambda j: (abs(self.times[j] - t), -j))
        return self.windows[nearest]

    def __str__(self) -> str:
        pairs = zip(self.times, self.windows, strict=False)
        return ",".join(f"{number_text(time)}:{window}" for time, window in pairs)


Window = int | WindowSchedule | None


def window_at(window: Window, t: float) -> int | None:
    """Return k at a time; None for the whole image."""
    return window(t) if isinstance(window, WindowSchedule) else window


def windows_of(window: Window) -> tuple[int, ...]:
    """Return all windows that occur: none for the whole image."""
    if window is None:
        return ()
    return window.windows if isinstance(window, WindowSchedule) else (window,)


def check_window(window: int, shape: tuple[int, int] | None = None) -> int:
    """Return a window; refuse one that is not odd, or is larger than the image.

    Args:
        window: k, pixels.
        shape: height and width of the image, pixels; None if it is not known yet.

    Returns:
        The window.

    Raises:
        InputError: the window cannot be used.
    """
    try:
        window = whole("window", window, 1, odd=True)
    except InputError as error:
        raise InputError("window", window, ACCEPTED, "a window needs a middle pixel") from error
    if shape is not None and window > min(shape):
        size = f"{shape[0]}×{shape[1]} pixels"
        raise InputError("window", window, ACCEPTED, f"it is larger than the image, {size}")
    return window


def parse_window(window: Window | str | Mapping[float, int]) -> Window:
    """Read a window as the command line and the settings write it.

    Args:
        window: `7`, `"7"`, `"image"`, `"0:3,1:17"`, `{0.0: 3, 1.0: 17}`, a schedule, or None.

    Returns:
        The window, the schedule, or None.

    Raises:
        InputError: none of these.
    """
    if isinstance(window, Mapping):
        return WindowSchedule.from_mapping(window)
    if isinstance(window, str):
        window = _from_text(window.strip())
    if isinstance(window, WindowSchedule) or window is None:
        return window
    return check_window(window)


def _from_text(text: str) -> Window:
    if text in ("image", "none", "None"):
        return None
    try:
        if ":" not in text:
            return int(text)
        pairs = [pair.split(":") for pair in text.split(",")]
        knots = [(float(time), int(window)) for time, window in pairs]
    except ValueError:
        raise InputError("window", text, ACCEPTED) from None
    times, windows = zip(*sorted(knots), strict=True)
    return WindowSchedule(times, windows)

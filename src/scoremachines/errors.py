"""The one form in which bad input is refused: argument, value, what is accepted."""

from __future__ import annotations

import errno
import math
import operator
import re
import reprlib
from typing import Any, SupportsFloat, cast

__all__ = [
    "InputError",
    "check_counts",
    "numbers",
    "one_line",
    "out_of_memory",
    "real",
    "shorten",
    "system_reason",
    "whole",
]

MOST = 2**31 - 1
"""Largest count that is accepted where no smaller bound applies."""
LARGEST = {
    **dict.fromkeys(("n", "samples", "batch", "sweep_n"), 1_000_000),
    **dict.fromkeys(("steps", "network_steps", "seeds", "draws", "repeat"), 100_000),
    **dict.fromkeys(("threads", "workers", "training_seeds"), 1024),
    **dict.fromkeys(("width", "key_width", "size", "shape", "sample_size"), 16_384),
    **dict.fromkeys(("window", "windows", "receptive_field", "shift"), 32_767),
    "best": 4096,
    **dict.fromkeys(("channels", "in_channels", "classes"), 65_536),
    "memory": 2**60,
    "pointwise": 1024,
    "seed": 2**63 - 1,
    "training_steps": 10**9,
}
"""Largest whole number that is accepted, by the argument's name: far beyond what is of use, and
small enough that nothing hangs before the first word about it."""


class InputError(ValueError):
    """A value given by the user cannot be used.

    The message reads ``argument=value: reason. Accepted: accepted.`` and is always one line, so
    the command line can print it as it is.

    Args:
        argument: name of the argument, as the user wrote it.
        value: what was given.
        accepted: what would be accepted instead, as a phrase without a full stop.
        reason: what is wrong with the value, where the value alone does not show it.
    """

    def __init__(self, argument: str, value: object, accepted: str, reason: str = "") -> None:
        self.argument, self.value, self.accepted, self.reason = argument, value, accepted, reason
        because = f": {one_line(reason)}" if reason else " is not accepted"
        name = one_line(argument, 80)
        super().__init__(
            f"{name}={shorten(value)}{because}. Accepted: {one_line(accepted, 1000)}."
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.argument, self.value, self.accepted, self.reason)


NO_MEMORY = re.compile(
    r"can't allocate|cannot allocate|not enough memory|out of memory|unable to allocate"
    r"|bad_alloc|alloc_failed|memory allocation|std::length_error|invalid buffer size"
    r"|multiplication overflow|size calculation overflow",
    re.IGNORECASE,
)
"""How torch, CUDA, NumPy, C++ and the system word it."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or what it was raised from, means that memory is used up.

    Args:
        error: any error; that of torch is a `RuntimeError`, that of CUDA one of its own.

    Returns:
        Whether memory is its reason.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError | OSError) and NO_MEMORY.search(str(error)):
        return True
    return error.__cause__ is not None and out_of_memory(error.__cause__)


class _Brief(reprlib.Repr):
    """`repr` in bounded time, of anything."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxarray = 32
        self.maxstring = self.maxother = 1000

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) < 10**60:
            return repr(x)
        return f"a whole number of about {int(x.bit_length() * math.log10(2)) + 1} digits"

    def repr_instance(self, x: Any, level: int) -> str:
        dtype, shape = getattr(x, "dtype", None), getattr(x, "shape", None)
        if dtype is not None and isinstance(shape, tuple) and math.prod(shape) > 16:
            return f"{type(x).__name__} {list(shape)} of {str(dtype).removeprefix('torch.')}"
        return super().repr_instance(x, level)


BACKTRACE = re.compile(r"\s*(Exception raised from|C\+\+ CapturedTraceback|frame #\d+:).*", re.S)
"""What torch adds to the first line of its errors: the stack of its own C++ code."""


def system_reason(error: OSError) -> str:
    """Return the reason that the operating system gives, such as "permission denied".

    Args:
        error: what it raised.

    Returns:
        The phrase.
    """
    return (error.strerror or str(error) or type(error).__name__).lower()


def one_line(text: object, limit: int = 400) -> str:
    """Return a text as one bounded line, without control characters or torch's C++ stack.

    Args:
        text: any text, or an error whose message is taken.
        limit: largest number of characters.

    Returns:
        The line; what cannot be printed is written as an escape.
    """
    line = " ".join(BACKTRACE.sub("", str(text)[: 20 * limit]).split())
    line = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def shorten(value: object, limit: int = 120) -> str:
    """Return `repr(value)`, or `str(value)` for paths, as one line of at most `limit` characters.

    Args:
        value: anything.
        limit: largest number of characters.

    Returns:
        The line.
    """
    is_path = hasattr(value, "__fspath__") and not isinstance(value, type)
    return one_line(value if is_path else _Brief().repr(value), limit)


def _is_logical(value: object) -> bool:
    """Whether a value of Python, NumPy or torch is a truth value."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).rpartition(".")[2] == "bool"


def whole(
    argument: str, value: object, least: int = 0, most: int | None = None, *, odd: bool = False
) -> int:
    """Return a whole number within bounds, whichever library its type comes from.

    Args:
        argument: name of the argument, for the error.
        value: a Python, NumPy or one-element torch integer; booleans are none.
        least: smallest number accepted.
        most: largest number accepted; by default that of the argument's name in `LARGEST`.
        odd: whether it must be odd.

    Returns:
        The number as a Python `int`.

    Raises:
        InputError: it is no whole number, or out of bounds.
    """
    kind = "an odd whole number" if odd else "a whole number"
    logical = _is_logical(value)
    try:
        if logical:
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise InputError(argument, value, f"{kind} of at least {least}") from None
    if number < least or (odd and number % 2 == 0):
        raise InputError(argument, number, f"{kind} of at least {least}")
    largest = LARGEST.get(argument, MOST) if most is None else most
    if number > largest:
        raise InputError(argument, number, f"{kind} from {least} to {largest}")
    return number


def check_counts(**counts: object) -> list[int]:
    """Return counts as whole numbers of at least 1.

    Args:
        **counts: by the name of the argument.

    Returns:
        The numbers, in order.

    Raises:
        InputError: naming the first that is none, or larger than its name allows.
    """
    return [whole(name, count, 1) for name, count in counts.items()]


def real(argument: str, value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a finite number within bounds, whichever library its type comes from.

    Args:
        argument: name of the argument, for the error.
        value: a Python, NumPy or one-element torch number; booleans and texts are none.
        least: smallest number accepted; −∞ for any.
        most: largest number accepted; ∞ for any.

    Returns:
        The number as a Python `float`.

    Raises:
        InputError: it is no finite number, or out of bounds.
    """
    accepted = "a finite number"
    if least > -math.inf and most < math.inf:
        accepted += f" from {least:g} to {most:g}"
    elif least > -math.inf:
        accepted += f" of at least {least:g}"
    elif most < math.inf:
        accepted += f" of at most {most:g}"
    logical = _is_logical(value)
    try:
        if logical or isinstance(value, str | bytes | complex):
            raise TypeError
        number = float(cast(SupportsFloat, value))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(argument, value, accepted) from None
    if not math.isfinite(number) or not least <= number <= most:
        raise InputError(argument, value, accepted)
    return number


def numbers(argument: str, text: str, low: float, high: float) -> list[float]:
    """Read numbers with commas between them.

    Args:
        argument: name of the option.
        text: what was given.
        low: the least that is accepted.
        high: the largest.

    Returns:
        The numbers, each once, as they were given.

    Raises:
        InputError: something is no number, or out of range.
    """
    accepted = f"numbers from {low:g} to {high:g} with commas between them"
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        raise InputError(argument, text, accepted) from None
    if not all(low <= value <= high for value in values):
        raise InputError(argument, text, accepted)
    return list(dict.fromkeys(values))

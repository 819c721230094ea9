"""The one form in which bad input is refused: argument, value, what is accepted."""

from __future__ import annotations

import math
import operator
from typing import SupportsFloat, cast

__all__ = ["InputError", "NumericalWarning", "real", "shorten", "whole"]

MOST = 2**31 - 1
"""Largest count that is accepted where no smaller bound applies."""


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
        because = f": {reason}" if reason else " is not accepted"
        super().__init__(
            " ".join(f"{argument}={shorten(value)}{because}. Accepted: {accepted}.".split())
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.argument, self.value, self.accepted, self.reason)


class NumericalWarning(UserWarning):
    """The result is defined, but fewer digits than usual can be trusted."""


def shorten(value: object, limit: int = 120) -> str:
    """Return `repr(value)`, or `str(value)` for paths, cut to `limit` characters."""
    text = str(value) if hasattr(value, "__fspath__") else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def whole(
    argument: str, value: object, least: int = 0, most: int = MOST, *, odd: bool = False
) -> int:
    """Return a whole number within bounds, whichever library its type comes from.

    Args:
        argument: name of the argument, for the error.
        value: a Python, NumPy or one-element torch integer; booleans are none.
        least: smallest number accepted.
        most: largest number accepted.
        odd: whether it must be odd.

    Returns:
        The number as a Python `int`.

    Raises:
        InputError: it is no whole number, or out of bounds.
    """
    kind = "an odd whole number" if odd else "a whole number"
    logical = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    try:
        if logical:
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise InputError(argument, value, f"{kind} of at least {least}") from None
    if number < least or (odd and number % 2 == 0):
        raise InputError(argument, number, f"{kind} of at least {least}")
    if number > most:
        raise InputError(argument, number, f"{kind} from {least} to {most}")
    return number


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
    logical = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    try:
        if logical or isinstance(value, str | bytes | complex):
            raise TypeError
        number = float(cast(SupportsFloat, value))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise InputError(argument, value, accepted) from None
    if not math.isfinite(number) or not least <= number <= most:
        raise InputError(argument, value, accepted)
    return number

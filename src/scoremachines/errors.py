"""The one form in which bad input is refused: argument, value, what is accepted."""

from __future__ import annotations

__all__ = ["InputError", "NumericalWarning", "shorten"]


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

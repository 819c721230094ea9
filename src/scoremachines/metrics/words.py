"""Shares explained in words (theory §6.4)."""

from __future__ import annotations

from scoremachines.errors import real

__all__ = ["share_words"]


def share_words(share: float) -> str:
    """Return a share explained in words: per cent, or that a plain colour would do better.

    Args:
        share: E or S of theory §6.4, at most 1; −∞ for an image without contrast.

    Returns:
        Such as `87.3 %`, or `worse than a plain colour`.

    Raises:
        InputError: it is no such number.
    """
    if isinstance(share, float) and share == float("-inf"):
        return "nothing: it has no contrast"
    share = real("share", share)
    return f"{100 * share:.1f} %" if share >= 0 else "worse than a plain colour"

"""Shares in words."""

from __future__ import annotations

from scoremachines.metrics.words import share_words


def test_shares_in_words() -> None:
    words = [share_words(share) for share in (1.0, 0.8731, 0.0, -12.49, float("-inf"))]
    assert words[:3] == ["100.0 %", "87.3 %", "0.0 %"]
    assert words[3] == "worse than a plain colour"
    assert words[4] == "nothing: it has no contrast"

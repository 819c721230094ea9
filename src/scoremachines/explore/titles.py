"""What machines are called on the page."""

from __future__ import annotations

from scoremachines.names import title_of as title_of

__all__ = ["title_of"]

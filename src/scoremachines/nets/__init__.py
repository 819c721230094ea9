"""Networks that the theory is about: local trunks with attention on top (theory §5)."""

from __future__ import annotations

from scoremachines.nets.network import Network as Network
from scoremachines.nets.settings import NetworkSettings as NetworkSettings

__all__ = ["Network", "NetworkSettings"]

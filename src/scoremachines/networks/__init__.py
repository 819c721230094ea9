"""Networks that the theory is about: local trunks with attention on top (theory §5).

Names are imported when they are first used, so that settings can be read without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scoremachines.networks.settings import NetworkSettings as NetworkSettings

if TYPE_CHECKING:
    from scoremachines.networks.network import Network as Network

__all__ = ["Network", "NetworkSettings"]


def __getattr__(name: str) -> object:
    if name == "Network":
        return import_module("scoremachines.networks.network").Network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Training sets: where images come from, and the crafted sets with their judge (theory §1, §6).

Names are imported when they are first used, so that the settings of the crafted sets can be read
without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoremachines.data.open import open_source
    from scoremachines.data.training_set import TrainingSet

__all__ = ["TrainingSet", "open_source"]


def __getattr__(name: str) -> object:
    if name == "TrainingSet":
        return import_module("scoremachines.data.training_set").TrainingSet
    if name == "open_source":
        return import_module("scoremachines.data.open").open_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

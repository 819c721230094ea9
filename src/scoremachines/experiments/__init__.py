"""Experiments: trained networks beside the machines that should predict them (theory §6).

Names are imported when they are first used, so that settings can be read without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scoremachines.experiments.settings import ConsistencySettings as ConsistencySettings

if TYPE_CHECKING:
    from scoremachines.experiments.comparison import Comparison as Comparison
    from scoremachines.experiments.comparison import Row as Row
    from scoremachines.experiments.comparison import compare as compare
    from scoremachines.experiments.in_folder.attribute import (
        attribute_in_folder as attribute_in_folder,
    )
    from scoremachines.experiments.in_folder.calibrate import (
        calibrate_in_folder as calibrate_in_folder,
    )
    from scoremachines.experiments.in_folder.compare import compare_in_folder as compare_in_folder
    from scoremachines.experiments.in_folder.demo import demo_in_folder as demo_in_folder
    from scoremachines.experiments.in_folder.generate import (
        generate_in_folder as generate_in_folder,
    )
    from scoremachines.experiments.machines import make_machines as make_machines
    from scoremachines.experiments.machines import network_strength as network_strength
    from scoremachines.experiments.machines import network_window as network_window
    from scoremachines.experiments.results import Findings as Findings

_HOMES = {
    "Comparison": "comparison",
    "Findings": "results",
    "Row": "comparison",
    "attribute_in_folder": "in_folder.attribute",
    "calibrate_in_folder": "in_folder.calibrate",
    "compare": "comparison",
    "compare_in_folder": "in_folder.compare",
    "demo_in_folder": "in_folder.demo",
    "generate_in_folder": "in_folder.generate",
    "make_machines": "machines",
    "network_strength": "machines",
    "network_window": "machines",
}

__all__ = [*_HOMES, "ConsistencySettings"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

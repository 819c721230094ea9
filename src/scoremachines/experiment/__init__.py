"""Experiments: trained networks beside the machines that should predict them (theory §6)."""

from __future__ import annotations

from scoremachines.experiment.comparison import Comparison as Comparison
from scoremachines.experiment.comparison import Row as Row
from scoremachines.experiment.comparison import compare as compare
from scoremachines.experiment.machines import make_machines as make_machines
from scoremachines.experiment.machines import network_window as network_window

__all__ = ["Comparison", "Row", "compare", "make_machines", "network_window"]

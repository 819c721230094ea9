"""What networks are called and coloured, and which one a machine is the theory of.

Machines keep the names by which `scoremachines compare` knows them.
"""

from __future__ import annotations

import re

from scoremachines.experiment.networks import LONG, TRAININGS
from scoremachines.experiment.plan import OWN

__all__ = ["colour", "label", "network_of", "short"]

LABELS = {
    "cnn": "CNN only",
    "circular": "CNN, circular",
    "top1": "top-1",
    "multiscale": "multi-scale",
}
COLOURS = {
    "cnn": "#333333",
    "circular": "#7a7a7a",
    "identity": "#b87800",
    "top1": "#2f9fdc",
    "soft": "#d55e00",
    "multiscale": "#00855f",
}
"""After Okabe and Ito's palette, which the colour-blind can tell apart; darker, to be seen on
white. A machine has the colour of its network."""
OTHER = "#b0508a"
"""Colour of what belongs to no network."""
CIRCULAR = ("inside", "wrapped")
"""Sources of the machines without attention of a network with circular padding."""


def label(network: str) -> str:
    """Return what a network is called in figures and text, given its role."""
    base = network.removesuffix(LONG)
    return LABELS.get(base, base) + (", longer" if base != network else "")


def network_of(machine: str) -> str | None:
    """Return the role of the network that a machine is the theory of.

    Those that use a network's own maps name it in parentheses; the others are of the network whose
    final layer their attention stands for, and the machine without attention is of the CNN.

    Args:
        machine: its name, such as `none`, `tiled-class` or `measured (soft)`.

    Returns:
        The role; None for machines that no network stands for, such as `full`.
    """
    match = re.fullmatch(r"(.+) \((.+)\)", machine)
    if match is not None:
        return "circular" if match[2] in CIRCULAR else match[2]
    if machine == "none":
        return "cnn"
    attention = machine.removesuffix("-class").removesuffix("-agreed")
    return next((role for role, own in OWN.items() if own == attention), None)


def short(machine: str) -> str:
    """Return a machine's name without that of its network, beside which it stands."""
    role = re.search(r" \((.+)\)$", machine)
    return machine[: role.start()] if role and role[1] in TRAININGS else machine


def colour(model: str) -> str:
    """Return the colour of a network, by its role, or of a machine, by its name.

    A word that is both, such as `identity`, has the same colour as either.
    """
    base = model.removesuffix(LONG)
    return COLOURS.get(base) or COLOURS.get((network_of(model) or "").removesuffix(LONG), OTHER)

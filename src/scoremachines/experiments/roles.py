"""Models of the experiment as data: networks by their shape, machines by what they model.

Names of folders, titles and colours are made from these objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from scoremachines.networks.settings import NetworkSettings
from scoremachines.theory.specs.attention import AttentionSpec
from scoremachines.theory.specs.machine import MachineSpec

__all__ = ["Candidate", "Role", "colour"]

TITLES = {"none": "CNN only", "top1": "top-1", "multiscale": "multi-scale"}
OWN = {"identity": "identity", "top1": "top1", "soft": "tiled", "multiscale": "multiscale"}
"""The closed-form attention that models each head."""
COLOURS = {
    "none": "#333333",
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


@dataclass(frozen=True)
class Role:
    """A network of the experiment.

    Args:
        head: its final layer, a key of `scoremachines.networks.settings.HEADS`.
        circular: whether its convolutions have circular padding, not zeros.
        longer: whether it is trained 2.5 times longer.
        data: name of its training set; empty for the crafted set.
    """

    head: str = "none"
    circular: bool = False
    longer: bool = False
    data: str = ""

    @property
    def folder(self) -> str:
        """Name of its folder, but for the training set and the seed."""
        base = "cnn" if self.head == "none" else self.head
        if self.circular:
            base = "circular" if self.head == "none" else f"{base}-circular"
        return base + ("-long" if self.longer else "")

    @property
    def title(self) -> str:
        """What figures and text call it."""
        title = TITLES.get(self.head, self.head)
        if self.circular:
            title = "CNN, circular" if self.head == "none" else f"{title}, circular"
        return title + (", longer" if self.longer else "") + self._of_data

    def __str__(self) -> str:
        return self.folder + self._of_data

    @property
    def _of_data(self) -> str:
        return f" ({self.data})" if self.data else ""

    @property
    def network(self) -> NetworkSettings:
        """Its shape."""
        padding = "circular" if self.circular else "zeros"
        return NetworkSettings(attention=self.head, padding=padding)

    @property
    def own(self) -> AttentionSpec | None:
        """The closed-form attention that models its head; None without attention."""
        return AttentionSpec(OWN[self.head]) if self.head in OWN else None

    @property
    def usual(self) -> Role:
        """The same network, trained for as long as the others."""
        return replace(self, longer=False)


@dataclass(frozen=True)
class Candidate:
    """A machine of the experiment.

    Args:
        machine: the machine.
        maps_of: the network whose attention maps it uses.
        sources: where they are not those of zero padding.
    """

    machine: MachineSpec
    maps_of: Role | None = None
    sources: str | None = None

    @classmethod
    def of(cls, name: str, maps_of: Role | None = None, sources: str | None = None) -> Candidate:
        """Return a candidate, its machine by name."""
        return cls(MachineSpec.parse(name), maps_of, sources)

    @property
    def name(self) -> str:
        """What figures call it under the name of its network."""
        return str(self.machine) if self.sources is None else f"{self.machine} ({self.sources})"

    @property
    def title(self) -> str:
        """What figures and text call it by itself."""
        return self.name if self.maps_of is None else f"{self.name} ({self.maps_of})"

    def __str__(self) -> str:
        return self.title

    @property
    def models(self) -> Role | None:
        """The network that it models; None for machines that no network stands for, as `full`.

        Maps of a network model that network, every other attention the network with its head, and
        the machine without attention the CNN.
        """
        if self.maps_of is not None:
            return self.maps_of
        if self.machine == MachineSpec():
            return Role(circular=self.sources in ("valid", "circular"))
        if self.machine.name is not None:
            return None
        plain = self.machine.attention.plain
        return next((Role(head) for head, own in OWN.items() if AttentionSpec(own) == plain), None)


def colour(model: Role | Candidate) -> str:
    """Return the colour of a network, or of a machine: that of the network which it models."""
    role = model if isinstance(model, Role) else model.models
    if role is None:
        return OTHER
    return COLOURS["circular"] if role.circular and role.head == "none" else COLOURS[role.head]

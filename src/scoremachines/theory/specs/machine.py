"""Machines that a network can be compared with, as data."""

from __future__ import annotations

from dataclasses import dataclass

from scoremachines.errors import InputError
from scoremachines.io.plugins import DENOISERS, names
from scoremachines.theory.specs.attention import (
    MATRIX,
    AttentionSpec,
    attention_names,
    maps_names,
    read_name,
)
from scoremachines.theory.specs.width import Smoothness, parse_smooth, smooth_text

__all__ = [
    "CENTRE",
    "COMPOSED",
    "KG_MACHINES",
    "TITLES",
    "WIENER",
    "MachineSpec",
    "denoiser_names",
    "kg_machine",
    "machine_names",
    "painter",
    "title_of",
]

KG_MACHINES = {
    "ideal": "aligned",
    "equivariant": "circular",
    "local": "aligned",
    "els": "valid",
    "bbels": "boundary",
}
"""KG's machines with their sources; the first two see the whole image, the others a window."""
WHOLE_IMAGE = ("ideal", "equivariant")
CENTRE, COMPOSED = "centre", "composed"
"""What a window answers with (theory §2.10)."""
WIENER, NETWORK = "wiener", "network"
PLAIN = AttentionSpec()
WIDTH, TITLED = ":smooth=", ", h = "
"""What stands before a width in a machine's name, and in its title."""
TITLES = {
    "ideal": "Ideal score (IS)",
    "equivariant": "Equivariant score (ES)",
    "local": "Local score (LS)",
    "els": "Equivariant local score (ELS)",
    "bbels": "Boundary-broken ELS",
    WIENER: "Wiener filter",
    "pca-locality": "PCA-locality",
    "pspc": "Composed patches (PSPC)",
    "smoothed": "Smoothed ideal score",
    "gold": "PCA-locality of near images (GoldDiff)",
}
SYNONYMS = {
    "is": "ideal",
    "es": "equivariant",
    "ls": "local",
    "ideal score": "ideal",
    "equivariant score": "equivariant",
    "local score": "local",
    "equivariant local score": "els",
}
"""Other names, in small letters, under which documents and pages know machines."""


@dataclass(frozen=True)
class MachineSpec:
    """A machine that a network can be compared with.

    Score machines are `x̂0(u) = Σ_i w_u(i) m_u(i)`: KG's with `Π = 0`, the others with
    `Π_u(i) = Σ_{y≠u} A_uy E_y(i)` (theory §2, §4).

    Args:
        name: a key of `TITLES`; None for the machine with the sources of the
            network's own padding, and an attention.
        attention: of that machine.
        smooth: h or h(t), the width of a score machine's sources (theory §2.9).
        response: `"centre"`, or `"composed"` of overlapping patches (theory §2.10).

    Raises:
        InputError: there is no such machine, a named one is given an attention, or one that is no
            score machine a width.
    """

    name: str | None = None
    attention: AttentionSpec = PLAIN
    smooth: Smoothness = 0.0
    response: str = CENTRE

    def __post_init__(self) -> None:
        object.__setattr__(self, "smooth", parse_smooth(self.smooth))
        if self.name is not None and self.name not in _titles():
            raise InputError("machine", self.name, ", ".join(_titles()))
        if self.name is not None and self.attention != PLAIN:
            raise InputError("attention", str(self.attention), f"none, of {self.name}")
        if self.is_denoiser and self.smooth != 0:
            raise InputError("smooth", smooth_text(self.smooth), f"0, of {self.name}")
        if self.response != CENTRE and (self.is_denoiser or self.response != COMPOSED):
            accepted = CENTRE if self.is_denoiser else f"{CENTRE}, {COMPOSED}"
            raise InputError("response", self.response, accepted)

    @classmethod
    def parse(cls, text: str | MachineSpec | AttentionSpec) -> MachineSpec:
        """Return the machine that a text stands for.

        Args:
            text: a name or title of a machine or an attention, perhaps with a width, as
                `none:smooth=0.5` `els:smooth=0:0.9,1:0.3` or
                `local:composed:smooth=0.8`; or a spec.

        Returns:
            The machine.

        Raises:
            InputError: it stands for none.
        """
        if isinstance(text, MachineSpec):
            return text
        if isinstance(text, AttentionSpec):
            return cls(attention=text)
        if isinstance(text, str):
            short, smooth, response = _divided(text)
            name = read_name(short, _titles(), SYNONYMS)
            if name is not None:
                return cls(name, smooth=smooth, response=response)
            attention = AttentionSpec.read(short)
            if attention is not None and attention.map != MATRIX:
                return cls(attention=attention, smooth=smooth, response=response)
        accepted = f"{', '.join(machine_names())}; with an attention also its gain: measured:1.3"
        raise InputError("machine", text, accepted)

    def __str__(self) -> str:
        width = f"{WIDTH}{smooth_text(self.smooth)}" if self.smooth != 0 else ""
        response = f":{COMPOSED}" if self.response == COMPOSED else ""
        return (self.name or str(self.attention)) + response + width

    @property
    def title(self) -> str:
        """What pages call it."""
        title = _titles()[self.name] if self.name is not None else self.attention.title
        title += f", {COMPOSED}" if self.response == COMPOSED else ""
        return title + (f"{TITLED}{smooth_text(self.smooth)}" if self.smooth != 0 else "")

    @property
    def sees_whole_image(self) -> bool:
        """Whether it has no window."""
        return self.name in WHOLE_IMAGE

    @property
    def has_window(self) -> bool:
        """Whether it has one."""
        return not self.sees_whole_image and (not self.is_denoiser or self.name == "pspc")

    @property
    def sources(self) -> str:
        """V(u) of a machine of Kamb & Ganguli (theory §2.2)."""
        return KG_MACHINES[self.name or "els"]

    @property
    def is_denoiser(self) -> bool:
        """Whether it is a denoiser of another kind than a score machine."""
        return self.name is not None and self.name not in KG_MACHINES

    @property
    def is_baseline(self) -> bool:
        """Whether it is one of those that every network is compared with."""
        return self.name == "ideal" or self.is_denoiser

    @property
    def without_attention(self) -> bool:
        """Whether it has a window and no attention, so that others' lead is measured from it."""
        return self.name in ("bbels", "els", "local") or self == MachineSpec()


def denoiser_names() -> list[str]:
    """Return the names of denoisers that are no score machines, of other packages too."""
    return [name for name in _titles() if name not in KG_MACHINES]


def painter(name: str | MachineSpec) -> MachineSpec:
    """Return what can paint images by itself: a machine of Kamb & Ganguli, or a denoiser.

    Args:
        name: its name, or a spec.

    Returns:
        The machine.

    Raises:
        InputError: it is none of them.
    """
    return _named(name, _titles())


def _named(name: str | MachineSpec, titles: dict[str, str]) -> MachineSpec:
    """Return one of some named machines, perhaps with a width."""
    if isinstance(name, MachineSpec) and name.name in titles:
        return name
    short, smooth, response = _divided(name) if isinstance(name, str) else ("", 0.0, CENTRE)
    known = read_name(short, titles, SYNONYMS)
    if known is None:
        given = str(name) if isinstance(name, MachineSpec) else name
        raise InputError("machine", given, ", ".join(titles))
    return MachineSpec(known, smooth=smooth, response=response)


def _divided(text: str) -> tuple[str, Smoothness, str]:
    """Return what stands before response and width, the width, and the response."""
    smooth: Smoothness = 0.0
    for each in (WIDTH, TITLED):
        short, mark, after = text.partition(each)
        if mark:
            text, smooth = short, parse_smooth(after.strip())
            break
    for each in (f":{COMPOSED}", f", {COMPOSED}"):
        short, mark, after = text.partition(each)
        if mark and not after:
            return short, smooth, COMPOSED
    return text, smooth, CENTRE


def _titles() -> dict[str, str]:
    """Return the titles of named machines, those of other packages at the end."""
    others = {name: f"{name[0].upper()}{name[1:]}" for name in names(DENOISERS)}
    return TITLES | {name: title for name, title in others.items() if name not in TITLES}


def kg_machine(name: str | MachineSpec) -> MachineSpec:
    """Return a machine of Kamb & Ganguli.

    Its posterior is `x̂0(u) = Σ_{i,v} softmax_{i,v}(ℓ_u(i,v)) x_i(v)`, `v ∈ V(u)` (theory §3).

    Args:
        name: its name, or a spec.

    Returns:
        The machine.

    Raises:
        InputError: it is none of them.
    """
    return _named(name, {each: TITLES[each] for each in KG_MACHINES})


def machine_names() -> list[str]:
    """Return the names of everything that a network can be compared with."""
    return [*_titles(), *attention_names(), *maps_names()]


def title_of(name: str) -> str:
    """Return the title of a machine, of an attention, or of the network, given its name."""
    return "The trained network" if name == NETWORK else MachineSpec.parse(name).title

"""Names of machines and attentions: one list for every command, page and document.

In plain Python, so that `--help` is instant.
"""

from __future__ import annotations

import re

__all__ = [
    "ATTENTION_NAMES",
    "ENDINGS",
    "MACHINES",
    "MAPS",
    "OWN_MAPS",
    "TITLES",
    "attention_names",
    "known_name",
    "machine_names",
    "title_of",
]

MACHINES = {
    "ideal": "same",
    "equivariant": "wrapped",
    "local": "same",
    "els": "inside",
    "bbels": "broken",
}
"""KG's machines with their sources; the first two see the whole image, the others a window."""
ATTENTION_NAMES = ("none", "identity", "top1", "tiled", "full", "multiscale")
ENDINGS = ("-class", "-agreed")
"""What follows the name of an attention whose evidence is about classes, or agrees on one."""
OWN_MAPS = "measured"
MAPS = (OWN_MAPS, *(OWN_MAPS + ending for ending in ENDINGS))
"""Attentions with the maps of a network."""
TITLES = {
    "none": "No attention",
    "identity": "Identity attention",
    "top1": "Top-1 attention",
    "tiled": "Tiled attention",
    "full": "Full attention",
    "multiscale": "Multi-scale attention",
    "measured": "The network's own attention",
    "ideal": "Ideal score (IS)",
    "equivariant": "Equivariant score (ES)",
    "local": "Local score (LS)",
    "els": "Equivariant local score (ELS)",
    "bbels": "Boundary-broken ELS",
    "wiener": "Wiener filter",
    "network": "The trained network",
}
OTHERS = {
    "is": "ideal",
    "es": "equivariant",
    "ls": "local",
    "ideal score": "ideal",
    "equivariant score": "equivariant",
    "local score": "local",
    "equivariant local score": "els",
    "top-1": "top1",
    "multi-scale": "multiscale",
}
"""Other names, in small letters, under which documents and pages know them."""


def attention_names() -> list[str]:
    """Return the names of the attentions that need no network."""
    told = [name for name in ATTENTION_NAMES if name != "none"]
    return [*ATTENTION_NAMES, *(name + ending for ending in ENDINGS for name in told)]


def machine_names() -> list[str]:
    """Return the names of everything that a network can be compared with."""
    return [*MACHINES, "wiener", *attention_names(), *MAPS]


def title_of(name: str) -> str:
    """Return the title of a machine, of an attention, or of the network.

    Args:
        name: as the command line writes it; an attention may have an ending and a strength.

    Returns:
        The title; the name itself where there is none.
    """
    kind, _, strength = name.partition(":")
    title = TITLES.get(kind.removesuffix(ENDINGS[0]), kind)
    title += ", told of classes" if kind.endswith(ENDINGS[0]) else ""
    return f"{title} × {strength}" if strength else title


def known_name(text: str) -> str:
    """Return the name that commands use for a machine or an attention, however it is written.

    Capitals, abbreviations (`LS`), hyphens (`top-1`) and titles of pages are understood, and
    a network in parentheses, as in `measured (soft)`, is left out.

    Args:
        text: a name, with or without a strength such as `:1.3`.

    Returns:
        The name, with its strength; an unknown one as it is.
    """
    if not isinstance(text, str):
        return text
    kind, colon, strength = re.sub(r"\s*×\s*", ":", text.strip()).partition(":")
    kind = kind.strip().lower()
    titles = {title_of(name).lower(): name for name in machine_names()}
    kind = titles.get(kind, kind)
    for ending in ("", *ENDINGS):
        base = kind.removesuffix(ending)
        name = OTHERS.get(base, base) + (ending if base != kind or not ending else "")
        if name in machine_names():
            return name + colon + strength
    inner = re.fullmatch(r"(.+?) \([\w-]+\)", kind)
    return known_name(inner[1] + colon + strength) if inner is not None else text

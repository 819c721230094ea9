"""What machines are called on the page."""

from __future__ import annotations

from scoremachines.attention.shared import BY_CLASS

__all__ = ["title_of"]

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


def title_of(name: str) -> str:
    """Return the title of a machine, of an attention, or of the network.

    Args:
        name: as the command line writes it; an attention may have an ending and a strength.

    Returns:
        The title; the name itself where there is none.
    """
    kind, _, strength = name.partition(":")
    title = TITLES.get(kind.removesuffix(BY_CLASS), kind)
    title += ", told of classes" if kind.endswith(BY_CLASS) else ""
    return f"{title} × {strength}" if strength else title

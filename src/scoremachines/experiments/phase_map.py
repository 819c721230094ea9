"""What patches know of their training images, by time, window and number (theory §6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

__all__ = ["ALL", "Cell", "Series", "edge_table", "edges", "groups_of", "of_group"]

ALL = "all"
"""Name of the group of all images."""


@dataclass(frozen=True)
class Cell:
    """Means over noised training images and places.

        I = log N − H(softmax_i E_u(i))     Λ = E_u(j) − log mean_{i≠j} exp E_u(i)

    Args:
        group: the class, or `ALL`.
        images: N.
        time: t.
        window: k, pixels.
        information: I, nats.
        gap: Λ, nats.
        weight: of the image itself, `w_u(j) = softmax_i E_u(i)`, in [0, 1].
        error: standard error of that, over the noised images.
    """

    group: str
    images: int
    time: float
    window: int
    information: float
    gap: float
    weight: float
    error: float

    @property
    def remembered(self) -> bool:
        """Whether a patch knows its image from all others, `Λ > log(N−1)`."""
        return self.gap > log(self.images - 1)

    @property
    def shared(self) -> bool:
        """Whether it knows at most half of what there is to know, `I ≤ ½ log N`."""
        return self.information <= log(self.images) / 2 + 1e-9


Series = list[Cell]


def groups_of(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    """Return the groups that were looked at, with their numbers of images."""
    return list(dict.fromkeys((each.group, each.images) for each in cells))


def of_group(cells: Sequence[Cell], group: str, images: int) -> Series:
    """Return the cells of one group and number."""
    return [each for each in cells if (each.group, each.images) == (group, images)]


def edges(cells: Sequence[Cell], *, half: bool = False) -> dict[float, int]:
    """Return the largest window that does not recite, `k(t) = max{k : Λ_k(t) ≤ log(N−1)}`.

    Args:
        cells: of one training set.
        half: by `I_k(t) ≤ ½ log N` in its place (theory §3, Prediction).

    Returns:
        By time; the smallest window where there is none.
    """
    found = {}
    for time in dict.fromkeys(each.time for each in cells):
        row = [each for each in cells if each.time == time]
        inside = [each.window for each in row if (each.shared if half else not each.remembered)]
        found[time] = max(inside, default=min(each.window for each in row))
    return found


def edge_table(cells: Sequence[Cell]) -> str:
    """Return the edges as a table, with those of `I = ½ log N` in brackets, a row for each set."""
    times = sorted({each.time for each in cells})
    lines = ["| N | " + " | ".join(f"t = {time:.3g}" for time in times) + " |"]
    lines.append("|---" * (len(times) + 1) + "|")
    for group, images in groups_of(cells):
        own = of_group(cells, group, images)
        edge, half = edges(own), edges(own, half=True)
        name = f"{images:,}" if group == ALL else f"{images:,}, class {group}"
        row = [f"{edge[time]} ({half[time]})" for time in times]
        lines.append(f"| {name} | {' | '.join(row)} |")
    return "\n".join(lines)

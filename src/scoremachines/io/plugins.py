"""What other packages bring along: attentions, denoisers, engines and readers, by entry points.

    [project.entry-points."scoremachines.attentions"]
    nearest = "my_package.nearest:Nearest"

Names are known without importing anything; an object is imported when it is first wanted.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from scoremachines.errors import InputError

__all__ = ["ATTENTIONS", "DENOISERS", "ENGINES", "READERS", "names", "plugin"]

ATTENTIONS, DENOISERS = "scoremachines.attentions", "scoremachines.denoisers"
ENGINES, READERS = "scoremachines.engines", "scoremachines.readers"
"""Groups of entry points."""


def names(group: str) -> list[str]:
    """Return the names of what other packages bring along.

    Args:
        group: of entry points.

    Returns:
        Names in the order of the alphabet.
    """
    return sorted(_points(group))


def plugin(group: str, name: str) -> Any:
    """Return the object that another package brings along.

    Args:
        group: of entry points.
        name: one of `names(group)`.

    Returns:
        The object.

    Raises:
        InputError: there is none of that name, or it cannot be imported.
    """
    points = _points(group)
    if name not in points:
        raise InputError(group, name, ", ".join(sorted(points)) or "no name: no package has any")
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        accepted = "an object that can be imported"
        raise InputError(group, points[name].value, accepted, str(error)) from error


@cache
def _points(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group)}

"""What a run lists in a sealed file entry by entry, so that it can go on where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scoremachines.errors import InputError
from scoremachines.io.sealed import LEFT, kept, read_json

__all__ = ["kept_list"]


def kept_list(path: Path, known: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the entries that an earlier run has listed in a file of `write_json`.

    Args:
        path: the file.
        known: what the run was begun with, as it stands in the file.
        name: of the list.

    Returns:
        The entries; none if the file is missing or damaged.

    Raises:
        InputError: the run was begun with something else.
    """

    def read() -> dict[str, Any]:
        held = read_json(path)
        if not {*known, name} <= held.keys():
            raise InputError("output", path, LEFT, f"{name} are missing")
        return held

    held = kept(path, read)
    if held is None:
        return []
    if any(held[key] != value for key, value in known.items()):
        raise InputError("output", path, "the settings and images that it was begun with")
    return list(held[name])

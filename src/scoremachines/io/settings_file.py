"""Settings files: YAML of bounded size and depth, without aliases, so that it is read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from scoremachines.errors import InputError
from scoremachines.io.files import exists, is_file, reading

__all__ = ["BoundsError", "check_yaml", "read_settings_file"]

MOST, DEEPEST = 2**16, 16
"""Bytes of a settings file, and levels of its nesting; ours have 2,000 bytes and 2 levels."""
ACCEPTED = "a settings file: YAML with the names of options"


class BoundsError(yaml.YAMLError):
    """YAML that is larger, deeper or more entangled than settings are."""


def read_settings_file(
    argument: str, path: str | Path, accepted: str = ACCEPTED
) -> dict[str, Any]:
    """Read a settings file.

    Args:
        argument: name of the argument that led to the file.
        path: the file.
        accepted: what would be accepted instead.

    Returns:
        Settings by name.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    if not is_file(argument, path):
        reason = "it is no file" if exists(argument, path) else "there is no such file"
        raise InputError(argument, path, accepted, reason)
    with reading(argument, path, accepted):
        with Path(path).open("rb") as file:
            content = file.read(MOST + 1)
        text = content.decode("utf-8")
        check_yaml(text)
        values = yaml.safe_load(text)
        if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
            raise ValueError("it does not hold names and values")
    return values


def check_yaml(text: str) -> None:
    """Refuse YAML that is large, deep or has aliases, before anything is built from it.

    Args:
        text: the YAML.

    Raises:
        BoundsError: it is out of these bounds.
        yaml.YAMLError: it is no YAML.
    """
    if len(text) > MOST:
        raise BoundsError(f"it is larger than {MOST} bytes")
    depth, anchors = 0, 0
    for event in yaml.parse(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            if anchors:
                raise BoundsError("it has aliases")
        elif isinstance(event, yaml.NodeEvent):
            anchors += event.anchor is not None
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BoundsError(f"it is nested deeper than {DEEPEST} levels")

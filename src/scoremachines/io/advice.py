"""Advice in error messages, spelled for Python and for the command line."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

__all__ = ["Advice", "option_name"]

OPTIONS = {"label": "class"}
"""Settings whose option has another name, for `class` is a word of Python's own."""


class Advice(str):
    """What would be accepted, as a text that names settings the way Python writes them.

    `Advice("{} if 0 is black", ("limits", (0, 1)))` is the text "limits=(0, 1) if 0 is black", and
    `for_options(["limits"])` makes "--limits=0,1 if 0 is black" of it.

    Args:
        text: the phrase, with `{}` for each setting.
        *settings: name and value of each setting, in order.
    """

    text: str
    settings: tuple[tuple[str, Any], ...]

    def __new__(cls, text: str, *settings: tuple[str, Any]) -> Advice:
        self = super().__new__(cls, text.format(*(f"{name}={v!r}" for name, v in settings)))
        self.text, self.settings = text, settings
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.text, *self.settings

    def for_options(self, options: Collection[str]) -> str:
        """Return the text as a command line that has these options needs it.

        Args:
            options: names of options, with `_` between words.

        Returns:
            The text, in which each setting that is an option is spelled as one.
        """
        return self.text.format(
            *(
                f"--{name.replace('_', '-')}={_words(name, value)}"
                if name in options
                else f"{name}={value!r}"
                for name, value in self.settings
            )
        )


def option_name(setting: str) -> str:
    """Return what the command line and settings files call a setting.

    Args:
        setting: its name in Python.

    Returns:
        The same, or another name.
    """
    return OPTIONS.get(setting, setting)


def _words(name: str, value: Any) -> str:
    """Return a value as a word of the command line: (0, 1) is 0,1, and no window is the image."""
    if name == "window" and value is None:
        return "image"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

"""`--config`: a settings file checked before its values are taken for options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from jsonargparse import ActionConfigFile

from scoremachines.errors import InputError
from scoremachines.io.settings_file import BoundsError, check_yaml, read_settings_file

__all__ = ["ConfigFile", "check_words"]


class ConfigFile(ActionConfigFile):
    """The option `--config`, which takes a file within bounds only."""

    def __call__(
        self, parser: Any, cfg: Any, values: Any, option_string: str | None = None
    ) -> None:
        """Read a settings file.

        Args:
            parser: of the command.
            cfg: where the settings go.
            values: the file.
            option_string: the option's name.

        Raises:
            InputError: it is no settings file.
        """
        read_settings_file("config", values)
        super().__call__(parser, cfg, values, option_string)


def check_words(arguments: Sequence[str]) -> None:
    """Refuse words of a command line that take for ever to be read as YAML, which values are.

    Args:
        arguments: the words.

    Raises:
        InputError: one is large, deep or has aliases.
    """
    for word in arguments:
        try:
            check_yaml(word.partition("=")[2] if word.startswith("--") else word)
        except BoundsError as error:
            raise InputError("value", word, "a value of an option", str(error)) from None
        except (yaml.YAMLError, ValueError):
            continue  # any text may be a value

"""`scoremachines`: the command and its sub-commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from scoremachines.cli.settings import GenerateSettings, field_help
from scoremachines.data.shapes_config import ShapesConfig
from scoremachines.errors import InputError

__all__ = ["main"]

DESCRIPTION = """New images from a training set, in closed form, and where every pixel came from.

examples:
  scoremachines generate pictures/ --size 32 --attention full -o out
  scoremachines generate shapes --window 9 --attention tiled -n 32 -o out
  scoremachines demo -o demo
"""
GENERATE = """Paint new images from a folder of images, or from a set by name.

examples:
  scoremachines generate pictures/ --size 32 -n 16 --attention full -o out
  scoremachines generate digits --window 5 --class 3 -o threes
  scoremachines generate photographs --size 16 --limit 256 --machine bbels -o out
  scoremachines generate shapes --shapes.shared shape --window 0:5,0.5:9,1:11 -o out
  scoremachines generate --config out/settings.yaml -o again     the same run again
  scoremachines generate digits --window 5 -o out --resume       go on after an interruption
"""
DEMO = """Paint digits, photographs and the crafted set, without and with attention.

Every machine of a section starts from the same noise. Takes a few minutes, needs no network, and
ends by naming the page that it wrote.

examples:
  scoremachines demo -o demo
  scoremachines demo -o demo --resume
"""


class Parser(ArgumentParser):
    """A parser whose complaints are one line each, like all others."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse the command line."""
        if isinstance(ex, InputError):
            raise ex
        raise _UsageError(" ".join(message.split()))


class _UsageError(Exception):
    """A command line that cannot be understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line; those of this process by default.

    Returns:
        0 if it did its work, 2 for bad input, 130 if it was interrupted.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except (InputError, _UsageError) as error:
        problem = str(error)
    except MemoryError:
        problem = "memory is used up. Accepted: a smaller --memory, --size or --limit."
    except KeyboardInterrupt:
        print("\nscoremachines: interrupted; --resume goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone; writing what is buffered would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    print(f"scoremachines: error: {problem}", file=sys.stderr)
    return 2


def _run(arguments: list[str]) -> int:
    parser = Parser(prog="scoremachines", description=DESCRIPTION, formatter_class=_layout())
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subcommands(required=False)
    commands.add_subcommand("generate", _generate_parser(), help="paint new images")
    commands.add_subcommand("demo", _demo_parser(), help="paint the examples, as one page")
    settings = parser.parse_args(arguments)
    if settings.subcommand is None:
        parser.print_help()
        return 0
    chosen = settings[settings.subcommand]
    if settings.subcommand == "demo":
        from scoremachines.cli.demo import demo

        demo(chosen.output, resume=chosen.resume)
    else:
        from scoremachines.cli.generate import generate

        generate(_read(chosen), chosen.output, resume=chosen.resume)
    return 0


def _layout() -> Any:
    from argparse import RawDescriptionHelpFormatter

    return RawDescriptionHelpFormatter


def _version() -> str:
    from scoremachines import __version__

    return f"scoremachines {__version__}"


def _demo_parser() -> Parser:
    parser = Parser(description=DEMO, formatter_class=_layout())
    parser.add_argument("-o", "--output", type=str, default="demo", help="folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    return parser


def _generate_parser() -> Parser:
    parser = Parser(description=GENERATE, formatter_class=_layout())
    parser.add_argument("--config", action="config", help="settings.yaml of a run")
    parser.add_argument("images", type=str | None, nargs="?", help="the source, in short")
    parser.add_argument("-o", "--output", type=str, default="out", help="folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    _add_fields(parser, GenerateSettings, "", skip=("shapes",))
    _add_fields(parser, ShapesConfig, "shapes.")
    return parser


def _add_fields(parser: Parser, settings: type, prefix: str, skip: tuple[str, ...] = ()) -> None:
    hints, texts = get_type_hints(settings), field_help(settings)
    for each in fields(settings):
        if each.name in skip:
            continue
        name = "class" if each.name == "label" else each.name
        flags = ["-n", "--n"] if prefix + name == "n" else [f"--{prefix}{name}"]
        default = None if each.default is MISSING else each.default
        parser.add_argument(*flags, type=hints[each.name], default=default, help=texts[each.name])


def _read(chosen: Namespace) -> GenerateSettings:
    """Return the settings that a command line and a settings file make together."""
    values = chosen.as_dict()
    values["label"] = values.pop("class")
    # A word of its own: a positional argument that is left out would hide the settings file's.
    values["source"] = values.pop("images") or values["source"]
    shapes = ShapesConfig(**values.pop("shapes"))
    known = {each.name for each in fields(GenerateSettings)}
    return GenerateSettings(
        **{name: value for name, value in values.items() if name in known}, shapes=shapes
    )


if __name__ == "__main__":
    sys.exit(main())

"""`scoremachines`: the command and its sub-commands."""

from __future__ import annotations

import os
import sys
import textwrap
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn, TypeVar, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from scoremachines.cli.config import ConfigFile, check_words
from scoremachines.cli.console import escape_unprintable, share_cores, sign_of_life, system_problem
from scoremachines.cli.descriptions import (
    CALIBRATE,
    COMPARE,
    CONSISTENCY,
    DEMO,
    DENOISE,
    DESCRIPTION,
    GENERATE,
    PHASE,
    TRAIN,
)
from scoremachines.cli.executor import add_executor, executor_options
from scoremachines.cli.looking import add_looking, run_looking
from scoremachines.cli.messages import messages_for
from scoremachines.cli.shard import run_shard, shard_parser
from scoremachines.data.executors.choice import executed_by
from scoremachines.data.settings import DataSettings
from scoremachines.errors import InputError, one_line
from scoremachines.experiments.bench.settings import BENCH, BENCH_FLAGS, BenchSettings
from scoremachines.experiments.measuring import DenoiseSettings, PhaseSettings
from scoremachines.experiments.run_settings import (
    CalibrateSettings,
    CompareSettings,
    GenerateSettings,
    field_help,
)
from scoremachines.experiments.settings import ConsistencySettings
from scoremachines.io.advice import option_name
from scoremachines.networks.training.settings import TrainSettings

__all__ = ["main"]


MACHINE = "its name, perhaps with a width: none:smooth=0.5; may be repeated"
NETWORK = "folder of a training or of a diffusers model or pipeline, or package.module:function"


class Layout(RawDescriptionHelpFormatter):
    """Help that does not cut names such as `tiled-consensus` at their hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class Parser(ArgumentParser):
    """A parser whose complaints are one line each, like all others."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse the command line."""
        if isinstance(ex, InputError):
            raise ex
        raise _UsageError(one_line(message, 1000))


class _UsageError(Exception):
    """A command line that cannot be understood."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: words of the command line; those of this process by default.

    Returns:
        0 if it did its work, 2 for bad input, 130 if it was interrupted.
    """
    share_cores()
    escape_unprintable()
    try:
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except (InputError, _UsageError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        print(
            "\nscoremachines: interrupted; --resume, where there is one, goes on", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone; writing what is buffered would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (OSError, MemoryError, RuntimeError) as error:
        refused = system_problem(error)
        if refused is None:
            raise
        problem = refused
    print(f"scoremachines: error: {problem}", file=sys.stderr)
    return 2


def _run(arguments: list[str]) -> int:
    parser = Parser(prog="scoremachines", description=DESCRIPTION, formatter_class=Layout)
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subcommands(required=False)
    generating = add_executor(_run_parser(GENERATE, GenerateSettings))
    commands.add_subcommand("generate", generating, help="paint new images")
    training = _run_parser(TRAIN, TrainSettings)
    commands.add_subcommand("train", training, help="train a network")
    commands.add_subcommand("compare", _compare_parser(), help="a network against machines")
    denoising = _run_parser(DENOISE, DenoiseSettings)
    denoising.add_argument("--machine", type=str, action="append", help=MACHINE)
    text = "machines against images that they have not seen"
    commands.add_subcommand("denoise", add_executor(denoising), help=text)
    phase = add_executor(_run_parser(PHASE, PhaseSettings))
    commands.add_subcommand("phase", phase, help="where a machine recites its training images")
    commands.add_subcommand("calibrate", _calibrate_parser(), help="find a network's k(t)")
    consistency = _settings_parser(CONSISTENCY, ConsistencySettings)
    commands.add_subcommand("consistency", consistency, help="the paper's experiment, as one page")
    benching = add_executor(_settings_parser(BENCH, BenchSettings))
    benching.add_argument("--data", type=str | None, help="the source, in short")
    for flag, text in BENCH_FLAGS.items():
        benching.add_argument(f"--{flag}", action="store_true", help=text)
    commands.add_subcommand("bench", benching, help="engines side by side")
    commands.add_subcommand("demo", _demo_parser(), help="paint the examples, as one page")
    sharding = shard_parser(lambda text: Parser(description=text, formatter_class=Layout))
    commands.add_subcommand("shard", sharding, help="write a training set of any size as shards")
    add_looking(commands, lambda text: Parser(description=text, formatter_class=Layout))
    check_words(arguments)
    settings = parser.parse_args(arguments)
    if settings.subcommand is None:
        parser.print_help()
        return 0
    chosen = settings[settings.subcommand]
    with (
        messages_for(chosen.as_dict()),
        sign_of_life(settings.subcommand),
        executed_by(*executor_options(chosen)),
    ):
        return _carry_out(settings.subcommand, chosen)


def _carry_out(command: str, chosen: Namespace) -> int:
    if run_looking(command, chosen):
        return 0
    if command == "shard":
        run_shard(chosen)
    elif command == "demo":
        from scoremachines.cli.demo import demo

        demo(chosen.output, resume=chosen.resume)
    elif command == "compare":
        from scoremachines.cli.compare import compare

        names, resume = chosen.machine or [], chosen.resume
        comparing = _read(chosen, CompareSettings)
        compare(comparing, chosen.network, names, chosen.output, resume=resume)
    elif command == "denoise":
        from scoremachines.cli.denoise import denoise

        asked = _read(chosen, DenoiseSettings)
        denoise(asked, chosen.machine or ["local"], chosen.output, resume=chosen.resume)
    elif command == "phase":
        from scoremachines.cli.phase import phase as phases

        phases(_read(chosen, PhaseSettings), chosen.output, resume=chosen.resume)
    elif command == "calibrate":
        from scoremachines.cli.calibrate import calibrate

        flags = {name: chosen[name] for name in ("predict", "strength", "output")}
        calibrate(chosen.run, _read(chosen, CalibrateSettings), **flags)
    elif command == "consistency":
        from scoremachines.cli.consistency import consistency as experiment

        experiment(_read(chosen, ConsistencySettings), chosen.output, resume=chosen.resume)
    elif command == "bench":
        from scoremachines.cli.bench import bench

        chosen.images = chosen.data
        flags = {name: chosen[name] for name in (*BENCH_FLAGS, "resume")}
        flags["executors"] |= chosen.executor != "none"
        bench(_read(chosen, BenchSettings), chosen.output, **flags)
    elif command == "train":
        from scoremachines.cli.train import train

        train(_read(chosen, TrainSettings), chosen.output, resume=chosen.resume)
    else:
        from scoremachines.cli.generate import generate

        generate(_read(chosen, GenerateSettings), chosen.output, resume=chosen.resume)
    return 0


def _version() -> str:
    from scoremachines import __version__

    return f"scoremachines {__version__}"


def _demo_parser() -> Parser:
    parser = Parser(description=DEMO, formatter_class=Layout)
    parser.add_argument("-o", "--output", type=str, default="demo", help="folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    return parser


def _compare_parser() -> Parser:
    parser = Parser(description=COMPARE, formatter_class=Layout)
    parser.add_argument("network", type=str, help=NETWORK)
    parser.add_argument("-o", "--output", type=str, default="out", help="folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    parser.add_argument(
        "--machine",
        type=str,
        action="append",
        help=MACHINE,
    )
    _add_fields(parser, CompareSettings(), "")
    return add_executor(parser)


def _calibrate_parser() -> Parser:
    parser = Parser(description=CALIBRATE, formatter_class=Layout)
    parser.add_argument("run", type=str, help=NETWORK)
    text = "folder to write to; by default beside the checkpoint"
    parser.add_argument("-o", "--output", type=str | None, default=None, help=text)
    text = "also predict k(t) from the images alone"
    parser.add_argument("--predict", action="store_true", help=text)
    text = "also calibrate the strength of its own attention maps, or of --attention"
    parser.add_argument("--strength", action="store_true", help=text)
    _add_fields(parser, CalibrateSettings(), "")
    return add_executor(parser)


def _run_parser(description: str, settings: type) -> Parser:
    parser = _settings_parser(description, settings)
    parser.add_argument("images", type=str | None, nargs="?", help="the source, in short")
    return parser


def _settings_parser(description: str, settings: type) -> Parser:
    parser = Parser(description=description, formatter_class=Layout)
    parser.add_argument("--config", action=ConfigFile, help="settings.yaml of a run")
    parser.add_argument("-o", "--output", type=str, default="out", help="folder to write to")
    parser.add_argument("--resume", action="store_true", help="go on where a run stopped")
    _add_fields(parser, settings(), "")
    return parser


def _add_fields(parser: Parser, usual: Any, prefix: str) -> None:
    """Add an option for each field of a dataclass's usual values."""
    settings = type(usual)
    hints, texts = get_type_hints(settings), field_help(settings)
    nested = [each.name for each in fields(settings) if is_dataclass(hints[each.name])]
    for each in fields(settings):
        if each.name in nested:
            continue
        name = option_name(each.name)
        flags = ["-n", "--n"] if prefix + name == "n" else [f"--{prefix}{name}"]
        if "_" in name and not prefix:
            flags.append(f"--{name.replace('_', '-')}")
        default = getattr(usual, each.name)
        parser.add_argument(*flags, type=hints[each.name], default=default, help=texts[each.name])
    for inner in nested:
        _add_fields(parser, getattr(usual, inner), f"{prefix}{inner}.")


AnySettings = TypeVar("AnySettings", bound=DataSettings)


def _read(chosen: Namespace, kind: type[AnySettings]) -> AnySettings:
    """Return the settings that a command line and a settings file make together."""
    values: dict[str, Any] = chosen.as_dict()
    hints: dict[str, Any] = get_type_hints(kind)
    # A word of its own: a positional argument that is left out would hide the settings file's.
    values["source"] = values.pop("images", None) or values["source"]
    values["label"] = values.pop("class", None)
    for name in [name for name, hint in hints.items() if is_dataclass(hint)]:
        if not isinstance(values[name], dict):
            raise InputError(name, values[name], "options by name")
        values[name] = hints[name](**values[name])
    return kind(**{each.name: values[each.name] for each in fields(kind)})


if __name__ == "__main__":
    sys.exit(main())

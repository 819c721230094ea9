"""Messages of a command besides its results: what the library logs, advice and warnings."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from scoremachines.cli.console import UsedUpError
from scoremachines.errors import InputError, out_of_memory
from scoremachines.io.advice import Advice, option_name

__all__ = ["messages_for"]


@contextmanager
def messages_for(options: Collection[str]) -> Iterator[None]:
    """Spell errors and warnings of the body for the command line.

    Args:
        options: the command's options, with `_` between words.

    Raises:
        InputError: in place of one that names settings as Python does.
        UsedUpError: in place of any that means that memory is used up.
    """
    usual, logger, handler = warnings.formatwarning, logging.getLogger("scoremachines"), _Printed()
    warnings.formatwarning = _one_line
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    except InputError as error:
        accepted, argument = error.accepted, option_name(error.argument)
        if isinstance(accepted, Advice):
            accepted = accepted.for_options(options)
        elif argument == error.argument:
            raise
        raise InputError(argument, error.value, accepted, error.reason) from error
    except (OSError, MemoryError, RuntimeError) as error:
        smaller = [f"--{name}" for name in ("memory", "size", "limit", "batch") if name in options]
        if not smaller or not out_of_memory(error):
            raise
        text = f"memory is used up. Accepted: a smaller {' or '.join(smaller)}."
        raise UsedUpError(text) from error
    finally:
        warnings.formatwarning = usual
        logger.removeHandler(handler)


class _Printed(logging.Handler):
    """Log records as lines; warnings on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        where = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        print(record.getMessage(), file=where, flush=True)


def _one_line(
    message: Warning | str, category: object, filename: str, lineno: int, line: str | None = None
) -> str:
    return f"scoremachines: note: {' '.join(str(message).split())}\n"

"""Options of commands that read training sets: what carries the passes out."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["add_executor", "executor_options"]

Parser = TypeVar("Parser", bound=Any)


def add_executor(parser: Parser) -> Parser:
    """Add the options to a parser.

    Args:
        parser: of a command.

    Returns:
        The parser.
    """
    text = (
        "what reads the training set: none (this process), processes, ray, "
        "or torch, where torchrun has begun the command on every rank"
    )
    parser.add_argument("--executor", type=str, default="none", help=text)
    text = "how many processes or Ray actors; by default one for each processor"
    parser.add_argument("--workers", type=int | None, default=None, help=text)
    text = "of a Ray cluster: auto, or its head's; by default one is begun here"
    parser.add_argument("--address", type=str | None, default=None, help=text)
    return parser


def executor_options(chosen: Any) -> tuple[str, int | None, str | None]:
    """Return the options of a command; of one that has none, those of no executor.

    Args:
        chosen: the options, parsed.

    Returns:
        Name, workers and address.
    """
    if "executor" not in chosen:
        return "none", None, None
    return chosen.executor, chosen.workers, chosen.address

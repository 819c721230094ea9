"""Executors by name, as the command line has them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scoremachines.errors import InputError

__all__ = ["EXECUTORS", "executed_by"]

EXECUTORS = ("none", "processes", "ray", "torch")


@contextmanager
def executed_by(
    name: str, workers: int | None = None, address: str | None = None
) -> Iterator[None]:
    """Let an executor carry out all passes over training sets in the body of a `with`.

    Of the processes that torchrun has begun, the first runs the body. The others serve it and end.

    Args:
        name: "none", "processes", "ray" or "torch".
        workers: how many processes or actors; by default one for each processor.
        address: of a Ray cluster: "auto", or that of its head.

    Yields:
        Nothing.

    Raises:
        InputError: there is no such executor, or an option is not one of its own.
    """
    if name not in EXECUTORS:
        raise InputError("executor", name, ", ".join(EXECUTORS))
    if address is not None and name != "ray":
        raise InputError("address", address, "executor ray", f"executor {name} has none")
    if workers is not None and name not in ("processes", "ray"):
        reason = f"the number of workers of executor {name} cannot be chosen"
        raise InputError("workers", workers, "executor processes or ray", reason)
    if name == "none":
        yield
        return
    from scoremachines.data.reduction import default_executor

    executor = _made(name, workers, address)
    if getattr(executor, "rank", 0):
        executor.serve()
        sys.exit(0)
    with executor, default_executor(executor):
        yield


def _made(name: str, workers: int | None, address: str | None) -> Any:
    if name == "processes":
        from scoremachines.data.executors.processes import Processes

        return Processes(os.cpu_count() or 1 if workers is None else workers)
    if name == "ray":
        from scoremachines.data.executors.ray_actors import Ray

        return Ray(address, workers)
    from scoremachines.data.executors.distributed import Distributed

    return Distributed()

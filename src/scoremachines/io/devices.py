"""Where a training runs: its device, precision and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator

from scoremachines.errors import InputError

__all__ = ["quick_bfloat16", "start_accelerator", "threads"]


def start_accelerator(device: str, folder: Path | None = None) -> Accelerator:
    """Return the accelerator of a training.

    Precision is left to the training: an accelerator's cannot change within a process.

    Args:
        device: auto, cpu or cuda.
        folder: where trackers write; None for no trackers.

    Returns:
        The accelerator.

    Raises:
        InputError: the device is not there, or there is more than one process.
    """
    present = torch.cuda.is_available()
    if device == "cuda" and not present:
        raise InputError("device", device, "auto or cpu", "there is no GPU that torch can use")
    trackers = {} if folder is None else {"log_with": "tensorboard", "project_dir": folder}
    try:
        accelerator = Accelerator(cpu=device == "cpu" or not present, **trackers)
    except ValueError as error:
        raise InputError("device", device, "the one of earlier trainings", str(error)) from None
    if accelerator.num_processes > 1:
        raise InputError("processes", accelerator.num_processes, "1", "a training takes one")
    return accelerator


def quick_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 faster than float32.

    Args:
        device: the CPU or a GPU.

    Returns:
        True on GPUs that have it, and on CPUs with matrix tiles for it (AMX).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10
    return capabilities is not None and bool(capabilities().get("amx_bf16"))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads of the CPU, and afterwards with as many as before.

    Args:
        count: at least 1.

    Yields:
        Nothing.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

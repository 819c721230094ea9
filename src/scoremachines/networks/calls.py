"""Calls of modules made elsewhere: their outputs and their errors (theory §5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from scoremachines.errors import InputError

__all__ = ["calling", "original", "prediction"]


@contextmanager
def calling(module: nn.Module) -> Iterator[None]:
    """Turn whatever a module raises when it is called into one clear line.

    Args:
        module: the module.

    Raises:
        InputError: in place of any other exception of the body but a lack of memory.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        accepted = "a module that is called as module(φ, timestep), or `call` to call it otherwise"
        reason = f"called, it raises {type(error).__name__}: {error}"
        raise InputError("module", type(module).__name__, accepted, reason) from error


def original(module: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` has wrapped; the module itself if it has not."""
    inner = getattr(module, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else module


def prediction(output: Any, noisy: Tensor, *, variance: bool = False) -> Tensor:
    """Return the tensor of an output; refuse what has another shape than the image.

    Args:
        output: a tensor, a tuple, or an object or dictionary with a `sample`.
        noisy: φ, `[B, C, H, W]`.
        variance: whether a predicted variance follows the prediction, as more channels.

    Returns:
        The prediction, `[B, C, H, W]`.

    Raises:
        InputError: it is no such tensor, or has no graph where a gradient is wanted.
    """
    answer: Any = output.get("sample") if isinstance(output, dict) else output
    answer = getattr(answer, "sample", answer)
    answer = answer[0] if isinstance(answer, tuple | list) and answer else answer
    if variance and isinstance(answer, Tensor) and answer.ndim == 4:
        answer = answer[:, : noisy.shape[1]]
    real = isinstance(answer, Tensor) and answer.is_floating_point()
    if not real or answer.shape != noisy.shape:
        shape = f"of shape {tuple(getattr(answer, 'shape', ()))}"
        kind = getattr(answer, "dtype", type(answer).__name__)
        accepted = f"a floating-point tensor of shape {tuple(noisy.shape)}"
        raise InputError("module", f"an answer {shape} ({kind})", accepted)
    if torch.is_grad_enabled() and not answer.requires_grad:
        accepted = "one that autograd follows back to φ, or φ that does not require grad"
        raise InputError("module", "an answer without a graph", accepted)
    return answer

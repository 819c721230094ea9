"""Checks of a model's inputs: noisy images, noise levels, classes (theory §1)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoremachines.errors import InputError
from scoremachines.io.files import reading
from scoremachines.machine.denoiser import check_fixed
from scoremachines.theory.schedule import CLOSEST

__all__ = ["LARGEST", "check_levels", "check_noisy", "class_labels", "following", "noise_levels"]

LARGEST = 1e6
"""Values of φ beyond this are refused: their squared distances would leave the range of float32.
A noisy image, `√ᾱ x + √(1−ᾱ) ε`, hardly has values beyond 7."""


def check_noisy(
    noisy: Tensor, shape: tuple[int, int, int], device: torch.device | None = None
) -> None:
    """Refuse what are no noisy images for a model.

    Args:
        noisy: φ, which should be `[B, C, H, W]`.
        shape: C, H and W.
        device: of the model; None for any.

    Raises:
        InputError: another shape or device, no image, or values that are not floating-point, not
            finite or larger than `LARGEST`.
    """
    accepted = f"a tensor [B, {', '.join(map(str, shape))}]"
    if not isinstance(noisy, Tensor):
        raise InputError("noisy", noisy, accepted)
    if noisy.ndim != 4 or tuple(noisy.shape[1:]) != tuple(shape):
        raise InputError("noisy", f"tensor of shape {tuple(noisy.shape)}", accepted)
    if len(noisy) == 0:
        raise InputError("noisy", "an empty batch", "at least one noisy image")
    if not noisy.is_floating_point():
        raise InputError("noisy", noisy.dtype, "floating-point values")
    if device is not None and noisy.device != device:
        raise InputError("noisy", noisy.device, f"the model's device, {device}")
    largest = float(noisy.detach().abs().amax())
    if not largest <= LARGEST:
        given = f"values up to {largest:.3g}" if largest == largest else "values that are NaN"
        raise InputError("noisy", given, f"finite floating-point values of at most ±{LARGEST:g}")


def check_levels(alpha_bar: Tensor | float, count: int) -> Tensor:
    """Return ᾱ of every noisy image.

    Args:
        alpha_bar: ᾱ in [0, 1], one value or `[count]`.
        count: number of noisy images.

    Returns:
        `[count]`, float64 on the CPU.

    Raises:
        InputError: no numbers, another number of values, one outside [0, 1], or one that requires
            grad.
    """
    check_fixed(alpha_bar)
    accepted = f"one value or {count} values in [0, 1]"
    with reading("alpha_bar", alpha_bar, accepted):
        alphas = torch.as_tensor(alpha_bar, dtype=torch.float64).cpu()
    if alphas.ndim > 1 or alphas.numel() not in (1, count):
        raise InputError("alpha_bar", alpha_bar, f"one value or {count} values")
    if not ((alphas >= 0) & (alphas <= 1)).all():
        raise InputError("alpha_bar", alpha_bar, "values in [0, 1]")
    return alphas.expand(count)


def noise_levels(alpha_bar: Tensor | float, noisy: Tensor) -> Tensor:
    """Return ᾱ of every noisy image.

    `ᾱ → min(max(ᾱ, 10⁻¹²), 1 − 10⁻¹²)`, for √ᾱ and 1−ᾱ are divided by (theory §2.5).

    Args:
        alpha_bar: ᾱ in [0, 1], one value or `[B]`.
        noisy: φ, `[B, C, H, W]`.

    Returns:
        `[B]`, float64 on the device of `noisy`, kept `CLOSEST` away from 0 and 1.

    Raises:
        InputError: another number of values, one outside [0, 1], or one that requires grad.
    """
    alphas = check_levels(alpha_bar, len(noisy)).to(noisy.device)
    return alphas.clamp(CLOSEST, 1 - CLOSEST)


def class_labels(labels: Tensor | int | None, classes: int, noisy: Tensor) -> Tensor | None:
    """Return the class of every noisy image.

    Args:
        labels: one label or `[B]`; None for any.
        classes: number of classes; 0 for an unconditional network.
        noisy: φ, `[B, C, H, W]`.

    Returns:
        int64 `[B]` on the device of `noisy`, −1 for any; or None.

    Raises:
        InputError: another number of labels, or one that the network does not know.
    """
    if labels is None:
        return None
    if not classes:
        raise InputError("labels", labels, "None", "the network is not conditional")
    with reading("labels", labels, "whole numbers"):
        given = torch.as_tensor(labels, device=noisy.device)
    if given.ndim > 1 or given.numel() not in (1, len(noisy)):
        raise InputError("labels", labels, f"one label or {len(noisy)} labels")
    whole = not given.is_floating_point() and not given.is_complex() and given.dtype != torch.bool
    if not whole or not ((given >= -1) & (given < classes)).all():
        raise InputError("labels", labels, f"whole numbers from 0 to {classes - 1}, −1 for any")
    return given.long().expand(len(noisy))


def following(maps: Tensor, noisy: Tensor) -> Tensor:
    """Return maps whose graph leads to φ, of gradient 0 where they are piecewise constant.

    `A → A + 0·Σ_y φ(y)` where A has no graph of its own (theory §4.9).

    Args:
        maps: with a graph, or constant.
        noisy: φ.

    Returns:
        The maps.
    """
    if torch.is_grad_enabled() and noisy.requires_grad and not maps.requires_grad:
        return maps + 0 * noisy.sum()
    return maps

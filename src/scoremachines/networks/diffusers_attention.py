"""The maps of a `diffusers` self-attention layer, captured by hooks (theory §4.2).

    A = 1/h Σ_heads softmax(Q Kᵀ/√d)

A layer that works on h×w cells has a map between cells. Every pixel gets the row of its cell,
and a cell's weight is shared evenly by its pixels, so that rows keep adding up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from scoremachines.errors import InputError

__all__ = ["captured_layer", "captured_map", "self_attentions", "spread"]


def self_attentions(module: nn.Module) -> dict[str, Attention]:
    """Return the self-attention layers whose maps can be read, by their dotted names.

    Args:
        module: the network.

    Returns:
        Layers without cross-attention and without norms of queries, keys or places.
    """
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, Attention)
        and not layer.is_cross_attention
        and layer.norm_q is layer.norm_k is layer.spatial_norm is None
    }


def captured_layer(
    layers: dict[str, Attention], call: Callable[[], object]
) -> tuple[str, Attention, Tensor]:
    """Return the last of these layers to work at the highest resolution.

    Args:
        layers: those that may be chosen, by name.
        call: calls the network.

    Returns:
        Its name, the layer, and the features that it was given.

    Raises:
        InputError: the network used none of the layers.
    """
    names = {layer: name for name, layer in layers.items()}
    inputs: list[tuple[Attention, Tensor]] = []

    def keep_input(layer: nn.Module, places: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert isinstance(layer, Attention)  # all of `layers` are
        inputs.append((layer, places[0] if places else named["hidden_states"]))

    hooks = [
        layer.register_forward_pre_hook(keep_input, with_kwargs=True) for layer in layers.values()
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    if not inputs:
        raise InputError("attention", ", ".join(layers), "a layer that the network uses")
    layer, hidden = max(reversed(inputs), key=lambda pair: _tokens(pair[1]))
    return names[layer], layer, hidden


def captured_map(
    layers: dict[str, Attention], call: Callable[[], object], size: tuple[int, int]
) -> Tensor:
    """Return the map of the last of these layers to work at the highest resolution.

    Args:
        layers: those that may be chosen, by name.
        call: calls the network.
        size: height and width of the images, pixels.

    Returns:
        A, `[B, H·W, H·W]`.

    Raises:
        InputError: the network used none of the layers, or not on cells of its images.
    """
    _, layer, hidden = captured_layer(layers, call)
    cells = (hidden.shape[-2], hidden.shape[-1]) if hidden.ndim == 4 else _grid(hidden, size)
    return spread(_map(layer, hidden), cells, size)


def spread(maps: Tensor, cells: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Spread what cells attend to over their pixels.

    Args:
        maps: rows that add up to 1, `[B, h·w, h·w]`.
        cells: h and w.
        size: H and W, at least as large.

    Returns:
        `[B, H·W, H·W]`: pixel u has the row of its cell, in which each column's weight is shared
        by the pixels of that cell.

    Raises:
        InputError: there are more cells than pixels.
    """
    if cells == size:
        return maps
    if cells[0] > size[0] or cells[1] > size[1]:
        accepted = f"a layer on at most {size[0]}×{size[1]} cells"
        raise InputError("attention", f"a layer on {cells[0]}×{cells[1]} cells", accepted)
    row, column = (
        torch.arange(side, device=maps.device) * count // side
        for side, count in zip(size, cells, strict=True)
    )
    own = (row[:, None] * cells[1] + column).flatten()
    area = torch.bincount(own, minlength=cells[0] * cells[1])
    return (maps / area)[:, own][:, :, own]


def _tokens(hidden: Tensor) -> int:
    return hidden.shape[-2] * hidden.shape[-1] if hidden.ndim == 4 else hidden.shape[1]


def _grid(hidden: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    """Return the cells that a list of tokens stands for: the image, halved or cut in patches."""
    for scale in range(1, max(size) + 1):
        rows, columns = (math.ceil(side / scale) for side in size)
        if rows * columns == hidden.shape[1]:
            return rows, columns
    accepted = f"a layer on square cells of {size[0]}×{size[1]} pixels"
    raise InputError("attention", f"a layer on {hidden.shape[1]} tokens", accepted)


def _map(layer: Attention, hidden: Tensor) -> Tensor:
    """Return what a layer's tokens attend to, averaged over its heads, `[B, n, n]`."""
    tokens = hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden
    if layer.group_norm is not None:
        tokens = layer.group_norm(tokens.transpose(1, 2)).transpose(1, 2)
    query, key = (layer.head_to_batch_dim(part(tokens)) for part in (layer.to_q, layer.to_k))
    scores = layer.get_attention_scores(query, key)
    return scores.unflatten(0, (len(tokens), -1)).float().mean(1)
